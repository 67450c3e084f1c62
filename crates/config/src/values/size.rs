//! Sizes: `"1MiB"`, `"10MB"`, or an integer of bytes.

use crate::fault::Report;
use crate::field::{Field, quote};
use crate::tree::Value;

const UNITS: [(&str, u64); 10] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Not a number with a unit.
    #[error("{0} is no size; write for example \"10MiB\" or a whole number of bytes")]
    NotASize(String),
    /// A unit that we don't have.
    #[error("{0} has the unknown unit `{1}`; units are B, kB, MB, GB, TB (thousands) and KiB, MiB, GiB, TiB (1024s)")]
    UnknownUnit(String, String),
    /// More than 2^63 bytes.
    #[error("{0} is more than any machine has")]
    TooLarge(String),
}

/// Reads a size in bytes; a number without a unit is bytes.
///
/// # Errors
/// [`SizeError`] says what is wrong, and how it is written.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let trimmed = text.trim();
    let digits = trimmed.len() - trimmed.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = trimmed.split_at(digits);
    let unit = unit.trim_start();
    if number.is_empty() || !unit.chars().all(|c| c.is_ascii_alphabetic()) {
        return Err(SizeError::NotASize(quote(text)));
    }
    let factor = match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, factor)) => *factor,
        None if unit.is_empty() => 1,
        None => return Err(SizeError::UnknownUnit(quote(text), unit.to_owned())),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| i64::try_from(*bytes).is_ok()).ok_or_else(|| SizeError::TooLarge(quote(text)))
}

/// A size as it is written in the files, in the largest unit that divides it.
pub fn size_text(bytes: u64) -> String {
    let divides = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    let (unit, factor) = UNITS.iter().find(divides).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Reads a size of at least one byte from a field.
pub(crate) fn read(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    let size = match &field.node.value {
        Value::Text(text) | Value::Loose(text) => parse_size(text),
        Value::Integer(number) => u64::try_from(*number).map_err(|_| SizeError::NotASize(quote(&number.to_string()))),
        _ => {
            field.wrong_type(report, "a size such as \"10MiB\", or a whole number of bytes");
            return None;
        }
    };
    match size {
        Ok(0) => field.fault(report, "must be more than nothing"),
        Ok(bytes) => return Some(bytes),
        Err(error) => field.fault(report, error.to_string()),
    };
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_write() {
        for (text, bytes, canonical) in [
            ("1MiB", 1 << 20, "1MiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1536 KiB", 1536 << 10, "1536KiB"),
            ("4096", 4096, "4KiB"),
            ("7B", 7, "7B"),
            ("3kB", 3_000, "3kB"),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
            assert_eq!(size_text(bytes), canonical);
        }
    }

    #[test]
    fn what_is_no_size_is_told_how_to_write_one() {
        let texts = ["", "MiB", "10M", "1.5GiB", "-1MB", "10mib", "99999999999TiB"];
        let errors: Vec<String> = texts.iter().map(|text| parse_size(text).unwrap_err().to_string()).collect();
        insta::assert_snapshot!(errors.join("\n"));
    }
}
