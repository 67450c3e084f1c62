//! Time zones as tables of spans with one offset each.
//!
//! A search in the tables of chrono-tz costs 40 ns and a schedule needs two, and they do not say when an offset ends.
//! So each zone that is used gets a table of its own, filled once per process. It is a memo of constants, not state.

use std::sync::OnceLock;

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{TZ_VARIANTS, Tz};

use super::error::ScheduleError;

/// A time with one offset. It ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Its first second, UTC.
    pub begin: i64,
    /// Seconds that the wall clock is ahead of UTC.
    pub offset: i64,
}

/// Long before any time that is asked for, and far enough from the end of the type to add to.
const DAWN: i64 = i64::MIN / 4;

/// The table covers 1970 to 2100, as the compiled database does; outside, the nearest offset is taken.
const FIRST: i64 = 0;
const LAST: i64 = 4_102_444_800;

/// Distance of the probes. The shortest time between two changes of offset since 1970 is 6.96 days (Brazil in 2000,
/// and Palestine's Ramadans to come; database 2025b), so that no two changes fall between two probes.
const PROBE: i64 = 4 * 86_400;

/// The spans of a zone, in order; never empty.
pub(super) fn spans(zone: Tz) -> &'static [Span] {
    static TABLES: [OnceLock<Box<[Span]>>; TZ_VARIANTS.len()] = [const { OnceLock::new() }; TZ_VARIANTS.len()];
    TABLES[zone as usize].get_or_init(|| survey(zone))
}

/// The position of the span in which `at` (UTC, seconds) lies.
pub(super) fn position(spans: &[Span], at: i64) -> usize {
    spans.partition_point(|span| span.begin <= at).saturating_sub(1)
}

fn survey(zone: Tz) -> Box<[Span]> {
    let mut spans = vec![Span { begin: DAWN, offset: offset_at(zone, FIRST) }];
    let mut before = FIRST;
    while before < LAST {
        let (offset, after) = (spans[spans.len() - 1].offset, before + PROBE);
        let changed = offset_at(zone, after);
        if changed != offset {
            spans.push(Span { begin: change_between(zone, before, after, offset), offset: changed });
        }
        before = after;
    }
    spans.into_boxed_slice()
}

/// The first second after `before` whose offset is not `offset`; there is one up to `after`.
fn change_between(zone: Tz, mut before: i64, mut after: i64, offset: i64) -> i64 {
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset_at(zone, middle) == offset {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

fn offset_at(zone: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// Finds a zone by its IANA name.
pub(super) fn find(name: &str) -> Result<Tz, ScheduleError> {
    name.parse().map_err(|_| {
        let names = TZ_VARIANTS.iter().map(|zone| zone.name());
        let wanted = name.trim().replace(' ', "_");
        // People leave out the continent: `Zurich`.
        let city = |full: &&str| full.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted));
        let suggestion = names
            .clone()
            .find(|known| known.eq_ignore_ascii_case(&wanted))
            .or_else(|| names.clone().find(city))
            .or_else(|| super::suggest(&wanted, names));
        ScheduleError::UnknownZone { name: name.to_owned(), suggestion }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_agrees_with_the_database_at_and_around_each_change() {
        for zone in [Tz::Europe__Zurich, Tz::America__Recife, Tz::Asia__Gaza, Tz::Africa__Casablanca, Tz::UTC] {
            let spans = spans(zone);
            for pair in spans.windows(2) {
                assert_eq!(offset_at(zone, pair[1].begin), pair[1].offset, "{zone} {pair:?}");
                assert_eq!(offset_at(zone, pair[1].begin - 1), pair[0].offset, "{zone} {pair:?}");
            }
            for day in 0..LAST / 86_400 {
                let at = day * 86_400;
                assert_eq!(offset_at(zone, at), spans[position(spans, at)].offset, "{zone} day {day}");
            }
        }
        assert_eq!(spans(Tz::UTC).len(), 1);
    }

    #[test]
    fn an_unknown_zone_is_answered_with_the_nearest() {
        for (name, meant) in [
            ("Europe/Zurick", Some("Europe/Zurich")),
            ("europe/zurich", Some("Europe/Zurich")),
            ("New York", Some("America/New_York")),
            ("utc", Some("UTC")),
            ("zurich", Some("Europe/Zurich")),
            ("Middle-earth/Mordor", None),
            ("", None),
        ] {
            match find(name) {
                Err(ScheduleError::UnknownZone { suggestion, .. }) => assert_eq!(suggestion, meant, "{name}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
