//! Requests to agents: `rpc.<agent>` and below. One instance gets it, only that one may answer, the first answer wins,
//! and whoever can't get one is told why at once.

use std::time::Duration;

use hashbrown::HashMap;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp};

use super::answers::Waiter;
use super::circles::{Edge, circles};
use super::delivery::{Message, STAMPED_IN_REQUESTS};
use super::identity::{REPLY, Topic, Who, topic};
use super::subscriptions::SubscriptionId;
use super::{ConnectionId, Switch};
use crate::cache::{Asked, FlightId};
use crate::deadlines::Key;
use crate::protocol::{Publish, headers};

/// A chain of requests may be so long: beyond it is a circle.
const MAX_HOPS: u32 = 16;
const HOPS: &str = "Werkpilot-Hops";
const DEADLINE: &str = "Werkpilot-Deadline";
const LATE: &str = "the answer did not come in time";

/// Something that others want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An agent answered a request.
    Answered {
        /// Who answered.
        agent: AgentName,
        /// From the request to the answer.
        latency: Duration,
    },
    /// A request was given up, and those who wait for each other are a circle.
    Circle {
        /// The circle, each asking the next; the last one asks the first.
        agents: Vec<AgentName>,
    },
    /// A chain of requests was too long.
    TooManyHops {
        /// Who asked.
        from: String,
        /// Whom.
        agent: AgentName,
    },
    /// A receiver was cut off.
    SlowConsumer {
        /// Who.
        who: Who,
        /// Bytes that waited for it.
        backlog_bytes: u64,
    },
    /// Somebody answered what another was asked.
    ForeignReply {
        /// Who answered.
        who: Who,
        /// Who was asked.
        asked: AgentName,
    },
}

/// Whether an agent could answer if it listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// What it does.
    pub status: Status,
    /// Why it does not answer; a fragment for people.
    pub reason: String,
}

/// The agents of the fleet.
#[derive(Debug, Default)]
pub(super) struct Agents(HashMap<AgentName, Availability>);

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub requester: ConnectionId,
    pub asker: Who,
    pub responder: ConnectionId,
    /// The responder's credential: another connection of the same process may answer, too.
    pub credential: u64,
    pub agent: AgentName,
    pub subject: Box<[u8]>,
    pub reply: Box<[u8]>,
    pub asked_at: Moment,
    pub flight: Option<FlightId>,
}

impl Pending {
    /// Who asked whom, among agents.
    fn edge(&self) -> Option<Edge> {
        Some((self.asker.agent()?.clone(), self.agent.clone()))
    }
}

/// A reply subject through the pending table.
struct ReplySubject([u8; 20]);

impl ReplySubject {
    fn new(key: Key) -> Self {
        let mut bytes = *b"_R_.0000000000000000";
        for (place, byte) in bytes[4..].iter_mut().enumerate() {
            let nibble = key.to_bits() >> (60 - place * 4) & 0xf;
            *byte = b"0123456789abcdef"[usize::try_from(nibble).unwrap_or(0)];
        }
        Self(bytes)
    }

    fn key(token: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(token).ok().filter(|text| text.len() == 16)?;
        u64::from_str_radix(text, 16).ok().map(Key::from_bits)
    }
}

/// The key of a reply subject's second token.
pub(super) fn reply_key(token: &[u8]) -> Option<Key> {
    debug_assert_eq!(REPLY.len(), 3);
    ReplySubject::key(token)
}

impl Switch {
    /// Tells what became of an agent; `None` if it is not in the registry any more.
    pub fn set_availability(&mut self, agent: AgentName, availability: Option<Availability>) {
        if let Some(availability) = availability {
            self.agents.0.insert(agent, availability);
        } else {
            self.agents.0.remove(&agent);
            self.log.forget(&agent);
        }
    }

