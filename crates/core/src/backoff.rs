//! How long to wait before the next try, and whether there is one.
//!
//! A delay is never above its `cap`, jitter included, whatever the numbers are. [`Dice`] is the only source of spread
//! in this crate: a seeded generator, so that a simulation can be repeated.

use std::time::Duration;

use crate::exit::{Exit, SpawnFailureKind};
use crate::reason::Reason;
use crate::spec::{Backoff, RestartPolicy};

impl Backoff {
    /// The delay after `failures` earlier failures (0: the first delay): `initial × factor^failures`, at most `cap`,
    /// then spread by ± `jitter`, and again at most `cap`. `unit`, in 0..1, says where in the spread.
    pub fn delay(&self, failures: u32, unit: f64) -> Duration {
        if self.initial.is_zero() {
            return Duration::ZERO;
        }
        let cap = self.cap.as_secs_f64();
        // `f64::max` answers its other operand for NaN: a factor that is no number becomes 1.
        let grown = (self.initial.as_secs_f64() * self.factor.max(1.0).powf(f64::from(failures))).min(cap);
        let jitter = share(self.jitter, 0.0);
        let unit = share(unit, 0.5);
        let spread = grown * (1.0 + jitter * (2.0 * unit - 1.0));
        Duration::try_from_secs_f64(spread).unwrap_or(self.cap).min(self.cap)
    }
}

/// A number in 0..=1, whatever is given.
const fn share(number: f64, if_none: f64) -> f64 {
    if number.is_nan() { if_none } else { number.clamp(0.0, 1.0) }
}

/// A seeded generator (`SplitMix64`: Steele, Lea and Flood, 2014). Good enough to spread load, no good for secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dice(u64);

impl Dice {
    /// The same seed gives the same numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in 0..1, with 53 bits.
    pub const fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 128 bits.
    pub const fn next_u128(&mut self) -> u128 {
        let high = self.next_u64() as u128;
        (high << 64) | self.next_u64() as u128
    }
}

/// What follows a failed attempt of a job.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum RetryDecision {
    /// Another attempt.
    Again {
        /// After so long.
        delay: Duration,
    },
    /// No further attempt.
    GiveUp(Reason),
}

/// Whether a job's failed attempt is repeated. `attempt` counts from 1 and is the one that failed; `1 + backoff.max`
/// are allowed.
///
/// | exit | |
/// |---|---|
/// | command missing | given up at once: another attempt would end the same way |
/// | machine short of something | again, whatever the count (which the caller leaves as it is) |
/// | any other | again until the attempts are used up |
pub fn retry(backoff: &Backoff, attempt: u32, exit: &Exit, unit: f64) -> RetryDecision {
    let delay = backoff.delay(attempt.saturating_sub(1), unit);
    match spawn_failure(exit) {
        Some((SpawnFailureKind::Missing, message)) => RetryDecision::GiveUp(missing(message)),
        Some((SpawnFailureKind::Transient, _)) => RetryDecision::Again { delay },
        _ if attempt > backoff.max => {
            RetryDecision::GiveUp(Reason::RetriesExhausted { attempts: attempt, last: exit.clone() })
        }
        _ => RetryDecision::Again { delay },
    }
}

/// What follows the end of a service's instance.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum RestartDecision {
    /// It is started again.
    Again {
        /// After so long.
        delay: Duration,
    },
    /// It stays down.
    Leave(Reason),
}

/// Whether a service is started again. `failures_in_a_row` are the restarts since it last was up for `healthy_for`, this
/// end not counted: 0 for the first.
///
/// | policy | success | failure | command missing | machine short of something |
/// |---|---|---|---|---|
/// | `always` | again | again | left | again |
/// | `on_failure` | left | again | left | again |
/// | `never` | left | left | left | again: it has not run yet |
pub fn restart(
    policy: RestartPolicy,
    backoff: &Backoff,
    failures_in_a_row: u32,
    exit: &Exit,
    success: bool,
    unit: f64,
) -> RestartDecision {
    let again = RestartDecision::Again { delay: backoff.delay(failures_in_a_row, unit) };
    match (spawn_failure(exit), policy) {
        (Some((SpawnFailureKind::Missing, message)), _) => RestartDecision::Leave(missing(message)),
        (Some((SpawnFailureKind::Transient, _)), _) | (_, RestartPolicy::Always) => again,
        (_, RestartPolicy::OnFailure) if !success => again,
        (_, RestartPolicy::OnFailure | RestartPolicy::Never) => {
            RestartDecision::Leave(Reason::NotRestarted { exit: exit.clone() })
        }
    }
}

fn spawn_failure(exit: &Exit) -> Option<(SpawnFailureKind, &str)> {
    match exit {
        Exit::SpawnFailed(failure) => Some((failure.kind, &failure.message)),
        _ => None,
    }
}

