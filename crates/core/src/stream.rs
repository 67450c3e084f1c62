//! A stream of facts: where one begins that goes on with another, and when a listener that is behind makes room.
//!
//! Facts are told by number, and a listener that comes again names the last one it has. After a crash the last numbers may
//! have been given anew, to other facts: so a [`Place`] has the time of its fact, too, and a number that means another fact
//! now is a gap and not a place to go on from.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::time::{Moment, Timestamp};

/// Listeners at a time: tabs of some dozen people. Each costs a look at every fact.
pub const LISTENERS: usize = 64;
/// Facts that wait for one listener: seconds of a busy fleet, after which nobody wants to read on line by line.
pub const QUEUE: usize = 256;
/// A listener that fits few facts is told after so many others how far it is, so that it can go on there: a tenth of what is
/// remembered.
pub const PASSED: u32 = 100;
/// A listener that has been behind for so long makes room for a new one, if there is none: nobody reads there any more.
pub const FORSAKEN: Duration = Duration::from_secs(30);

/// A fact's place among all: its number, and when it was recorded. As text `512.1795250400123`; the number alone will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub seq: u64,
    /// When it was recorded, if that is known.
    pub at: Option<Timestamp>,
}

/// A text is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a place in the events is the number of an event, such as 512, or the id that a stream told, such as 512.1795250400123"
)]
pub struct NoPlace;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seq)?;
        self.at.map_or(Ok(()), |at| write!(f, ".{}", at.as_millis()))
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (seq, at) = text.trim().split_once('.').map_or((text.trim(), None), |(seq, at)| (seq, Some(at)));
        if !digits(seq) || at.is_some_and(|at| !digits(at)) {
            return Err(NoPlace);
        }
        let at = at.map(str::parse).transpose().map_err(|_| NoPlace)?.map(Timestamp::from_millis);
        Ok(Self { seq: seq.parse().map_err(|_| NoPlace)?, at })
    }
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Beginning {
    /// With what happens from now on.
    Now,
    /// With all facts after this number, which are remembered.
    After(u64),
    /// Facts in between are gone, or their numbers mean others: the listener has to look anew, and goes on with what happens
    /// from now on.
    Gap,
}

/// Where a stream begins for who has `last`. All facts from `oldest` to `newest` are remembered; `time_of` knows when.
pub fn beginning(
    last: Option<Place>,
    oldest: u64,
    newest: u64,
    time_of: impl FnOnce(u64) -> Option<Timestamp>,
) -> Beginning {
    let Some(Place { seq, at }) = last else { return Beginning::Now };
    if seq > newest || seq + 1 < oldest {
        return Beginning::Gap;
    }
    let is_another = at.is_some_and(|at| time_of(seq).is_some_and(|time| time != at));
    if is_another { Beginning::Gap } else { Beginning::After(seq) }
}

/// Which listener makes room, of those that are behind since these times: the one that is it longest, if it is forsaken.
pub fn makes_room(behind: impl IntoIterator<Item = (usize, Moment)>, now: Moment) -> Option<usize> {
    let longest = behind.into_iter().min_by_key(|(_, since)| *since);
    longest.filter(|(_, since)| now.since(*since) >= FORSAKEN).map(|(listener, _)| listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(seq: u64, at: Option<i64>) -> Place {
        Place { seq, at: at.map(Timestamp::from_millis) }
    }

    #[test]
    fn a_place_reads_back_as_it_was_written() {
        for place in [place(0, None), place(512, Some(1_795_250_400_123)), place(u64::MAX, Some(0))] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        assert_eq!(" 7 ".parse(), Ok(place(7, None)));
        for bad in ["", "-1", "+1", "1.", ".1", "1.2.3", "x", "1.x", "99999999999999999999", "1.-2", "1e3"] {
            assert_eq!(bad.parse::<Place>(), Err(NoPlace), "{bad}");
        }
    }

    #[test]
    fn who_was_away_goes_on_where_nothing_is_missing_and_nothing_means_something_else() {
        // 5 to 9 are remembered, each recorded at ten times its number.
        let begin = |last| {
            beginning(last, 5, 9, |seq| (5..=9).contains(&seq).then(|| Timestamp::from_millis(seq.cast_signed() * 10)))
        };
        let cases = [
            (None, Beginning::Now),
            (Some(place(9, None)), Beginning::After(9)),
            (Some(place(9, Some(90))), Beginning::After(9)),
            (Some(place(4, None)), Beginning::After(4)),
            // It is not remembered itself, but all that came after it is.
            (Some(place(4, Some(1))), Beginning::After(4)),
            (Some(place(3, None)), Beginning::Gap),
            (Some(place(10, None)), Beginning::Gap),
            // The number was given anew.
            (Some(place(7, Some(71))), Beginning::Gap),
        ];
        for (last, expected) in cases {
            assert_eq!(begin(last), expected, "{last:?}");
        }
        assert_eq!(beginning(Some(place(0, None)), 1, 0, |_| None), Beginning::After(0), "nothing has happened yet");
        assert_eq!(beginning(Some(place(u64::MAX, None)), 1, 5, |_| None), Beginning::Gap);
    }

    #[test]
    fn only_a_listener_that_nobody_reads_makes_room() {
        let since = |secs: &[u64]| secs.iter().copied().map(Moment::from_secs).enumerate().collect::<Vec<_>>();
        assert_eq!(makes_room(since(&[]), Moment::from_secs(100)), None);
        assert_eq!(makes_room(since(&[71, 72]), Moment::from_secs(100)), None);
        assert_eq!(makes_room(since(&[90, 60, 50]), Moment::from_secs(100)), Some(2));
    }
}
