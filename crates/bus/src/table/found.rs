//! The answer to a route: who gets every message, and the groups of which one member each gets it.

use super::Subscriber;
use super::listeners::Listeners;
use super::names::Queue;

/// Who gets a message. Made once and reused for every message, since it keeps its room.
#[derive(Debug)]
pub struct Found<S> {
    /// The subscribers that are in no queue group: each gets the message.
    pub plain: Vec<S>,
    members: Vec<S>,
    /// Where the members of each group are; after `merge_groups` no queue has two.
    groups: Vec<Segment>,
    /// How many patterns brought groups: two can bring the same one.
    sources: usize,
    scratch: Vec<S>,
    /// The trie's work list, kept here for its room.
    pub(super) stack: Vec<(usize, usize)>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    queue: Queue,
    start: usize,
    end: usize,
}

impl<S: Subscriber> Found<S> {
    /// An empty answer.
    pub fn new() -> Self {
        Self {
            plain: Vec::new(),
            members: Vec::new(),
            groups: Vec::new(),
            sources: 0,
            scratch: Vec::new(),
            stack: Vec::new(),
        }
    }

    /// The subscribers that are in no queue group: each gets the message.
    pub fn plain(&self) -> &[S] {
        &self.plain
    }

    /// The queue groups, each with all its members, of which one gets the message. Groups of the same name at several
    /// matching patterns are one group; a subscriber with several subscriptions in it is in it several times.
    pub fn groups(&self) -> impl Iterator<Item = &[S]> {
        self.groups.iter().map(|group| &self.members[group.start..group.end])
    }

    /// Whether nobody gets the message.
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.groups.is_empty()
    }

    /// Forgets everybody, and keeps the room.
    pub fn clear(&mut self) {
        self.plain.clear();
        self.members.clear();
        self.groups.clear();
        self.sources = 0;
    }

    pub(super) fn add(&mut self, listeners: &Listeners<S>) {
        match listeners {
            Listeners::Nobody => {}
            Listeners::One(subscriber) => self.plain.push(*subscriber),
            Listeners::Member(queue, subscriber) => {
                self.sources += 1;
                self.add_group(*queue, &[*subscriber]);
            }
            Listeners::Many(crowd) => {
                self.plain.extend_from_slice(&crowd.plain);
                self.sources += usize::from(!crowd.groups.is_empty());
                for group in &crowd.groups {
                    self.add_group(group.queue, &group.members);
                }
            }
        }
    }

    fn add_group(&mut self, queue: Queue, members: &[S]) {
        let start = self.members.len();
        self.members.extend_from_slice(members);
        self.groups.push(Segment { queue, start, end: self.members.len() });
    }

    /// Makes one group of those with the same name. Nothing to do for a single pattern, whose groups differ.
    pub(super) fn merge_groups(&mut self) {
        if self.sources < 2 {
            return;
        }
        self.groups.sort_unstable_by_key(|group| group.queue);
        if !self.groups.windows(2).any(|pair| pair[0].queue == pair[1].queue) {
            return;
        }
        self.scratch.clear();
        let (members, scratch) = (&self.members, &mut self.scratch);
        for group in &mut self.groups {
            let start = scratch.len();
            scratch.extend_from_slice(&members[group.start..group.end]);
            (group.start, group.end) = (start, scratch.len());
        }
        std::mem::swap(&mut self.members, &mut self.scratch);
        self.groups.dedup_by(|later, kept| {
            let same = later.queue == kept.queue;
            if same {
                kept.end = later.end;
            }
            same
        });
    }
}

impl<S: Subscriber> Default for Found<S> {
    fn default() -> Self {
        Self::new()
    }
}
