//! Names and ids: what an agent, an execution and a slot in the fleet are called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

/// The name of an agent: `[a-z0-9][a-z0-9_-]{0,62}`, unique in a registry. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AgentName(Arc<str>);

/// Why a text is not the name of an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than 63 bytes, the length of a DNS label (RFC 1035), so that names stay usable as host names.
    #[error("`{0}` has {1} characters; at most 63 are allowed")]
    TooLong(String, usize),
    /// The text has a character outside the allowed set, or begins with `-` or `_`.
    #[error(
        "`{name}` has `{character}` at position {position}; allowed are a-z, 0-9, and after the first character also `_` and `-`"
    )]
    BadCharacter {
        /// The whole text.
        name: String,
        /// The offending character.
        character: char,
        /// Its position, counted in characters from 1.
        position: usize,
    },
}

impl AgentName {
    /// Checks the text and makes it a name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with the text.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        for (index, character) in text.chars().enumerate() {
            let good = character.is_ascii_lowercase()
                || character.is_ascii_digit()
                || (index > 0 && matches!(character, '_' | '-'));
            if !good {
                return Err(NameError::BadCharacter { name: text.to_owned(), character, position: index + 1 });
            }
        }
        if text.len() > 63 {
            return Err(NameError::TooLong(text.to_owned(), text.len()));
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for AgentName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl std::borrow::Borrow<str> for AgentName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for AgentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// The id of one execution, a `UUIDv7`: sorts by the time it was made. The maker supplies time and randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Uuid);

impl RunId {
    /// Builds an id from milliseconds since the Unix epoch and 80 random bits, of which 74 are used (RFC 9562, 5.7).
    pub fn from_parts(unix_ms: u64, random: u128) -> Self {
        let random: [u8; 10] = {
            let bytes = random.to_be_bytes();
            let mut low = [0; 10];
            low.copy_from_slice(&bytes[6..]);
            low
        };
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// The id of the execution for a time of an agent's schedule: the same whenever it is asked for, so that a time that
    /// has run is known again by it. Its own time is the scheduled one; the rest is a hash of all three (FNV-1a, 128 bits).
    /// `again` counts those that were given up before they were started.
    pub fn of_schedule(agent: &AgentName, scheduled_for: Timestamp, again: u32) -> Self {
        const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
        const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
        let time = scheduled_for.as_millis().to_be_bytes();
        let bytes = agent.as_str().bytes().chain([0]).chain(time).chain(again.to_be_bytes());
        let hash = bytes.fold(BASIS, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
        // The lowest bits depend on the lowest bits of the bytes only: fold the others in.
        Self::from_parts(u64::try_from(scheduled_for.as_millis()).unwrap_or(0), hash ^ (hash >> 64))
    }

    /// The last twelve hexadecimal digits, all random: what log lines carry.
    pub fn short(&self) -> String {
        let text = self.0.simple().to_string();
        text[20..].to_owned()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

/// The slot of an agent in the running fleet. Stable while the orchestrator runs: a reload appends new agents and
/// leaves the slots of removed ones empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AgentIndex(pub u32);

impl AgentIndex {
    /// The index as a position in a `Vec`.
    pub fn slot(self) -> usize {
        self.0 as usize
    }
}

impl From<usize> for AgentIndex {
    /// # Panics
    /// If there are more than `u32::MAX` agents.
    fn from(slot: usize) -> Self {
        Self(u32::try_from(slot).expect("fewer than 2^32 agents"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lower_case_label() {
        assert!(AgentName::new("agent-sales_2").is_ok());
        assert_eq!(AgentName::new(""), Err(NameError::Empty));
        assert!(matches!(AgentName::new("Agent"), Err(NameError::BadCharacter { character: 'A', position: 1, .. })));
        assert!(matches!(AgentName::new("-a"), Err(NameError::BadCharacter { character: '-', .. })));
        assert!(AgentName::new(&"a".repeat(63)).is_ok());
        assert!(matches!(AgentName::new(&"a".repeat(64)), Err(NameError::TooLong(_, 64))));
    }

    #[test]
    fn run_ids_sort_by_time_and_are_version_7() {
        let early = RunId::from_parts(1_000, u128::MAX);
        let late = RunId::from_parts(1_001, 0);
        assert!(early < late);
        assert_eq!(early.0.get_version_num(), 7);
        assert_eq!(early.to_string().parse::<RunId>().unwrap(), early);
        assert_eq!(early.short(), "ffffffffffff");
    }

    #[test]
    fn the_id_of_a_scheduled_time_is_the_same_for_ever_and_another_one_for_everything_else() {
        let (a, b) = (AgentName::new("a").unwrap(), AgentName::new("b").unwrap());
        let id = |agent: &AgentName, secs, again| RunId::of_schedule(agent, Timestamp::from_secs(secs), again);
        // On disk there are such ids: this one must never change.
        assert_eq!(id(&a, 1_772_452_800, 0).to_string(), "019cae6b-6600-7c65-9956-60467f06ccd9");
        assert!(id(&a, 1, 0) < id(&a, 2, 0));
        let mut all = std::collections::BTreeSet::new();
        let mut short = std::collections::BTreeSet::new();
        for agent in [&a, &b] {
            for secs in 0..5_000 {
                for again in 0..3 {
                    all.insert(id(agent, secs, again));
                    short.insert(id(agent, secs, again).short());
                }
            }
        }
        assert_eq!((all.len(), short.len()), (30_000, 30_000));
    }
}
