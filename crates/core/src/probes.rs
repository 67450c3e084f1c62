//! Whether a service is alive, by its probes; and when which probe is due.
//!
//! Probes of many agents are spread over their interval, each at a phase that is its own for good, and at most
//! `max_at_once` are in flight. One deadline for all of them.

mod overall;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::backoff::Dice;
use crate::reason::Reason;
use crate::time::Moment;

pub use overall::OverallPlan;
pub use verdict::{JobFacts, Verdict};

/// What one probe said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// All is well.
    Passed,
    /// What is wrong.
    Failed(String),
}

/// What a probe's result changes.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum LivenessVerdict {
    /// Nothing.
    Unchanged,
    /// So many in a row failed that it counts as unhealthy.
    TurnedUnhealthy(Reason),
    /// It is well again.
    TurnedHealthy,
}

/// The verdict over one instance: unhealthy after `failures_allowed` failed probes in a row, healthy after one that
/// passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    failures_allowed: u32,
    in_a_row: u32,
    healthy: bool,
}

impl Liveness {
    /// Healthy until so many probes in a row have failed (0 is taken as 1).
    pub const fn new(failures_allowed: u32) -> Self {
        Self { failures_allowed, in_a_row: 0, healthy: true }
    }

    /// Takes the result of one probe.
    pub fn on(&mut self, result: ProbeResult) -> LivenessVerdict {
        match result {
            ProbeResult::Passed => {
                self.in_a_row = 0;
                if std::mem::replace(&mut self.healthy, true) {
                    LivenessVerdict::Unchanged
                } else {
                    LivenessVerdict::TurnedHealthy
                }
            }
            ProbeResult::Failed(last) => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                if !self.healthy || self.in_a_row < self.failures_allowed {
                    return LivenessVerdict::Unchanged;
                }
                self.healthy = false;
                LivenessVerdict::TurnedUnhealthy(Reason::ProbesFailed { failures: self.in_a_row, last })
            }
        }
    }

    /// So many failures in a row are allowed from now on. The verdict changes with the next result only.
    pub const fn configure(&mut self, failures_allowed: u32) {
        self.failures_allowed = failures_allowed;
    }

    /// So many failures in a row make it unhealthy.
    pub const fn failures_allowed(&self) -> u32 {
        self.failures_allowed
    }

    /// The verdict now.
    pub const fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Failed probes since the last one that passed.
    pub const fn failures_in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

/// The shortest interval; a shorter one is taken as this, so that a probe can't be due again at once.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// When which probe is due. The caller takes what is due at [`ProbePlan::next_deadline`] and after each
/// [`ProbePlan::finished`].
#[derive(Clone, Debug)]
pub struct ProbePlan {
    max_at_once: usize,
    entries: BTreeMap<u64, Entry>,
    /// Those that wait, the earliest first.
    due: BTreeSet<(Moment, u64)>,
    in_flight: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    interval: Duration,
    /// When it is, or in flight: was, due.
    at: Moment,
    in_flight: bool,
}

impl ProbePlan {
    /// Without probes. At most `max_at_once` (0 is taken as 1) will be in flight.
    pub fn new(max_at_once: usize) -> Self {
        Self { max_at_once: max_at_once.max(1), entries: BTreeMap::new(), due: BTreeSet::new(), in_flight: 0 }
    }

    /// Plans a probe every `interval`, the first one within the first interval: where, is up to `seed` (and the key).
    /// A key that is there already is planned anew.
    pub fn insert(&mut self, key: u64, interval: Duration, seed: u64, now: Moment) {
        self.remove(key);
        let interval = interval.max(SHORTEST_INTERVAL);
        let phase = interval.mul_f64(Dice::new(seed ^ key.rotate_left(32)).unit()).min(interval);
        let at = now + phase;
        self.entries.insert(key, Entry { interval, at, in_flight: false });
        self.due.insert((at, key));
    }

    /// Forgets a probe, in flight or not; its result may still come, and means nothing.
    pub fn remove(&mut self, key: u64) {
        match self.entries.remove(&key) {
            Some(entry) if entry.in_flight => self.in_flight -= 1,
            Some(entry) => {
                self.due.remove(&(entry.at, key));
            }
            None => {}
        }
    }

