//! Logins that failed: counted by where they come from, told in the log while they are few, answered with 429 when they
//! are many.
//!
//! Invariant: nobody is locked out. What is shown is looked at first, and who shows the right thing is let in, however many
//! tried from the same address; with secrets of 256 bits, it is not guessing that is held up here but noise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// So many in one go, and one more every six seconds.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
/// Addresses that are told apart; further ones are counted together until some calm down.
const ADDRESSES: usize = 1_024;

/// The counts.
pub(crate) struct Failures(DefaultKeyedRateLimiter<IpAddr>);

impl std::fmt::Debug for Failures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failures(..)")
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(PER_MINUTE)))
    }
}

impl Failures {
    /// Counts one.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn count(&self, peer: Option<IpAddr>) -> Result<(), Duration> {
        if self.0.len() >= ADDRESSES {
            self.0.retain_recent();
        }
        let crowded = self.0.len() >= ADDRESSES;
        let key = if crowded { Ipv6Addr::UNSPECIFIED.into() } else { key(peer) };
        self.0.check_key(&key).map_err(|until| until.wait_time_from(DefaultClock::default().now()))
    }
}

/// Who has one address of IPv6 has a whole /64 of them.
fn key(peer: Option<IpAddr>) -> IpAddr {
    match peer.map(|peer| peer.to_canonical()) {
        Some(IpAddr::V6(address)) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        Some(address) => address,
        None => Ipv4Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "it is what `count` takes")]
    fn v4(number: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(0x0a00_0000 + number).into())
    }

    #[test]
    fn the_eleventh_failure_of_an_address_has_to_wait_and_those_of_others_do_not() {
        let failures = Failures::default();
        for _ in 0..10 {
            assert_eq!(failures.count(v4(1)), Ok(()));
        }
        let wait = failures.count(v4(1)).unwrap_err();
        assert!(wait <= Duration::from_secs(6) && wait > Duration::from_secs(1), "{wait:?}");
        assert_eq!(failures.count(v4(2)), Ok(()));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_memory() {
        let failures = Failures::default();
        let refused = (0..5_000).filter(|number| failures.count(v4(*number)).is_err()).count();
        assert!(failures.0.len() <= ADDRESSES + 1);
        assert!(refused > 3_000, "{refused}");
    }

    #[test]
    fn addresses_of_one_network_are_one() {
        let of = |text: &str| key(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
