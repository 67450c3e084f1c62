//! Tables of what is missed, and storms of crashes over how far a schedule is.

use std::collections::BTreeSet;

use chrono::DateTime;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::ids::{AgentIndex, AgentName, RunId};
use crate::time::{Clocks, Moment};
use crate::timetable::{Entry, Timer, Timetable, seed_of};

const DAY: Duration = Duration::from_hours(24);

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect(text).to_utc().into()
}

fn plan(expression: &str, zone: &str, policy: CatchUp) -> Plan {
    let schedule = Schedule::parse(expression, zone).unwrap();
    Plan { schedule, offset: Duration::ZERO, policy, window: 30 * DAY }
}

fn texts(times: &[Timestamp]) -> Vec<String> {
    times.iter().map(ToString::to_string).collect()
}

#[rstest]
#[case::both_ends("0 * * * *", "UTC", "2026-03-02T01:00:00Z", "2026-03-02T03:00:00Z", &["2026-03-02T02:00:00Z", "2026-03-02T03:00:00Z"])]
#[case::nothing("0 * * * *", "UTC", "2026-03-02T01:00:00Z", "2026-03-02T01:59:59.999Z", &[])]
#[case::a_position_ahead("0 * * * *", "UTC", "2026-03-02T05:00:00Z", "2026-03-02T03:00:00Z", &[])]
#[case::a_position_within_a_second("* * * * * *", "UTC", "2026-03-02T00:00:00.500Z", "2026-03-02T00:00:02.100Z", &["2026-03-02T00:00:01Z", "2026-03-02T00:00:02Z"])]
// The clocks go forward at 02:00: a fixed time in the gap comes at its end, an interval does not come in it.
#[case::gap("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])]
#[case::interval_in_the_gap("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &[])]
// They go back at 03:00: a fixed time comes once, an interval both times.
#[case::repeated_hour("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", &["2026-10-25T00:30:00Z"])]
#[case::interval_in_the_repeated_hour("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z", &["2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z"])]
// Down from within the repeated hour, after its fixed time has come.
#[case::down_in_the_repeated_hour("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T12:00:00Z", &[])]
fn the_missed_times_are_those_of_the_schedule(
    #[case] expression: &str,
    #[case] zone: &str,
    #[case] position: &str,
    #[case] now: &str,
    #[case] expected: &[&str],
) {
    let missed = plan(expression, zone, CatchUp::All).missed(at(position), at(now));
    let expected: Vec<_> = expected.iter().map(|time| at(time)).collect();
    assert_eq!((texts(&missed.times), missed.left_out), (texts(&expected), 0));
    let latest = plan(expression, zone, CatchUp::Latest).missed(at(position), at(now));
    assert_eq!(texts(&latest.times), texts(expected.last().map_or(&[], std::slice::from_ref)));
    assert_eq!(latest.left_out, expected.len().saturating_sub(1) as u64);
    assert_eq!(plan(expression, zone, CatchUp::None).missed(at(position), at(now)), Missed::default());
}

#[test]
fn the_window_ends_at_now_and_its_first_time_is_in_it() {
    let mut plan = plan("0 * * * *", "UTC", CatchUp::All);
    plan.window = Duration::from_hours(2);
    let (position, now) = (at("2026-01-01T00:00:00Z"), at("2026-03-02T12:00:00Z"));
    let whole = texts(&plan.missed(position, now).times);
    assert_eq!(whole, ["2026-03-02T10:00:00.000Z", "2026-03-02T11:00:00.000Z", "2026-03-02T12:00:00.000Z"]);
    let later = plan.missed(position, now + Duration::from_millis(1)).times;
    assert_eq!(texts(&later), &whole[1..]);
}

#[test]
fn of_very_many_the_latest_thousand_are_made_up_for_and_the_others_counted() {
    let plan = plan("* * * * * *", "UTC", CatchUp::All);
    let (position, now) = (at("2026-03-02T00:00:00Z"), at("2026-03-02T01:00:00Z"));
    let missed = plan.missed(position, now);
    assert_eq!((missed.times.len(), missed.left_out), (MOST, 2_600));
    assert_eq!(missed.times.last(), Some(&now));
    assert_eq!(missed.times[0], now_minus(now, 999));
}

fn now_minus(now: Timestamp, secs: i64) -> Timestamp {
    Timestamp::from_secs(now.as_secs() - secs)
}

