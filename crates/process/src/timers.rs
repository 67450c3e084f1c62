//! The I/O thread's timers. A timer that is no longer wanted is found out when it rings, not searched before.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::launch::ProcessKey;

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Alarm {
    /// The grace after a stop signal is over.
    Grace,
    /// The watchdog's interval is over.
    Watchdog,
    /// The longest silence is over.
    Silence,
}

/// Timers in the order of their times.
#[derive(Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, ProcessKey, Alarm)>>);

impl Timers {
    pub fn set(&mut self, at: Instant, key: ProcessKey, alarm: Alarm) {
        self.0.push(Reverse((at, key, alarm)));
    }

    /// When the first one rings.
    pub fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _, _))| *at)
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<(ProcessKey, Alarm)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, key, alarm))| (key, alarm))
    }
}
