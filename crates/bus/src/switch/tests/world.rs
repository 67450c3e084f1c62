//! A switch with clients that are scripts: what they send is text, what they get is parsed and shown as text.

use std::sync::Arc;
use std::time::Duration;

use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp};

use crate::protocol::{Info, Limits, Message, ParsedServer, Publish, ServerOp, encode, headers, parse_server};
use crate::switch::{Access, Authenticator, Availability, ConnectionId, Identity, Received, Settings, Switch, Who};

/// What stock clients say.
pub const CONNECT: &str = r#"{"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#;

/// A switch, and the time.
pub struct World {
    pub switch: Switch,
    pub now: Clocks,
}

/// Knows `operator`, `system`, and `<agent>#<number>`, a process of an agent.
struct Book;

impl Authenticator for Book {
    fn identify(&self, user: &str, password: &str) -> Option<Identity> {
        let (who, credential) = match user.split_once('#') {
            Some((name, _)) => (Who::Agent(AgentName::new(name).ok()?), credential(user)),
            None if user == "operator" => (Who::Operator, 0),
            None if user == "system" => (Who::System, 0),
            None => return None,
        };
        (password == "right").then_some(Identity { who, credential })
    }
}

/// The credential of a user, different for each.
pub fn credential(user: &str) -> u64 {
    user.bytes().fold(1, |sum, byte| sum * 257 % 1_000_000_007 + u64::from(byte))
}

/// Limits under which silence is no fault.
pub fn patient() -> Settings {
    Settings { ping_interval: Duration::from_hours(24), ..Settings::default() }
}

/// A fleet in which all know each other by name.
pub fn book() -> Access {
    Access::Fleet(Arc::new(Book))
}

pub fn name(agent: &str) -> AgentName {
    AgentName::new(agent).unwrap()
}

impl World {
    pub fn new(settings: Settings, access: Access) -> Self {
        let now = Clocks { steady: Moment::from_secs(1), wall: Timestamp::from_secs(1_800_000_000) };
        Self { switch: Switch::new(settings, access, Info::default()), now }
    }

    pub fn plain() -> Self {
        Self::new(Settings::default(), Access::Open)
    }

    /// A fleet with the agents `sales`, `db` and `mail`.
    pub fn fleet() -> Self {
        Self::fleet_with(patient())
    }

    pub fn fleet_with(settings: Settings) -> Self {
        let mut world = Self::new(settings, book());
        for agent in ["sales", "db", "mail"] {
            world.set(agent, Some((Status::Running, "")));
        }
        world
    }

    pub fn set(&mut self, agent: &str, state: Option<(Status, &str)>) {
        let availability = state.map(|(status, reason)| Availability { status, reason: reason.to_owned() });
        self.switch.set_availability(name(agent), availability);
    }

    /// A connection that has got its INFO and said nothing.
    pub fn raw(&mut self) -> ConnectionId {
        let id = self.switch.open(None, self.now.steady);
        assert_eq!(self.read(id).len(), 1);
        id
    }

    /// A connection that has introduced itself so.
    pub fn connected(&mut self, connect: &str) -> ConnectionId {
        let id = self.raw();
        self.send(id, &format!("CONNECT {connect}\r\n"));
        id
    }

    /// A stock client.
    pub fn client(&mut self) -> ConnectionId {
        self.connected(CONNECT)
    }

