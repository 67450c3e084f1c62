//! What happened in the runs, added up.

use std::collections::BTreeMap;

/// What happened in a run, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub turns: u64,
    pub hours: u64,
    pub executions: u64,
    pub launches: u64,
    pub commands: u64,
    pub automatic_starts: u64,
    pub half_open: u64,
    pub ends: BTreeMap<&'static str, u64>,
    pub parked: BTreeMap<&'static str, u64>,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.turns += other.turns;
        self.hours += other.hours;
        self.executions += other.executions;
        self.launches += other.launches;
        self.commands += other.commands;
        self.automatic_starts += other.automatic_starts;
        self.half_open += other.half_open;
        for (end, count) in other.ends {
            *self.ends.entry(end).or_default() += count;
        }
        for (park, count) in other.parked {
            *self.parked.entry(park).or_default() += count;
        }
    }
}

impl Tally {
    /// A storm that does not reach a place proves nothing about it.
    pub fn assert_that_all_was_met(&self) {
        for end in ["succeeded", "failed", "timed_out", "skipped", "refused", "cancelled", "interrupted"] {
            assert!(self.ends.contains_key(end), "no execution was ever {end}");
        }
        for park in ["previous", "dependencies", "room"] {
            assert!(self.parked.contains_key(park), "no execution ever waited for {park}");
        }
        assert!(self.half_open > 0, "no breaker was ever half-open");
    }
}
