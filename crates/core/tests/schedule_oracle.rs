//! Our schedule against two oracles around every change of offset from 2020 to 2037 in 26 zones:
//!
//! - the crate croner, an independent implementation, second by second of its answers, wherever its rule for daylight
//!   saving time is ours. Where it is not is written down in [`croner_has_our_rule`], and nowhere else;
//! - a naive model below that walks each minute of the wall clock and knows nothing of bit masks or spans.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, LocalResult, NaiveDate, NaiveDateTime, Offset, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;
use werkpilot_core::schedule::Schedule;
use werkpilot_core::time::Timestamp;

/// Zones with rules of their own: half-hour shifts, gaps at midnight, Ramadan, changes of standard time.
const ZONES: [Tz; 26] = [
    Tz::Africa__Cairo,
    Tz::Africa__Casablanca,
    Tz::Africa__Juba,
    Tz::America__Asuncion,
    Tz::America__Havana,
    Tz::America__Los_Angeles,
    Tz::America__Mexico_City,
    Tz::America__New_York,
    Tz::America__Nuuk,
    Tz::America__Santiago,
    Tz::America__Sao_Paulo,
    Tz::America__St_Johns,
    Tz::Antarctica__Troll,
    Tz::Asia__Beirut,
    Tz::Asia__Gaza,
    Tz::Asia__Jerusalem,
    Tz::Asia__Kolkata,
    Tz::Asia__Tehran,
    Tz::Atlantic__Azores,
    Tz::Australia__Lord_Howe,
    Tz::Australia__Sydney,
    Tz::Europe__Chisinau,
    Tz::Europe__Dublin,
    Tz::Europe__Zurich,
    Tz::Pacific__Auckland,
    Tz::Pacific__Chatham,
];

/// A pattern, and the same again for the naive model.
struct Pattern {
    expression: &'static str,
    /// Neither the minute nor the hour field begins with a star.
    fixed: bool,
    minute: fn(u32) -> bool,
    hour: fn(u32) -> bool,
    day: fn(NaiveDate) -> bool,
}

const fn pattern(
    expression: &'static str,
    fixed: bool,
    minute: fn(u32) -> bool,
    hour: fn(u32) -> bool,
    day: fn(NaiveDate) -> bool,
) -> Pattern {
    Pattern { expression, fixed, minute, hour, day }
}

const PATTERNS: [Pattern; 18] = [
    pattern("0 0 * * *", true, |m| m == 0, |h| h == 0, |_| true),
    pattern("30 0 * * *", true, |m| m == 30, |h| h == 0, |_| true),
    pattern("15 1 * * *", true, |m| m == 15, |h| h == 1, |_| true),
    pattern("0 2 * * *", true, |m| m == 0, |h| h == 2, |_| true),
    pattern("30 2 * * *", true, |m| m == 30, |h| h == 2, |_| true),
    pattern("59 23 * * *", true, |m| m == 59, |h| h == 23, |_| true),
    pattern("0 3 * * *", true, |m| m == 0, |h| h == 3, |_| true),
    pattern("30 2 * * 0", true, |m| m == 30, |h| h == 2, |d| d.weekday().num_days_from_sunday() == 0),
    pattern(
        "45 23 1-14 * 6",
        true,
        |m| m == 45,
        |h| h == 23,
        |d| d.day() <= 14 || d.weekday().num_days_from_sunday() == 6,
    ),
    pattern("30 1 * 3,10 *", true, |m| m == 30, |h| h == 1, |d| matches!(d.month(), 3 | 10)),
    pattern("0,20,40 0-3 * * *", true, |m| m % 20 == 0, |h| h <= 3, |_| true),
    pattern(
        "10 1,2,3 * * mon-fri",
        true,
        |m| m == 10,
        |h| (1..=3).contains(&h),
        |d| (1..=5).contains(&d.weekday().num_days_from_sunday()),
    ),
    pattern("* * * * *", false, |_| true, |_| true, |_| true),
    pattern("*/7 * * * *", false, |m| m % 7 == 0, |_| true, |_| true),
    pattern("30 * * * *", false, |m| m == 30, |_| true, |_| true),
    pattern("*/15 2 * * *", false, |m| m % 15 == 0, |h| h == 2, |_| true),
    pattern("0 */2 * * 7", false, |m| m == 0, |h| h % 2 == 0, |d| d.weekday().num_days_from_sunday() == 0),
    pattern("5-55/10 */1 * * *", false, |m| m % 10 == 5, |_| true, |_| true),
];

