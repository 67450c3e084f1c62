//! One connection as the switch sees it: who it is, what it asked for, and what still has to be written to it.

use std::net::SocketAddr;

use hashbrown::HashTable;
use werkpilot_core::time::Moment;

use super::grants::Grants;
use super::identity::Who;
use super::outbox::Outbox;
use crate::deadlines;

/// A connection. Stays different from every later one that gets its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    pub(super) slot: u32,
    pub(super) generation: u32,
}

impl ConnectionId {
    /// The number that clients see as `client_id`.
    pub fn number(self) -> u64 {
        u64::from(self.generation)
    }
}

/// Why a connection is ended by the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// What it sent is no protocol, or too large; it was told.
    Protocol,
    /// Its credentials are wrong or missing.
    Authorization,
    /// It did not introduce itself in time.
    AuthenticationTimeout,
    /// It left too many pings unanswered.
    Stale,
    /// It does not read as fast as it is written to.
    SlowConsumer,
    /// There are as many connections as there may be.
    TooMany,
    /// The credentials that it came with are not valid any more: its process has ended.
    Revoked,
    /// The bus goes down.
    Shutdown,
    /// The other end hung up.
    HungUp,
}

/// How far the introduction has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// INFO was sent; CONNECT has not come.
    Introducing,
    /// CONNECT was accepted.
    Open,
    /// To be written out and ended.
    Closing(CloseReason),
}

/// What the client asked for in CONNECT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    pub verbose: bool,
    pub pedantic: bool,
    pub echo: bool,
    pub headers: bool,
    pub no_responders: bool,
}

impl Default for Wishes {
    /// As nats-server takes a client before its CONNECT: verbose and pedantic, without headers.
    fn default() -> Self {
        Self { verbose: true, pedantic: true, echo: true, headers: false, no_responders: false }
    }
}

/// Where deliveries go.
#[derive(Debug)]
pub(super) enum Sink {
    /// To a socket, as bytes.
    Socket(Outbox),
    /// To somebody inside the process, as [`super::Delivery`].
    Local,
}

/// What went through, both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that it published.
    pub in_msgs: u64,
    /// Payload bytes that it published, with headers.
    pub in_bytes: u64,
    /// Messages that were delivered to it.
    pub out_msgs: u64,
    /// Payload bytes that were delivered to it, with headers.
    pub out_bytes: u64,
}

/// What a client says about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub name: String,
    pub lang: String,
    pub version: String,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub id: ConnectionId,
    pub peer: Option<SocketAddr>,
    pub stage: Stage,
    pub who: Who,
    /// Different for each process of an agent; 0 for who has none.
    pub credential: u64,
    /// The user name that it gave; only for people.
    pub user: Option<Box<str>>,
    /// `Werkpilot-From: <name>\r\n`, where the bus stamps.
    pub stamp: Box<[u8]>,
    pub wishes: Wishes,
    pub sink: Sink,
    /// Slots of its subscriptions, by sid.
    pub subscriptions: HashTable<u32>,
    pub traffic: Traffic,
    pub grants: Grants,
    pub about: Option<Box<About>>,
    pub since: Moment,
    pub last_heard: Moment,
    pub pings_unanswered: u32,
    pub alarm: Option<deadlines::Key>,
    /// Whether it is in the list of those that have something to be written.
    pub dirty: bool,
}

impl Connection {
    pub fn outbox(&mut self) -> Option<&mut Outbox> {
        match &mut self.sink {
            Sink::Socket(outbox) => Some(outbox),
            Sink::Local => None,
        }
    }

    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        match &self.sink {
            Sink::Socket(outbox) => outbox.len(),
            Sink::Local => 0,
        }
    }
}
