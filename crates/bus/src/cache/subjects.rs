//! What is known of subjects: whether their answers may be kept.
//!
//! In two generations, so that the number is bounded without a list of uses: when the younger one has grown to half of
//! the bound, it becomes the older one, and what was not asked for since then is forgotten.

use hashbrown::HashMap;

use super::Scope;

/// After so many answers in a row that may not be kept, a subject is no longer one of those that can be: long enough for
/// some errors in between, short enough that nobody waits in vain for long.
const STREAK: u8 = 8;

/// What answers on a subject are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not to be kept, as far as is known.
    Plain,
    /// The last one that had a time to live had this scope; so many without have followed.
    Cacheable { scope: Scope, streak: u8 },
}

#[derive(Debug)]
pub(super) struct Subjects {
    young: HashMap<Box<[u8]>, Kind>,
    old: HashMap<Box<[u8]>, Kind>,
    half: usize,
}

impl Subjects {
    pub(super) fn new(bound: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: bound.div_ceil(2) }
    }

    pub(super) fn get(&mut self, subject: &[u8]) -> Option<Kind> {
        if let Some(kind) = self.young.get(subject) {
            return Some(*kind);
        }
        let (subject, kind) = self.old.remove_entry(subject)?;
        self.insert(subject, kind);
        Some(kind)
    }

    pub(super) fn set(&mut self, subject: &[u8], kind: Kind) {
        if let Some(known) = self.young.get_mut(subject) {
            *known = kind;
        } else {
            let subject = self.old.remove_entry(subject).map_or_else(|| subject.into(), |(subject, _)| subject);
            self.insert(subject, kind);
        }
    }

    pub(super) fn forget(&mut self, subject: &[u8]) {
        self.young.remove(subject);
        self.old.remove(subject);
    }

    /// Learns from an answer, of which the scope is known if it has a time to live.
    pub(super) fn answered(&mut self, subject: &[u8], scope: Option<Scope>) {
        match (scope, self.get(subject)) {
            (Some(scope), _) => self.set(subject, Kind::Cacheable { scope, streak: 0 }),
            (None, Some(Kind::Cacheable { scope, streak })) if streak + 1 < STREAK => {
                self.set(subject, Kind::Cacheable { scope, streak: streak + 1 });
            }
            (None, Some(Kind::Cacheable { .. })) => self.set(subject, Kind::Plain),
            (None, Some(Kind::Plain) | None) => {}
        }
    }

    fn insert(&mut self, subject: Box<[u8]>, kind: Kind) {
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(subject, kind);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
