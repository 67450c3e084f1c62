//! Which reply subjects were delivered to a connection: it may publish there for a while.
//!
//! Two generations of hashes: what is asked for is in the younger one or in the older one; the older one is dropped at
//! each turn, so a grant lives for one to two turns. Bounded: a full generation turns early. A hash that is wrongly
//! known (one in 2^44 at the bound) would need a random inbox name to be of any use.

use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashSet};
use werkpilot_core::time::Moment;

/// Grants of one generation: 2 MiB of hashes at the most.
const GENERATION: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Grants {
    sets: Option<Box<Generations>>,
}

#[derive(Debug, Default)]
struct Generations {
    hasher: DefaultHashBuilder,
    young: HashSet<u64>,
    old: HashSet<u64>,
    turned: Moment,
}

impl Grants {
    /// The connection was told of a reply subject.
    pub fn grant(&mut self, reply: &[u8], now: Moment, window: Duration) {
        let sets = self.sets.get_or_insert_with(|| Box::new(Generations { turned: now, ..Generations::default() }));
        if sets.young.len() >= GENERATION || now.since(sets.turned) >= window {
            sets.turn(now, window);
        }
        sets.young.insert(sets.hasher.hash_one(reply));
    }

    /// Whether it was told of this one within the window; up to twice the window may pass.
    pub fn allows(&mut self, reply: &[u8], now: Moment, window: Duration) -> bool {
        let Some(sets) = &mut self.sets else { return false };
        if now.since(sets.turned) >= window {
            sets.turn(now, window);
        }
        let hash = sets.hasher.hash_one(reply);
        sets.young.contains(&hash) || sets.old.contains(&hash)
    }
}

impl Generations {
    fn turn(&mut self, now: Moment, window: Duration) {
        self.old =
            if now.since(self.turned) >= window * 2 { HashSet::default() } else { std::mem::take(&mut self.young) };
        self.young = HashSet::default();
        self.turned = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(5);

    #[test]
    fn what_was_delivered_may_be_answered_and_nothing_else() {
        let mut grants = Grants::default();
        assert!(!grants.allows(b"_INBOX.a.1", Moment::ZERO, WINDOW));
        grants.grant(b"_INBOX.a.1", Moment::ZERO, WINDOW);
        assert!(grants.allows(b"_INBOX.a.1", Moment::from_secs(1), WINDOW));
        assert!(!grants.allows(b"_INBOX.a.2", Moment::from_secs(1), WINDOW));
    }

    #[test]
    fn a_grant_lasts_for_one_window_and_ends_after_two() {
        let mut grants = Grants::default();
        grants.grant(b"_INBOX.a.1", Moment::ZERO, WINDOW);
        grants.grant(b"_INBOX.a.2", Moment::from_secs(299), WINDOW);
        assert!(grants.allows(b"_INBOX.a.1", Moment::from_secs(300), WINDOW));
        assert!(grants.allows(b"_INBOX.a.2", Moment::from_secs(599), WINDOW));
        assert!(!grants.allows(b"_INBOX.a.2", Moment::from_secs(901), WINDOW));
        grants.grant(b"_INBOX.a.3", Moment::from_secs(1_000), WINDOW);
        assert!(!grants.allows(b"_INBOX.a.3", Moment::from_secs(1_601), WINDOW));
    }

    #[test]
    fn the_memory_is_bounded() {
        let mut grants = Grants::default();
        for number in 0..GENERATION * 3 {
            grants.grant(format!("_INBOX.{number}").as_bytes(), Moment::ZERO, WINDOW);
        }
        let sets = grants.sets.as_ref().unwrap();
        assert!(sets.young.len() + sets.old.len() <= GENERATION * 2);
        assert!(grants.allows(format!("_INBOX.{}", GENERATION * 3 - 1).as_bytes(), Moment::ZERO, WINDOW));
    }
}
