//! The audit log: who changed what, over which way, from what to what. Entries form a chain, so that a change of what was
//! written is found.
//!
//! Each entry's hash covers all of it and the hash of the entry before. The oldest entries give way in time: what then
//! stands before the first one is the *anchor*. What is kept of the newest one apart from the entries is the *head*.
//! Invariant: from an anchor, entries and a head that belong together, none can be changed, taken out, put in or swapped
//! without [`Verifier`] naming the first place where it does not fit. (Who can write all of it can make another chain: note
//! the head elsewhere against that.)

mod told;
mod words;

use serde::Serialize;

use crate::digest::{Digest, Parts};
use crate::time::Timestamp;

pub use told::{MOST, TEXT, payload, told};
pub use words::{WORDS, in_words};

/// How long entries are kept, at least where there are not too many: a year.
pub const KEEP: std::time::Duration = std::time::Duration::from_hours(366 * 24);
/// Entries that are kept, however young: some 60 MB.
pub const ENTRIES: u64 = 100_000;

/// What was done, as it is taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub time: Timestamp,
    /// Who: a token's name, what the command line says of itself, `SIGHUP`.
    pub who: String,
    /// Over which way: `control_socket`, `token`, `session`, `anonymous`, `signal`, `file`.
    pub way: String,
    /// From where, if it came over the network.
    pub peer: Option<String>,
    /// What was asked for: method and path of the route, or `reload`.
    pub action: String,
    /// What it was done to: an agent, a dead letter, a token.
    pub target: Option<String>,
    /// How it was before, as JSON text.
    pub before: Option<String>,
    /// How it is now, as JSON text.
    pub after: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it was not done.
    pub detail: Option<String>,
}

/// A place in the chain: what the next entry links to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The number of the entry; 0: none was there yet.
    pub id: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Link {
    /// Before the very first entry.
    pub const START: Self = Self { id: 0, hash: Digest::from_bytes([0; 32]) };

    /// The entry as the next one of the chain.
    pub fn seal(&self, entry: Entry) -> Sealed {
        let id = self.id + 1;
        let hash = hash(self.hash, id, &entry);
        Sealed { id, entry, prev: self.hash, hash }
    }
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Counts from 1, without gaps.
    pub id: u64,
    /// What was done.
    pub entry: Entry,
    /// The hash of the entry before.
    pub prev: Digest,
    /// Of this one and, through `prev`, of all before.
    pub hash: Digest,
}

impl Sealed {
    /// Its place.
    pub const fn link(&self) -> Link {
        Link { id: self.id, hash: self.hash }
    }
}

/// The canonical form: all fields in this order, each with its length, after what the form is called.
fn hash(prev: Digest, id: u64, entry: &Entry) -> Digest {
    let Entry { time, who, way, peer, action, target, before, after, status, detail } = entry;
    Parts::of("werkpilot audit 1")
        .bytes(prev.as_bytes())
        .bytes(&id.to_le_bytes())
        .bytes(&time.as_millis().to_le_bytes())
        .bytes(who.as_bytes())
        .bytes(way.as_bytes())
        .maybe(peer.as_deref())
        .bytes(action.as_bytes())
        .maybe(target.as_deref())
        .maybe(before.as_deref())
        .maybe(after.as_deref())
        .maybe(status.map(|status| status.to_string()).as_deref())
        .maybe(detail.as_deref())
        .finish()
}

/// The first place at which a chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Broken {
    /// An entry is missing, twice there, or elsewhere.
    #[error("audit entry {expected} is missing: entry {found} stands in its place")]
    Missing {
        /// The number that had to come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// An entry does not link to the one before.
    #[error("audit entry {id} does not follow the one before it: one of the two was changed")]
    NotLinked {
        /// Which.
        id: u64,
    },
    /// An entry is not what was written.
    #[error("audit entry {id} is not what was written")]
    Changed {
        /// Which.
        id: u64,
    },
    /// The chain ends too early or too late.
    #[error("the audit log ends with entry {last}, and entry {head} was written last")]
    Cut {
        /// The last one that is there.
        last: u64,
        /// The head.
        head: u64,
    },
}

/// Follows a chain from its oldest entry on.
#[derive(Clone, Debug)]
pub struct Verifier {
    at: Link,
}

impl Verifier {
    /// Begins after this entry.
    pub const fn new(anchor: Link) -> Self {
        Self { at: anchor }
    }

    /// Looks at the next entry.
    ///
    /// # Errors
    /// [`Broken`]: here it does not hold.
    pub fn on(&mut self, next: &Sealed) -> Result<(), Broken> {
        let expected = self.at.id.saturating_add(1);
        if next.id != expected {
            return Err(Broken::Missing { expected, found: next.id });
        }
        if next.prev != self.at.hash {
            return Err(Broken::NotLinked { id: next.id });
        }
        if hash(next.prev, next.id, &next.entry) != next.hash {
            return Err(Broken::Changed { id: next.id });
        }
        self.at = next.link();
        Ok(())
    }

    /// There is no further entry: is this the end that was kept?
    ///
    /// # Errors
    /// [`Broken`]: entries are missing at the end, or the head is another one's.
    pub fn finish(self, head: Link) -> Result<Link, Broken> {
        if self.at.id != head.id {
            return Err(Broken::Cut { last: self.at.id, head: head.id });
        }
        if self.at.hash != head.hash {
            return Err(Broken::NotLinked { id: head.id });
        }
        Ok(head)
    }
}

/// Verifies a whole chain.
///
/// # Errors
/// [`Broken`]: the first place at which it does not hold.
pub fn verify<'a>(anchor: Link, entries: impl IntoIterator<Item = &'a Sealed>, head: Link) -> Result<Link, Broken> {
    let mut verifier = Verifier::new(anchor);
    entries.into_iter().try_for_each(|entry| verifier.on(entry))?;
    verifier.finish(head)
}

#[cfg(test)]
mod tests;
