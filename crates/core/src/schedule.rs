//! Crontab schedules: when an agent is due, on the wall clock of its zone.
//!
//! The invariant: [`Schedule::next_after`] is strictly after what it was asked about, and asking again with its answer
//! walks through every time exactly once, across changes of daylight saving time too. Never reads a clock.
//!
//! | the clocks | a fixed time | any other schedule |
//! |---|---|---|
//! | go forward, the time falls into the gap | once, at the end of the gap | not in the gap; goes on behind it |
//! | go back, the time comes twice | the first time only | both times |
//!
//! A *fixed time* is what Vixie cron takes for one: neither the minute nor the hour field begins with `*`. The odd
//! thing is that `*/15 2 * * *` is therefore none: it does not come on the day without a two o'clock, and eight times
//! on the day with two of them. Write `0,15,30,45 2 * * *` for the other rule. Seconds play no part in it.

mod dialect;
mod error;
mod masks;
#[cfg(test)]
mod tests;
mod zone;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use masks::Masks;

pub use error::{Field, ScheduleError};

use crate::time::Timestamp;

/// A crontab expression in a time zone, compiled. 48 bytes, and the text is shared between clones.
#[derive(Clone, PartialEq, Eq)]
pub struct Schedule {
    expression: Arc<str>,
    masks: Masks,
}

impl Schedule {
    /// Reads an expression (five fields, six with leading seconds, or a word such as `@daily`) in the zone with that
    /// IANA name.
    ///
    /// # Errors
    /// [`ScheduleError`] names the field and the offending text, and has a hint. What can never come is an error too.
    pub fn parse(expression: &str, timezone: &str) -> Result<Self, ScheduleError> {
        let rewritten = dialect::rewrite(expression)?;
        let zone = zone::find(timezone)?;
        let parsed = cron::Schedule::from_str(&rewritten.expression)
            .map_err(|source| ScheduleError::Refused { expression: expression.to_owned(), source })?;
        let masks = Masks::compile(&parsed, zone, rewritten.fixed_time, rewritten.either_day);
        if !masks.can_fire() {
            return Err(ScheduleError::NeverFires { expression: expression.to_owned() });
        }
        Ok(Self { expression: Arc::from(expression), masks })
    }

    /// The expression as it was written.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The IANA name of the zone.
    pub fn timezone(&self) -> &'static str {
        self.masks.zone.name()
    }

    /// Whether neither the minute nor the hour field begins with `*`. Such a schedule names times of day, each of which
    /// comes once a day whatever the clocks do; any other is an interval that follows real time.
    pub fn is_fixed_time(&self) -> bool {
        self.masks.fixed_time
    }

    /// The first time strictly after `after`, always a whole second. `None` only at the end of the calendar.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let after = after.as_secs();
        let spans = zone::spans(self.masks.zone);
        let mut position = zone::position(spans, after);
        let mut local = self.masks.next_local(self.local_from(after, spans, position))?;
        loop {
            let span = spans[position];
            let at = local - span.offset;
            let Some(next) = spans.get(position + 1).filter(|next| at >= next.begin) else {
                return timestamp(at);
            };
            // The offset changes first. The wall clock goes on from here:
            let resumes = next.begin + next.offset;
            if !self.masks.fixed_time {
                local = self.masks.next_local(resumes)?;
            } else if local < resumes {
                return timestamp(next.begin);
            }
            position += 1;
        }
    }

    /// The wall clock's second from which to search: the one after `after`, and for a fixed time also not before the
    /// end of an hour that is being repeated.
    fn local_from(&self, after: i64, spans: &[zone::Span], position: usize) -> i64 {
        let span = spans[position];
        let from = after + span.offset + 1;
        match position.checked_sub(1) {
            Some(previous) if self.masks.fixed_time => from.max(span.begin + spans[previous].offset),
            _ => from,
        }
    }

    /// All times strictly after `after`, in order.
    pub fn upcoming(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(after), |last| self.next_after(*last))
    }
}

/// Checks the name of a time zone where it stands alone; answers the name.
///
/// # Errors
/// [`ScheduleError::UnknownZone`], with a suggestion.
pub fn check_timezone(name: &str) -> Result<&'static str, ScheduleError> {
    zone::find(name).map(chrono_tz::Tz::name)
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({self})")
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.expression, self.timezone())
    }
}

fn timestamp(secs: i64) -> Option<Timestamp> {
    secs.checked_mul(1_000).map(Timestamp::from_millis)
}

/// The candidate nearest to `text`, ignoring case, if it is near enough to have been meant: at most a third of it wrong.
fn suggest(text: &str, candidates: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let text = text.to_ascii_lowercase();
    let (distance, nearest) =
        candidates.map(|known| (distance(&text, &known.to_ascii_lowercase()), known)).min_by_key(|(far, _)| *far)?;
    (distance * 3 <= text.chars().count()).then_some(nearest)
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (column, right) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}