/// From when to when a change is looked at, in hours before and after it.
const BEFORE: i64 = 5;
const AFTER: i64 = 27;

/// Croner's answers per window: enough to cross the change with every pattern; only the densest is cut short.
const CHAIN: usize = 400;

fn offset(zone: Tz, at: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
}

/// All changes of offset, found by halving 12-hour steps.
fn changes(zone: Tz) -> Vec<DateTime<Utc>> {
    let mut before = Utc.with_ymd_and_hms(2020, 1, 1, 0, 0, 0).unwrap();
    let end = Utc.with_ymd_and_hms(2038, 1, 1, 0, 0, 0).unwrap();
    let mut found = Vec::new();
    while before < end {
        let after = before + Duration::hours(12);
        if offset(zone, before) != offset(zone, after) {
            let (mut low, mut high) = (before, after);
            while high - low > Duration::seconds(1) {
                let middle = low + Duration::seconds((high - low).num_seconds() / 2);
                if offset(zone, middle) == offset(zone, low) { low = middle } else { high = middle }
            }
            found.push(high);
        }
        before = after;
    }
    found
}

/// The times that a pattern names on the wall clock between two times of it.
fn named(pattern: &Pattern, from: NaiveDateTime, to: NaiveDateTime) -> impl Iterator<Item = NaiveDateTime> + '_ {
    let mut day = None;
    let minutes = std::iter::successors(Some(from), |at| Some(*at + Duration::minutes(1)));
    minutes.take_while(move |at| *at <= to).filter(move |at| {
        let today = at.date();
        if day.is_none_or(|(known, _)| known != today) {
            day = Some((today, (pattern.day)(today)));
        }
        day.is_some_and(|(_, fits)| fits) && (pattern.hour)(at.hour()) && (pattern.minute)(at.minute())
    })
}

/// The first instant that exists on the wall clock at or after a time in a gap.
fn end_of_gap(zone: Tz, mut local: NaiveDateTime) -> DateTime<Utc> {
    loop {
        match zone.from_local_datetime(&local) {
            LocalResult::None => local += Duration::minutes(1),
            found => return found.earliest().unwrap().to_utc(),
        }
    }
}

/// Our rule, word by word: each named time once, at its first occurrence or at the end of the gap, if it is fixed; at
/// all its occurrences otherwise.
fn model(pattern: &Pattern, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    // Three hours on either side, so that no shift can hide a time.
    let local = |at: DateTime<Utc>| at.with_timezone(&zone).naive_local().with_second(0).unwrap();
    let (first, last) = (local(from) - Duration::hours(3), local(to) + Duration::hours(3));
    let mut instants = BTreeSet::new();
    for local in named(pattern, first, last) {
        match (zone.from_local_datetime(&local), pattern.fixed) {
            (LocalResult::Single(only), _) => _ = instants.insert(only.to_utc()),
            (LocalResult::Ambiguous(first, _), true) => _ = instants.insert(first.to_utc()),
            (LocalResult::Ambiguous(first, second), false) => instants.extend([first.to_utc(), second.to_utc()]),
            (LocalResult::None, true) => _ = instants.insert(end_of_gap(zone, local)),
            (LocalResult::None, false) => {}
        }
    }
    instants.into_iter().filter(|at| *at > from && *at <= to).collect()
}

fn ours(schedule: &Schedule, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    schedule.upcoming(Timestamp::from(from)).map(Timestamp::to_utc).take_while(|at| *at <= to).collect()
}

