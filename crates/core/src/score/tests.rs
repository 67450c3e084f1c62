use proptest::prelude::*;
use rstest::rstest;

use super::*;

#[rstest]
#[case::nothing_is_known(None, None, None, None, None)]
#[case::all_is_well(Some(1.0), Some(1.0), Some(1.0), Some(1.0), Some(100.0))]
#[case::nothing_is(Some(0.0), Some(0.0), Some(0.0), Some(0.0), Some(0.0))]
#[case::as_they_weigh(Some(1.0), Some(0.0), Some(0.0), Some(0.0), Some(50.0))]
#[case::latency_weighs_20(Some(0.0), Some(1.0), Some(0.0), Some(0.0), Some(20.0))]
#[case::stability_weighs_20(Some(0.0), Some(0.0), Some(1.0), Some(0.0), Some(20.0))]
#[case::punctuality_weighs_10(Some(0.0), Some(0.0), Some(0.0), Some(1.0), Some(10.0))]
#[case::halves(Some(0.5), Some(0.5), Some(0.5), Some(0.5), Some(50.0))]
#[case::all_four(Some(0.9), Some(0.5), Some(0.25), Some(0.8), Some(68.0))]
#[case::a_service(Some(0.95), None, Some(0.5), None, Some(82.14))]
#[case::one_part(None, None, Some(0.5), None, Some(50.0))]
#[case::a_new_job(Some(1.0), None, Some(1.0), None, Some(100.0))]
#[case::only_late(None, None, None, Some(0.75), Some(75.0))]
fn parts_that_are_known_are_weighed(
    #[case] success: Option<f64>,
    #[case] latency: Option<f64>,
    #[case] stability: Option<f64>,
    #[case] punctuality: Option<f64>,
    #[case] value: Option<f64>,
) {
    assert_eq!(Score::of(Parts { success, latency, stability, punctuality }).value, value);
}

#[rstest]
#[case::as_before(Some(100.0), Some(100.0), Some(1.0))]
#[case::faster(Some(100.0), Some(20.0), Some(1.0))]
#[case::twice_as_slow(Some(100.0), Some(200.0), Some(0.5))]
#[case::a_first_day(None, Some(100.0), None)]
#[case::nothing_today(Some(100.0), None, None)]
#[case::no_time_at_all(Some(0.0), Some(0.0), Some(1.0))]
#[case::from_nothing_to_something(Some(0.0), Some(1.0), Some(0.0))]
fn latency_is_before_over_today(#[case] before: Option<f64>, #[case] today: Option<f64>, #[case] part: Option<f64>) {
    assert_eq!(latency(before, today), part);
}

/// Day 20,000, so many seconds after its begin.
fn at(secs: u64) -> Clocks {
    let wall = Timestamp::from_secs(20_000 * 86_400 + i64::try_from(secs).unwrap());
    Clocks { steady: Moment::from_secs(1_000 + secs), wall }
}

const DAY: u64 = 86_400;

#[test]
fn an_agent_that_never_ran_has_no_score() {
    let mut record = Record::default();
    assert_eq!(Score::of(record.parts(None, at(0))), Score::default());
    for end in [End::Skipped, End::Refused, End::Cancelled, End::Interrupted, End::Lost] {
        record.on_end(end, at(1).wall);
    }
    assert_eq!(Score::of(record.parts(None, at(2))), Score::default());
    assert!(record.is_empty());
}

#[rstest]
#[case(&[End::Succeeded], Some(1.0))]
#[case(&[End::Failed], Some(0.0))]
#[case(&[End::Succeeded, End::TimedOut], Some(0.5))]
#[case(&[End::Succeeded, End::Failed, End::Succeeded, End::Succeeded, End::Skipped], Some(0.75))]
fn a_job_is_judged_by_what_its_program_did(#[case] ends: &[End], #[case] success: Option<f64>) {
    let mut record = Record::default();
    for end in ends {
        record.on_end(*end, at(5).wall);
    }
    let parts = record.parts(None, at(6));
    assert_eq!((parts.success, parts.stability, parts.punctuality), (success, Some(1.0), None));
}

#[test]
fn what_is_a_week_old_is_forgotten() {
    let mut record = Record::default();
    record.on_end(End::Failed, at(0).wall);
    record.on_end(End::Succeeded, at(DAY).wall);
    assert_eq!(record.parts(None, at(7 * DAY - 1)).success, Some(0.5));
    assert_eq!(record.parts(None, at(7 * DAY)).success, Some(1.0));
    assert_eq!(record.parts(None, at(8 * DAY)), Parts::default());
}

#[test]
fn restarts_are_held_against_it_for_an_hour() {
    let mut record = Record::default();
    record.on_restart(at(0).wall);
    record.on_restart(at(600).wall);
    assert_eq!(record.parts(None, at(601)).stability, Some(1.0 / 3.0));
    assert_eq!(record.next_change(at(601).wall), Some(Duration::from_millis(2_999_001)));
    assert_eq!(record.parts(None, at(3_600)).stability, Some(0.5));
    assert_eq!(record.parts(None, at(4_200)).stability, None, "it has not run otherwise");
    for _ in 0..1_000 {
        record.on_restart(at(5_000).wall);
    }
    assert_eq!(record.parts(None, at(5_000)).stability, Some(1.0 / 256.0));
}

