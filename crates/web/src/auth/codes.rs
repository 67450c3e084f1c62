//! Login codes: each opens one session, once, within five minutes.
//!
//! Invariant: never more than [`CODES`] are outstanding; a code is forgotten with the first look at it, right or late.

use std::collections::VecDeque;
use std::time::Duration;

use werkpilot_core::role::Role;
use werkpilot_core::time::Moment;

use super::secret::{SecretDigest, position};

/// How long a code is good: time enough to get from a terminal to a browser.
pub(crate) const CODE_LIFE: Duration = Duration::from_mins(5);
/// Codes that nobody has used yet; the oldest gives way. More people than this do not log in within five minutes.
const CODES: usize = 32;

/// What a code opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Who asked for it.
    pub by: String,
    /// What the session may.
    pub role: Role,
}

#[derive(Debug)]
struct Code {
    digest: SecretDigest,
    until: Moment,
    grant: Grant,
}

/// Those that nobody has used yet.
#[derive(Debug, Default)]
pub(crate) struct Codes(VecDeque<Code>);

impl Codes {
    /// Takes in a new one.
    pub fn add(&mut self, digest: SecretDigest, grant: Grant, now: Moment) {
        self.0.retain(|code| code.until > now);
        if self.0.len() == CODES {
            self.0.pop_front();
        }
        self.0.push_back(Code { digest, until: now + CODE_LIFE, grant });
    }

    /// What a code opens; never again after this.
    pub fn take(&mut self, digest: &SecretDigest, now: Moment) -> Option<Grant> {
        let index = position(self.0.iter().map(|code| &code.digest), digest)?;
        self.0.remove(index).filter(|code| code.until > now).map(|code| code.grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant { by: "ada".to_owned(), role: Role::Admin }
    }

    #[test]
    fn a_code_is_good_once() {
        let (mut codes, now) = (Codes::default(), Moment::from_secs(1));
        codes.add(SecretDigest::of("a"), grant(), now);
        assert_eq!(codes.take(&SecretDigest::of("b"), now), None);
        assert_eq!(codes.take(&SecretDigest::of("a"), now), Some(grant()));
        assert_eq!(codes.take(&SecretDigest::of("a"), now), None);
    }

    #[test]
    fn a_code_is_good_for_five_minutes() {
        let (mut codes, now) = (Codes::default(), Moment::from_secs(1));
        for text in ["a", "b"] {
            codes.add(SecretDigest::of(text), grant(), now);
        }
        let last = now + CODE_LIFE;
        assert_eq!(codes.take(&SecretDigest::of("a"), Moment::from_nanos(last.as_nanos() - 1)), Some(grant()));
        assert_eq!(codes.take(&SecretDigest::of("b"), last), None);
    }

    #[test]
    fn the_oldest_gives_way_when_there_are_too_many() {
        let (mut codes, now) = (Codes::default(), Moment::from_secs(1));
        for number in 0..=CODES {
            codes.add(SecretDigest::of(&number.to_string()), grant(), now);
        }
        assert_eq!(codes.0.len(), CODES);
        assert_eq!(codes.take(&SecretDigest::of("0"), now), None);
        assert_eq!(codes.take(&SecretDigest::of("1"), now), Some(grant()));
    }
}
