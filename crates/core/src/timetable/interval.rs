//! The fixed intervals of a timetable: on the steady clock, from boot.

use std::collections::BTreeMap;
use std::time::Duration;

use super::line::Line;
use super::{Clocks, Due, DueKind, Upcoming};
use crate::ids::AgentIndex;
use crate::time::{Moment, Timestamp};

/// Finer than a millisecond is no interval: wall time has no finer grain.
const SHORTEST: Duration = Duration::from_millis(1);

/// One interval: due at every multiple of it from boot, later by its jitter.
#[derive(Debug)]
struct Repeated {
    every: u64,
    offset: u64,
    next: Moment,
}

impl Repeated {
    /// The first time after `now`, jitter included.
    fn after(&self, now: Moment) -> Moment {
        let done = now.as_nanos().checked_sub(self.offset).map_or(0, |since| since / self.every);
        let nanos = (done + 1).saturating_mul(self.every).saturating_add(self.offset);
        Moment::from_nanos(nanos)
    }

    /// What the wall clock shows at the time named by the interval, jitter not included.
    fn scheduled_for(&self, at: Moment, clocks: Clocks) -> Timestamp {
        clocks.wall_at(at - Duration::from_nanos(self.offset))
    }
}

/// All intervals.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    entries: BTreeMap<AgentIndex, Repeated>,
    line: Line<Moment>,
}

impl Intervals {
    pub fn insert(&mut self, agent: AgentIndex, every: Duration, offset: Duration, now: Moment) {
        self.remove(agent);
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let mut entry = Repeated { every: nanos(every.max(SHORTEST)), offset: nanos(offset), next: now };
        entry.next = entry.after(now);
        self.line.insert(entry.next, agent);
        self.entries.insert(agent, entry);
    }

    pub fn remove(&mut self, agent: AgentIndex) -> bool {
        let removed = self.entries.remove(&agent);
        if let Some(entry) = &removed {
            self.line.remove(entry.next, agent);
        }
        removed.is_some()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_behind(&self) -> bool {
        self.line.is_behind()
    }

    pub fn first(&self) -> Option<Moment> {
        self.line.first()
    }

    pub fn agents(&self) -> impl Iterator<Item = AgentIndex> + '_ {
        self.entries.keys().copied()
    }

    /// Hands over what is due.
    pub fn take(&mut self, clocks: Clocks, out: &mut Vec<Due>) {
        let entries = &self.entries;
        self.line.take(clocks.steady, |at, agent| {
            let Some(entry) = entries.get(&agent) else { return };
            out.push(Due { scheduled_for: entry.scheduled_for(at, clocks), agent, trigger: DueKind::Every });
        });
    }

    /// Puts up to `max` of the taken ones back.
    pub fn reschedule(&mut self, max: usize, now: Moment) {
        for _ in 0..max {
            let Some((_, agent)) = self.line.pop_taken() else { return };
            let entry = self.entries.get_mut(&agent).expect("whoever is taken has an entry");
            entry.next = entry.after(now);
            self.line.insert(entry.next, agent);
        }
    }

    pub fn next_of(&self, agent: AgentIndex, clocks: Clocks) -> Option<Upcoming> {
        let entry = self.entries.get(&agent)?;
        let taken = self.line.is_taken(entry.next, agent);
        let at = if taken { entry.after(clocks.steady) } else { entry.next };
        Some(Self::upcoming(entry, agent, at, clocks))
    }

    /// The first time that is due after `from`.
    pub fn following(&self, agent: AgentIndex, from: Timestamp, clocks: Clocks) -> Option<Upcoming> {
        let entry = self.entries.get(&agent)?;
        let since = clocks.steady + from.since(clocks.wall) - clocks.wall.since(from);
        let mut at = entry.after(since);
        // The wall clock is read in milliseconds, which are coarser than the steady clock: never the same time twice.
        while clocks.wall_at(at) <= from {
            let later = entry.after(at);
            if later == at {
                return None;
            }
            at = later;
        }
        Some(Self::upcoming(entry, agent, at, clocks))
    }

    fn upcoming(entry: &Repeated, agent: AgentIndex, at: Moment, clocks: Clocks) -> Upcoming {
        let scheduled_for = entry.scheduled_for(at, clocks);
        Upcoming { at: clocks.wall_at(at), agent, trigger: DueKind::Every, scheduled_for }
    }
}
