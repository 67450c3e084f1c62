//! What still has to be written to one connection.
//!
//! Invariant: the buffer begins at the border of a frame, so that a receiver that is cut off still gets whole frames.

use super::spare::Spare;
use crate::protocol::{self, Limits, ParsedServer};

/// Written bytes are let go of in pieces of this size, so that moving the rest costs little.
const COMPACTED: usize = 256 * 1_024;

/// Bytes for one connection, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    written: usize,
}

impl Outbox {
    /// What has not been written yet.
    pub fn unwritten(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// Bytes that have not been written yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Whether all has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer, to append whole frames to. One without room borrows some.
    pub fn frames(&mut self, spare: &mut Spare) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = spare.take();
        }
        &mut self.bytes
    }

    /// Gives its room back, if it is empty.
    pub fn give_back(&mut self, spare: &mut Spare) {
        if self.is_empty() {
            self.written = 0;
            spare.give(std::mem::take(&mut self.bytes));
        }
    }

    /// So many bytes more have been written.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        debug_assert!(self.written <= self.bytes.len(), "more was written than there was");
        if self.written == self.bytes.len() {
            self.written = 0;
            self.bytes.clear();
        } else if self.written >= COMPACTED {
            let border = self.border_before_unwritten();
            self.bytes.drain(..border);
            self.written -= border;
        }
    }

    /// Drops all frames of which nothing has been written yet. The frame in transit stays whole.
    pub fn drop_unsent(&mut self) {
        let mut border = 0;
        while border < self.written {
            border += frame_length(&self.bytes[border..]);
        }
        self.bytes.truncate(border);
    }

    /// The greatest border of frames that is not after the first unwritten byte.
    fn border_before_unwritten(&self) -> usize {
        let mut border = 0;
        loop {
            let next = border + frame_length(&self.bytes[border..]);
            if next > self.written {
                return border;
            }
            border = next;
        }
    }
}

/// The length of the first frame. What we wrote ourselves is well-formed.
fn frame_length(frames: &[u8]) -> usize {
    let limits = Limits { max_control_line: usize::MAX, max_payload: usize::MAX };
    match protocol::parse_server(frames, &limits) {
        Ok(ParsedServer::Op { length, .. }) => length,
        Ok(ParsedServer::Incomplete { .. }) | Err(_) => frames.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(frames: &[&str]) -> Outbox {
        let mut outbox = Outbox::default();
        for frame in frames {
            outbox.frames(&mut Spare::default()).extend_from_slice(frame.as_bytes());
        }
        outbox
    }

    #[test]
    fn what_was_written_is_gone() {
        let mut outbox = outbox(&["PING\r\n", "PONG\r\n"]);
        outbox.wrote(8);
        assert_eq!(outbox.unwritten(), b"NG\r\n");
        outbox.wrote(4);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_cut_off_receiver_still_gets_the_frame_in_transit() {
        let mut outbox = outbox(&["PING\r\n", "MSG a 1 5\r\nhello\r\n", "PONG\r\n"]);
        outbox.wrote(10);
        outbox.drop_unsent();
        assert_eq!(outbox.unwritten(), b"a 1 5\r\nhello\r\n");
    }

    #[test]
    fn between_two_frames_all_the_rest_is_dropped() {
        let mut outbox = outbox(&["PING\r\n", "PONG\r\n"]);
        outbox.wrote(6);
        outbox.drop_unsent();
        assert!(outbox.is_empty());
    }

    #[test]
    fn letting_go_of_written_bytes_changes_nothing_that_is_to_come() {
        let frame = format!("MSG a 1 {}\r\n{}\r\n", 100_000, "x".repeat(100_000));
        let frames: Vec<&str> = std::iter::repeat_n(frame.as_str(), 8).collect();
        let (mut outbox, all) = (outbox(&frames), frames.concat());
        let mut seen = 0;
        for piece in [70_000, 200_000, 120_000, 1, 300_000] {
            outbox.wrote(piece);
            seen += piece;
            assert_eq!(outbox.unwritten(), &all.as_bytes()[seen..]);
        }
        outbox.drop_unsent();
        let border = seen.div_ceil(frame.len()) * frame.len();
        assert_eq!(outbox.unwritten(), &all.as_bytes()[seen..border]);
    }
}
