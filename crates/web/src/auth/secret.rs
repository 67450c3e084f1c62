//! Secrets: how they are made, how they look, and how they are compared.
//!
//! Invariant: of what is made here only the SHA-256 stays; digests have no `==`, so that comparing them takes as long
//! whatever they are; no secret is shown by `Debug`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// What a token begins with, so that people and scanners for leaked secrets know one when they see it.
pub(crate) const PREFIX: &str = "wp_";
/// Random bytes of a secret: nobody guesses 256 bits.
const RANDOM: usize = 32;
/// Characters of a secret after its prefix.
const LENGTH: usize = 43;

/// A secret, on its way to whom it is for.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Panics
    /// If the kernel has no random bytes.
    pub fn new(prefix: &str) -> Self {
        let mut bytes = [0; RANDOM];
        getrandom::fill(&mut bytes).expect("the kernel has random bytes");
        Self(prefix.to_owned() + &URL_SAFE_NO_PAD.encode(bytes))
    }

    /// A text that came in as one.
    pub fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The SHA-256 of a secret.
#[derive(Clone, Copy)]
pub(crate) struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Of a text.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// As it was kept.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// As it is kept.
    pub const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    /// Whether both are the same; takes as long whatever they are.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}

/// The one with this digest. All are looked at, so that the time says nothing about which it is.
pub(crate) fn position<'a>(digests: impl Iterator<Item = &'a SecretDigest>, wanted: &SecretDigest) -> Option<usize> {
    digests.enumerate().fold(None, |found, (index, digest)| if digest.is(wanted) { Some(index) } else { found })
}

/// The text that a page has to send back with each change: made from the cookie's secret, which its scripts can't read,
/// and from which it can't be told.
pub(crate) fn csrf(session: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(SecretDigest::of(&format!("werkpilot csrf {}", session.reveal())).bytes())
}

/// A short public name.
pub(crate) fn public_id() -> String {
    let secret = SecretDigest::of(Secret::new("").reveal());
    secret.0[..6].iter().fold(String::new(), |id, byte| id + &format!("{byte:02x}"))
}

/// Whether there is a token somewhere in a text.
pub(crate) fn has_token(text: &str) -> bool {
    let goes_on = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.match_indices(PREFIX)
        .any(|(at, _)| text.as_bytes()[at + PREFIX.len()..].iter().take_while(|byte| goes_on(byte)).count() >= LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_wp_and_43_characters_and_never_the_same() {
        let (one, other) = (Secret::new(PREFIX), Secret::new(PREFIX));
        assert_eq!(one.reveal().len(), PREFIX.len() + LENGTH);
        assert!(has_token(one.reveal()) && has_token(&format!("/x?y=a{}&z", one.reveal())));
        assert!(!one.digest().is(&other.digest()) && one.digest().is(&Secret::given(one.reveal()).digest()));
    }

    #[test]
    fn what_is_too_short_is_no_token() {
        for text in ["", "wp_", "wp_short", "swap_space", &format!("wp_{}", "a".repeat(42)), &"a".repeat(99)] {
            assert!(!has_token(text), "{text}");
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let secret = Secret::new(PREFIX);
        let shown = format!("{secret:?} {:?}", secret.digest());
        assert!(!shown.contains(&secret.reveal()[3..]), "{shown}");
        assert_eq!(shown, "Secret(..) SecretDigest(..)");
    }

    #[test]
    fn all_digests_are_looked_at_and_the_right_one_is_found() {
        let digests = ["a", "b", "c"].map(SecretDigest::of);
        assert_eq!(position(digests.iter(), &SecretDigest::of("b")), Some(1));
        assert_eq!(position(digests.iter(), &SecretDigest::of("d")), None);
    }
}
