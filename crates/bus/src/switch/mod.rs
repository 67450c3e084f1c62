//! The switch: every connection, every subscription, and the way of every message between them.
//!
//! Bytes of a connection go in by [`Switch::receive`]; what has to be written is in the outboxes of those that
//! [`Switch::next_dirty`] names; what is for somebody inside the process is in [`Switch::take_deliveries`]. Nothing here
//! waits: a receiver that does not keep up is cut off.
//!
//! Invariants: a slot of a connection is used again only with another generation; a subscription's connection exists; a
//! request has at most one answer; every table has a bound.

mod alarms;
mod answers;
mod circles;
mod connection;
mod delivery;
mod grants;
mod identity;
mod inboxes;
mod introduction;
mod outbox;
mod requests;
mod settings;
mod spare;
mod subscribing;
mod subscriptions;
#[cfg(test)]
mod tests;
mod view;

use std::net::SocketAddr;

use hashbrown::HashTable;
use slab::Slab;
use werkpilot_core::requests::RequestLog;
use werkpilot_core::time::{Clocks, Moment};

use crate::cache::Cache;
use crate::deadlines::Deadlines;
use crate::protocol::{self, Info, Op, Parsed, ProtocolError, encode};
use crate::table::{Found, Table};

use alarms::Alarm;
use answers::Waiter;
pub use circles::Edge;
pub use connection::{CloseReason, ConnectionId, Traffic};
use connection::{Connection, Sink, Stage, Wishes};
pub use delivery::Delivery;
use grants::Grants;
pub use identity::{Access, Authenticator, Identity, Topic, Who, same, topic};
use inboxes::Inboxes;
pub use outbox::Outbox;
use requests::{Agents, Pending};
pub use requests::{Availability, Fact};
pub use settings::Settings;
use spare::Spare;
use subscriptions::{SubscriptionId, Subscriptions};
pub use view::{ConnectionView, Stats};

/// What became of the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Received {
    /// So many bytes are done with; the rest is the beginning of a frame and has to come again.
    pub consumed: usize,
    /// The buffer has to hold so many bytes, counted after `consumed`, before another call makes sense.
    pub wanted: usize,
    /// Frames that were carried out.
    pub frames: usize,
    /// Somebody who got a message of this connection is behind: its sender had better wait a moment.
    pub congested: bool,
    /// The outboxes hold as much as is good for one turn: what is in them had better be written before the rest of the
    /// bytes comes again.
    pub full: bool,
}

/// The switch. See the module.
#[derive(Debug)]
pub struct Switch {
    settings: Settings,
    access: Access,
    info: Info,
    connections: Slab<Connection>,
    generation: u32,
    subscriptions: Subscriptions,
    table: Table<SubscriptionId>,
    /// Scratch of the current message.
    found: Found<SubscriptionId>,
    stamped: Vec<u8>,
    dirty: Vec<u32>,
    spare: Spare,
    deliveries: Vec<Delivery>,
    facts: Vec<Fact>,
    alarms: Deadlines<Alarm>,
    pending: Deadlines<Pending>,
    cache: Cache<Waiter>,
    agents: Agents,
    inboxes: Inboxes,
    /// Subscriptions that match events of the system.
    event_listeners: usize,
    /// Turns from one member of a queue group to the next.
    turn: u64,
    congested: bool,
    /// Bytes that were put into outboxes in this turn.
    filled: usize,
    stats: Stats,
    log: RequestLog,
}

impl Switch {
    /// A switch without connections. `info` is what clients are told; the switch fills in what is different for each.
    pub fn new(settings: Settings, access: Access, mut info: Info) -> Self {
        info.max_payload = settings.max_payload;
        info.auth_required = access.asks();
        info.headers = true;
        Self {
            cache: Cache::new(settings.cache),
            alarms: Deadlines::new(settings.resolution),
            pending: Deadlines::new(settings.resolution),
            settings,
            access,
            info,
            connections: Slab::new(),
            generation: 0,
            subscriptions: Subscriptions::default(),
            table: Table::new(),
            found: Found::default(),
            stamped: Vec::new(),
            dirty: Vec::new(),
            spare: Spare::default(),
            deliveries: Vec::new(),
            facts: Vec::new(),
            agents: Agents::default(),
            inboxes: Inboxes::default(),
            event_listeners: 0,
            turn: 0,
            congested: false,
            filled: 0,
            stats: Stats::default(),
            log: RequestLog::default(),
        }
    }

    /// Takes in a connection: its INFO is in the outbox. One too many is told so and closed.
    pub fn open(&mut self, peer: Option<SocketAddr>, now: Moment) -> ConnectionId {
        let id = self.add(Sink::Socket(Outbox::default()), peer, Who::Anyone, now);
        self.write_info(id.slot);
        if self.connections.len() > self.settings.max_connections {
            self.refuse(id.slot, "maximum connections exceeded", CloseReason::TooMany);
        } else {
            self.arm_introduction(id, now);
        }
        self.stats.total_connections += 1;
        id
    }

