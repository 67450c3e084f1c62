//! Secrets, from the kernel's random numbers.

use rustix::rand::{GetRandomFlags, getrandom};

/// 128 bits, as many as a UUID has, in hexadecimal.
const BYTES: usize = 16;

/// A text that nobody can guess: 32 hexadecimal digits.
///
/// # Panics
/// If the kernel has no random numbers, which getrandom(2) rules out once the machine has booted.
pub fn random_token() -> String {
    let mut bytes = [0; BYTES];
    let mut filled = 0;
    while filled < BYTES {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(got) => filled += got,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random numbers: {error}"),
        }
    }
    bytes.iter().fold(String::with_capacity(BYTES * 2), |mut text, byte| {
        use std::fmt::Write;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_tokens_are_the_same() {
        let tokens: std::collections::HashSet<String> = (0..1_000).map(|_| random_token()).collect();
        assert_eq!(tokens.len(), 1_000);
        assert!(tokens.iter().all(|token| token.len() == 32));
    }
}