    pub(super) fn request(&mut self, id: ConnectionId, publish: &Publish<'_>, agent: &[u8], now: Clocks) {
        let hops = hops(publish.headers);
        let Some(reply) = publish.reply else {
            match self.agent_named(agent).filter(|_| hops >= MAX_HOPS) {
                Some(name) => self.too_many_hops(id, name, None, now),
                None => self.hand_over(id, publish, agent, hops + 1, None, now),
            }
            return;
        };
        let Some(name) = self.agent_named(agent) else {
            // Not of this fleet. Operators and the system may listen to anything, but nobody may answer in its name.
            self.tell_no_responders(id, reply);
            return;
        };
        self.log.asked(&name, now.steady);
        if hops >= MAX_HOPS {
            return self.too_many_hops(id, name, Some(reply), now);
        }
        let requester = self.connections[id.slot as usize].who.as_str().to_owned();
        let waiter = Waiter { requester: id, reply: reply.into(), headers: publish.headers.into() };
        let flight = match self.cache.ask(publish.subject, publish.payload, &requester, waiter, now.steady) {
            Asked::Hit { headers, payload } => {
                let (headers, payload) = (headers.to_vec(), payload.to_vec());
                self.stats.cache_hits += 1;
                self.deliver_own(id, None, reply, &headers, &payload);
                return;
            }
            Asked::Join => return,
            Asked::Lead(flight) => Some(flight),
            Asked::Pass => None,
        };
        self.hand_over(id, publish, agent, hops + 1, Some(Wanted { name, reply, flight }), now);
    }

    /// A request that is not to be joined with others.
    pub(super) fn ask_alone(&mut self, id: ConnectionId, publish: &Publish<'_>, now: Clocks) {
        let Topic::Request(agent) = topic(publish.subject) else { return };
        let Some(reply) = publish.reply.filter(|_| self.get(id).is_some()) else { return };
        let Some(name) = self.agent_named(agent) else { return self.tell_no_responders(id, reply) };
        let wanted = Wanted { name, reply, flight: None };
        self.hand_over(id, publish, agent, hops(publish.headers) + 1, Some(wanted), now);
    }

    fn agent_named(&self, agent: &[u8]) -> Option<AgentName> {
        let text = std::str::from_utf8(agent).ok()?;
        self.agents.0.get_key_value(text).map(|(name, _)| name.clone())
    }

    /// To one instance of the agent; operators that listen see it, too.
    fn hand_over(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'_>,
        agent: &[u8],
        hops: u32,
        wanted: Option<Wanted<'_>>,
        now: Clocks,
    ) {
        let stamped = self.stamp(id, publish.headers, STAMPED_IN_REQUESTS, format!("{HOPS}: {hops}\r\n").as_bytes());
        let mut message = Message {
            from: Some(id),
            topic: Topic::Request(agent),
            subject: publish.subject,
            reply: None,
            headers: &stamped,
            payload: publish.payload,
            now: now.steady,
        };
        let mut found = std::mem::take(&mut self.found);
        self.table.route(publish.subject, &mut found);
        let (mut responders, mut watchers) = (Vec::new(), Vec::new());
        for member in found.plain().iter().chain(found.groups().flatten()) {
            let to = self.subscriptions.get(*member).connection;
            match &self.connections[to.slot as usize].who {
                Who::Agent(name) if name.as_str().as_bytes() == agent => responders.push(*member),
                Who::Operator if self.takes(*member, &message) => watchers.push(*member),
                _ => {}
            }
        }
        self.found = found;
        for watcher in watchers {
            self.deliver(watcher, &message);
        }
        let responder = self.choose(&responders, &message);
        match (responder, wanted) {
            (Some(responder), None) => {
                self.deliver(responder, &message);
            }
            (None, None) => self.stats.undelivered_requests += 1,
            (None, Some(wanted)) => self.refuse_request(id, publish, &wanted, now),
            (Some(responder), Some(wanted)) => {
                if let Some(key) = self.remember(id, publish, wanted, responder, now) {
                    let reply = ReplySubject::new(key);
                    message.reply = Some(&reply.0);
                    self.deliver(responder, &message);
                }
            }
        }
        self.stamped = stamped;
    }

    /// Puts a request into the pending table; answers it if that can't be.
    fn remember(
        &mut self,
        id: ConnectionId,
        publish: &Publish<'_>,
        wanted: Wanted<'_>,
        responder: SubscriptionId,
        now: Clocks,
    ) -> Option<Key> {
        let deadline = self.deadline(publish.headers, now);
        let late = deadline.is_some_and(|deadline| deadline <= now.steady);
        if late || self.pending.len() >= self.settings.max_pending_requests {
            let (code, text) = if late {
                self.stats.timeouts += 1;
                (408, "the deadline was over before the request was delivered".to_owned())
            } else {
                self.stats.overloads += 1;
                (429, format!("{} requests wait for answers already", self.pending.len()))
            };
            self.fail_request(&wanted.name, id, wanted.reply, code, &text, now);
            self.let_waiters_go(&wanted.name, wanted.flight, code, &text, now);
            return None;
        }
        let responder = self.subscriptions.get(responder).connection;
        let pending = Pending {
            requester: id,
            asker: self.connections[id.slot as usize].who.clone(),
            responder,
            credential: self.connections[responder.slot as usize].credential,
            agent: wanted.name,
            subject: publish.subject.into(),
            reply: wanted.reply.into(),
            asked_at: now.steady,
            flight: wanted.flight,
        };
        self.stats.requests += 1;
        Some(self.pending.insert(deadline.unwrap_or(now.steady + self.settings.reply_window), pending))
    }

