//! The timetable: one timer for all agents that run by schedule or interval, however many.
//!
//! The invariants: an entry is either waiting for its next time or, once that time is handed over, waiting to be
//! rescheduled; one call hands over at most one [`Due`] per agent and trigger, however late the call comes; a fixed
//! time is handed over once, whatever is done to the wall clock (the rules are [`ClockStep`]'s). Never reads a clock.
//!
//! The odd thing is that handing over and rescheduling are two calls. With 100,000 entries due in the same second the
//! batch is in the queue in a millisecond or two, and the search for the next times follows in pieces:
//!
//! ```text
//!  alarm ─▶ take_due(clocks, out) ─▶ queue gets `out` ─▶ while reschedule(4_096) { yield } ─▶ alarm at next_deadline(clocks)
//! ```
//!
//! The wall clock cannot be waited on: whoever sets it does not tell. So [`Timetable::next_deadline`] is never more
//! than [`CLOCK_CHECK`] away while there is a schedule, and each `take_due` compares both clocks with its last look.

mod interval;
mod line;
mod step;
#[cfg(test)]
mod tests;
mod wall;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use serde::Serialize;

use crate::ids::AgentIndex;
use crate::schedule::{Schedule, ScheduleError};
use crate::spec::AgentSpec;
use crate::time::{Clocks, Moment, Timestamp};

pub use step::{ClockStep, FORWARD_STEP, WRONG_CLOCK};

/// The longest time between two looks at the wall clock. A minute is the grain of a crontab, so that after a step
/// nothing is later than its grain; and one wake-up a minute costs nothing.
pub const CLOCK_CHECK: Duration = Duration::from_mins(1);

/// What makes an agent due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    /// A crontab schedule, on the wall clock.
    Schedule(Schedule),
    /// A fixed interval from boot, on the steady clock. Less than a millisecond counts as one.
    Every(Duration),
}

/// One timer of one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What makes it due.
    pub timer: Timer,
    /// It comes later than it says by a fixed part of this.
    pub jitter: Duration,
    /// Decides which part: stable per agent, see [`seed_of`].
    pub seed: u64,
}

impl Entry {
    /// The timers of an agent: by schedule, by interval, or both.
    ///
    /// # Errors
    /// [`ScheduleError`]: its schedule can't be read.
    pub fn all_of(spec: &AgentSpec) -> Result<Vec<Self>, ScheduleError> {
        let Some(job) = spec.job() else { return Ok(Vec::new()) };
        let (jitter, seed) = (job.jitter, seed_of(spec.name.as_str()));
        let triggers = &job.triggers;
        let parsed = triggers.schedule.as_deref().map(|text| Schedule::parse(text, &triggers.timezone));
        let schedule = parsed.transpose()?.map(Timer::Schedule);
        let timers = schedule.into_iter().chain(triggers.every.map(Timer::Every));
        Ok(timers.map(|timer| Self { timer, jitter, seed }).collect())
    }

    /// The part of the jitter that this agent gets, 0 to `jitter`, in whole milliseconds.
    pub fn offset(&self) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014): seeds that differ in one bit land far apart.
        let mut mixed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let choices = self.jitter.as_millis().min(u128::from(u32::MAX)) + 1;
        Duration::from_millis(u64::try_from((u128::from(mixed) * choices) >> 64).expect("less than 2^32 milliseconds"))
    }
}

/// A seed from the name of an agent (FNV-1a): the same in every process and on every machine.
pub fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Which of its timers made an agent due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DueKind {
    /// Its schedule.
    Schedule,
    /// Its interval.
    Every,
}

/// An agent is due. Sorts by scheduled time, then agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Due {
    /// The time that its schedule or interval names, without jitter.
    pub scheduled_for: Timestamp,
    /// Who.
    pub agent: AgentIndex,
    /// By what.
    pub trigger: DueKind,
}

/// A scheduled time that the wall clock was set past. It is not made up for: catching up is for downtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Misfire {
    /// The first time of this agent that was jumped over.
    pub scheduled_for: Timestamp,
    /// Whose.
    pub agent: AgentIndex,
}

/// What a look at the clocks found, beside what is due.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Sweep {
    /// Whether the wall clock was set since the last look, and how.
    pub step: ClockStep,
    /// Agents whose time was jumped over, by time and agent; empty unless the step is forward.
    pub misfired: Vec<Misfire>,
}

/// A time to come. Sorts by when, then agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Upcoming {
    /// When the agent will be due, with its jitter.
    pub at: Timestamp,
    /// Who.
    pub agent: AgentIndex,
    /// By what.
    pub trigger: DueKind,
    /// The time that its schedule or interval names, without jitter.
    pub scheduled_for: Timestamp,
}

/// All timers of all agents.
#[derive(Debug, Default)]
pub struct Timetable {
    schedules: wall::Schedules,
    intervals: interval::Intervals,
    /// The clocks at the last look.
    seen: Option<Clocks>,
}

/// Which times to come are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Ahead {
    /// Later than that.
    pub from: Timestamp,
    /// Not later than that.
    pub to: Timestamp,
    /// The first so many.
    pub limit: usize,
    /// At most so many of one agent: who runs every second does not hide the rest.
    pub each: usize,
    /// Only of this agent.
    pub only: Option<AgentIndex>,
}

impl Timetable {
    /// An empty timetable.
    pub fn new() -> Self {
        Self::default()
    }

