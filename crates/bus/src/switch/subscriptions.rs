//! The subscriptions of all connections: what a client calls `sid`, and what is left of it.

use std::hash::BuildHasher;
use std::rc::Rc;

use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};
use slab::Slab;

use super::connection::ConnectionId;

/// A subscription: what the table hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionId(pub u32);

/// A client's name for its subscription. Up to seven bytes are kept in place; longer ones are rare and kept aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sid([u8; 8]);

const LONG: u8 = u8::MAX;

impl Sid {
    fn short(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..text.len()).filter(|_| text.len() < 8)?.copy_from_slice(text);
        bytes[7] = u8::try_from(text.len()).expect("below eight");
        Some(Self(bytes))
    }
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub connection: ConnectionId,
    pub pattern: Rc<[u8]>,
    sid: Sid,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Ends after so many messages; zero: does not end.
    pub max: u64,
}

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    slots: Slab<Subscription>,
    /// Sids that are longer than a place.
    long: HashMap<u32, Box<[u8]>>,
    /// Queue groups.
    queues: HashMap<u32, Box<[u8]>>,
    hasher: DefaultHashBuilder,
}

impl Subscriptions {
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn get(&self, id: SubscriptionId) -> &Subscription {
        &self.slots[id.0 as usize]
    }

    pub fn get_mut(&mut self, id: SubscriptionId) -> &mut Subscription {
        &mut self.slots[id.0 as usize]
    }

    /// The sid of a subscription, in `place` if it is short.
    pub fn sid<'a>(&'a self, id: SubscriptionId, place: &'a mut [u8; 8]) -> &'a [u8] {
        let Sid(bytes) = self.slots[id.0 as usize].sid;
        if bytes[7] == LONG {
            return &self.long[&id.0];
        }
        *place = bytes;
        &place[..usize::from(bytes[7])]
    }

    fn is_called(&self, slot: u32, sid: &[u8]) -> bool {
        let Sid(bytes) = self.slots[slot as usize].sid;
        match bytes[7] {
            LONG => *self.long[&slot] == *sid,
            length => bytes[..usize::from(length)] == *sid,
        }
    }

    /// The subscription that a connection calls so.
    pub fn find(&self, of: &HashTable<u32>, sid: &[u8]) -> Option<SubscriptionId> {
        let hash = self.hasher.hash_one(sid);
        of.find(hash, |slot| self.is_called(*slot, sid)).map(|slot| SubscriptionId(*slot))
    }

    /// Adds one; `None` if the connection has one of this name.
    pub fn insert(
        &mut self,
        of: &mut HashTable<u32>,
        connection: ConnectionId,
        pattern: Rc<[u8]>,
        queue: Option<&[u8]>,
        sid: &[u8],
    ) -> Option<SubscriptionId> {
        if self.find(of, sid).is_some() {
            return None;
        }
        let short = Sid::short(sid);
        let kept = short.unwrap_or(Sid([LONG; 8]));
        let slot = self.slots.insert(Subscription { connection, pattern, sid: kept, delivered: 0, max: 0 });
        let slot = u32::try_from(slot).expect("subscriptions are bounded below 2^32");
        if short.is_none() {
            self.long.insert(slot, sid.into());
        }
        if let Some(queue) = queue {
            self.queues.insert(slot, queue.into());
        }
        of.insert_unique(self.hasher.hash_one(sid), slot, |slot| self.hash_of(*slot));
        Some(SubscriptionId(slot))
    }

    fn hash_of(&self, slot: u32) -> u64 {
        let mut place = [0; 8];
        self.hasher.hash_one(self.sid(SubscriptionId(slot), &mut place))
    }

    /// Takes one out.
    pub fn remove(&mut self, of: &mut HashTable<u32>, id: SubscriptionId) -> (Subscription, Option<Box<[u8]>>) {
        let hash = self.hash_of(id.0);
        if let Entry::Occupied(entry) = of.entry(hash, |slot| *slot == id.0, |slot| self.hash_of(*slot)) {
            entry.remove();
        }
        if of.is_empty() {
            *of = HashTable::new();
        }
        self.long.remove(&id.0);
        let queue = self.queues.remove(&id.0);
        (self.slots.remove(id.0 as usize), queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ConnectionId = ConnectionId { slot: 0, generation: 1 };

    #[test]
    fn sids_of_every_length_are_told_apart_and_given_back() {
        let (mut all, mut of) = (Subscriptions::default(), HashTable::new());
        let sids = ["1", "12", "1234567", "12345678", "a-very-long-sid-of-a-client", "\u{ff}"];
        let ids: Vec<_> =
            sids.iter().map(|sid| all.insert(&mut of, ID, Rc::from(*b"a"), None, sid.as_bytes()).unwrap()).collect();
        for (sid, id) in sids.iter().zip(&ids) {
            assert_eq!(all.find(&of, sid.as_bytes()), Some(*id));
            assert_eq!(all.sid(*id, &mut [0; 8]), sid.as_bytes());
            assert_eq!(all.insert(&mut of, ID, Rc::from(*b"b"), None, sid.as_bytes()), None);
        }
        for (sid, id) in sids.iter().zip(&ids) {
            all.remove(&mut of, *id);
            assert_eq!(all.find(&of, sid.as_bytes()), None);
        }
        assert!(all.len() == 0 && all.long.is_empty() && of.is_empty());
    }
}