    /// `Werkpilot-Deadline`, on the steady clock; never later than the reply window.
    fn deadline(&self, block: &[u8], now: Clocks) -> Option<Moment> {
        let text = headers::get(block, DEADLINE)?;
        let text: serde::de::value::StrDeserializer<'_, serde::de::value::Error> = text.trim().into_deserializer();
        let deadline = Timestamp::deserialize(text).ok()?;
        let left = deadline.since(now.wall);
        Some(now.steady + left.min(self.settings.reply_window))
    }

    fn refuse_request(&mut self, id: ConnectionId, publish: &Publish<'_>, wanted: &Wanted<'_>, now: Clocks) {
        let text = match self.agents.0.get(&wanted.name) {
            Some(Availability { status: Status::Running, .. }) => {
                format!("running: it does not listen to {}", String::from_utf8_lossy(publish.subject))
            }
            Some(Availability { status, reason }) => format!("{status}: {reason}"),
            None => return self.tell_no_responders(id, wanted.reply),
        };
        self.stats.unavailable += 1;
        self.fail_request(&wanted.name, id, wanted.reply, 503, &text, now);
        self.let_waiters_go(&wanted.name, wanted.flight, 503, &text, now);
    }

    fn too_many_hops(&mut self, id: ConnectionId, agent: AgentName, reply: Option<&[u8]>, now: Clocks) {
        let from = self.connections[id.slot as usize].who.as_str().to_owned();
        let text = format!("a chain of {MAX_HOPS} requests: do agents ask each other in a circle?");
        match reply {
            Some(reply) => self.fail_request(&agent, id, reply, 508, &text, now),
            None => self.stats.undelivered_requests += 1,
        }
        self.facts.push(Fact::TooManyHops { from, agent });
    }

    /// Requests whose time is over are forgotten. Who asked whom in them.
    pub(super) fn expire_requests(&mut self, now: Clocks) -> Vec<Edge> {
        let mut due = Vec::new();
        self.pending.expired(now.steady, &mut due);
        let late = due.iter().filter_map(|(_, late)| late.edge()).collect();
        for (_, late) in due {
            self.stats.timeouts += 1;
            self.log.failed(&late.agent, 408, LATE, now.wall);
            self.let_waiters_go(&late.agent, late.flight, 408, LATE, now);
        }
        late
    }

    /// Tells the circles that these are in, among all that wait for each other: here, and, as `waiting`, elsewhere.
    pub fn tell_circles(&mut self, late: &[Edge], waiting: Vec<Edge>) {
        let here = self.pending.iter().filter_map(|(_, waiting)| waiting.edge());
        let circles = circles(late, here.chain(waiting));
        self.facts.extend(circles.into_iter().map(|agents| Fact::Circle { agents }));
    }

    /// All that a connection was asked fails, because it has ended.
    pub(super) fn fail_requests_to(&mut self, id: ConnectionId, who: &Who, now: Clocks) {
        let lost = self.pending.iter().filter(|(_, pending)| pending.responder == id);
        let lost: Vec<Key> = lost.map(|(key, _)| key).collect();
        for key in lost {
            let Some(pending) = self.pending.cancel(key) else { continue };
            let text = format!(
                "stopped: {} ended before it answered, {} after the request",
                who.as_str(),
                werkpilot_core::time::human(now.steady.since(pending.asked_at)),
            );
            self.stats.unavailable += 1;
            self.fail_request(&pending.agent, pending.requester, &pending.reply, 503, &text, now);
            self.let_waiters_go(&pending.agent, pending.flight, 503, &text, now);
        }
    }
}

/// How many requests came before this one in its chain.
fn hops(block: &[u8]) -> u32 {
    headers::get(block, HOPS).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// What is known of a request that wants an answer.
struct Wanted<'a> {
    name: AgentName,
    reply: &'a [u8],
    flight: Option<FlightId>,
}
