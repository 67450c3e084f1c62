//! A lean NATS client: a blocking socket, frames written by hand, no more parsing than counting needs.
//!
//! So what is measured is the server. Pings are answered; an error of the server ends the client with its text.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\
    \"protocol\":1,\"headers\":true,\"no_responders\":false}\r\nPING\r\n";
/// What is read at once; more than 64 messages of 100 bytes, and the largest message (10 kB) several times.
const BUFFER: usize = 65_536;
/// Nothing that is measured takes so long: a server that is silent for this time has lost something.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server sends that matters here.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message, with the subject for its answer.
    Message {
        /// Empty if none is wanted.
        reply: &'a [u8],
        /// The content.
        payload: &'a [u8],
    },
    /// The answer to a ping.
    Pong,
    /// To be answered.
    Ping,
    /// INFO and +OK.
    Other,
}

/// A connection.
pub struct Wire {
    stream: TcpStream,
    buffer: Box<[u8]>,
    end: usize,
}

impl Wire {
    /// Connects, and waits until the server has taken the connection.
    pub fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout");
        let mut wire = Self { stream, buffer: vec![0; BUFFER].into(), end: 0 };
        wire.send(CONNECT);
        wire.until_pong();
        wire
    }

    /// Everything sent before has been handled by the server when this returns. Messages meanwhile are ignored.
    pub fn sync(&mut self) {
        self.send(b"PING\r\n");
        self.until_pong();
    }

    fn until_pong(&mut self) {
        let mut done = false;
        while !done {
            self.receive(|frame| done |= frame == Frame::Pong);
        }
    }

    /// Writes everything.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads once, and shows all messages and pongs that are complete.
    pub fn receive(&mut self, mut see: impl FnMut(Frame<'_>)) {
        let read = self.stream.read(&mut self.buffer[self.end..]).expect("the server sends in time");
        assert!(read > 0, "the server closed the connection");
        self.end += read;
        let (mut at, mut pings) = (0, 0);
        while let Some((frame, length)) = parse(&self.buffer[at..self.end]) {
            match frame {
                Frame::Ping => pings += 1,
                Frame::Other => {}
                frame => see(frame),
            }
            at += length;
        }
        self.buffer.copy_within(at..self.end, 0);
        self.end -= at;
        for _ in 0..pings {
            self.send(b"PONG\r\n");
        }
    }

    /// The bare socket, for a connection that only has to be there.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The first frame and its length, if it is complete.
fn parse(bytes: &[u8]) -> Option<(Frame<'_>, usize)> {
    let line_end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, begin) = (&bytes[..line_end.saturating_sub(1)], line_end + 1);
    match bytes[0] {
        // MSG subject sid [reply] size
        b'M' => {
            let mut words = line.split(|byte| *byte == b' ').skip(3);
            let third = words.next()?;
            let (reply, size) = words.next().map_or((&[][..], third), |fourth| (third, fourth));
            let size = size.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            let payload = bytes.get(begin..begin + size)?;
            let end = begin + size + 2;
            (bytes.len() >= end).then_some((Frame::Message { reply, payload }, end))
        }
        b'P' if line == b"PONG" => Some((Frame::Pong, begin)),
        b'P' => Some((Frame::Ping, begin)),
        b'I' | b'+' => Some((Frame::Other, begin)),
        _ => panic!("the server said {}", String::from_utf8_lossy(line)),
    }
}

/// `PUB subject [reply] size`, payload included.
pub fn publication(subject: &str, reply: &str, size: usize) -> Vec<u8> {
    let space = if reply.is_empty() { "" } else { " " };
    let mut frame = format!("PUB {subject} {reply}{space}{size}\r\n").into_bytes();
    frame.resize(frame.len() + size, b'x');
    frame.extend_from_slice(b"\r\n");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_frame_is_left_for_the_next_read() {
        let whole = b"MSG a.b 1 inbox.7 5\r\nhello\r\nPING\r\n";
        let message = Frame::Message { reply: b"inbox.7", payload: b"hello" };
        for cut in 0..28 {
            assert_eq!(parse(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(parse(whole), Some((message, 28)));
        assert_eq!(parse(&whole[28..]), Some((Frame::Ping, 6)));
    }

    #[test]
    fn a_message_without_reply_has_its_size_in_third_place() {
        assert_eq!(parse(b"MSG a 1 0\r\n\r\n"), Some((Frame::Message { reply: b"", payload: b"" }, 13)));
        assert_eq!(publication("a", "", 2), b"PUB a 2\r\nxx\r\n");
        assert_eq!(publication("a", "b", 2), b"PUB a b 2\r\nxx\r\n");
    }
}
