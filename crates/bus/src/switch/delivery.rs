//! From a published message to those who listen.

use werkpilot_core::time::{Clocks, Moment};

use super::identity::{self, Topic, Who};
use super::subscriptions::SubscriptionId;
use super::{CloseReason, ConnectionId, Fact, Sink, Switch};
use crate::protocol::{Publish, encode, headers};
use crate::subject;
use crate::table::Found;

/// A message for somebody inside the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// For whom.
    pub to: ConnectionId,
    /// By which of its subscriptions.
    pub subscription: u32,
    /// Who sent it. What the bus says itself is from the system: errors, and answers from the cache.
    pub from: Who,
    /// The credential that it came with; 0 for who has none.
    pub credential: u64,
    /// Its subject.
    pub subject: Box<[u8]>,
    /// Where an answer is expected.
    pub reply: Option<Box<[u8]>>,
    /// The whole block of headers; empty without.
    pub headers: Box<[u8]>,
    /// What was sent.
    pub payload: Vec<u8>,
}

/// A message on its way.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// Who sends it; nobody, if the bus does.
    pub from: Option<ConnectionId>,
    pub topic: Topic<'a>,
    pub subject: &'a [u8],
    pub reply: Option<&'a [u8]>,
    pub headers: &'a [u8],
    pub payload: &'a [u8],
    pub now: Moment,
}

/// 2^64 divided by the golden ratio.
const GOLDEN_RATIO: u64 = 0x9E37_79B9_7F4A_7C15;

/// What clients may not say, because the bus does.
pub(super) const STAMPED: &[&str] = &["Werkpilot-From"];
/// The same in requests, where the bus counts the length of their chain. Twice the header would mean that a client that
/// hands its headers on may hand on the older one, and a circle has no end.
pub(super) const STAMPED_IN_REQUESTS: &[&str] = &["Werkpilot-From", "Werkpilot-Hops"];

impl Switch {
    /// Publishes for somebody inside the process.
    pub fn publish(&mut self, id: ConnectionId, publish: &Publish<'_>, now: Clocks) {
        if self.get(id).is_some() {
            self.publish_from(id, publish, now);
        }
    }

    /// Whether it was taken; if not, its sender was told.
    pub(super) fn publish_from(&mut self, id: ConnectionId, publish: &Publish<'_>, now: Clocks) -> bool {
        let bytes = (publish.headers.len() + publish.payload.len()) as u64;
        let connection = &mut self.connections[id.slot as usize];
        connection.traffic.in_msgs += 1;
        connection.traffic.in_bytes += bytes;
        let wishes = connection.wishes;
        self.stats.traffic.in_msgs += 1;
        self.stats.traffic.in_bytes += bytes;
        if !publish.headers.is_empty() && !wishes.headers {
            self.refuse(id.slot, "message headers not supported", CloseReason::Protocol);
            return false;
        }
        if wishes.pedantic && !subject::is_valid_subject(publish.subject) {
            // Only a word of warning, as on nats-server.
            self.write(id.slot, |out| encode::error(out, "Invalid Publish Subject"));
        }
        if !self.access.is_fleet() {
            self.spread(id, Topic::Free, publish, publish.headers, now.steady);
            return true;
        }
        let topic = identity::topic(publish.subject);
        let who = &self.connections[id.slot as usize].who;
        if !identity::may_publish(who, topic) {
            return self.deny_publish(id, publish.subject);
        }
        if let Some(reply) = publish.reply.filter(|reply| !identity::may_ask_for_reply(who, identity::topic(reply))) {
            return self.deny_publish(id, reply);
        }
        match topic {
            Topic::Request(agent) => self.request(id, publish, agent, now),
            Topic::Reply(key) => return self.answer(id, publish, key, now),
            Topic::Inbox(token) => return self.straight_reply(id, publish, token, now.steady),
            Topic::Service(_) | Topic::System | Topic::Free => {
                let stamped = self.stamp(id, publish.headers, STAMPED, &[]);
                self.spread(id, topic, publish, &stamped, now.steady);
                self.stamped = stamped;
            }
        }
        true
    }

    /// Tells a sender that it may not. Always false: its message was not taken.
    pub(super) fn deny_publish(&mut self, id: ConnectionId, subject: &[u8]) -> bool {
        self.stats.violations += 1;
        let text = format!("Permissions Violation for Publish to \"{}\"", String::from_utf8_lossy(subject));
        self.write(id.slot, |out| encode::error(out, &text));
        false
    }