    /// Appends the keys of all probes that are due and may start now; they count as in flight from here on.
    pub fn take_due(&mut self, now: Moment, out: &mut Vec<u64>) {
        while self.in_flight < self.max_at_once {
            match self.due.first() {
                Some((at, key)) if *at <= now => {
                    let key = *key;
                    self.due.pop_first();
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.in_flight = true;
                        self.in_flight += 1;
                        out.push(key);
                    }
                }
                _ => return,
            }
        }
    }

    /// A probe has its result. It is due again at the next point of its own grid that is still to come: what was
    /// missed is not made up for. A key that is not in flight means nothing.
    pub fn finished(&mut self, key: u64, now: Moment) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if !std::mem::replace(&mut entry.in_flight, false) {
            return;
        }
        self.in_flight -= 1;
        let step = u64::try_from(entry.interval.as_nanos()).unwrap_or(u64::MAX);
        let passed = now.as_nanos().saturating_sub(entry.at.as_nanos()) / step;
        entry.at = Moment::from_nanos(entry.at.as_nanos().saturating_add((passed + 1).saturating_mul(step)));
        self.due.insert((entry.at, key));
    }

    /// The next probe comes at the latest so long from now; later ones on the grid that it begins. One in flight is left.
    pub fn hasten(&mut self, key: u64, within: Duration, now: Moment) {
        let soon = now + within.max(SHORTEST_INTERVAL);
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.in_flight && entry.at > soon) {
            self.due.remove(&(entry.at, key));
            entry.at = soon;
            self.due.insert((soon, key));
        }
    }

    /// Who had probes in flight has died, and their results are lost: they are due at once.
    pub fn abandon(&mut self, now: Moment) {
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.in_flight) {
            (entry.in_flight, entry.at) = (false, now);
            self.due.insert((now, *key));
        }
        self.in_flight = 0;
    }

    /// When this probe is, or in flight: was, due, and whether it is in flight.
    pub fn due_at(&self, key: u64) -> Option<(Moment, bool)> {
        self.entries.get(&key).map(|entry| (entry.at, entry.in_flight))
    }

    /// When the next probe is due; `None` if there is none, or if as many as may be are in flight.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.in_flight >= self.max_at_once { None } else { self.due.first().map(|(at, _)| *at) }
    }

    /// How many are in flight.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn failed(text: &str) -> ProbeResult {
        ProbeResult::Failed(text.to_owned())
    }

    fn due(plan: &mut ProbePlan, now: Moment) -> Vec<u64> {
        let mut out = Vec::new();
        plan.take_due(now, &mut out);
        out
    }

    #[test]
    fn only_failures_in_a_row_turn_an_agent_unhealthy() {
        let mut liveness = Liveness::new(3);
        let unhealthy = Reason::ProbesFailed { failures: 3, last: "e".to_owned() };
        let steps = [
            (failed("a"), LivenessVerdict::Unchanged),
            (failed("b"), LivenessVerdict::Unchanged),
            (ProbeResult::Passed, LivenessVerdict::Unchanged),
            (failed("c"), LivenessVerdict::Unchanged),
            (failed("d"), LivenessVerdict::Unchanged),
            (failed("e"), LivenessVerdict::TurnedUnhealthy(unhealthy)),
            (failed("f"), LivenessVerdict::Unchanged),
            (ProbeResult::Passed, LivenessVerdict::TurnedHealthy),
            (ProbeResult::Passed, LivenessVerdict::Unchanged),
        ];
        for (step, (result, verdict)) in steps.into_iter().enumerate() {
            assert_eq!(liveness.on(result), verdict, "step {step}");
        }
    }

    #[test]
    fn no_failure_allowed_means_that_the_first_one_counts() {
        assert!(matches!(Liveness::new(0).on(failed("a")), LivenessVerdict::TurnedUnhealthy(_)));
    }

    #[test]
    fn a_probe_keeps_its_phase_and_misses_are_not_made_up_for() {
        let mut plan = ProbePlan::new(8);
        plan.insert(7, MINUTE, 42, Moment::ZERO);
        let first = plan.next_deadline().unwrap();
        assert!(first <= Moment::ZERO + MINUTE);
        assert_eq!(due(&mut plan, first), [7]);
        assert_eq!(due(&mut plan, first + 9 * MINUTE), [0; 0], "not due while in flight");
        plan.finished(7, first + 5 * MINUTE + Duration::from_secs(1));
        assert_eq!(plan.next_deadline(), Some(first + 6 * MINUTE));
        let mut again = ProbePlan::new(8);
        again.insert(7, MINUTE, 42, Moment::ZERO);
        assert_eq!(again.next_deadline(), Some(first), "the same seed gives the same phase");
    }

    #[test]
    fn a_hastened_probe_comes_sooner_but_never_later() {
        let mut plan = ProbePlan::new(8);
        plan.insert(7, MINUTE, 42, Moment::ZERO);
        let first = plan.next_deadline().unwrap();
        plan.hasten(7, MINUTE, Moment::ZERO);
        assert_eq!(plan.due_at(7), Some((first, false)));
        assert_eq!(due(&mut plan, first), [7]);
        plan.hasten(7, Duration::ZERO, first);
        assert_eq!(plan.due_at(7), Some((first, true)), "one in flight is left");
        plan.finished(7, first);
        let soon = first + Duration::from_secs(5);
        plan.hasten(7, Duration::from_secs(5), first);
        assert_eq!(plan.next_deadline(), Some(soon));
        assert_eq!(due(&mut plan, soon), [7]);
        plan.finished(7, soon);
        assert_eq!(plan.next_deadline(), Some(soon + MINUTE));
        plan.hasten(8, MINUTE, soon);
        assert_eq!(plan.due_at(8), None, "it is nobody's");
    }

    #[test]
    fn what_was_in_flight_when_its_actor_died_is_probed_at_once() {
        let mut plan = ProbePlan::new(2);
        for key in 0..3 {
            plan.insert(key, MINUTE, 0, Moment::ZERO);
        }
        let now = Moment::from_secs(60);
        assert_eq!(due(&mut plan, now).len(), 2);
        plan.abandon(now);
        assert_eq!((plan.in_flight(), plan.next_deadline().is_some_and(|at| at <= now)), (0, true));
        assert_eq!(due(&mut plan, now).len(), 2);
    }

    #[test]
    fn probes_of_many_agents_are_spread_over_the_interval() {
        let mut plan = ProbePlan::new(usize::MAX);
        for key in 0..6_000 {
            plan.insert(key, MINUTE, 1, Moment::ZERO);
        }
        let per_second: Vec<usize> = (1..=60).map(|second| due(&mut plan, Moment::from_secs(second)).len()).collect();
        assert_eq!(per_second.iter().sum::<usize>(), 6_000);
        assert!(per_second.iter().all(|count| (50..=150).contains(count)), "{per_second:?}");
    }

    #[test]
    fn results_that_come_late_or_twice_mean_nothing() {
        let mut plan = ProbePlan::new(1);
        plan.insert(1, MINUTE, 0, Moment::ZERO);
        plan.insert(2, MINUTE, 0, Moment::ZERO);
        assert_eq!(due(&mut plan, Moment::from_secs(60)).len(), 1);
        assert_eq!(plan.next_deadline(), None, "as many as may be are in flight");
        for key in [1, 2] {
            plan.remove(key);
            plan.finished(key, Moment::from_secs(61));
            plan.finished(key, Moment::from_secs(61));
            plan.remove(key);
        }
        assert_eq!((plan.in_flight(), plan.next_deadline()), (0, None));
    }

    proptest! {
        #[test]
        fn never_more_in_flight_than_allowed_and_nothing_is_forgotten(
            max in 1_usize..5,
            steps in prop::collection::vec((0_u8..6, 0_u64..10, 0_u64..5_000), 1..200),
        ) {
            let mut plan = ProbePlan::new(max);
            let mut now = Moment::ZERO;
            let (mut known, mut flying) = (BTreeSet::new(), BTreeSet::new());
            for (kind, key, millis) in steps {
                now = now + Duration::from_millis(millis);
                match kind {
                    0 => {
                        plan.insert(key, Duration::from_secs(key), 3, now);
                        known.insert(key);
                        flying.remove(&key);
                    }
                    1 => {
                        plan.remove(key);
                        known.remove(&key);
                        flying.remove(&key);
                    }
                    2 => {
                        plan.finished(key, now);
                        flying.remove(&key);
                    }
                    3 => plan.hasten(key, Duration::from_millis(millis), now),
                    4 if millis < 500 => {
                        plan.abandon(now);
                        flying.clear();
                    }
                    _ => {
                        for key in due(&mut plan, now) {
                            prop_assert!(known.contains(&key) && flying.insert(key));
                        }
                    }
                }
                prop_assert_eq!(plan.in_flight(), flying.len());
                prop_assert!(flying.len() <= max);
                prop_assert_eq!(plan.due.len() + flying.len(), known.len());
            }
        }
    }
}
