//! One line of an agent's log, written and read.

use std::io::Write;

use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;

/// Which of the two outputs a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// The letter in the log; small if the line goes on.
    fn letter(self, goes_on: bool) -> u8 {
        match (self, goes_on) {
            (Self::Stdout, false) => b'O',
            (Self::Stdout, true) => b'o',
            (Self::Stderr, false) => b'E',
            (Self::Stderr, true) => b'e',
        }
    }
}

/// A line of an agent's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read from the program.
    pub time: Timestamp,
    /// The last 12 hexadecimal digits of the run id ([`RunId::short`]).
    pub run: String,
    /// Where the program wrote it.
    pub stream: LogStream,
    /// Whether the program's line goes on in the next one of the same run and stream.
    pub goes_on: bool,
    /// What it says.
    pub text: String,
}

impl LogLine {
    /// Reads a line of a log file, without its newline; `None` for what is none of ours.
    pub fn parse(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (run, rest) = rest.split_once(' ')?;
        let (letter, text) = rest.split_once(' ')?;
        let (stream, goes_on) = match letter {
            "O" => (LogStream::Stdout, false),
            "o" => (LogStream::Stdout, true),
            "E" => (LogStream::Stderr, false),
            "e" => (LogStream::Stderr, true),
            _ => return None,
        };
        let time = parse_time(time)?;
        Some(Self { time, run: run.to_owned(), stream, goes_on, text: text.to_owned() })
    }

    /// Whether it belongs to this run.
    pub fn is_of(&self, run: &RunId) -> bool {
        self.run == run.short()
    }
}

/// Reads the RFC 3339 form that [`Timestamp`] shows: always UTC, always milliseconds.
fn parse_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    if bytes.len() != 24 || !text.is_ascii() || bytes[23] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second, millis) = (number(11, 13)?, number(14, 16)?, number(17, 19)?, number(20, 23)?);
    // Days since the epoch of a date of the Gregorian calendar, with years that begin in March
    // (Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil).
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(Timestamp::from_millis((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000 + millis))
}

/// Appends a line in the form of the log file. `time` is a shown [`Timestamp`], so that a chunk formats it once.
pub(crate) fn push_line(out: &mut Vec<u8>, time: &str, run: &str, stream: LogStream, text: &[u8], goes_on: bool) {
    out.extend_from_slice(time.as_bytes());
    out.push(b' ');
    out.extend_from_slice(run.as_bytes());
    out.extend_from_slice(&[b' ', stream.letter(goes_on), b' ']);
    match std::str::from_utf8(text) {
        Ok(text) => out.extend_from_slice(text.as_bytes()),
        Err(_) => {
            // Writing to a Vec cannot fail.
            let _ = out.write_all(String::from_utf8_lossy(text).as_bytes());
        }
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_written_as_promised_and_read_back() {
        let time = Timestamp::from_millis(1_795_250_400_123);
        let mut out = Vec::new();
        push_line(&mut out, &time.to_string(), "0123456789ab", LogStream::Stderr, b"two words", false);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, format!("{time} 0123456789ab E two words\n"));
        let line = LogLine::parse(text.trim_end_matches('\n')).unwrap();
        assert_eq!(
            (line.time, line.stream, line.goes_on, line.text.as_str()),
            (time, LogStream::Stderr, false, "two words")
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let mut out = Vec::new();
        push_line(&mut out, "t", "r", LogStream::Stdout, b"a\xffb", true);
        assert_eq!(String::from_utf8(out).unwrap(), "t r o a\u{fffd}b\n");
    }

    #[test]
    fn what_is_no_line_of_ours_is_not_read() {
        for text in ["", "x", "2026-11-21T08:40:00.123Z ab X text", "yesterday ab O text"] {
            assert_eq!(LogLine::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_reads_back(millis in 0_i64..253_402_300_799_999) {
            let time = Timestamp::from_millis(millis);
            prop_assert_eq!(parse_time(&time.to_string()), Some(time));
        }
    }
}
