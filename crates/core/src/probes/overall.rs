//! When the overall check looks at which agents: at each of them once per interval, slice by slice, so that a thousand are
//! never looked at in one moment, and a sleeping machine is woken twenty times per interval, not a thousand times.
//!
//! Steady time only: a clock that is set changes nothing. What was missed is not made up for.

use std::ops::Range;
use std::time::Duration;

use crate::time::Moment;

/// Slices of an interval: each is small enough not to delay anything, and few wake-ups are needed for all.
const SLICES: u32 = 20;
/// The shortest time between two slices; shorter intervals have fewer slices.
const SHORTEST_STEP: Duration = Duration::from_millis(100);

/// When which agents are looked at. Agents are told by the numbers of their slots.
#[derive(Clone, Debug)]
pub struct OverallPlan {
    interval: Duration,
    /// When the next slice is due.
    at: Moment,
    /// Which slice that is.
    slice: u32,
}

impl OverallPlan {
    /// The first slice is due one step from now.
    pub fn new(interval: Duration, now: Moment) -> Self {
        let mut plan = Self { interval, at: now, slice: 0 };
        plan.at = now + plan.step();
        plan
    }

    /// Another interval: it takes effect at once, and the round begins anew.
    pub fn configure(&mut self, interval: Duration, now: Moment) {
        if interval != self.interval {
            *self = Self::new(interval, now);
        }
    }

    /// When [`OverallPlan::take`] is wanted.
    pub const fn next_deadline(&self) -> Moment {
        self.at
    }

    /// Within which every agent is looked at once.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// The slots that are due, of so many; `None`: it is not time yet. The slices of one round are all slots, each once.
    pub fn take(&mut self, slots: usize, now: Moment) -> Option<Range<usize>> {
        if now < self.at {
            return None;
        }
        let range = part(slots, self.slice, self.slices());
        self.slice = (self.slice + 1) % self.slices();
        let next = self.at + self.step();
        self.at = if next > now { next } else { now + self.step() };
        Some(range)
    }

    /// When a slot, of so many, is looked at next.
    pub fn next_of(&self, slot: usize, slots: usize) -> Moment {
        let steps = (0..self.slices()).find(|ahead| {
            let slice = (self.slice + ahead) % self.slices();
            part(slots, slice, self.slices()).contains(&slot)
        });
        self.at + self.step() * steps.unwrap_or(0)
    }

    fn slices(&self) -> u32 {
        let fit = self.interval.as_millis() / SHORTEST_STEP.as_millis();
        u32::try_from(fit).unwrap_or(u32::MAX).clamp(1, SLICES)
    }

    fn step(&self) -> Duration {
        (self.interval / self.slices()).max(Duration::from_millis(1))
    }
}

/// Part number `slice` of `slices` equal parts of `0..slots`.
fn part(slots: usize, slice: u32, slices: u32) -> Range<usize> {
    let (slice, slices) = (slice as usize, slices as usize);
    slots * slice / slices..slots * (slice + 1) / slices
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FIVE_MINUTES: Duration = Duration::from_mins(5);

    #[test]
    fn a_thousand_agents_are_looked_at_in_twenty_slices_of_fifty() {
        let mut plan = OverallPlan::new(FIVE_MINUTES, Moment::ZERO);
        for slice in 0..20 {
            let now = plan.next_deadline();
            assert_eq!(now, Moment::from_secs(15 * (slice as u64 + 1)));
            assert_eq!(plan.next_of(slice * 50 + 7, 1_000), now);
            assert_eq!(plan.take(1_000, now), Some(slice * 50..(slice + 1) * 50));
            assert_eq!(plan.take(1_000, now), None, "once");
        }
        assert_eq!(plan.next_deadline(), Moment::from_secs(315));
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut plan = OverallPlan::new(FIVE_MINUTES, Moment::ZERO);
        let late = Moment::from_secs(3_600);
        assert!(plan.take(10, late).is_some());
        assert_eq!(plan.take(10, late), None);
        assert_eq!(plan.next_deadline(), late + Duration::from_secs(15));
    }

    #[test]
    fn a_new_interval_takes_effect_at_once_and_the_same_one_changes_nothing() {
        let mut plan = OverallPlan::new(FIVE_MINUTES, Moment::ZERO);
        plan.configure(FIVE_MINUTES, Moment::from_secs(10));
        assert_eq!(plan.next_deadline(), Moment::from_secs(15));
        plan.configure(Duration::from_secs(1), Moment::from_secs(10));
        assert_eq!(plan.next_deadline(), Moment::from_secs(10) + Duration::from_millis(100));
    }

    proptest! {
        #[test]
        fn every_agent_is_looked_at_once_per_interval(
            slots in 0_usize..500, interval_ms in 1_u64..1_000_000, rounds in 1_usize..4,
        ) {
            let interval = Duration::from_millis(interval_ms);
            let mut plan = OverallPlan::new(interval, Moment::ZERO);
            let mut looked = vec![0_usize; slots];
            for _ in 0..rounds {
                for _ in 0..plan.slices() {
                    let now = plan.next_deadline();
                    let due = plan.take(slots, now).unwrap();
                    for slot in due {
                        looked[slot] += 1;
                    }
                }
            }
            prop_assert!(looked.iter().all(|times| *times == rounds));
            let took = plan.next_deadline().since(Moment::ZERO);
            let rounds = u32::try_from(rounds).unwrap();
            prop_assert!(took <= (rounds + 1) * interval.max(Duration::from_millis(1)) + Duration::from_millis(1));
        }
    }
}
