//! Small numbers for the names of queue groups, so that subscriptions and routing need not carry the names.

use hashbrown::HashMap;

/// The number of a queue group's name, for as long as a subscription uses the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Queue(u32);

/// The names in use. A number is given out again only when nobody uses its old name any more.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashMap<Box<[u8]>, Name>,
    free: Vec<Queue>,
    next: u32,
}

#[derive(Debug)]
struct Name {
    queue: Queue,
    uses: usize,
}

impl Names {
    /// The number of a name, with one more user.
    pub(super) fn acquire(&mut self, name: &[u8]) -> Queue {
        if let Some(known) = self.known.get_mut(name) {
            known.uses += 1;
            return known.queue;
        }
        let queue = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            Queue(self.next - 1)
        });
        self.known.insert(name.into(), Name { queue, uses: 1 });
        queue
    }

    /// The number of a name that is in use.
    pub(super) fn get(&self, name: &[u8]) -> Option<Queue> {
        self.known.get(name).map(|known| known.queue)
    }

    /// One user less.
    pub(super) fn release(&mut self, name: &[u8]) {
        let Some(known) = self.known.get_mut(name) else { return };
        known.uses -= 1;
        if known.uses == 0 {
            self.free.push(known.queue);
            self.known.remove(name);
        }
        if self.known.is_empty() {
            *self = Self::default();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
