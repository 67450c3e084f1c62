//! Room for what has to be written: an outbox borrows it, and gives it back when it is empty, so that an idle
//! connection holds none, and a busy one is not given new pages for each burst.
//!
//! Invariant: no more than [`KEPT`] bytes are kept.

/// Bytes kept in all: a hundred outboxes of a fan-out.
const KEPT: usize = 4 * 1_024 * 1_024;
/// A larger room is not kept: it was one burst to a slow reader.
const LARGEST: usize = 512 * 1_024;

/// Empty buffers for the next bursts.
#[derive(Debug, Default)]
pub struct Spare {
    rooms: Vec<Vec<u8>>,
    bytes: usize,
    /// Messages in all, when somebody last asked whether it is quiet.
    messages: u64,
}

impl Spare {
    /// An empty buffer, with room if there is any.
    pub fn take(&mut self) -> Vec<u8> {
        let Some(room) = self.rooms.pop() else { return Vec::new() };
        self.bytes -= room.capacity();
        room
    }

    /// Keeps the room of a buffer whose bytes are done with.
    pub fn give(&mut self, mut room: Vec<u8>) {
        let capacity = room.capacity();
        if capacity > 0 && capacity <= LARGEST && self.bytes + capacity <= KEPT {
            room.clear();
            self.bytes += capacity;
            self.rooms.push(room);
        }
    }

    /// Lets go of all of it if there was no message since the last call.
    pub fn clear_if_quiet(&mut self, messages: u64) {
        if std::mem::replace(&mut self.messages, messages) == messages {
            self.clear();
        }
    }

    /// Lets go of all of it.
    pub fn clear(&mut self) {
        (self.rooms, self.bytes) = (Vec::new(), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_serves_again_and_comes_empty() {
        let mut spare = Spare::default();
        spare.give(b"hello".to_vec());
        let room = spare.take();
        assert!(room.is_empty() && room.capacity() >= 5);
        assert_eq!(spare.take().capacity(), 0);
    }

    #[test]
    fn no_more_than_the_bound_is_kept() {
        let mut spare = Spare::default();
        spare.give(Vec::with_capacity(LARGEST + 1));
        assert_eq!(spare.bytes, 0);
        for _ in 0..100 {
            spare.give(Vec::with_capacity(LARGEST));
        }
        assert_eq!((spare.bytes, spare.rooms.len()), (KEPT, KEPT / LARGEST));
        spare.clear_if_quiet(1);
        assert_eq!(spare.bytes, KEPT);
        spare.clear_if_quiet(1);
        assert_eq!(spare.take().capacity(), 0);
    }
}