    /// The headers as receivers see them: who sent them is said by the bus, in the scratch buffer, which the caller
    /// gives back.
    pub(super) fn stamp(&mut self, from: ConnectionId, block: &[u8], drop: &[&str], more: &[u8]) -> Vec<u8> {
        let mut stamped = std::mem::take(&mut self.stamped);
        stamped.clear();
        let stamp = &self.connections[from.slot as usize].stamp;
        headers::restamp_with(block, drop, &[stamp, more], &mut stamped);
        stamped
    }

    /// To everybody who listens, and to one of each queue group. Without anybody, who asked is told so.
    fn spread(&mut self, id: ConnectionId, topic: Topic<'_>, publish: &Publish<'_>, headers: &[u8], now: Moment) {
        let message = Message {
            from: Some(id),
            topic,
            subject: publish.subject,
            reply: publish.reply,
            headers,
            payload: publish.payload,
            now,
        };
        let mut found = std::mem::take(&mut self.found);
        self.table.route(publish.subject, &mut found);
        let delivered = self.deliver_to_all(&found, &message);
        self.found = found;
        if !delivered && let Some(reply) = publish.reply {
            self.tell_no_responders(id, reply);
        }
    }

    fn deliver_to_all(&mut self, found: &Found<SubscriptionId>, message: &Message<'_>) -> bool {
        let mut delivered = false;
        for subscription in found.plain() {
            delivered |= self.takes(*subscription, message) && self.deliver(*subscription, message);
        }
        for group in found.groups() {
            if let Some(member) = self.choose(group, message) {
                delivered |= self.deliver(member, message);
            }
        }
        delivered
    }

    /// Whether a receiver may and wants to have a message.
    pub(super) fn takes(&self, subscription: SubscriptionId, message: &Message<'_>) -> bool {
        let connection = self.connection_of(subscription);
        let own_echo = Some(connection.id) == message.from && !connection.wishes.echo;
        connection.is_open() && !own_echo && identity::may_receive(&connection.who, message.topic)
    }

    fn connection_of(&self, subscription: SubscriptionId) -> &super::Connection {
        &self.connections[self.subscriptions.get(subscription).connection.slot as usize]
    }

    /// One member of a queue group: one that is not behind, if there is any. Turns go round by the golden ratio, which
    /// spreads every regular share of them evenly, while counting by one would give all messages of a group to one
    /// member where those of two groups take turns.
    pub(super) fn choose(&mut self, group: &[SubscriptionId], message: &Message<'_>) -> Option<SubscriptionId> {
        self.turn = self.turn.wrapping_add(1);
        let part = self.turn.wrapping_mul(GOLDEN_RATIO) >> u32::BITS;
        let first = usize::try_from((part * group.len() as u64) >> u32::BITS).unwrap_or(0);
        let members = || (0..group.len()).map(|step| group[(first + step) % group.len()]);
        let able = || members().filter(|member| self.takes(*member, message));
        able().find(|member| self.connection_of(*member).backlog() < self.settings.congestion).or_else(|| able().next())
    }