    /// A stock client of a fleet: `operator`, `system`, or `<agent>#<credential>`.
    pub fn user(&mut self, user: &str) -> ConnectionId {
        let connect = CONNECT.replace('}', &format!(r#","user":"{user}","pass":"right"}}"#));
        self.connected(&connect)
    }

    /// An agent that listens to requests on its own subject, as sid `r`.
    pub fn responder(&mut self, user: &str) -> ConnectionId {
        let id = self.user(user);
        let agent = user.split('#').next().unwrap_or_default();
        self.send(id, &format!("SUB rpc.{agent}.> r\r\nSUB rpc.{agent} r0\r\n"));
        id
    }

    /// An agent that asks: its inbox `_INBOX.<user>.*` is sid `in`.
    pub fn requester(&mut self, user: &str) -> ConnectionId {
        let id = self.user(user);
        self.send(id, &format!("SUB _INBOX.{user}.* in\r\n"));
        id
    }

    pub fn bytes(&mut self, id: ConnectionId, bytes: &[u8]) -> Received {
        let (mut consumed, mut frames, mut congested) = (0, 0, false);
        loop {
            let received = self.switch.receive(id, &bytes[consumed..], self.now);
            consumed += received.consumed;
            frames += received.frames;
            congested |= received.congested;
            if !received.full {
                return Received { consumed, frames, congested, ..received };
            }
        }
    }

    pub fn send(&mut self, id: ConnectionId, frames: &str) {
        let received = self.bytes(id, frames.as_bytes());
        assert_eq!(received.consumed, frames.len(), "only whole frames in a script: {frames:?}");
    }

    /// Publishes; `subject` may be `<subject> <reply>`.
    pub fn publish(&mut self, id: ConnectionId, subject: &str, payload: &str) {
        self.send(id, &format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
    }

    /// Publishes with header lines.
    pub fn publish_with(&mut self, id: ConnectionId, subject: &str, lines: &[(&str, &str)], payload: &str) {
        let block = lines.iter().fold(headers::Headers::new(), |block, (name, value)| block.with(name, value)).block();
        self.publish_block(id, subject, &block, payload.as_bytes());
    }

    pub fn publish_block(&mut self, id: ConnectionId, subject: &str, block: &[u8], payload: &[u8]) {
        let (subject, reply) =
            subject.split_once(' ').map_or((subject, None), |(subject, reply)| (subject, Some(reply)));
        let mut frame = Vec::new();
        encode::publish(&mut frame, subject.as_bytes(), reply.map(str::as_bytes), block, payload);
        assert_eq!(self.bytes(id, &frame).consumed, frame.len());
    }

    /// Publishes for somebody inside.
    pub fn publish_local(&mut self, id: ConnectionId, subject: &str, reply: Option<&str>, payload: &str) {
        let (subject, reply) = (subject.as_bytes(), reply.map(str::as_bytes));
        let publish = Publish { subject, reply, headers: &[], payload: payload.as_bytes() };
        self.switch.publish(id, &publish, self.now);
    }

    /// The bytes that wait for a connection, which are taken as written.
    pub fn take(&mut self, id: ConnectionId) -> Vec<u8> {
        let Some(outbox) = self.switch.outbox(id) else { return Vec::new() };
        let bytes = outbox.unwritten().to_vec();
        outbox.wrote(bytes.len());
        bytes
    }

    /// What a connection got, frame by frame, as [`show`] has it.
    pub fn read(&mut self, id: ConnectionId) -> Vec<String> {
        frames(&self.take(id)).iter().map(show).collect()
    }

    /// The payloads that a connection got; nothing but messages may have come.
    pub fn payloads(&mut self, id: ConnectionId) -> Vec<String> {
        let payload = |op: &ServerOp<'_>| match op {
            ServerOp::Message(message) => String::from_utf8_lossy(message.payload).into_owned(),
            other => panic!("not a message: {}", show(other)),
        };
        frames(&self.take(id)).iter().map(payload).collect()
    }

    /// The reply subject of the only message that a connection got.
    pub fn asked(&mut self, id: ConnectionId) -> String {
        let bytes = self.take(id);
        match frames(&bytes).as_slice() {
            [ServerOp::Message(Message { reply: Some(reply), .. })] => String::from_utf8_lossy(reply).into_owned(),
            other => panic!("not one request: {:?}", other.iter().map(show).collect::<Vec<_>>()),
        }
    }

    /// Time passes, and the switch is called when it wants to be.
    pub fn pass(&mut self, duration: Duration) {
        let end = Clocks { steady: self.now.steady + duration, wall: self.now.wall + duration };
        while let Some(next) = self.switch.next_deadline().filter(|next| *next <= end.steady) {
            self.now.wall = self.now.wall_at(next.max(self.now.steady));
            self.now.steady = next.max(self.now.steady);
            self.switch.on_deadline(self.now);
        }
        self.now = end;
        self.switch.on_deadline(end);
    }

    pub fn close(&mut self, id: ConnectionId) {
        self.switch.close(id, self.now);
    }
}

/// All frames; there must be nothing but whole ones.
pub fn frames(mut bytes: &[u8]) -> Vec<ServerOp<'_>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        match parse_server(bytes, &Limits::CLIENT) {
            Ok(ParsedServer::Op { op, length }) => {
                all.push(op);
                bytes = &bytes[length..];
            }
            other => panic!("no whole frame: {other:?} in {}", bytes.escape_ascii()),
        }
    }
    all
}

/// A frame as text: `subject sid [reply] "payload"`, with the status and the headers after it.
pub fn show(op: &ServerOp<'_>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match op {
        ServerOp::Info(json) => {
            let info: Info = serde_json::from_slice(json).unwrap();
            if info.lame_duck { "INFO lame duck".to_owned() } else { "INFO".to_owned() }
        }
        ServerOp::Ok => "+OK".to_owned(),
        ServerOp::Err(error) => format!("-ERR {}", text(error)),
        ServerOp::Ping => "PING".to_owned(),
        ServerOp::Pong => "PONG".to_owned(),
        ServerOp::Message(message) => {
            let mut words = vec![text(message.subject), text(message.sid)];
            words.extend(message.reply.map(text));
            words.push(format!("{:?}", text(message.payload)));
            words.extend(headers::status(message.headers).map(|(code, _)| code.to_string()));
            words.extend(headers::pairs(message.headers).map(|(name, value)| format!("[{name}: {value}]")));
            words.join(" ")
        }
    }
}