    /// An agent may have one timer of each kind; a further one replaces the one that it has. Replacing a schedule by
    /// the same one (on a reload, say, with a new jitter) does not make a time come again that has come already.
    pub fn insert(&mut self, agent: AgentIndex, entry: Entry, clocks: Clocks) {
        self.seen.get_or_insert(clocks);
        let offset = entry.offset();
        match entry.timer {
            Timer::Schedule(schedule) => self.schedules.insert(agent, schedule, offset, clocks.wall),
            Timer::Every(every) => self.intervals.insert(agent, every, offset, clocks.steady),
        }
    }

    /// Takes both timers of an agent away. Whether there was one.
    pub fn remove(&mut self, agent: AgentIndex) -> bool {
        let (scheduled, repeated) = (self.schedules.remove(agent), self.intervals.remove(agent));
        scheduled || repeated
    }

    /// Takes the timer of one kind away. Whether there was one.
    pub fn remove_kind(&mut self, agent: AgentIndex, kind: DueKind) -> bool {
        match kind {
            DueKind::Schedule => self.schedules.remove(agent),
            DueKind::Every => self.intervals.remove(agent),
        }
    }

    /// How many timers there are.
    pub fn len(&self) -> usize {
        self.schedules.len() + self.intervals.len()
    }

    /// Whether there is no timer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When to call [`take_due`](Self::take_due) next: at once while there is something to reschedule, else when the
    /// first entry is due, but at most [`CLOCK_CHECK`] from now while there is a schedule. `None`: when something has
    /// been inserted.
    pub fn next_deadline(&self, clocks: Clocks) -> Option<Moment> {
        if self.schedules.is_behind() || self.intervals.is_behind() {
            return Some(clocks.steady);
        }
        let by_wall = (!self.schedules.is_empty()).then(|| {
            let wait = self.schedules.first().map_or(CLOCK_CHECK, |first| first.since(clocks.wall));
            clocks.steady + wait.min(CLOCK_CHECK)
        });
        let by_interval = self.intervals.first().map(|first| first.max(clocks.steady));
        by_wall.into_iter().chain(by_interval).min()
    }

    /// Hands over what is due, appended to `out` by scheduled time and agent, and notices whether the wall clock was
    /// set. Call [`reschedule`](Self::reschedule) afterwards, or it is handed over only once.
    pub fn take_due(&mut self, clocks: Clocks, out: &mut Vec<Due>) -> Sweep {
        let seen = self.seen.replace(clocks).unwrap_or(clocks);
        let step = ClockStep::between(seen, clocks);
        match step {
            ClockStep::None | ClockStep::Forward(_) => {}
            ClockStep::Backward(_) => self.schedules.resume(clocks.wall),
            ClockStep::Correction(_) => self.schedules.start_afresh(clocks.wall),
        }
        let begin = out.len();
        let mut misfired = Vec::new();
        self.schedules.take(clocks.wall, step.jumped(seen, clocks), out, &mut misfired);
        self.intervals.take(clocks, out);
        out[begin..].sort_unstable();
        misfired.sort_unstable();
        Sweep { step, misfired }
    }

    /// Looks for the next times of up to `max` of the entries that have been handed over. Whether there are more.
    pub fn reschedule(&mut self, max: usize) -> bool {
        let Some(seen) = self.seen else { return false };
        let left = self.schedules.reschedule(max, seen.wall);
        self.intervals.reschedule(left, seen.steady);
        self.schedules.is_behind() || self.intervals.is_behind()
    }

    /// The next time of an agent, by whichever timer comes first.
    pub fn next_of(&self, agent: AgentIndex, clocks: Clocks) -> Option<Upcoming> {
        let scheduled = self.schedules.next_of(agent, clocks.wall);
        scheduled.into_iter().chain(self.intervals.next_of(agent, clocks)).min()
    }

    /// The first `limit` times of all agents with `from < at <= to`, in order. Jitter counts.
    pub fn upcoming(&self, from: Timestamp, to: Timestamp, clocks: Clocks, limit: usize) -> Vec<Upcoming> {
        let mut found = self.ahead(&Ahead { from, to, limit, each: usize::MAX, only: None }, clocks, |_| false).0;
        found.truncate(limit);
        found
    }

    /// What is ahead, in order, and whose times go on beyond `each`. All that is due together with the last one is told
    /// too. What is `passed` does not count.
    pub fn ahead(
        &self,
        wanted: &Ahead,
        clocks: Clocks,
        passed: impl Fn(&Upcoming) -> bool,
    ) -> (Vec<Upcoming>, BTreeSet<AgentIndex>) {
        let Ahead { from, to, limit, each, only } = *wanted;
        let is_meant = |agent: &AgentIndex| only.is_none_or(|only| only == *agent);
        let scheduled =
            self.schedules.agents().filter(is_meant).filter_map(|agent| self.schedules.following(agent, from));
        let repeated =
            self.intervals.agents().filter(is_meant).filter_map(|agent| self.intervals.following(agent, from, clocks));
        let mut heads: BinaryHeap<_> = scheduled.chain(repeated).filter(|next| next.at <= to).map(Reverse).collect();
        let (mut found, mut told, mut left_out) =
            (Vec::<Upcoming>::new(), BTreeMap::<_, usize>::new(), BTreeSet::new());
        while let Some(Reverse(next)) = heads.pop() {
            if found.len() >= limit && found.last().is_none_or(|last| last.at != next.at) {
                break;
            }
            let told = told.entry(next.agent).or_default();
            if *told >= each {
                left_out.insert(next.agent);
                continue;
            }
            *told += 1;
            let following = match next.trigger {
                DueKind::Schedule => self.schedules.following(next.agent, next.at),
                DueKind::Every => self.intervals.following(next.agent, next.at, clocks),
            };
            heads.extend(following.filter(|later| later.at <= to).map(Reverse));
            if !passed(&next) {
                found.push(next);
            }
        }
        (found, left_out)
    }
}