/// Whether croner promises the same as we do from `from` to `to`. It differs on purpose in two points:
///
/// - To it, only a pattern with a *single* second, minute and hour is a fixed time; to us (and Vixie), every one
///   without a leading star in minute and hour. Such a pattern is compared only where no change is in reach.
/// - It drops a time in a gap if the gap ends on a day that the pattern does not name, as gaps from or to midnight may.
fn croner_has_our_rule(pattern: &Pattern, zone: Tz, change: DateTime<Utc>) -> bool {
    let single = !pattern.expression.split(' ').take(2).any(|field| field.contains([',', '-', '/']));
    let day_before = (pattern.day)((change - Duration::seconds(1)).with_timezone(&zone).date_naive());
    let day_after = (pattern.day)(change.with_timezone(&zone).date_naive());
    (!pattern.fixed || single) && day_before == day_after
}

#[test]
fn the_schedule_agrees_with_a_naive_model_around_every_change_of_offset() {
    let (mut looked_at, mut compared) = (0, 0);
    for zone in ZONES {
        let schedules = PATTERNS.map(|pattern| Schedule::parse(pattern.expression, zone.name()).unwrap());
        for change in changes(zone) {
            looked_at += 1;
            for (pattern, schedule) in PATTERNS.iter().zip(&schedules) {
                assert_eq!(schedule.is_fixed_time(), pattern.fixed, "{}", pattern.expression);
                let (from, to) = (change - Duration::hours(BEFORE), change + Duration::hours(AFTER));
                let (ours, theirs) = (ours(schedule, from, to), model(pattern, zone, from, to));
                assert_eq!(ours, theirs, "{} in {zone} around {change}", pattern.expression);
                compared += ours.len();
            }
        }
    }
    assert!(looked_at > 500 && compared > 500_000, "{looked_at} changes, {compared} times");
}

#[test]
fn the_schedule_agrees_with_croner_around_every_change_of_offset_where_the_rules_agree() {
    let (mut across, mut around) = (0, 0);
    for zone in ZONES {
        for pattern in &PATTERNS {
            let schedule = Schedule::parse(pattern.expression, zone.name()).unwrap();
            let cron = Cron::from_str(pattern.expression).unwrap();
            let compare = |from: DateTime<Utc>, to: DateTime<Utc>| {
                let ours = ours(&schedule, from, to);
                let theirs: Vec<_> = cron
                    .iter_after(from.with_timezone(&zone))
                    .map(|at| at.to_utc())
                    .take_while(|at| *at <= to)
                    .take(CHAIN)
                    .collect();
                assert_eq!(ours[..ours.len().min(CHAIN)], theirs, "{} in {zone} from {from}", pattern.expression);
                theirs.len()
            };
            for change in changes(zone) {
                if croner_has_our_rule(pattern, zone, change) {
                    across += compare(change - Duration::hours(BEFORE), change + Duration::hours(AFTER));
                } else {
                    // Out of the reach of a change: no shift is longer than two hours (Troll).
                    around += compare(change - Duration::hours(BEFORE + 24), change - Duration::hours(2));
                    around += compare(change + Duration::hours(3), change + Duration::hours(AFTER));
                }
            }
        }
    }
    assert!(across > 100_000 && around > 10_000, "{across} across, {around} around");
}

#[test]
fn the_dialect_agrees_with_croner_over_years_without_changes() {
    let patterns = [
        "0 0 29 2 *",
        "0 12 31 * *",
        "0 0 13 * 5",
        "5 4 1-7 * sun",
        "0 0 1,15 jan-jun mon",
        "0 22 * * 1-5",
        "23 0-20/2 * * *",
        "0 0,12 1 */2 *",
        "*/20 9-17 * * mon-fri",
        "0 0 * * 6-7",
        "59 59 23 31 12 *",
        "*/13 */7 * * * *",
        "0-30/10 0 0 1 * 0",
    ];
    let from = Utc.with_ymd_and_hms(2023, 11, 14, 22, 13, 20).unwrap();
    for expression in patterns {
        let schedule = Schedule::parse(expression, "UTC").unwrap();
        let cron = Cron::from_str(expression).unwrap();
        let ours: Vec<_> = schedule.upcoming(Timestamp::from(from)).take(20).map(Timestamp::to_utc).collect();
        let theirs: Vec<_> = cron.iter_after(from).take(20).collect();
        assert_eq!(ours, theirs, "{expression}");
    }
}
