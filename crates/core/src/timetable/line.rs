//! A waiting line: who is due when, on one clock.

use std::collections::BTreeSet;

use crate::ids::AgentIndex;

/// Agents by the time at which they are due, and those that have been taken and are to be put back.
#[derive(Debug)]
pub(super) struct Line<T> {
    waiting: BTreeSet<(T, AgentIndex)>,
    taken: BTreeSet<(T, AgentIndex)>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { waiting: BTreeSet::new(), taken: BTreeSet::new() }
    }
}

impl<T: Ord + Copy> Line<T> {
    /// When the first is due.
    pub fn first(&self) -> Option<T> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Whether some have been taken and not put back.
    pub fn is_behind(&self) -> bool {
        !self.taken.is_empty()
    }

    pub fn insert(&mut self, at: T, agent: AgentIndex) {
        self.waiting.insert((at, agent));
    }

    /// Takes one out, wherever it is. Whether it had been taken before.
    pub fn remove(&mut self, at: T, agent: AgentIndex) -> bool {
        !self.waiting.remove(&(at, agent)) && self.taken.remove(&(at, agent))
    }

    pub fn is_taken(&self, at: T, agent: AgentIndex) -> bool {
        self.is_behind() && self.taken.contains(&(at, agent))
    }

    /// Takes all that are due at `now`, in order, and shows each to `visit`. Costs two steps in a tree for the cut, and
    /// no more than a look for each.
    pub fn take(&mut self, now: T, mut visit: impl FnMut(T, AgentIndex)) {
        if self.first().is_none_or(|first| first > now) {
            return;
        }
        let later = self.waiting.split_off(&(now, AgentIndex(u32::MAX)));
        let mut due = std::mem::replace(&mut self.waiting, later);
        for (at, agent) in &due {
            visit(*at, *agent);
        }
        self.taken.append(&mut due);
    }

    /// The first of those that have been taken.
    pub fn pop_taken(&mut self) -> Option<(T, AgentIndex)> {
        self.taken.pop_first()
    }

    /// Starts again with these.
    pub fn refill(&mut self, entries: impl Iterator<Item = (T, AgentIndex)>) {
        self.taken.clear();
        self.waiting = entries.collect();
    }
}
