//! The subscription table: who listens to a subject. What a message costs does not depend on how many other
//! subscriptions there are.
//!
//! Patterns without wildcards are in one hash map, which is asked once per message; those with wildcards are in a trie
//! of tokens, of which a message touches only the nodes on its own path. A subject with one subscriber, the most common
//! case, costs no allocation besides its entry. What is removed gives its memory back.

mod found;
mod listeners;
mod names;
mod trie;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use hashbrown::HashMap;

pub use found::Found;
use listeners::Listeners;
use names::Names;
use trie::Trie;

use crate::subject;

/// A hash map gives memory back once it has four times the room that it needs, but not for less than this many entries.
const SPARSE: usize = 64;

/// What identifies a subscription in the table: a small id that the table's owner gives out.
pub trait Subscriber: Copy + Eq {}

impl<S: Copy + Eq> Subscriber for S {}

/// All subscriptions. Never looks behind the ids.
#[derive(Debug)]
pub struct Table<S> {
    literals: HashMap<Rc<[u8]>, Listeners<S>>,
    patterns: Trie<S>,
    queues: Names,
    len: usize,
}

impl<S: Subscriber> Table<S> {
    /// A table without subscriptions.
    pub fn new() -> Self {
        Self { literals: HashMap::new(), patterns: Trie::new(), queues: Names::default(), len: 0 }
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody subscribed to anything.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a subscription to a valid pattern ([`subject::is_valid_pattern`]), as a member of the queue group if one is named.
    /// The pattern is shared, not copied. What is added twice is found twice, and has to be removed twice.
    pub fn insert(&mut self, pattern: &Rc<[u8]>, queue: Option<&[u8]>, subscriber: S) {
        let queue = queue.map(|name| self.queues.acquire(name));
        let listeners = if subject::is_literal(pattern) {
            self.literals.entry(Rc::clone(pattern)).or_insert(Listeners::Nobody)
        } else {
            self.patterns.enter(pattern)
        };
        listeners.add(queue, subscriber);
        self.len += 1;
    }

    /// Takes a subscription away; pattern and queue as they were given to [`Table::insert`]. False if it is not there.
    pub fn remove(&mut self, pattern: &[u8], queue: Option<&[u8]>, subscriber: S) -> bool {
        let id = match queue.map(|name| self.queues.get(name)) {
            Some(None) => return false,
            Some(known) => known,
            None => None,
        };
        let removed = if subject::is_literal(pattern) {
            self.remove_literal(pattern, id, subscriber)
        } else {
            self.patterns.remove(pattern, |listeners| listeners.remove(id, subscriber))
        };
        if removed {
            if let Some(name) = queue {
                self.queues.release(name);
            }
            self.len -= 1;
        }
        removed
    }

    fn remove_literal(&mut self, pattern: &[u8], queue: Option<names::Queue>, subscriber: S) -> bool {
        let Some(listeners) = self.literals.get_mut(pattern) else { return false };
        let removed = listeners.remove(queue, subscriber);
        if listeners.is_nobody() {
            self.literals.remove(pattern);
            if self.literals.capacity() > SPARSE && self.literals.len() * 4 < self.literals.capacity() {
                self.literals.shrink_to(self.literals.len() * 2);
            }
        }
        removed
    }

    /// Finds who gets a message on this subject. `found` is emptied first; once it has grown to the size that the
    /// messages need, this allocates nothing.
    pub fn route(&self, subject: &[u8], found: &mut Found<S>) {
        found.clear();
        if let Some(listeners) = self.literals.get(subject) {
            found.add(listeners);
        }
        if !self.patterns.is_empty() {
            self.patterns.collect(subject, found);
        }
        found.merge_groups();
    }
}

impl<S: Subscriber> Default for Table<S> {
    fn default() -> Self {
        Self::new()
    }
}
