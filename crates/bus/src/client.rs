//! The client's side of the protocol: bytes of a server in, typed events out; commands in, bytes for the server out.
//!
//! It answers the server's pings by itself and keeps requests apart by an inbox of its own. Knows no socket and no clock:
//! whoever drives it writes [`Client::output`], hands what comes to [`Client::receive`], and gives up when it has waited
//! for long enough.

mod error;
mod event;

pub use error::{RefusalKind, SendError, ServerRefusal};
pub use event::{Answer, Event, Received};

use crate::protocol::{Connect, Frame, Info, Limits, Message, ProtocolError, ServerOp, encode, parse_server};
use crate::subject;

/// The client's own subscription, on which answers arrive; subscriptions of its user count from 2.
const INBOX_SID: u64 = 1;

/// A subscription of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid(u64);

/// A request of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// One connection to a server, from its first byte on.
#[derive(Debug)]
pub struct Client {
    /// `_INBOX.<random>.`
    inbox: String,
    inbox_is_open: bool,
    last_request: u64,
    last_sid: u64,
    last_ping: u64,
    last_pong: u64,
    info: Option<Info>,
    input: Vec<u8>,
    /// So many bytes of the input were understood.
    understood: usize,
    output: Vec<u8>,
}

impl Client {
    /// A client whose inbox nobody can guess if the number is random.
    pub fn new(random: u128) -> Self {
        Self {
            inbox: format!("_INBOX.{random:032x}."),
            inbox_is_open: false,
            last_request: 0,
            last_sid: INBOX_SID,
            last_ping: 0,
            last_pong: 0,
            info: None,
            input: Vec::new(),
            understood: 0,
            output: Vec::new(),
        }
    }

    /// What the server said of itself last.
    pub fn info(&self) -> Option<&Info> {
        self.info.as_ref()
    }

    // ---- commands ----

    /// Introduces the client. Servers answer with a PONG to a [`Self::ping`] after it if it is welcome.
    pub fn connect(&mut self, connect: &Connect) {
        encode::connect(&mut self.output, connect);
    }

    /// Asks for a PONG, which comes after all that the server has to say about what was sent before. Its number is in
    /// the [`Event::Pong`].
    pub fn ping(&mut self) -> u64 {
        encode::ping(&mut self.output);
        self.last_ping += 1;
        self.last_ping
    }

    /// Publishes a message. `headers` is a whole block, or empty.
    ///
    /// # Errors
    /// The server could not take it; nothing is sent.
    pub fn publish(
        &mut self,
        to: &[u8],
        reply: Option<&[u8]>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), SendError> {
        for subject in [Some(to), reply].into_iter().flatten() {
            if !subject::is_valid_subject(subject) {
                return Err(SendError::Subject { subject: String::from_utf8_lossy(subject).into_owned() });
            }
        }
        if let Some(info) = &self.info {
            let (size, limit) = (headers.len() + payload.len(), info.max_payload);
            // A server that tells no limit decides by itself.
            if limit > 0 && size > limit {
                return Err(SendError::TooLarge { size, limit });
            }
            if !headers.is_empty() && !info.headers {
                return Err(SendError::NoHeaders);
            }
        }
        encode::publish(&mut self.output, to, reply, headers, payload);
        Ok(())
    }

    /// Asks for an answer, which comes as [`Event::Answer`] with this id. More than one may come; whether one does is
    /// for the caller to wait for, and for how long.
    ///
    /// # Errors
    /// The server could not take it; nothing is asked.
    pub fn request(&mut self, to: &[u8], headers: &[u8], payload: &[u8]) -> Result<RequestId, SendError> {
        let (number, before) = (self.last_request + 1, self.output.len());
        if !self.inbox_is_open {
            let all = format!("{}*", self.inbox);
            encode::subscribe(&mut self.output, all.as_bytes(), None, INBOX_SID.to_string().as_bytes());
        }
        let reply = format!("{}{number}", self.inbox);
        if let Err(error) = self.publish(to, Some(reply.as_bytes()), headers, payload) {
            self.output.truncate(before);
            return Err(error);
        }
        (self.inbox_is_open, self.last_request) = (true, number);
        Ok(RequestId(number))
    }

    /// Asks for the messages of a subject or pattern.
    ///
    /// # Errors
    /// It is none, or the name of the group is none; nothing is asked.
    pub fn subscribe(&mut self, pattern: &[u8], queue: Option<&[u8]>) -> Result<Sid, SendError> {
        if !subject::is_valid_pattern(pattern) {
            return Err(SendError::Pattern { pattern: String::from_utf8_lossy(pattern).into_owned() });
        }
        if let Some(queue) = queue.filter(|queue| !subject::is_publishable(queue)) {
            return Err(SendError::Queue { queue: String::from_utf8_lossy(queue).into_owned() });
        }
        self.last_sid += 1;
        encode::subscribe(&mut self.output, pattern, queue, self.last_sid.to_string().as_bytes());
        Ok(Sid(self.last_sid))
    }

    /// Ends a subscription; with a number, after so many messages counted from its beginning.
    pub fn unsubscribe(&mut self, sid: Sid, max: Option<u64>) {
        encode::unsubscribe(&mut self.output, sid.0.to_string().as_bytes(), max);
    }

    // ---- bytes ----

    /// What has to be written to the server.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of the output were written.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn written(&mut self, bytes: usize) {
        self.output.drain(..bytes);
    }

    /// Takes bytes of the server. [`Self::next_event`] tells what they mean.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.drain(..self.understood);
        self.understood = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next thing that the server said; `None` until more bytes are there.
    ///
    /// # Errors
    /// It is no NATS server, or not one that can be understood: the connection is of no use any more.
    pub fn next_event(&mut self) -> Result<Option<Event>, ProtocolError> {
        loop {
            let (event, length) = match parse_server(&self.input[self.understood..], &Limits::CLIENT)? {
                Frame::Incomplete { .. } => return Ok(None),
                Frame::Op { op, length } => {
                    let event = match op {
                        ServerOp::Info(json) => {
                            let bad = ProtocolError::BadArguments { verb: "INFO" };
                            let info: Info = serde_json::from_slice(json).map_err(|_| bad)?;
                            self.info = Some(info.clone());
                            Some(Event::Info(Box::new(info)))
                        }
                        ServerOp::Message(message) => Some(received(&self.inbox, &message)),
                        ServerOp::Err(text) => Some(Event::Refused(ServerRefusal::new(text))),
                        ServerOp::Pong => {
                            self.last_pong += 1;
                            Some(Event::Pong(self.last_pong))
                        }
                        ServerOp::Ping => {
                            encode::pong(&mut self.output);
                            None
                        }
                        ServerOp::Ok => None,
                    };
                    (event, length)
                }
            };
            self.understood += length;
            if event.is_some() {
                return Ok(event);
            }
        }
    }
}

/// Whose it is: an answer to a request, or a message of a subscription.
fn received(inbox: &str, message: &Message<'_>) -> Event {
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let sid = number(message.sid).unwrap_or_default();
    let request = message.subject.strip_prefix(inbox.as_bytes()).and_then(number).map(RequestId);
    let received = Received {
        subject: message.subject.to_vec(),
        reply: message.reply.map(<[u8]>::to_vec),
        headers: message.headers.to_vec(),
        payload: message.payload.to_vec(),
    };
    match request {
        Some(request) if sid == INBOX_SID => Event::Answer { request, message: received },
        _ => Event::Message { sid: Sid(sid), message: received },
    }
}

#[cfg(test)]
mod tests;