#[test]
fn a_time_whose_jitter_lies_ahead_is_not_missed() {
    let mut plan = plan("* * * * *", "UTC", CatchUp::All);
    plan.offset = Duration::from_secs(40);
    let missed = plan.missed(at("2026-03-02T00:00:00Z"), at("2026-03-02T00:02:39Z"));
    assert_eq!(texts(&missed.times), ["2026-03-02T00:01:00.000Z"], "00:02 comes at 00:02:40 by itself");
}

#[test]
fn a_definition_is_expression_and_zone() {
    let berlin = plan("30 2 * * *", "Europe/Berlin", CatchUp::Latest);
    assert_eq!(berlin.definition(), "30 2 * * * Europe/Berlin");
    assert_eq!(plan("30 2 * * *", "Europe/Berlin", CatchUp::All).definition(), berlin.definition());
}

const EXPRESSIONS: [&str; 6] =
    ["*/7 * * * *", "30 2 * * *", "0,10,20 6-18 * * 1", "*/20 * * * * *", "15 */2 1-20 * *", "5 0 2-3 * * *"];
const ZONES: [&str; 3] = ["UTC", "Europe/Berlin", "America/Sao_Paulo"];

proptest! {
    #[test]
    fn missed_times_are_the_timetable_s_own_in_order_within_the_window_and_never_too_many(
        which in 0..EXPRESSIONS.len(),
        zone in 0..ZONES.len(),
        // Around the change of clocks in Berlin, March 2026.
        begin in 1_774_600_000_000_i64..1_774_900_000_000,
        away in 0_i64..400_000_000,
        window in 1_u64..400_000,
        jitter in 0_u64..100,
        latest: bool,
    ) {
        let policy = if latest { CatchUp::Latest } else { CatchUp::All };
        let mut plan = plan(EXPRESSIONS[which], ZONES[zone], policy);
        plan.window = Duration::from_secs(window);
        let timer = Timer::Schedule(plan.schedule.clone());
        let entry = Entry { timer, jitter: Duration::from_secs(jitter), seed: seed_of("agent") };
        plan.offset = entry.offset();
        let (position, now) = (Timestamp::from_millis(begin), Timestamp::from_millis(begin + away));
        let missed = plan.missed(position, now);

        let mut timetable = Timetable::new();
        let clocks = Clocks { steady: Moment::from_secs(1), wall: now };
        timetable.insert(AgentIndex(0), entry, clocks);
        let all = timetable.upcoming(position, now, clocks, usize::MAX);
        let first = now.as_millis() - i64::try_from(plan.window.as_millis()).unwrap();
        let own: Vec<_> = all
            .iter()
            .map(|next| next.scheduled_for)
            .filter(|time| *time > position && time.as_millis() >= first)
            .collect();
        prop_assert_eq!(missed.times.len() as u64 + missed.left_out, own.len() as u64);
        let most = if latest { 1 } else { MOST };
        prop_assert!(missed.times.len() <= most);
        prop_assert_eq!(texts(&missed.times), texts(&own[own.len() - missed.times.len()..]));
        // And the timetable goes on right behind.
        let next = timetable.next_of(AgentIndex(0), clocks).unwrap().scheduled_for;
        let behind = missed.times.last().copied().unwrap_or(plan.seen_at(now));
        prop_assert_eq!(Some(next), plan.schedule.next_after(behind.max(plan.seen_at(now))));
    }
}

// ---- how far it is ----

fn turn(secs: i64) -> Turn {
    let time = Timestamp::from_secs(secs);
    Turn { scheduled_for: time, run: RunId::of_schedule(&AgentName::new("a").unwrap(), time, 0) }
}

fn secs(time: Option<Timestamp>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "small numbers of a test")]
    time.map(|time| time.as_millis() as f64 / 1_000.0)
}

/// A time is due right on time.
fn due(progress: &mut Progress, at: i64) -> Handed {
    progress.hand_over(turn(at), Timestamp::from_secs(at))
}

