//! Durations: `"90s"`, `"1h30m"`, `"250ms"`, `"90d"`; whole numbers with units, the larger unit first.

use std::time::Duration;

use crate::fault::Report;
use crate::field::{Field, quote};
use crate::tree::Value;

/// A hundred years: no sum of a few of them leaves the range of the steady clock.
const MAX: Duration = Duration::from_hours(24 * 36_500);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is nothing.
    #[error("a duration must not be empty; write for example \"90s\" or \"1h30m\"")]
    Empty,
    /// A number without its unit.
    #[error("{0} has no unit; write for example \"{1}s\" or \"{1}m\"")]
    NoUnit(String, String),
    /// A unit that we don't have.
    #[error("{0} has the unknown unit `{1}`; units are ms, s, m, h and d")]
    UnknownUnit(String, String),
    /// Something that is not a number with a unit.
    #[error("{0} is no duration; write whole numbers with units, for example \"90s\", \"250ms\" or \"1h30m\"")]
    NotANumber(String),
    /// A larger unit after a smaller one, or one twice.
    #[error("{0} has its units in the wrong order; write the larger one first, each once, for example \"1h30m\"")]
    Order(String),
    /// More than a hundred years.
    #[error("{0} is more than a hundred years")]
    TooLong(String),
}

/// Reads a duration.
///
/// # Errors
/// [`DurationError`] says what is wrong, and how it is written.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(DurationError::Empty);
    }
    let (mut total, mut largest_left) = (0_u64, 0);
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit_length = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(unit_length);
        if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
            return Err(DurationError::NotANumber(quote(text)));
        }
        if unit.is_empty() {
            return Err(DurationError::NoUnit(quote(text), number.to_owned()));
        }
        let Some(index) = UNITS.iter().position(|(name, _)| *name == unit) else {
            return Err(DurationError::UnknownUnit(quote(text), unit.to_owned()));
        };
        if index < largest_left {
            return Err(DurationError::Order(quote(text)));
        }
        largest_left = index + 1;
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(UNITS[index].1));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(|| DurationError::TooLong(quote(text)))?;
        rest = next;
    }
    let duration = Duration::from_millis(total);
    if duration > MAX { Err(DurationError::TooLong(quote(text))) } else { Ok(duration) }
}

/// A duration as it is written in the files: `1h30m`. Parts of a millisecond are dropped.
pub fn duration_text(duration: Duration) -> String {
    werkpilot_core::time::exact(duration)
}

/// Reads a duration from a field.
pub(crate) fn read(field: &Field<'_>, report: &mut Report) -> Option<Duration> {
    let text = match &field.node.value {
        Value::Text(text) | Value::Loose(text) => text,
        Value::Integer(number) => {
            let number = number.unsigned_abs();
            let hint = format!("write \"{number}s\" for seconds, or \"{number}ms\", \"{number}m\"");
            field.wrong_type(report, "a duration such as \"90s\"").hint(hint);
            return None;
        }
        _ => {
            field.wrong_type(report, "a duration such as \"90s\"");
            return None;
        }
    };
    match parse_duration(text) {
        Ok(duration) => Some(duration),
        Err(error) => {
            field.fault(report, error.to_string());
            None
        }
    }
}

/// Reads a duration that must be longer than nothing.
pub(crate) fn read_positive(field: &Field<'_>, report: &mut Report) -> Option<Duration> {
    let duration = read(field, report)?;
    if duration.is_zero() {
        field.fault(report, "must be longer than 0s");
        return None;
    }
    Some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for (text, millis, canonical) in [
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("250ms", 250, "250ms"),
            ("5m", 300_000, "5m"),
            ("90d", 7_776_000_000, "90d"),
            ("1d2h3m4s5ms", 93_784_005, "1d2h3m4s5ms"),
            ("0s", 0, "0s"),
            (" 10s ", 10_000, "10s"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(duration_text(duration), canonical);
        }
    }

    #[test]
    fn what_is_no_duration_is_told_how_to_write_one() {
        let texts = ["", "90", "1.5s", "-5s", "5 s", "5sec", "30m1h", "5s5s", "s", "99999999999d", "36501d", "1h 30m"];
        let errors: Vec<String> = texts.iter().map(|text| parse_duration(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