fn missing(message: &str) -> Reason {
    Reason::CommandMissing { message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::exit::SpawnFailure;

    fn backoff(initial_ms: u64, factor: f64, cap_ms: u64, jitter: f64) -> Backoff {
        let (initial, cap) = (Duration::from_millis(initial_ms), Duration::from_millis(cap_ms));
        Backoff { max: 3, initial, factor, cap, jitter }
    }

    fn spawn_failure(kind: SpawnFailureKind) -> Exit {
        Exit::SpawnFailed(SpawnFailure { kind, message: "no such file".to_owned() })
    }

    #[rstest]
    #[case::first(backoff(1_000, 2.0, 300_000, 0.0), 0, 0.5, 1_000)]
    #[case::grows(backoff(1_000, 2.0, 300_000, 0.0), 3, 0.5, 8_000)]
    #[case::capped(backoff(1_000, 2.0, 300_000, 0.0), 9, 0.5, 300_000)]
    #[case::lowest(backoff(1_000, 2.0, 300_000, 0.1), 0, 0.0, 900)]
    #[case::highest(backoff(1_000, 2.0, 300_000, 0.1), 0, 1.0, 1_100)]
    #[case::jitter_stays_under_the_cap(backoff(1_000, 2.0, 300_000, 0.1), 9, 1.0, 300_000)]
    #[case::initial_over_cap(backoff(9_000, 2.0, 5_000, 0.0), 0, 0.5, 5_000)]
    #[case::zero(backoff(0, f64::INFINITY, 5_000, 1.0), u32::MAX, 1.0, 0)]
    #[case::no_factor(backoff(1_000, f64::NAN, 5_000, f64::NAN), 5, f64::NAN, 1_000)]
    #[case::shrinking_factor(backoff(1_000, 0.1, 5_000, 0.0), 5, 0.5, 1_000)]
    #[case::far(backoff(1, 1.000_001, u64::MAX, 0.0), u32::MAX, 0.5, u64::MAX)]
    fn delays(#[case] backoff: Backoff, #[case] failures: u32, #[case] unit: f64, #[case] millis: u64) {
        assert_eq!(backoff.delay(failures, unit), Duration::from_millis(millis));
    }

    #[test]
    fn a_job_is_tried_again_until_its_attempts_are_used_up() {
        let policy = backoff(1_000, 2.0, 300_000, 0.0);
        let delays: Vec<_> = (1..=4).map(|attempt| retry(&policy, attempt, &Exit::Code(1), 0.5)).collect();
        let again = |secs| RetryDecision::Again { delay: Duration::from_secs(secs) };
        let given_up = RetryDecision::GiveUp(Reason::RetriesExhausted { attempts: 4, last: Exit::Code(1) });
        assert_eq!(delays, [again(1), again(2), again(4), given_up]);
    }

    #[test]
    fn a_missing_command_is_not_tried_again_and_a_short_machine_always_is() {
        let policy = backoff(1_000, 2.0, 300_000, 0.0);
        let reason = Reason::CommandMissing { message: "no such file".to_owned() };
        let missing = spawn_failure(SpawnFailureKind::Missing);
        assert_eq!(retry(&policy, 1, &missing, 0.5), RetryDecision::GiveUp(reason.clone()));
        let left = restart(RestartPolicy::Always, &policy, 0, &missing, false, 0.5);
        assert_eq!(left, RestartDecision::Leave(reason));

        let transient = spawn_failure(SpawnFailureKind::Transient);
        assert!(matches!(retry(&policy, 99, &transient, 0.5), RetryDecision::Again { .. }));
        let again = restart(RestartPolicy::Never, &policy, 0, &transient, false, 0.5);
        assert!(matches!(again, RestartDecision::Again { .. }));
    }

    #[rstest]
    #[case(RestartPolicy::Always, Exit::Clean, true, true)]
    #[case(RestartPolicy::Always, Exit::Code(1), false, true)]
    #[case(RestartPolicy::OnFailure, Exit::Clean, true, false)]
    #[case(RestartPolicy::OnFailure, Exit::Code(7), true, false)]
    #[case(RestartPolicy::OnFailure, Exit::Code(1), false, true)]
    #[case(RestartPolicy::Never, Exit::Clean, true, false)]
    #[case(RestartPolicy::Never, Exit::Code(1), false, false)]
    fn services_restart_by_policy(
        #[case] policy: RestartPolicy,
        #[case] exit: Exit,
        #[case] success: bool,
        #[case] again: bool,
    ) {
        let decision = restart(policy, &backoff(1_000, 2.0, 300_000, 0.0), 2, &exit, success, 0.5);
        let expected = if again {
            RestartDecision::Again { delay: Duration::from_secs(4) }
        } else {
            RestartDecision::Leave(Reason::NotRestarted { exit })
        };
        assert_eq!(decision, expected);
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        // The first numbers of the reference implementation for seed 1234567.
        let mut dice = Dice::new(1_234_567);
        assert_eq!([dice.next_u64(), dice.next_u64()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
        let (mut one, mut other) = (Dice::new(7), Dice::new(7));
        assert_eq!(one.next_u128(), other.next_u128());
        assert_ne!(one.next_u128(), one.next_u128());
    }

    proptest! {
        #[test]
        fn a_delay_is_never_above_its_cap(
            initial: Duration, factor: f64, cap: Duration, jitter: f64, failures: u32, unit: f64,
        ) {
            let policy = Backoff { max: 0, initial, factor, cap, jitter };
            prop_assert!(policy.delay(failures, unit) <= cap);
        }

        #[test]
        fn without_jitter_a_delay_never_shrinks(initial in 0_u64..1 << 40, factor in 1.0..10.0, failures in 0_u32..200) {
            let policy = Backoff {
                max: 0, initial: Duration::from_nanos(initial), factor, cap: Duration::from_mins(5), jitter: 0.0,
            };
            prop_assert!(policy.delay(failures, 0.5) <= policy.delay(failures + 1, 0.5));
        }

        #[test]
        fn dice_stay_in_the_unit_interval(seed: u64) {
            let mut dice = Dice::new(seed);
            for _ in 0..100 {
                prop_assert!((0.0..1.0).contains(&dice.unit()));
            }
        }
    }
}
