use proptest::prelude::*;
use rstest::rstest;

use crate::dead_letters::{Pace, PlanAction, PlanEvent, PlanState, ReplayPlan, Tally};
use crate::time::Moment;

fn pace(per_second: f64, stop_after: u32) -> Pace {
    Pace::per_second(per_second, Some(stop_after)).unwrap()
}

/// Replays whatever may begin at this time.
fn begun(plan: &mut ReplayPlan, ms: u64) -> Vec<u64> {
    let mut begun = Vec::new();
    while let PlanAction::Replay(letter) = plan.on(PlanEvent::DeadlineReached, Moment::from_millis(ms)) {
        begun.push(letter);
    }
    begun
}

fn ended(plan: &mut ReplayPlan, letter: u64, succeeded: bool) {
    assert_eq!(plan.on(PlanEvent::Ended { letter, succeeded }, Moment::ZERO), PlanAction::None);
}

#[test]
fn letters_begin_in_order_at_the_rate() {
    let mut plan = ReplayPlan::new([3, 5, 9], pace(10.0, 0), Moment::ZERO);
    assert_eq!(begun(&mut plan, 0), [3]);
    assert!(begun(&mut plan, 99).is_empty());
    assert_eq!(plan.next_deadline(), Some(Moment::from_millis(100)));
    assert_eq!(begun(&mut plan, 105), [5]);
    assert_eq!(begun(&mut plan, 200), [9], "a late timer does not slow it down");
    for letter in [3, 5, 9] {
        ended(&mut plan, letter, true);
    }
    assert_eq!((plan.state(), plan.is_over(), plan.next_deadline()), (PlanState::Finished, true, None));
    assert_eq!(plan.tally(), Tally { total: 3, succeeded: 3, ..Tally::default() });
}

#[test]
fn it_stops_at_the_first_so_many_failures_and_never_has_more() {
    let mut plan = ReplayPlan::new(1..=10, pace(10_000.0, 2), Moment::ZERO);
    assert_eq!(begun(&mut plan, 1), [1, 2], "no more than may still fail");
    ended(&mut plan, 1, false);
    assert!(begun(&mut plan, 2).is_empty());
    ended(&mut plan, 2, true);
    assert_eq!(begun(&mut plan, 3), [3]);
    ended(&mut plan, 3, false);
    assert_eq!((plan.state(), plan.is_over()), (PlanState::Stopped, true));
    assert!(begun(&mut plan, 9).is_empty());
    assert_eq!(plan.tally(), Tally { total: 10, succeeded: 1, failed: 2, left: 7, ..Tally::default() });
}

#[test]
fn one_that_is_cancelled_waits_for_what_is_under_way() {
    let mut plan = ReplayPlan::new(1..=3, pace(1.0, 0), Moment::ZERO);
    assert_eq!(begun(&mut plan, 0), [1]);
    assert_eq!(plan.on(PlanEvent::Cancel, Moment::ZERO), PlanAction::None);
    assert_eq!((plan.state(), plan.is_over()), (PlanState::Cancelled, false));
    ended(&mut plan, 1, true);
    assert!(plan.is_over());
    assert_eq!(plan.tally(), Tally { total: 3, succeeded: 1, left: 2, ..Tally::default() });
}

#[test]
fn what_is_passed_over_is_no_failure_and_an_end_is_counted_once() {
    let mut plan = ReplayPlan::new(1..=2, pace(1_000.0, 1), Moment::ZERO);
    assert_eq!(begun(&mut plan, 0), [1]);
    assert_eq!(plan.on(PlanEvent::PassedOver(1), Moment::ZERO), PlanAction::None);
    assert_eq!(begun(&mut plan, 10), [2]);
    ended(&mut plan, 2, false);
    ended(&mut plan, 2, false);
    ended(&mut plan, 77, false);
    assert_eq!(plan.state(), PlanState::Finished, "the last one failed, and nothing was left to stop");
    assert_eq!(plan.tally(), Tally { total: 2, failed: 1, passed_over: 1, ..Tally::default() });
}

#[rstest]
#[case(0.0, false)]
#[case(-1.0, false)]
#[case(f64::NAN, false)]
#[case(f64::INFINITY, false)]
#[case(1e-30, false)]
#[case(10_001.0, false)]
#[case(0.1, true)]
#[case(10_000.0, true)]
fn a_rate_is_a_number_that_means_something(#[case] rate: f64, #[case] good: bool) {
    assert_eq!(Pace::per_second(rate, None).is_some(), good);
}

proptest! {
    #[test]
    fn order_rate_and_stop_hold_whatever_the_timers_and_the_ends_do(
        count in 0_u64..60,
        per_second in 1_u32..2_000,
        stop_after in 0_u32..5,
        turns in prop::collection::vec((0_u64..200, 0_u8..6, any::<bool>()), 0..200),
    ) {
        let pace = pace(f64::from(per_second), stop_after);
        let mut plan = ReplayPlan::new(1..=count, pace, Moment::ZERO);
        let (mut now, mut begins, mut under_way) = (0, Vec::new(), Vec::new());
        for (step, kind, succeeded) in turns {
            now += step;
            for letter in begun(&mut plan, now) {
                begins.push((now, letter));
                under_way.push(letter);
            }
            if kind < 4 && !under_way.is_empty() {
                let letter = under_way.remove(usize::from(kind) % under_way.len());
                ended(&mut plan, letter, succeeded);
            }
            let tally = plan.tally();
            prop_assert_eq!(tally.total, tally.succeeded + tally.failed + tally.under_way + tally.left);
            prop_assert!(stop_after == 0 || tally.failed <= u64::from(stop_after));
        }
        // In order, each once.
        prop_assert!(begins.iter().map(|(_, letter)| *letter).eq(1..=begins.len() as u64));
        // In no window more than the rate allows, but for one begin and what a late timer catches up.
        let interval_ms = 1_000.0 / f64::from(per_second);
        let late_ms = interval_ms.max(20.0);
        for (at, (from, _)) in begins.iter().enumerate() {
            for (more, (to, _)) in begins[at..].iter().enumerate() {
                let most = ((to - from) as f64 + late_ms) / interval_ms + 1.001;
                prop_assert!(more as f64 <= most, "{} begins from {} to {}", more + 1, from, to);
            }
        }
    }
}
