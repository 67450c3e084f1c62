//! The last ends of an agent as a strip of letters: how it went lately, at a glance.
//!
//! At most [`LENGTH`] of them; the oldest gives way. A strip is one number, so that an agent costs nothing for it.

use std::fmt;

use crate::event::End;

/// So many ends are shown.
pub const LENGTH: u32 = 20;
/// Bits of a letter; 0 is none.
const BITS: u32 = 4;
const MASK: u128 = (1 << (BITS * LENGTH)) - 1;

/// How an execution, or a life of a service, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// An execution succeeded.
    Succeeded,
    /// An execution failed for good.
    Failed,
    /// The last attempt took too long.
    TimedOut,
    /// It was not started, as intended.
    Skipped,
    /// It was not accepted.
    Refused,
    /// Somebody, or a newer one, ended it.
    Cancelled,
    /// Cut off by shutdown or crash.
    Interrupted,
    /// Nobody can say.
    Lost,
    /// A service became ready.
    Up,
    /// A service could not be started, or ended badly.
    Crashed,
    /// A service was stopped on purpose.
    Down,
}

impl Mark {
    /// All of them; the place is the code.
    pub const ALL: [Self; 11] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Skipped,
        Self::Refused,
        Self::Cancelled,
        Self::Interrupted,
        Self::Lost,
        Self::Up,
        Self::Crashed,
        Self::Down,
    ];

    /// The letter that the API uses.
    pub const fn letter(self) -> char {
        match self {
            Self::Succeeded => 's',
            Self::Failed => 'f',
            Self::TimedOut => 't',
            Self::Skipped => 'k',
            Self::Refused => 'r',
            Self::Cancelled => 'c',
            Self::Interrupted => 'i',
            Self::Lost => 'l',
            Self::Up => 'u',
            Self::Crashed => 'x',
            Self::Down => 'd',
        }
    }

    const fn code(self) -> u128 {
        self as u128 + 1
    }
}

impl From<End> for Mark {
    fn from(end: End) -> Self {
        match end {
            End::Succeeded => Self::Succeeded,
            End::Failed => Self::Failed,
            End::TimedOut => Self::TimedOut,
            End::Skipped => Self::Skipped,
            End::Refused => Self::Refused,
            End::Cancelled => Self::Cancelled,
            End::Interrupted => Self::Interrupted,
            End::Lost => Self::Lost,
        }
    }
}

/// The last ends, the newest last. As text: a letter each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Strip(u128);

impl Strip {
    /// One more end.
    pub const fn push(&mut self, mark: Mark) {
        self.0 = ((self.0 << BITS) | mark.code()) & MASK;
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Oldest first.
    pub fn marks(self) -> impl Iterator<Item = Mark> {
        let places = (0..LENGTH).rev();
        places.filter_map(move |place| {
            let code = usize::try_from(self.0 >> (BITS * place) & 0xF).ok()?;
            Mark::ALL.get(code.checked_sub(1)?).copied()
        })
    }
}

impl FromIterator<Mark> for Strip {
    /// Oldest first; the last [`LENGTH`] stay.
    fn from_iter<I: IntoIterator<Item = Mark>>(marks: I) -> Self {
        let mut strip = Self::default();
        marks.into_iter().for_each(|mark| strip.push(mark));
        strip
    }
}

impl fmt::Display for Strip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.marks().try_for_each(|mark| write!(f, "{}", mark.letter()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_end_is_a_letter_and_the_newest_is_last() {
        let mut strip = Strip::default();
        assert!(strip.is_empty() && strip.to_string().is_empty());
        for end in End::ALL {
            strip.push(end.into());
        }
        for mark in [Mark::Up, Mark::Crashed, Mark::Down] {
            strip.push(mark);
        }
        assert_eq!(strip.to_string(), "sftkrciluxd");
    }

    #[test]
    fn no_two_marks_have_the_same_letter() {
        let mut letters = Mark::ALL.map(Mark::letter);
        letters.sort_unstable();
        assert!(letters.windows(2).all(|two| two[0] != two[1]), "{letters:?}");
    }

    proptest! {
        #[test]
        fn the_last_twenty_stay_in_their_order(codes in prop::collection::vec(0..Mark::ALL.len(), 0..60)) {
            let marks: Vec<Mark> = codes.into_iter().map(|code| Mark::ALL[code]).collect();
            let strip: Strip = marks.iter().copied().collect();
            let kept: Vec<Mark> = strip.marks().collect();
            prop_assert_eq!(&kept[..], &marks[marks.len().saturating_sub(LENGTH as usize)..]);
            prop_assert_eq!(strip.to_string().len(), kept.len());
        }
    }
}
