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
    /// An execution ended.
    Ended(End),
    /// A service became ready.
    Up,
    /// A service could not be started, or ended badly.
    Crashed,
    /// A service was stopped on purpose.
    Down,
}

/// All marks with their letters in the API; the place is the code.
const MARKS: [(Mark, char); 11] = [
    (Mark::Ended(End::Succeeded), 's'),
    (Mark::Ended(End::Failed), 'f'),
    (Mark::Ended(End::TimedOut), 't'),
    (Mark::Ended(End::Skipped), 'k'),
    (Mark::Ended(End::Refused), 'r'),
    (Mark::Ended(End::Cancelled), 'c'),
    (Mark::Ended(End::Interrupted), 'i'),
    (Mark::Ended(End::Lost), 'l'),
    (Mark::Up, 'u'),
    (Mark::Crashed, 'x'),
    (Mark::Down, 'd'),
];

impl Mark {
    /// The letter that the API uses.
    pub fn letter(self) -> char {
        MARKS[self.place()].1
    }

    fn place(self) -> usize {
        MARKS.iter().position(|(mark, _)| *mark == self).expect("each mark has its place")
    }
}

impl From<End> for Mark {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

/// The last ends, the newest last. As text: a letter each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Strip(u128);

impl Strip {
    /// One more end.
    pub fn push(&mut self, mark: Mark) {
        self.0 = ((self.0 << BITS) | (mark.place() as u128 + 1)) & MASK;
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
            MARKS.get(code.checked_sub(1)?).map(|(mark, _)| *mark)
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
        let mut letters = MARKS.map(|(mark, _)| mark.letter());
        letters.sort_unstable();
        assert!(letters.windows(2).all(|two| two[0] != two[1]), "{letters:?}");
    }

    proptest! {
        #[test]
        fn the_last_twenty_stay_in_their_order(codes in prop::collection::vec(0..MARKS.len(), 0..60)) {
            let marks: Vec<Mark> = codes.into_iter().map(|code| MARKS[code].0).collect();
            let strip: Strip = marks.iter().copied().collect();
            let kept: Vec<Mark> = strip.marks().collect();
            prop_assert_eq!(&kept[..], &marks[marks.len().saturating_sub(LENGTH as usize)..]);
            prop_assert_eq!(strip.to_string().len(), kept.len());
        }
    }
}