    /// Hands a message to one subscription. Whether it went out.
    pub(super) fn deliver(&mut self, id: SubscriptionId, message: &Message<'_>) -> bool {
        let subscription = self.subscriptions.get_mut(id);
        subscription.delivered += 1;
        let last = subscription.max > 0 && subscription.delivered >= subscription.max;
        let to = subscription.connection;
        let mut place = [0; 8];
        let sid = self.subscriptions.sid(id, &mut place);
        let connection = &mut self.connections[to.slot as usize];
        if !connection.is_open() {
            return false;
        }
        let mut bytes = message.payload.len();
        match &mut connection.sink {
            Sink::Socket(outbox) if connection.wishes.headers && !message.headers.is_empty() => {
                bytes += message.headers.len();
                let Message { subject, reply, headers, payload, .. } = *message;
                encode::message_with_headers(outbox.frames(&mut self.spare), subject, sid, reply, &[headers], payload);
            }
            Sink::Socket(outbox) => {
                encode::message(outbox.frames(&mut self.spare), message.subject, sid, message.reply, message.payload);
            }
            Sink::Local => {
                let number = std::str::from_utf8(sid).ok().and_then(|sid| sid.parse().ok());
                self.deliveries.push(Delivery {
                    to,
                    subscription: number.expect("subscribe_local makes numbers"),
                    from: Who::System,
                    credential: 0,
                    subject: message.subject.into(),
                    reply: message.reply.map(Into::into),
                    headers: message.headers.into(),
                    payload: message.payload.into(),
                });
            }
        }
        connection.traffic.out_msgs += 1;
        connection.traffic.out_bytes += bytes as u64;
        self.stats.traffic.out_msgs += 1;
        self.stats.traffic.out_bytes += bytes as u64;
        if let Some(reply) = message.reply.filter(|reply| self.access.is_fleet() && reply.starts_with(b"_INBOX.")) {
            connection.grants.grant(reply, message.now, self.settings.reply_window);
        }
        self.filled += bytes;
        let backlog = connection.backlog();
        if matches!(connection.sink, Sink::Local) {
            let sender = message.from.and_then(|from| self.get(from));
            if let Some((who, credential)) = sender.map(|sender| (sender.who.clone(), sender.credential))
                && let Some(delivery) = self.deliveries.last_mut()
            {
                (delivery.from, delivery.credential) = (who, credential);
            }
        } else {
            self.mark_dirty(to.slot);
        }
        if backlog > self.settings.congestion {
            self.congested = true;
            if backlog > self.settings.max_backlog {
                self.cut_off(to.slot, backlog);
            }
        }
        if last {
            self.end_subscription(id);
        }
        true
    }

    /// Ends a receiver that does not keep up: what it has not begun to get is dropped, with a word why.
    pub(super) fn cut_off(&mut self, slot: u32, backlog: usize) {
        let connection = &mut self.connections[slot as usize];
        let who = connection.who.clone();
        if let Some(outbox) = connection.outbox() {
            outbox.drop_unsent();
        }
        self.stats.slow_consumers += 1;
        self.facts.push(Fact::SlowConsumer { who, backlog_bytes: backlog as u64 });
        self.refuse(slot, "Slow Consumer", CloseReason::SlowConsumer);
    }

    /// `NATS/1.0 503`: nobody listens. Only for who asked to be told.
    pub(super) fn tell_no_responders(&mut self, id: ConnectionId, reply: &[u8]) {
        if self.get(id).is_some_and(|asker| asker.wishes.no_responders) {
            self.deliver_own(id, None, reply, headers::NO_RESPONDERS, &[]);
        }
    }

    /// Delivers to the subscriptions of one connection that a reply subject matches. Whether there is one.
    pub(super) fn deliver_own(
        &mut self,
        to: ConnectionId,
        from: Option<ConnectionId>,
        subject: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> bool {
        let message = Message { from, topic: Topic::Free, subject, reply: None, headers, payload, now: Moment::ZERO };
        self.deliver_to_one(to, &message)
    }

    /// To all subscriptions of one connection, and to one of each queue group of its.
    fn deliver_to_one(&mut self, to: ConnectionId, message: &Message<'_>) -> bool {
        let mut found = std::mem::take(&mut self.found);
        self.table.route(message.subject, &mut found);
        let mut delivered = false;
        for member in found.plain() {
            delivered |= self.subscriptions.get(*member).connection == to && self.deliver(*member, message);
        }
        for group in found.groups() {
            let own = group.iter().find(|member| self.subscriptions.get(**member).connection == to);
            delivered |= own.is_some_and(|member| self.deliver(*member, message));
        }
        self.found = found;
        delivered
    }

    /// A reply that goes straight to an inbox: only from who was told of it, only to whose it is.
    fn straight_reply(&mut self, id: ConnectionId, publish: &Publish<'_>, token: &[u8], now: Moment) -> bool {
        let window = self.settings.reply_window;
        let connection = &mut self.connections[id.slot as usize];
        let told = matches!(connection.who, Who::System) || connection.grants.allows(publish.subject, now, window);
        if !told {
            self.stats.rejected_replies += 1;
            return self.deny_publish(id, publish.subject);
        }
        let Some(owner) = self.inboxes.owner(token) else {
            self.stats.late_replies += 1;
            return true;
        };
        let stamped = self.stamp(id, publish.headers, STAMPED, &[]);
        let message = Message {
            from: Some(id),
            topic: Topic::Free,
            subject: publish.subject,
            reply: publish.reply,
            headers: &stamped,
            payload: publish.payload,
            now,
        };
        if !self.deliver_to_one(owner, &message) {
            self.stats.late_replies += 1;
        }
        self.stamped = stamped;
        true
    }
}
