//! Tables of the dialect and of the rules for daylight saving time.

use chrono::DateTime;
use rstest::rstest;

use super::*;

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect(text).to_utc().into()
}

/// The times after `after`, as many as are expected, each with the offset that it is expected with.
fn follows(expression: &str, zone: &str, after: &str, expected: &[&str]) {
    let schedule = Schedule::parse(expression, zone).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let found: Vec<String> = schedule.upcoming(at(after)).take(expected.len()).map(|time| time.to_string()).collect();
    let expected: Vec<String> = expected.iter().map(|text| at(text).to_string()).collect();
    assert_eq!(found, expected, "{expression} in {zone} after {after}");
}

#[rstest]
#[case("*/5 * * * *", &["00:05:00", "00:10:00", "00:15:00"])]
#[case("* * * * * *", &["00:00:01", "00:00:02"])]
#[case("*/20 * * * * *", &["00:00:20", "00:00:40", "00:01:00"])]
#[case("30 * * * * *", &["00:00:30", "00:01:30"])]
#[case("5/20 * * * *", &["00:05:00", "00:25:00", "00:45:00", "01:05:00"])]
#[case("1-10/4 3 * * *", &["03:01:00", "03:05:00", "03:09:00"])]
#[case("0,59 23 * * *", &["23:00:00", "23:59:00"])]
#[case("  0\t12 * * *  ", &["12:00:00"])]
#[case("@hourly", &["01:00:00", "02:00:00"])]
fn times_within_a_day(#[case] expression: &str, #[case] expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|time| format!("2026-03-02T{time}Z")).collect();
    follows(expression, "UTC", "2026-03-02T00:00:00Z", &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[rstest]
#[case("@daily", &["2026-01-02", "2026-01-03"])]
#[case("@MIDNIGHT", &["2026-01-02"])]
#[case("@weekly", &["2026-01-04", "2026-01-11"])]
#[case("@monthly", &["2026-02-01", "2026-03-01"])]
#[case("@yearly", &["2027-01-01", "2028-01-01"])]
#[case("@annually", &["2027-01-01"])]
#[case("0 0 * * 0", &["2026-01-04", "2026-01-11"])]
#[case("0 0 * * 7", &["2026-01-04", "2026-01-11"])]
#[case("0 0 * * Sun", &["2026-01-04", "2026-01-11"])]
#[case("0 0 * * 1-5", &["2026-01-02", "2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09", "2026-01-12"])]
#[case("0 0 * * fri-sun", &["2026-01-02", "2026-01-03", "2026-01-04", "2026-01-09"])]
#[case("0 0 * * mon-fri/2", &["2026-01-02", "2026-01-05", "2026-01-07"])]
#[case("0 0 31 * *", &["2026-01-31", "2026-03-31", "2026-05-31"])]
#[case("0 0 1 jan-MAR,dec *", &["2026-02-01", "2026-03-01", "2026-12-01", "2027-01-01"])]
#[case("0 0 29 2 *", &["2028-02-29", "2032-02-29"])]
// Both restricted: or.
#[case("0 0 13 * 5", &["2026-01-02", "2026-01-09", "2026-01-13", "2026-01-16"])]
// A field that begins with a star is open, though it has a step: and.
#[case("0 0 */2 * 5", &["2026-01-09", "2026-01-23", "2026-02-13"])]
#[case("0 0 13 * */5", &["2026-02-13", "2026-03-13", "2026-09-13"])]
// Not even or makes February longer, but it gives it Mondays.
#[case("0 0 30 2 1", &["2026-02-02", "2026-02-09"])]
fn days(#[case] expression: &str, #[case] expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|day| format!("{day}T00:00:00Z")).collect();
    follows(expression, "UTC", "2026-01-01T00:00:00Z", &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_29th_of_february_is_found_across_a_century_without_one() {
    follows("0 0 29 2 *", "UTC", "2096-02-29T00:00:00Z", &["2104-02-29T00:00:00Z", "2108-02-29T00:00:00Z"]);
    // On Sundays only, across the century: the longest wait there is.
    follows("0 0 29 2 */7", "UTC", "2061-01-01T00:00:00Z", &["2088-02-29T00:00:00Z", "2128-02-29T00:00:00Z"]);
}

#[test]
fn the_answer_is_strictly_after_the_question_and_a_whole_second() {
    follows("0 12 * * *", "UTC", "2026-03-02T11:59:59.999Z", &["2026-03-02T12:00:00Z"]);
    follows("0 12 * * *", "UTC", "2026-03-02T12:00:00Z", &["2026-03-03T12:00:00Z"]);
    follows("0 12 * * *", "UTC", "2026-03-02T12:00:00.001Z", &["2026-03-03T12:00:00Z"]);
    follows("* * * * * *", "UTC", "1969-12-31T23:59:58.500Z", &["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"]);
}

#[test]
fn the_ends_of_time_are_answered() {
    for expression in ["* * * * * *", "0 0 29 2 *", "@hourly"] {
        let schedule = Schedule::parse(expression, "Europe/Zurich").unwrap();
        assert!(schedule.next_after(Timestamp::from_millis(i64::MIN)).is_none_or(|time| time.as_secs() < 0));
        let end = Timestamp::from_millis(i64::MAX);
        assert!(schedule.next_after(end).is_none_or(|time| time.as_secs() > end.as_secs()), "{expression}");
    }
    assert_eq!(Schedule::parse("@yearly", "UTC").unwrap().next_after(Timestamp::from_millis(i64::MAX)), None);
}

#[rstest]
#[case("", "the schedule is empty", "for example")]
#[case("   ", "the schedule is empty", "for example")]
#[case("* * * *", "`* * * *` has 4 fields", "the fields are")]
#[case("0 0 0 1 1 * 2026", "has 7 fields", "years is not supported")]
#[case("CRON_TZ=UTC 0 0 * * * *", "has 7 fields", "timezone = ")]
#[case("60 * * * *", "minute `60`: 60 is out of range", "minute goes from 0 to 59")]
#[case("75 0 0 * * *", "second `75`", "0 to 59")]
#[case("0 24 * * *", "hour `24`", "0 to 23")]
#[case("0 0 0 * *", "day of month `0`", "1 to 31")]
#[case("0 0 1 13 *", "month `13`", "1 to 12")]
#[case("0 0 * * 8", "day of week `8`", "0 to 7")]
#[case("0 0 * * 99999999999", "day of week `99999999999`", "0 to 7")]
#[case("0 0 * january *", "month `january`: `january` is not known", "did you mean `jan`?")]
#[case("0 0 * * funday", "day of week `funday`", "one of sun, mon")]
#[case("mon * * * *", "minute `mon`", "minute is a number from 0 to 59")]
#[case("0 22-4 * * *", "hour `22-4`: the range runs backwards", "write `22-23,0-4`")]
#[case("0 0 * * fri-mon", "day of week `fri-mon`: the range runs backwards", "write `fri-7,0-mon`")]
#[case("*/0 * * * *", "minute `*/0`: a step of 0", "at least 1")]
#[case("*/90 * * * *", "minute `*/90`: a step of 90 is longer than the field", "`every`")]
#[case("*/x * * * *", "minute `*/x`: the step is not a number", "*/5")]
#[case("*/ * * * *", "minute `*/`: the step is not a number", "*/5")]
#[case("1,,2 * * * *", "minute ``: something is missing", "0 to 59")]
#[case("1- * * * *", "minute `1-`: something is missing", "0 to 59")]
#[case("-5 * * * *", "minute `-5`: something is missing", "0 to 59")]
#[case("1-2-3 * * * *", "minute `1-2-3`: `2-3` is not known", "0 to 59")]
#[case("*5 * * * *", "minute `*5`: `*5` is not known", "0 to 59")]
#[case("+5 * * * *", "minute `+5`: `+5` is not known", "0 to 59")]
#[case("0 0 ? * 1", "`?` belongs to Quartz", "write `*`")]
#[case("0 0 L * *", "`L` (last) is not supported", "28-31")]
#[case("0 0 15W * *", "`W` (nearest weekday) is not supported", "name the days")]
#[case("0 0 * * mon#2", "`#` (n-th weekday) is not supported", "1-7")]
#[case("0~59 * * * *", "`~` (random) is not supported", "jitter")]
#[case("@reboot", "`@reboot` is not one of @hourly", "startup = true")]
#[case("@every 5m", "`@every 5m` is not one of", "every = \"90s\"")]
#[case("@dayly", "`@dayly` is not one of", "did you mean `@daily`?")]
#[case("0 0 30 2 *", "`0 0 30 2 *` never comes", "February has at most 29")]
#[case("0 0 31 4,jun,9,NOV *", "never comes", "have 30")]
#[case("0 0 30 2 */2", "never comes", "February")]
#[case("０ 0 * * *", "minute `０`", "0 to 59")]
fn a_bad_expression_is_refused_with_field_text_and_hint(
    #[case] expression: &str,
    #[case] problem: &str,
    #[case] hint: &str,
) {
    let error = Schedule::parse(expression, "UTC").unwrap_err();
    assert!(error.to_string().contains(problem), "{expression}: {error}");
    assert!(error.hint().contains(hint), "{expression}: {}", error.hint());
}

#[test]
fn an_unknown_zone_is_an_error_of_its_own() {
    let error = Schedule::parse("@daily", "Europe/Zurick").unwrap_err();
    assert!(matches!(error, ScheduleError::UnknownZone { suggestion: Some("Europe/Zurich"), .. }));
    assert_eq!(error.to_string(), "`Europe/Zurick` is not a time zone of the IANA database");
    assert_eq!(error.hint(), "did you mean `Europe/Zurich`?");
}

#[test]
fn a_schedule_is_small_and_says_what_it_is() {
    assert!(size_of::<Schedule>() <= 48, "{}", size_of::<Schedule>());
    let schedule = Schedule::parse("0 23 * * *", "Europe/Zurich").unwrap();
    assert_eq!(format!("{schedule}"), "0 23 * * * (Europe/Zurich)");
    assert_eq!((schedule.expression(), schedule.timezone()), ("0 23 * * *", "Europe/Zurich"));
    assert!(schedule.is_fixed_time());
    assert!(!Schedule::parse("*/5 1 * * *", "UTC").unwrap().is_fixed_time());
}

#[rstest]
// Zurich, 2026-03-29: 02:00 becomes 03:00.
#[case("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"])]
#[case("0,15,30,45 2 * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"])]
#[case("0 2,3 * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"])]
#[case("*/10 30 2 * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-30T02:30:10+02:00"])]
#[case("30 * * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"])]
#[case("*/30 * * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"])]
#[case("*/15 2 * * *", "Europe/Zurich", "2026-03-29T00:00:00Z", &["2026-03-30T02:00:00+02:00"])]
#[case("30 2 29 3 *", "Europe/Zurich", "2026-01-01T00:00:00Z", &["2026-03-29T03:00:00+02:00", "2027-03-29T02:30:00+02:00"])]
// Zurich, 2026-10-25: 03:00 becomes 02:00.
#[case("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"])]
#[case("0 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", &["2026-10-25T02:00:00+02:00", "2026-10-26T02:00:00+01:00"])]
#[case("0 3 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", &["2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"])]
#[case("15,45 1-3 * * *", "Europe/Zurich", "2026-10-24T23:50:00Z", &["2026-10-25T02:15:00+02:00", "2026-10-25T02:45:00+02:00", "2026-10-25T03:15:00+01:00"])]
#[case("30 * * * *", "Europe/Zurich", "2026-10-25T00:00:00Z", &["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"])]
#[case("*/30 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z", &["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-26T02:00:00+01:00"])]
// Asked inside the repeated hour, second time round.
#[case("45 2 * * *", "Europe/Zurich", "2026-10-25T02:30:00+01:00", &["2026-10-26T02:45:00+01:00"])]
#[case("45 2 * * *", "Europe/Zurich", "2026-10-25T02:30:00+02:00", &["2026-10-25T02:45:00+02:00", "2026-10-26T02:45:00+01:00"])]
// New York, 2026-03-08 and 2026-11-01.
#[case("30 2 * * *", "America/New_York", "2026-03-08T00:00:00-05:00", &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"])]
#[case("30 1 * * *", "America/New_York", "2026-11-01T00:00:00-04:00", &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"])]
// Lord Howe shifts by half an hour: 2026-10-04 02:00 becomes 02:30, 2026-04-05 02:00 becomes 01:30.
#[case("15 2 * * *", "Australia/Lord_Howe", "2026-10-04T00:00:00+10:30", &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"])]
#[case("45 1 * * *", "Australia/Lord_Howe", "2026-04-05T00:00:00+11:00", &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"])]
#[case("*/15 * * * *", "Australia/Lord_Howe", "2026-04-05T01:30:00+11:00", &["2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30"])]
// Gaps at midnight.
#[case("@daily", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", &["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"])]
#[case("30 0 * * 0", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", &["2018-11-04T01:00:00-02:00", "2018-11-11T00:30:00-02:00"])]
#[case("30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00-02:00", &["2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"])]
#[case("@daily", "Africa/Cairo", "2026-04-23T12:00:00+02:00", &["2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"])]
#[case("@daily", "Asia/Beirut", "2026-03-28T12:00:00+02:00", &["2026-03-29T01:00:00+03:00", "2026-03-30T00:00:00+03:00"])]
// The gap ends on the next day.
#[case("30 23 * * 6", "America/Nuuk", "2026-03-28T12:00:00-02:00", &["2026-03-29T00:00:00-01:00", "2026-04-04T23:30:00-01:00"])]
// Samoa had no 2011-12-30.
#[case("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", &["2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"])]
#[case("0 9 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", &["2011-12-31T00:00:00+14:00", "2012-12-30T09:00:00+14:00"])]
#[case("0 */12 * * *", "Pacific/Apia", "2011-12-29T00:00:00-10:00", &["2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"])]
fn daylight_saving_time(#[case] expression: &str, #[case] zone: &str, #[case] after: &str, #[case] expected: &[&str]) {
    follows(expression, zone, after, expected);
}
