//! A load generator: one thread, keep-alive connections, one request at a time on each.
//!
//! It reads answers without looking into them: an answer's length is known from its head, and all answers of a run have
//! to be of the same status. It costs a system call per piece and nothing else, so that what is measured is the server.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::support::percentile;

/// What a run gave.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Answers a second.
    pub rate: f64,
    /// Nanoseconds from a request to the last byte of its answer, median.
    pub p50: u64,
    /// The same, one in a hundred is slower.
    pub p99: u64,
    /// Bytes of an answer's body.
    pub bytes: usize,
}

/// Answers before it is measured.
const WARM_UP: Duration = Duration::from_millis(500);
/// What is read at once.
const PIECE: usize = 256 * 1024;

/// Asks for a path on so many connections, for so long.
pub fn run(address: SocketAddr, path: &str, headers: &str, connections: usize, time: Duration) -> Load {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes();
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let mut clients: Vec<Client> = (0..connections).map(|number| Client::new(address, &poll, number)).collect();
    let mut space = vec![0; PIECE];
    for client in &mut clients {
        client.ask(&request);
    }
    let (mut times, mut bytes) = (Vec::new(), 0);
    let begin = Instant::now();
    let (from, until) = (begin + WARM_UP, begin + WARM_UP + time);
    let mut ready: Vec<epoll::Event> = Vec::with_capacity(connections);
    loop {
        ready.clear();
        let patience = Timespec { tv_sec: 10, tv_nsec: 0 };
        let _ = epoll::wait(&poll, spare_capacity(&mut ready), Some(&patience)).expect("it waits");
        assert!(!ready.is_empty(), "no answer within ten seconds");
        for event in &ready {
            let number = usize::try_from(event.data.u64()).expect("a client's number");
            let client = &mut clients[number];
            let Some(took) = client.read(&mut space) else { continue };
            let now = Instant::now();
            if now >= from {
                times.push(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
                bytes = client.length;
            }
            if now >= until {
                let rate = times.len() as f64 / now.duration_since(from).as_secs_f64();
                return Load { rate, p50: percentile(&mut times, 50), p99: percentile(&mut times, 99), bytes };
            }
            client.ask(&request);
        }
    }
}

/// One connection.
struct Client {
    stream: TcpStream,
    asked: Instant,
    head: Vec<u8>,
    /// Bytes of the body that are still to come, once the head is there.
    left: Option<usize>,
    length: usize,
}

impl Client {
    fn new(address: SocketAddr, poll: &OwnedFd, number: usize) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_nodelay(true).expect("a TCP socket");
        stream.set_nonblocking(true).expect("a socket");
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(poll, stream.as_fd(), data, epoll::EventFlags::IN).expect("it is watched");
        Self { stream, asked: Instant::now(), head: Vec::new(), left: None, length: 0 }
    }

    /// A request is small: it is taken at once.
    fn ask(&mut self, request: &[u8]) {
        self.asked = Instant::now();
        self.head.clear();
        self.left = None;
        assert_eq!(self.stream.write(request).expect("the server reads"), request.len());
    }

    /// Reads what is there. What the answer took, once it is whole.
    fn read(&mut self, space: &mut [u8]) -> Option<Duration> {
        loop {
            let read = match self.stream.read(space) {
                Ok(0) => panic!("the server closed: {}", String::from_utf8_lossy(&self.head)),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            };
            let left = if let Some(left) = self.left {
                left.checked_sub(read).expect("no more than the answer")
            } else {
                self.head.extend_from_slice(&space[..read]);
                let Some(end) = self.head.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                self.length = length(&self.head[..end]);
                (end + 4 + self.length).checked_sub(self.head.len()).expect("no more than the answer")
            };
            self.left = Some(left);
            if left == 0 {
                return Some(self.asked.elapsed());
            }
        }
    }
}

fn length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).expect("a head is text");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, value)| value.parse().ok()).expect("a length")
}
