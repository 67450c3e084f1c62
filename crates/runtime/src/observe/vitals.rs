//! The orchestrator looks at itself: how late its event loop is, and how much room there is on the disk of its state.
//!
//! Invariant: it never waits. The disk is asked on another thread, one question at a time. Steady time only.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::event::Event;
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_core::vitals::{DiskSpace, LagMeter};
use werkpilot_process::disk;

use crate::house::House;
use crate::supervision::ExitNotice;

/// How often the loop is measured: a stall of this length is always noticed, and a wake-up costs some 20 µs.
const BEAT: Duration = Duration::from_secs(1);
/// How often the disk is asked, in beats.
const DISK_BEATS: u32 = 30;
/// A disk that has not answered for so long is told as one that does not.
const DISK_PATIENCE: Duration = Duration::from_mins(1);

/// What the orchestrator knows of itself. `Default` is: nothing yet.
#[derive(Clone, Debug, Default)]
pub struct Vitals {
    /// How late the event loop was.
    pub lag: LagMeter,
    /// Room on the disk of the state, or why that is not known; `None`: not asked yet.
    pub disk: Option<Result<DiskSpace, String>>,
    /// When a slice of the overall check was looked at last.
    pub last_overall_check: Option<Timestamp>,
    /// When the next beat is expected.
    pub next_beat: Option<Moment>,
    /// Since when the disk is asked.
    asking_since: Option<Moment>,
    /// Whether it was told that there is little room.
    told_low: bool,
}

impl Vitals {
    /// How late the loop is at this moment: as measured last, or more if the next beat is overdue.
    pub fn lag_now(&self, now: Moment) -> Option<Duration> {
        let overdue = self.next_beat.map(|at| now.since(at));
        self.lag.last().max(overdue)
    }

    /// The worst lag of the last minute, in milliseconds with fractions.
    pub fn worst_lag(&self, now: Moment) -> Option<Duration> {
        self.lag.worst(now).max(self.lag_now(now))
    }
}

/// The disk has answered.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct DiskAnswered(Result<DiskSpace, String>);

/// The actor of the vitals.
pub struct VitalsMonitor {
    house: Rc<House>,
    beats: u32,
    _notice: ExitNotice,
}

impl VitalsMonitor {
    /// An actor for the house's vitals.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, beats: 0, _notice: notice }
    }

    fn expect_beat(&self, ctx: &mut Context<Self>) {
        self.house.vitals.borrow_mut().next_beat = Some(self.house.clock.steady() + BEAT);
        ctx.run_later(BEAT, Self::beat);
    }

    fn beat(&mut self, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        {
            let mut vitals = self.house.vitals.borrow_mut();
            if let Some(expected) = vitals.next_beat {
                vitals.lag.take(now.since(expected), now);
            }
        }
        if self.beats.is_multiple_of(DISK_BEATS) {
            self.ask_disk(ctx);
        }
        self.beats = self.beats.wrapping_add(1);
        self.expect_beat(ctx);
    }

    fn ask_disk(&self, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        let since = self.house.vitals.borrow().asking_since;
        if let Some(since) = since {
            if now.since(since) >= DISK_PATIENCE {
                self.answered(Err("no answer".to_owned()));
            }
            return;
        }
        self.house.vitals.borrow_mut().asking_since = Some(now);
        let dir: PathBuf = self.house.state_dir.clone();
        let asking = tokio::task::spawn_blocking(move || disk::space(&dir).map_err(|error| error.to_string()));
        ctx.spawn(asking.into_actor(self).map(|answer, _, ctx| {
            ctx.notify(DiskAnswered(answer.unwrap_or_else(|error| Err(error.to_string()))));
        }));
    }

    /// Keeps the answer, and tells of a disk that gets full or has room again.
    fn answered(&self, answer: Result<DiskSpace, String>) {
        let mut vitals = self.house.vitals.borrow_mut();
        let answer = vitals.disk.insert(answer);
        let Ok(space @ DiskSpace { free_bytes, total_bytes }) = *answer else { return };
        let low = space.is_low();
        let was_low = std::mem::replace(&mut vitals.told_low, low);
        drop(vitals);
        match (was_low, low) {
            (false, true) => self.house.emit(Event::DiskLow { free_bytes, total_bytes }),
            (true, false) => self.house.emit(Event::DiskRecovered { free_bytes, total_bytes }),
            _ => {}
        }
    }
}

impl Actor for VitalsMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.house.vitals.borrow_mut().asking_since = None;
        self.ask_disk(ctx);
        self.beats = 1;
        self.expect_beat(ctx);
    }
}

impl Handler<DiskAnswered> for VitalsMonitor {
    type Result = ();
    fn handle(&mut self, DiskAnswered(answer): DiskAnswered, _: &mut Self::Context) {
        self.house.vitals.borrow_mut().asking_since = None;
        self.answered(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_that_is_overdue_counts_before_it_comes() {
        let mut vitals = Vitals::default();
        assert_eq!((vitals.lag_now(Moment::ZERO), vitals.worst_lag(Moment::ZERO)), (None, None));
        let ms = Duration::from_millis;
        vitals.lag.take(ms(3), Moment::from_secs(1));
        vitals.next_beat = Some(Moment::from_secs(2));
        assert_eq!(vitals.lag_now(Moment::from_secs(2)), Some(ms(3)));
        let late = Moment::from_secs(5);
        assert_eq!((vitals.lag_now(late), vitals.worst_lag(late)), (Some(ms(3_000)), Some(ms(3_000))));
    }
}