    /// INFO, with what is different for each client.
    fn write_info(&mut self, slot: u32) {
        let Connection { id, peer, .. } = &self.connections[slot as usize];
        let mut info = self.info.clone();
        info.client_id = Some(id.number());
        info.client_ip = peer.map(|peer| peer.ip().to_string());
        self.write(slot, |out| encode::info(out, &info));
    }

    /// Takes in somebody inside the process. What is for it comes as [`Delivery`].
    pub fn open_local(&mut self, who: Who, now: Moment) -> ConnectionId {
        let id = self.add(Sink::Local, None, who, now);
        let connection = &mut self.connections[id.slot as usize];
        connection.stage = Stage::Open;
        connection.wishes =
            Wishes { verbose: false, pedantic: false, headers: true, no_responders: true, ..Wishes::default() };
        id
    }

    fn add(&mut self, sink: Sink, peer: Option<SocketAddr>, who: Who, now: Moment) -> ConnectionId {
        self.generation += 1;
        let entry = self.connections.vacant_entry();
        let slot = u32::try_from(entry.key()).expect("connections are bounded below 2^32");
        let id = ConnectionId { slot, generation: self.generation };
        let stamp = introduction::stamp(&self.access, &who);
        entry.insert(Connection {
            id,
            peer,
            stage: Stage::Introducing,
            who,
            credential: 0,
            user: None,
            stamp,
            wishes: Wishes::default(),
            sink,
            subscriptions: HashTable::new(),
            traffic: Traffic::default(),
            grants: Grants::default(),
            about: None,
            since: now,
            last_heard: now,
            pings_unanswered: 0,
            alarm: None,
            dirty: false,
        });
        id
    }

    fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id.slot as usize).filter(|connection| connection.id == id)
    }

    fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.slot as usize).filter(|connection| connection.id == id)
    }

    /// Takes bytes of a connection: all whole frames are carried out. After the connection has been told to end, what
    /// it sends is thrown away.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8], now: Clocks) -> Received {
        let limits = self.settings.limits();
        let (mut consumed, mut frames) = (0, 0);
        (self.congested, self.filled) = (false, 0);
        if let Some(connection) = self.get_mut(id) {
            connection.last_heard = now.steady;
        }
        loop {
            if self.closing(id).is_some() || self.get(id).is_none() {
                return Received { consumed: bytes.len(), wanted: 1, frames, congested: false, full: false };
            }
            let rest = &bytes[consumed..];
            if rest.is_empty() {
                return Received { consumed, wanted: 1, frames, congested: self.congested, full: false };
            }
            match protocol::parse(rest, &limits) {
                Ok(Parsed::Op { op, length }) => {
                    consumed += length;
                    frames += 1;
                    self.carry_out(id, &op, now);
                    if self.filled > self.settings.burst {
                        return Received { consumed, wanted: 1, frames, congested: self.congested, full: true };
                    }
                }
                Ok(Parsed::Incomplete { at_least }) => {
                    return Received { consumed, wanted: at_least, frames, congested: self.congested, full: false };
                }
                Err(error) => self.fault(id.slot, &error),
            }
        }
    }

    fn fault(&mut self, slot: u32, error: &ProtocolError) {
        self.refuse(slot, error.wire(), CloseReason::Protocol);
    }

    /// Tells what is wrong, and closes. Whoever is being closed already has been told.
    fn refuse(&mut self, slot: u32, text: &str, reason: CloseReason) {
        if !matches!(self.connections[slot as usize].stage, Stage::Closing(_)) {
            self.begin_closing(slot, reason);
            self.write(slot, |out| encode::error(out, text));
        }
    }

    fn begin_closing(&mut self, slot: u32, reason: CloseReason) {
        let connection = &mut self.connections[slot as usize];
        if !matches!(connection.stage, Stage::Closing(_)) {
            connection.stage = Stage::Closing(reason);
            self.mark_dirty(slot);
        }
    }

    fn carry_out(&mut self, id: ConnectionId, op: &Op<'_>, now: Clocks) {
        let connection = &mut self.connections[id.slot as usize];
        if !connection.is_open() && !matches!(op, Op::Connect(_)) {
            if self.access.asks() {
                return self.refuse(id.slot, "Authorization Violation", CloseReason::Authorization);
            }
            // Who is not asked need not say who it is, as on nats-server: people talk to it by telnet.
            connection.stage = Stage::Open;
        }
        match op {
            Op::Publish(publish) => {
                if self.publish_from(id, publish, now) {
                    self.acknowledge(id.slot);
                }
            }
            Op::Ping => self.write(id.slot, encode::pong),
            Op::Pong => self.connections[id.slot as usize].pings_unanswered = 0,
            Op::Subscribe { subject, queue, sid } => {
                if self.subscribe(id, subject, *queue, sid) {
                    self.acknowledge(id.slot);
                }
            }
            Op::Unsubscribe { sid, max } => {
                self.unsubscribe(id, sid, *max);
                self.acknowledge(id.slot);
            }
            Op::Connect(json) => self.introduce(id, json, now.steady),
            // What only a server says is taken from a client without a word, as nats-server does.
            Op::Info(_) | Op::Ok | Op::Err(_) => {}
        }
    }

    fn acknowledge(&mut self, slot: u32) {
        let connection = &self.connections[slot as usize];
        if connection.wishes.verbose && !matches!(connection.stage, Stage::Closing(_)) {
            self.write(slot, encode::ok);
        }
    }

    /// Appends to what is to be written. Who asks and asks and does not read is a slow consumer, too.
    fn write(&mut self, slot: u32, frame: impl FnOnce(&mut Vec<u8>)) {
        let connection = &mut self.connections[slot as usize];
        let Some(outbox) = connection.outbox() else { return };
        frame(outbox.frames(&mut self.spare));
        let backlog = outbox.len();
        let ends = matches!(connection.stage, Stage::Closing(_));
        self.mark_dirty(slot);
        if backlog > self.settings.max_backlog && !ends {
            self.cut_off(slot, backlog);
        }
    }

    fn mark_dirty(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !std::mem::replace(&mut connection.dirty, true) {
            self.dirty.push(slot);
        }
    }

    /// A connection whose outbox has new bytes, or that has to be closed once they are written.
    pub fn next_dirty(&mut self) -> Option<ConnectionId> {
        loop {
            let slot = self.dirty.pop()?;
            // It may have gone meanwhile.
            if let Some(connection) = self.connections.get_mut(slot as usize).filter(|connection| connection.dirty) {
                connection.dirty = false;
                return Some(connection.id);
            }
        }
    }

    /// Whether some connection has something to be written.
    pub fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// What has to be written to a connection.
    pub fn outbox(&mut self, id: ConnectionId) -> Option<&mut Outbox> {
        self.get_mut(id)?.outbox()
    }

    /// All that there was for a connection is written: the room of its outbox serves the next.
    pub fn recycle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.slot as usize).filter(|connection| connection.id == id)
        else {
            return;
        };
        if let Some(outbox) = connection.outbox() {
            outbox.give_back(&mut self.spare);
        }
    }

    /// Why a connection has to be closed, once its outbox is written.
    pub fn closing(&self, id: ConnectionId) -> Option<CloseReason> {
        match self.get(id)?.stage {
            Stage::Closing(reason) => Some(reason),
            Stage::Introducing | Stage::Open => None,
        }
    }

    /// What came for those inside the process since the last call.
    pub fn take_deliveries(&mut self) -> Vec<Delivery> {
        std::mem::take(&mut self.deliveries)
    }

    /// What happened that others want to know, since the last call.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Whether [`Self::take_deliveries`] or [`Self::take_facts`] would give something.
    pub fn has_news(&self) -> bool {
        !self.deliveries.is_empty() || !self.facts.is_empty()
    }

    /// A connection has ended. Who waits for its answers is told at once.
    pub fn close(&mut self, id: ConnectionId, now: Clocks) {
        let Some(connection) = self.get_mut(id) else { return };
        let mut own = std::mem::replace(&mut connection.subscriptions, HashTable::new());
        let alarm = connection.alarm.take();
        for slot in own.iter().copied().collect::<Vec<_>>() {
            self.forget(&mut own, SubscriptionId(slot));
        }
        if let Some(alarm) = alarm {
            self.alarms.cancel(alarm);
        }
        let connection = self.connections.remove(id.slot as usize);
        self.inboxes.release(id);
        if self.connections.is_empty() {
            self.spare.clear();
        }
        if connection.stage != Stage::Introducing {
            self.fail_requests_to(id, &connection.who, now);
        }
    }

    /// Tells all clients that the bus is going away, so that they look for another one (lame-duck mode).
    pub fn announce_lame_duck(&mut self) {
        self.info.lame_duck = true;
        let open = self.connections.iter().filter(|(_, connection)| connection.is_open());
        let slots: Vec<u32> = open.map(|(_, connection)| connection.id.slot).collect();
        for slot in slots {
            self.write_info(slot);
        }
    }

    /// Gives back the memory that it can do without: kept answers, and room for bursts.
    pub fn give_back(&mut self) {
        self.cache.clear();
        self.spare.clear();
    }

    /// Tells all connections to end once what is in their outboxes is written.
    pub fn close_all(&mut self) {
        let slots: Vec<u32> = self.connections.iter().map(|(_, connection)| connection.id.slot).collect();
        for slot in slots {
            self.begin_closing(slot, CloseReason::Shutdown);
        }
    }

    /// Ends the connections whose credentials are not valid any more, because their process has ended.
    pub fn revoke(&mut self, credential: u64) {
        let gone = self.connections.iter().filter(|(_, connection)| connection.credential == credential);
        let slots: Vec<u32> = gone.map(|(_, connection)| connection.id.slot).collect();
        for slot in slots {
            self.refuse(slot, "User Authentication Revoked", CloseReason::Revoked);
        }
    }
}