#[test]
fn a_position_stays_before_the_first_time_that_has_no_end() {
    let mut progress = Progress::afresh(CatchUp::Latest, Timestamp::from_secs(5));
    assert_eq!(secs(progress.position()), Some(5.0));
    for at in [10, 20, 30] {
        assert_eq!(due(&mut progress, at), Handed::Now(turn(at).run));
    }
    assert_eq!(secs(progress.position()), Some(9.999));
    assert_eq!(progress.ended(turn(20)), None);
    assert_eq!(secs(progress.position()), Some(9.999));
    assert_eq!(progress.ended(turn(10)), None);
    assert_eq!(secs(progress.position()), Some(29.999));
    assert_eq!(progress.ended(turn(30)), None);
    assert_eq!(secs(progress.position()), Some(30.0));
    // Told twice, or never handed over.
    assert_eq!(progress.ended(turn(30)), None);
    assert_eq!(progress.ended(turn(25)), None);
}

#[test]
fn missed_times_come_one_by_one_and_what_is_due_meanwhile_waits_behind_them() {
    let mut progress = Progress::looking(CatchUp::All, Timestamp::from_secs(10), Timestamp::from_secs(45));
    assert_eq!(progress.position(), None);
    assert_eq!(due(&mut progress, 50), Handed::Behind);
    assert_eq!(progress.found([turn(20), turn(30), turn(40)]), Some(turn(20)));
    assert_eq!(secs(progress.position()), Some(19.999));
    assert_eq!(progress.in_queue().collect::<Vec<_>>(), [turn(20)]);
    assert_eq!(due(&mut progress, 60), Handed::Behind);
    assert_eq!(progress.ended(turn(20)), Some(turn(30)));
    assert_eq!(progress.ended(turn(30)), Some(turn(40)));
    assert_eq!(progress.ended(turn(40)), Some(turn(50)));
    assert_eq!(progress.ended(turn(50)), Some(turn(60)));
    assert_eq!(secs(progress.position()), Some(59.999));
    assert_eq!(progress.ended(turn(60)), None);
    assert_eq!(secs(progress.position()), Some(60.0));
    assert_eq!(due(&mut progress, 70), Handed::Now(turn(70).run));
}

#[test]
fn the_latest_one_holds_up_nobody() {
    let mut progress = Progress::looking(CatchUp::Latest, Timestamp::from_secs(10), Timestamp::from_secs(45));
    assert_eq!(due(&mut progress, 50), Handed::Now(turn(50).run));
    assert_eq!(progress.found([turn(40)]), Some(turn(40)));
    assert_eq!(progress.ended(turn(50)), None);
    assert_eq!(secs(progress.position()), Some(39.999), "the ones before are passed over");
    assert_eq!(progress.ended(turn(40)), None);
    assert_eq!(secs(progress.position()), Some(50.0));
}

#[test]
fn an_agent_that_is_switched_off_gives_up_the_rest() {
    let mut progress = Progress::looking(CatchUp::All, Timestamp::from_secs(10), Timestamp::from_secs(45));
    assert_eq!(progress.found([turn(20), turn(30), turn(40)]), Some(turn(20)));
    assert_eq!(progress.ended(turn(20)), Some(turn(30)));
    assert_eq!(progress.give_up(), 2);
    assert_eq!((secs(progress.position()), progress.waiting()), (Some(45.0), 0));
    assert_eq!(progress.ended(turn(30)), None);
    assert_eq!(due(&mut progress, 50), Handed::Now(turn(50).run));
    assert_eq!(progress.give_up(), 0, "what is in the queue by itself stays there");
    assert_eq!(secs(progress.position()), Some(49.999));
}

#[test]
fn beyond_a_thousand_nothing_waits() {
    let mut progress = Progress::looking(CatchUp::All, Timestamp::from_secs(0), Timestamp::from_secs(1_500));
    let _ = progress.found((501..=1_500).map(turn));
    assert_eq!(progress.waiting(), 999);
    assert_eq!(due(&mut progress, 1_501), Handed::Behind);
    assert_eq!(due(&mut progress, 1_502), Handed::Now(turn(1_502).run));
    assert_eq!(progress.waiting(), 1_000);
}

