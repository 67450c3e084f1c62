//! The subscribers of one pattern: nobody, one held in place, or a crowd behind a pointer.

use super::Subscriber;
use super::names::Queue;

/// Who subscribed to one pattern. 16 bytes with an 8-byte subscriber.
#[derive(Debug)]
pub(super) enum Listeners<S> {
    Nobody,
    One(S),
    Member(Queue, S),
    Many(Box<Crowd<S>>),
}

/// At least two subscribers. Their order means nothing.
#[derive(Debug)]
pub(super) struct Crowd<S> {
    pub(super) plain: Vec<S>,
    /// Sorted by queue; none is empty.
    pub(super) groups: Vec<Group<S>>,
}

/// The members of one queue group.
#[derive(Debug)]
pub(super) struct Group<S> {
    pub(super) queue: Queue,
    pub(super) members: Vec<S>,
}

impl<S: Subscriber> Listeners<S> {
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self, Self::Nobody)
    }

    pub(super) fn add(&mut self, queue: Option<Queue>, subscriber: S) {
        let first = match std::mem::replace(self, Self::Nobody) {
            Self::Nobody => {
                *self = Self::single(queue, subscriber);
                return;
            }
            Self::One(other) => (None, other),
            Self::Member(queue, other) => (Some(queue), other),
            Self::Many(mut crowd) => {
                crowd.add(queue, subscriber);
                *self = Self::Many(crowd);
                return;
            }
        };
        let mut crowd = Box::new(Crowd { plain: Vec::new(), groups: Vec::new() });
        crowd.add(first.0, first.1);
        crowd.add(queue, subscriber);
        *self = Self::Many(crowd);
    }

    /// False if this subscriber is not there in this role.
    pub(super) fn remove(&mut self, queue: Option<Queue>, subscriber: S) -> bool {
        match self {
            Self::One(only) if queue.is_none() && *only == subscriber => *self = Self::Nobody,
            Self::Member(group, only) if queue == Some(*group) && *only == subscriber => *self = Self::Nobody,
            Self::Many(crowd) => {
                if !crowd.remove(queue, subscriber) {
                    return false;
                }
                if let Some((queue, last)) = crowd.last_one() {
                    *self = Self::single(queue, last);
                }
            }
            Self::Nobody | Self::One(_) | Self::Member(..) => return false,
        }
        true
    }

    fn single(queue: Option<Queue>, subscriber: S) -> Self {
        queue.map_or(Self::One(subscriber), |queue| Self::Member(queue, subscriber))
    }
}

impl<S: Subscriber> Crowd<S> {
    fn add(&mut self, queue: Option<Queue>, subscriber: S) {
        let Some(queue) = queue else { return self.plain.push(subscriber) };
        match self.groups.binary_search_by_key(&queue, |group| group.queue) {
            Ok(at) => self.groups[at].members.push(subscriber),
            Err(at) => {
                // One group is the rule, and `Vec` would begin with room for four.
                self.groups.reserve_exact(usize::from(self.groups.is_empty()));
                self.groups.insert(at, Group { queue, members: vec![subscriber] });
            }
        }
    }

    fn remove(&mut self, queue: Option<Queue>, subscriber: S) -> bool {
        let Some(queue) = queue else { return take(&mut self.plain, subscriber) };
        let Ok(at) = self.groups.binary_search_by_key(&queue, |group| group.queue) else { return false };
        let removed = take(&mut self.groups[at].members, subscriber);
        if self.groups[at].members.is_empty() {
            self.groups.remove(at);
            give_back(&mut self.groups);
        }
        removed
    }

    /// The only one left, if it is one.
    fn last_one(&self) -> Option<(Option<Queue>, S)> {
        match (self.plain.as_slice(), self.groups.as_slice()) {
            ([only], []) => Some((None, *only)),
            ([], [Group { queue, members }]) if members.len() == 1 => Some((Some(*queue), members[0])),
            _ => None,
        }
    }
}

fn take<S: Subscriber>(from: &mut Vec<S>, subscriber: S) -> bool {
    let Some(at) = from.iter().position(|other| *other == subscriber) else { return false };
    from.swap_remove(at);
    give_back(from);
    true
}

/// Shrinks to twice the length when three quarters are unused, so that a removal costs constant time on average.
fn give_back<T>(vec: &mut Vec<T>) {
    if vec.len() * 4 <= vec.capacity() {
        vec.shrink_to(vec.len() * 2);
    }
}
