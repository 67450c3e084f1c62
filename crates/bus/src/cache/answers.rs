//! The answers that are kept: found by their question, and dropped when they expire or were not used for longest.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use slab::Slab;
use werkpilot_core::time::Moment;

use super::{CacheLimits, Question};

/// What an answer is counted for besides its bytes: the entry, its place in the index, and the allocator's share.
const OVERHEAD_BYTES: usize = 192;
/// How many places every new answer sweeps for expired ones: with two, the sweep is faster than what it follows.
const SWEEP: usize = 2;
/// No entry.
const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Answers {
    entries: Slab<Entry>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    limits: CacheLimits,
    bytes: usize,
    /// The ends of the list from the one that was used last to the one that was not used for longest.
    newest: u32,
    oldest: u32,
    /// Where the sweep goes on.
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    subject: Box<[u8]>,
    request: Box<[u8]>,
    requester: Option<Box<str>>,
    headers: Box<[u8]>,
    payload: Box<[u8]>,
    expires: Moment,
    newer: u32,
    older: u32,
}

impl Entry {
    fn question(&self) -> Question<'_> {
        Question { subject: &self.subject, payload: &self.request, requester: self.requester.as_deref() }
    }

    fn bytes(&self) -> usize {
        size(self.question(), &self.headers, &self.payload)
    }
}

fn size(question: Question<'_>, headers: &[u8], payload: &[u8]) -> usize {
    let key = question.subject.len() + question.payload.len() + question.requester.map_or(0, str::len);
    OVERHEAD_BYTES + key + headers.len() + payload.len()
}

impl Answers {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            entries: Slab::new(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            limits,
            bytes: 0,
            newest: NONE,
            oldest: NONE,
            hand: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = Self::new(self.limits);
    }

    /// The place of an answer that has not expired; it counts as used.
    pub(super) fn find(&mut self, question: Question<'_>, now: Moment) -> Option<u32> {
        let place = self.place(question)?;
        if self.entries[place as usize].expires <= now {
            self.remove(place);
            return None;
        }
        if self.newest != place {
            self.unlink(place);
            self.link(place);
        }
        Some(place)
    }

    /// Headers and payload.
    pub(super) fn read(&self, place: u32) -> (&[u8], &[u8]) {
        let entry = &self.entries[place as usize];
        (&entry.headers, &entry.payload)
    }

    /// Keeps an answer instead of the one there was, and makes room for it. One beyond the limit is not kept.
    pub(super) fn store(
        &mut self,
        question: Question<'_>,
        headers: &[u8],
        payload: &[u8],
        expires: Moment,
        now: Moment,
    ) {
        if let Some(old) = self.place(question) {
            self.remove(old);
        }
        self.sweep(now);
        let bytes = size(question, headers, payload);
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        while self.entries.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            self.remove(self.oldest);
        }
        let place = self.entries.insert(Entry {
            subject: question.subject.into(),
            request: question.payload.into(),
            requester: question.requester.map(Into::into),
            headers: headers.into(),
            payload: payload.into(),
            expires,
            newer: NONE,
            older: NONE,
        });
        let place = u32::try_from(place).expect("fewer than 2^32 answers");
        self.bytes += bytes;
        self.link(place);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let rehash = |place: &u32| hasher.hash_one(entries[*place as usize].question());
        self.index.insert_unique(hasher.hash_one(question), place, rehash);
    }

    fn place(&self, question: Question<'_>) -> Option<u32> {
        let same = |place: &u32| self.entries[*place as usize].question() == question;
        self.index.find(self.hasher.hash_one(question), same).copied()
    }

    /// Looks at the next few places, round and round.
    fn sweep(&mut self, now: Moment) {
        for _ in 0..SWEEP {
            if self.hand >= self.entries.capacity() {
                self.hand = 0;
            }
            if self.entries.get(self.hand).is_some_and(|entry| entry.expires <= now) {
                self.remove(u32::try_from(self.hand).expect("fewer than 2^32 answers"));
            }
            self.hand += 1;
        }
    }

    fn remove(&mut self, place: u32) {
        let hash = self.hasher.hash_one(self.entries[place as usize].question());
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        self.unlink(place);
        self.bytes -= self.entries.remove(place as usize).bytes();
    }

    fn link(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        let entry = &mut self.entries[place as usize];
        (entry.newer, entry.older) = (NONE, before);
        match self.entries.get_mut(before as usize) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
        }
    }

    fn unlink(&mut self, place: u32) {
        let Entry { newer, older, .. } = self.entries[place as usize];
        match self.entries.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }
}