#[test]
fn a_clock_set_back_gives_no_id_twice() {
    let mut progress = Progress::afresh(CatchUp::All, Timestamp::from_secs(100_000));
    assert_eq!(due(&mut progress, 103_600), Handed::Now(turn(103_600).run));
    let _ = progress.ended(turn(103_600));
    // Back by an hour: it stays where it is.
    assert_eq!(due(&mut progress, 101_000), Handed::Again);
    assert_eq!(secs(progress.position()), Some(103_600.0));
    // By more than a day: it goes on from there, and still no id comes twice.
    assert_eq!(due(&mut progress, 10_000), Handed::Again);
    assert_eq!(secs(progress.position()), Some(10_000.0));
    assert_eq!(due(&mut progress, 103_600), Handed::Again);
    assert_eq!(due(&mut progress, 103_601), Handed::Now(turn(103_601).run));
}

#[test]
fn a_restart_with_a_clock_that_was_set_back_misses_nothing() {
    let (position, here) = (Timestamp::from_secs(200_000), Timestamp::from_secs(10_000));
    let mut progress = Progress::looking(CatchUp::All, position, here);
    assert_eq!(progress.found([]), None);
    assert_eq!(progress.position(), Some(here), "more than a day: the old position means nothing");
    assert_eq!(due(&mut progress, 150_000), Handed::Again);
    let mut progress = Progress::looking(CatchUp::All, Timestamp::from_secs(11_000), here);
    assert_eq!(progress.found([]), None);
    assert_eq!(secs(progress.position()), Some(11_000.0));
}

#[test]
fn what_the_clock_jumped_over_is_not_made_up_for_later() {
    let mut progress = Progress::afresh(CatchUp::All, Timestamp::from_secs(10));
    progress.pass_over(Timestamp::from_secs(5_000));
    assert_eq!(secs(progress.position()), Some(5_000.0));
}

/// What a storm may do to an agent that is due each second.
#[derive(Clone, Debug)]
enum Act {
    Second,
    Start,
    End,
    Persist,
    Crash(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Second),
        4 => Just(Act::Start),
        4 => Just(Act::End),
        3 => Just(Act::Persist),
        1 => (0_u8..20).prop_map(Act::Crash),
    ]
}

proptest! {
    #[test]
    fn whatever_crashes_no_time_is_lost_and_none_is_started_twice(acts in prop::collection::vec(act(), 1..300)) {
        let plan = plan("* * * * * *", "UTC", CatchUp::All);
        let begin = 1_772_452_800;
        let mut now = begin;
        let mut progress = Progress::afresh(CatchUp::All, Timestamp::from_secs(now));
        let mut on_disk = progress.position().unwrap();
        // What the queue holds, what runs, and the ids on disk.
        let (mut queue, mut running) = (VecDeque::new(), BTreeSet::new());
        let mut started: BTreeSet<RunId> = BTreeSet::new();
        let mut order = Vec::new();
        for act in acts.into_iter().chain([Act::Crash(0)]) {
            match act {
                Act::Second => {
                    now += 1;
                    match due(&mut progress, now) {
                        Handed::Now(run) => queue.push_back(Turn { scheduled_for: Timestamp::from_secs(now), run }),
                        Handed::Behind => {}
                        Handed::Again => prop_assert!(false, "{now} came again"),
                    }
                }
                Act::Start => if let Some(turn) = queue.pop_front() {
                    prop_assert!(started.insert(turn.run), "twice");
                    order.push(turn.scheduled_for);
                    running.insert(turn.scheduled_for);
                },
                Act::End => if let Some(time) = running.pop_first() {
                    let run = turn(time.as_secs()).run;
                    queue.extend(progress.ended(Turn { scheduled_for: time, run }));
                },
                Act::Persist => on_disk = progress.position().unwrap_or(on_disk),
                Act::Crash(away) => {
                    now += i64::from(away);
                    queue.clear();
                    running.clear();
                    let here = Timestamp::from_secs(now);
                    progress = Progress::looking(CatchUp::All, on_disk, here);
                    let missed = plan.missed(on_disk, here).times.into_iter().map(|time| turn(time.as_secs()));
                    queue.extend(progress.found(missed.filter(|turn| !started.contains(&turn.run))));
                }
            }
        }
        // Let it come to rest.
        while let Some(turn) = queue.pop_front() {
            prop_assert!(started.insert(turn.run), "twice");
            order.push(turn.scheduled_for);
            queue.extend(progress.ended(turn));
        }
        prop_assert!(order.is_sorted());
        prop_assert_eq!(started.len(), usize::try_from(now - begin).unwrap());
        prop_assert_eq!(progress.position(), Some(Timestamp::from_secs(now)));
    }
}
