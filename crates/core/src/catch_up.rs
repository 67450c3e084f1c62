//! Catching up: what a schedule missed while nothing ran, and how far it is.
//!
//! The invariants: a time is handed over once, in order, under an id that follows from agent and time alone; the
//! position on disk is never beyond a time whose execution has not ended. So whatever a crash cuts off is either found
//! again by its id, or was never started. Never reads a clock.
//!
//! ```text
//!  position ──missed()──▶ times ─(without those that ran: their id is on disk)─▶ Progress ──one by one──▶ queue
//!      ▲                                                                            │
//!      └───────────────────── everything up to here has ended ◀─────────────────────┘
//! ```
//!
//! The odd thing is that a position is not the last time that was handed over: what waits in the queue has left nothing
//! on disk, and would be forgotten.

mod progress;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use progress::{Handed, Progress, Turn};

use crate::schedule::Schedule;
use crate::spec::CatchUp;
use crate::time::Timestamp;

/// So many times of an agent are made up for at most, the latest ones: a schedule by the minute that was away for a
/// weekend has almost 3,000, and nobody wants the machine to be busy with Friday on Monday. Also the bound of the times
/// that wait while it catches up.
pub const MOST: usize = 1_000;

/// What a schedule missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missed {
    /// The times to make up for, in order; at most [`MOST`].
    pub times: Vec<Timestamp>,
    /// Further times within the window, all earlier: left out by the policy or the bound.
    pub left_out: u64,
}

/// The schedule of an agent and what it wants of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// When it is due.
    pub schedule: Schedule,
    /// It comes later than it says by this ([`crate::timetable::Entry::offset`]).
    pub offset: Duration,
    /// Which missed times are made up for.
    pub policy: CatchUp,
    /// How far back is looked.
    pub window: Duration,
}

impl Plan {
    /// What this is the plan of, as it is kept beside a position: one with another definition starts afresh.
    pub fn definition(&self) -> String {
        format!("{} {}", self.schedule.expression(), self.schedule.timezone())
    }

    /// The wall clock as the schedule sees it: what is not after it is due.
    pub fn seen_at(&self, wall: Timestamp) -> Timestamp {
        let behind = i64::try_from(self.offset.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(wall.as_millis().saturating_sub(behind))
    }

    /// The times after `position` that a timetable which begins at `now` will not name any more.
    ///
    /// | policy | of the times within the window |
    /// |---|---|
    /// | `none` | none |
    /// | `latest` | the last one |
    /// | `all` | the last [`MOST`], in order |
    ///
    /// A time in a gap of daylight saving time counts where the schedule has it, at the end of the gap; a fixed time in
    /// a repeated hour counts once. Costs a step for each time within the window.
    pub fn missed(&self, position: Timestamp, now: Timestamp) -> Missed {
        let keep = match self.policy {
            CatchUp::None => return Missed::default(),
            CatchUp::Latest => 1,
            CatchUp::All => MOST,
        };
        let window = i64::try_from(self.window.as_millis()).unwrap_or(i64::MAX);
        // A millisecond before it begins, so that its very first time is in it.
        let begin = Timestamp::from_millis(now.as_millis().saturating_sub(window).saturating_sub(1));
        let end = self.seen_at(now);
        let mut times = VecDeque::new();
        let mut left_out = 0;
        for time in self.schedule.upcoming(position.max(begin)).take_while(|time| *time <= end) {
            if times.len() == keep {
                times.pop_front();
                left_out += 1;
            }
            times.push_back(time);
        }
        Missed { times: times.into(), left_out }
    }
}