#[test]
fn punctual_is_what_began_within_five_seconds() {
    let mut record = Record::default();
    let late = |secs| Begin::Late(Duration::from_secs(secs));
    for begin in [late(0), late(5), late(6), Begin::Never] {
        record.on_scheduled(begin, Duration::ZERO, at(0).wall);
    }
    assert_eq!(record.parts(None, at(1)).punctuality, Some(0.5));
}

#[test]
fn a_service_is_judged_by_the_time_that_it_was_ready() {
    let mut record = Record::default();
    record.on_presence(Presence::from(Status::Starting), at(100));
    record.on_presence(Presence::from(Status::Running), at(110));
    assert_eq!(record.parts(None, at(120)).success, Some(0.5));
    record.on_presence(Presence::from(Status::Stopped), at(130));
    assert_eq!(record.parts(None, at(10_000)).success, Some(2.0 / 3.0), "nobody wants it");
    record.on_presence(Presence::from(Status::BackingOff), at(10_000));
    assert_eq!(record.parts(None, at(10_030)).success, Some(1.0 / 3.0));
}

#[rstest]
#[case(Status::Running, Presence::Ready)]
#[case(Status::Unhealthy, Presence::Wanted)]
#[case(Status::Queued, Presence::Wanted)]
#[case(Status::DisabledByFailure, Presence::Wanted)]
#[case(Status::DisabledByMemory, Presence::Unwanted)]
#[case(Status::Disabled, Presence::Unwanted)]
#[case(Status::Stopping, Presence::Unwanted)]
fn what_is_switched_off_is_not_wanted(#[case] status: Status, #[case] presence: Presence) {
    assert_eq!(Presence::from(status), presence);
}

#[test]
fn a_record_is_as_it_was_after_a_restart() {
    let mut record = Record::default();
    let mut days = Vec::new();
    for step in 0..9 {
        let now = at(step * DAY + 10).wall;
        record.on_end(if step % 3 == 0 { End::Failed } else { End::Succeeded }, now);
        record.on_scheduled(Begin::Late(Duration::from_secs(step)), Duration::ZERO, now);
        days.push((day(now), record.of_today(now).0));
    }
    let now = at(8 * DAY + 20);
    record.on_restart(now.wall);
    let restarts = record.of_today(now.wall).1.collect();
    let mut restored = Record::restored(days.into_iter().rev(), restarts);
    assert_eq!(restored.parts(Some(0.5), now), record.parts(Some(0.5), now));
}

proptest! {
    #[test]
    fn a_score_is_between_its_least_and_its_largest_part(parts in prop::array::uniform4(prop::option::of(0.0..=1.0_f64))) {
        let [success, latency, stability, punctuality] = parts;
        let value = Score::of(Parts { success, latency, stability, punctuality }).value;
        let known: Vec<f64> = parts.into_iter().flatten().collect();
        prop_assert_eq!(value.is_some(), !known.is_empty());
        if let Some(value) = value {
            let least = known.iter().copied().fold(f64::INFINITY, f64::min);
            let largest = known.iter().copied().fold(0.0, f64::max);
            prop_assert!(value >= least * 100.0 - 0.006 && value <= largest * 100.0 + 0.006);
        }
    }

    #[test]
    fn shares_are_shares_whatever_happens(steps in prop::collection::vec((0_u8..6, 0_u32..100_000), 0..200)) {
        let (mut record, mut secs) = (Record::default(), 0);
        let presences = [Presence::Unwanted, Presence::Wanted, Presence::Ready];
        for (what, after) in steps {
            secs += u64::from(after);
            let now = at(secs);
            match what {
                0 => record.on_end(End::Succeeded, now.wall),
                1 => record.on_end(End::Failed, now.wall),
                2 => record.on_scheduled(Begin::Late(Duration::from_millis(after.into())), Duration::ZERO, now.wall),
                3 => record.on_restart(now.wall),
                _ => record.on_presence(presences[after as usize % 3], now),
            }
            let Parts { success, stability, punctuality, .. } = record.parts(None, now);
            for part in [success, stability, punctuality].into_iter().flatten() {
                prop_assert!((0.0..=1.0).contains(&part));
            }
        }
    }
}

#[test]
fn a_record_takes_at_most_400_bytes() {
    let mut record = Record::default();
    for step in 0..30 {
        record.on_end(End::Succeeded, at(step * DAY).wall);
        record.parts(None, at(step * DAY + 1));
    }
    let bytes = size_of::<Record>() + record.days.capacity() * size_of::<(i32, Counts)>();
    assert!(bytes <= 400, "{bytes}");
}
