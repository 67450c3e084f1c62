//! A connection without a client library.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use serde_json::Value;
use werkpilot_tests::nats::Bus;

/// Longer than a server needs for anything but its own time-outs, of which the longest here is 2 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// A connection, and what came over it.
pub struct Socket {
    stream: TcpStream,
    received: Vec<u8>,
    closed: bool,
}

impl Socket {
    /// Connects, and reads the first INFO.
    pub fn open(bus: &Bus) -> (Self, Value) {
        let stream = TcpStream::connect(("127.0.0.1", bus.port())).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_nodelay(true).expect("no delay");
        let mut socket = Self { stream, received: Vec::new(), closed: false };
        socket.read_until(|received| received.ends_with(b"\r\n"));
        let info = info(&String::from_utf8_lossy(&socket.received));
        socket.received.clear();
        (socket, info.expect("INFO comes first"))
    }

    /// Sends bytes. That the server has closed already shows when the rest is read.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads until the bytes are all that was waited for, or the connection is closed.
    pub fn read_until(&mut self, complete: impl Fn(&[u8]) -> bool) {
        let mut buffer = vec![0; 65_536];
        while !self.closed && !complete(&self.received) {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.closed = true,
                Err(error) => panic!("{error} after {:?}", String::from_utf8_lossy(&self.received)),
            }
        }
    }

    /// Reads until there were so many answers to PING, or the connection is closed.
    pub fn read_pongs(&mut self, count: usize) {
        self.read_until(|received| received.windows(6).filter(|window| window == b"PONG\r\n").count() >= count);
    }

    /// Reads so many bytes, or to the end, and forgets them: how many there were.
    pub fn count_bytes(&mut self, most: usize) -> usize {
        let mut count = 0;
        while count < most && !self.closed {
            self.read_until(|received| !received.is_empty());
            count += std::mem::take(&mut self.received).len();
        }
        count
    }

    /// Reads until the connection is closed.
    pub fn read_to_end(&mut self) {
        self.read_until(|_| false);
    }

    /// Says that nothing more comes.
    pub fn shut(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// What came since, and forgets it.
    pub fn take(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.received)).into_owned()
    }

    /// Whether it was closed by the server.
    pub fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What a line of INFO carries.
pub fn info(text: &str) -> Option<Value> {
    let start = text.find("INFO {")? + "INFO ".len();
    let end = start + text[start..].find("\r\n")?;
    serde_json::from_str(text[start..end].trim_end()).ok()
}
