//! The bounds of a bus.

use std::time::Duration;

use crate::cache::CacheLimits;
use crate::protocol::Limits;

/// The bounds of a bus. The defaults are nats-server's where it has the same bound.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The largest payload with its headers, bytes.
    pub max_payload: usize,
    /// The longest line of the protocol, bytes.
    pub max_control_line: usize,
    /// Requests that wait for an answer at a time.
    pub max_pending_requests: usize,
    /// How long a reply is delivered to a request without a deadline.
    pub reply_window: Duration,
    /// Bytes that wait for a receiver; beyond it is cut off.
    pub max_backlog: usize,
    /// Bytes that wait for a receiver from which on its senders had better slow down.
    pub congestion: usize,
    /// Bytes that one turn puts into outboxes before they are written: what stays in the processor's cache is written
    /// fastest.
    pub burst: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// A connection that was silent for so long is pinged.
    pub ping_interval: Duration,
    /// So many unanswered pings, and a connection is stale.
    pub max_pings_out: u32,
    /// A client has to introduce itself within this time where credentials are asked for.
    pub authentication_timeout: Duration,
    /// Deadlines are met to this precision.
    pub resolution: Duration,
    /// Bounds of the response cache.
    pub cache: CacheLimits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_payload: 1_024 * 1_024,
            max_control_line: 4_096,
            max_pending_requests: 10_000,
            reply_window: Duration::from_mins(5),
            // max_pending of nats-server.
            max_backlog: 64 * 1_024 * 1_024,
            congestion: 1_024 * 1_024,
            burst: 512 * 1_024,
            max_connections: 65_536,
            max_subscriptions: 1_000_000,
            ping_interval: Duration::from_mins(2),
            max_pings_out: 2,
            authentication_timeout: Duration::from_secs(2),
            resolution: Duration::from_millis(5),
            cache: CacheLimits { entries: 10_000, bytes: 16 * 1_024 * 1_024 },
        }
    }
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        Limits { max_control_line: self.max_control_line, max_payload: self.max_payload }
    }
}
