//! What can be told of a bus: figures, and who is connected.

use std::net::SocketAddr;
use std::time::Duration;

use werkpilot_core::requests::RequestLog;
use werkpilot_core::time::Moment;

use super::connection::Connection;
use super::{ConnectionId, Settings, Sink, Switch, Traffic, Who};
use crate::protocol::Info;

/// Figures since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages and bytes of all connections.
    pub traffic: Traffic,
    /// Connections that were opened.
    pub total_connections: u64,
    /// Receivers that were cut off.
    pub slow_consumers: u64,
    /// What somebody was not allowed to do.
    pub violations: u64,
    /// Requests that were handed to an agent and wait for an answer, or waited.
    pub requests: u64,
    /// Requests without a reply subject that nobody took.
    pub undelivered_requests: u64,
    /// Requests that were answered by their agent.
    pub answers: u64,
    /// Requests that were answered from the cache.
    pub cache_hits: u64,
    /// Requests that were refused because the agent could not answer.
    pub unavailable: u64,
    /// Requests that were refused because too many wait.
    pub overloads: u64,
    /// Requests whose answer did not come in time.
    pub timeouts: u64,
    /// Replies that came too late, or a second time.
    pub late_replies: u64,
    /// Replies from others than were asked.
    pub rejected_replies: u64,
}

/// A connection, for people and monitors.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// The number that the client was told.
    pub number: u64,
    /// Where it comes from.
    pub peer: Option<SocketAddr>,
    /// Who it is.
    pub who: Who,
    /// The user name that it gave.
    pub user: Option<String>,
    /// What it calls itself.
    pub name: String,
    /// The language of its client library.
    pub lang: String,
    /// The version of its client library.
    pub version: String,
    /// How long it has been connected.
    pub uptime: Duration,
    /// How long it has said nothing.
    pub idle: Duration,
    /// Messages and bytes.
    pub traffic: Traffic,
    /// Bytes that wait for it.
    pub pending_bytes: usize,
    /// Its subscriptions.
    pub subscriptions: usize,
}

impl Switch {
    /// The bounds.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What clients are told.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Figures since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What is remembered of requests to agents.
    pub fn requests(&self) -> &RequestLog {
        &self.log
    }

    /// For those inside who ask each other without the switch: what became of it is remembered with the rest.
    pub fn requests_mut(&mut self) -> &mut RequestLog {
        &mut self.log
    }

    /// Connections from outside at the moment.
    pub fn connections_len(&self) -> usize {
        self.sockets().count()
    }

    /// Subscriptions at the moment, those from inside included.
    pub fn subscriptions_len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Requests that wait for their answers.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    fn sockets(&self) -> impl Iterator<Item = &Connection> {
        let all = self.connections.iter().map(|(_, connection)| connection);
        all.filter(|connection| matches!(connection.sink, Sink::Socket(_)))
    }

    /// Whether somebody listens to events of the system.
    pub fn is_system_heard(&self) -> bool {
        self.event_listeners > 0
    }

    /// Who is connected, in the order of their numbers.
    pub fn connection_views(&self, now: Moment) -> Vec<ConnectionView> {
        let mut views: Vec<ConnectionView> = self.sockets().map(|connection| view(connection, now)).collect();
        views.sort_unstable_by_key(|view| view.number);
        views
    }

    /// Who somebody is.
    pub fn who(&self, id: ConnectionId) -> Option<&Who> {
        self.get(id).map(|connection| &connection.who)
    }

    /// The user names of those that are connected and open.
    pub fn users(&self) -> impl Iterator<Item = &str> {
        self.sockets().filter(|connection| connection.is_open()).filter_map(|connection| connection.user.as_deref())
    }
}

fn view(connection: &Connection, now: Moment) -> ConnectionView {
    let about = connection.about.as_deref().cloned().unwrap_or_default();
    ConnectionView {
        number: connection.id.number(),
        peer: connection.peer,
        who: connection.who.clone(),
        user: connection.user.as_deref().map(ToOwned::to_owned),
        name: about.name,
        lang: about.lang,
        version: about.version,
        uptime: now.since(connection.since),
        idle: now.since(connection.last_heard),
        traffic: connection.traffic,
        pending_bytes: connection.backlog(),
        subscriptions: connection.subscriptions.len(),
    }
}
