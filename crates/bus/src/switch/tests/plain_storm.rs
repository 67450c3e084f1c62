//! A bus alone against a naive model: a list of subscriptions, and `matches`.

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{CONNECT, World, frames};
use crate::protocol::ServerOp;
use crate::subject::matches;
use crate::switch::ConnectionId;

const SUBJECTS: [&str; 8] = ["a", "b", "a.b", "a.c", "b.b", "a.b.c", "in.x", "a..b"];
const PATTERNS: [&str; 12] = ["a", "b", "a.b", "*", "*.b", "a.*", ">", "a.>", "*.*", "a.b.c", "in.*", "a.*.c"];
const QUEUES: [Option<&str>; 4] = [None, None, Some("q"), Some("p")];

/// What one byte of the storm's script does, and to what.
type Step = (u8, u8, u8, u8);

#[derive(Clone, Debug)]
struct Wanted {
    client: usize,
    sid: String,
    pattern: &'static str,
    queue: Option<&'static str>,
    delivered: u64,
    max: u64,
}

struct Client {
    id: ConnectionId,
    echo: bool,
}

/// A delivery: to which client by which sid, and the number in its payload; an empty one is the status 503.
type Got = (usize, String, String);

struct Storm {
    world: World,
    clients: Vec<Client>,
    subscriptions: Vec<Wanted>,
    sent: usize,
}

impl Storm {
    fn new() -> Self {
        let mut storm = Self { world: World::plain(), clients: Vec::new(), subscriptions: Vec::new(), sent: 0 };
        for number in 0..4 {
            storm.open(number != 3);
        }
        storm
    }

    fn open(&mut self, echo: bool) {
        let id = self.world.connected(&CONNECT.replace('}', &format!(r#","echo":{echo}}}"#)));
        self.clients.push(Client { id, echo });
    }

    fn step(&mut self, (kind, a, b, c): Step) -> Result<(), TestCaseError> {
        let client = usize::from(a) % self.clients.len();
        let id = self.clients[client].id;
        let sid = format!("{}", [1, 2, 3, 12_345_678][usize::from(b) % 4]);
        match kind % 16 {
            0..=4 => self.subscribe(client, sid, usize::from(b) / 4 % PATTERNS.len(), usize::from(c) % QUEUES.len()),
            5 => self.unsubscribe(client, &sid, u64::from(c % 5)),
            6 => {
                self.world.close(id);
                let echo = self.clients[client].echo;
                self.subscriptions.retain(|wanted| wanted.client != client);
                self.clients[client].id = self.world.connected(&CONNECT.replace('}', &format!(r#","echo":{echo}}}"#)));
            }
            7 => self.world.pass(std::time::Duration::from_millis(u64::from(b) * 10)),
            _ => self.publish(client, usize::from(b) % SUBJECTS.len(), c)?,
        }
        Ok(())
    }

    fn subscribe(&mut self, client: usize, sid: String, pattern: usize, queue: usize) {
        let (pattern, queue) = (PATTERNS[pattern], QUEUES[queue]);
        let group = queue.map(|queue| format!("{queue} ")).unwrap_or_default();
        self.world.send(self.clients[client].id, &format!("SUB {pattern} {group}{sid}\r\n"));
        if !self.subscriptions.iter().any(|wanted| wanted.client == client && wanted.sid == sid) {
            self.subscriptions.push(Wanted { client, sid, pattern, queue, delivered: 0, max: 0 });
        }
    }

    fn unsubscribe(&mut self, client: usize, sid: &str, max: u64) {
        self.world.send(self.clients[client].id, &format!("UNSUB {sid} {max}\r\n"));
        self.subscriptions.retain_mut(|wanted| {
            let named = wanted.client == client && wanted.sid == sid;
            let later = max > wanted.delivered;
            if named && later {
                wanted.max = max;
            }
            !named || later
        });
    }

    /// A burst of messages in one read, some with a reply subject.
    fn publish(&mut self, client: usize, subject: usize, style: u8) -> Result<(), TestCaseError> {
        let (burst, reply) = (usize::from(style % 3) + 1, style & 0x80 != 0);
        let subject = SUBJECTS[subject];
        let first = self.sent;
        self.sent += burst;
        let frame = |number: usize| {
            let payload = number.to_string();
            format!("PUB {subject} {}{}\r\n{payload}\r\n", if reply { "in.x " } else { "" }, payload.len())
        };
        let script: String = (first..self.sent).map(frame).collect();
        self.world.send(self.clients[client].id, &script);
        let mut got = self.read()?;
        for number in first..self.sent {
            let number = number.to_string();
            let (mine, rest): (Vec<Got>, Vec<Got>) = got.into_iter().partition(|(.., payload)| *payload == number);
            got = rest;
            let heard = self.check(subject, None, client, mine)?;
            if !heard && reply {
                // The answer that nobody listens is for the asker alone; a burst's come one after the other.
                let mut told = Vec::new();
                for wanted in self.own(client, "in.x") {
                    let at =
                        got.iter().position(|(to, sid, payload)| *to == client && *sid == wanted && payload.is_empty());
                    told.extend(at.map(|at| got.remove(at)));
                }
                self.check("in.x", Some(client), client, told)?;
            }
        }
        prop_assert!(got.is_empty(), "nobody knows why these came: {:?}", got);
        Ok(())
    }

    fn own(&self, client: usize, subject: &str) -> Vec<String> {
        let own = self.subscriptions.iter().filter(|wanted| wanted.client == client);
        let own = own.filter(|wanted| matches(wanted.pattern.as_bytes(), subject.as_bytes()));
        own.map(|wanted| wanted.sid.clone()).collect()
    }

    /// All that came, with numbers in order for each receiver.
    fn read(&mut self) -> Result<Vec<Got>, TestCaseError> {
        let mut all = Vec::new();
        for client in 0..self.clients.len() {
            let bytes = self.world.take(self.clients[client].id);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let mut last = 0;
            for op in frames(&bytes) {
                let ServerOp::Message(message) = op else { continue };
                if let Ok(number) = text(message.payload).parse::<usize>() {
                    prop_assert!(number >= last, "{} came after {}", number, last);
                    last = number;
                }
                all.push((client, text(message.sid), text(message.payload)));
            }
        }
        Ok(all)
    }

    /// Compares with the model, and lets the model count. Whether anybody got it.
    fn check(
        &mut self,
        subject: &str,
        only: Option<usize>,
        sender: usize,
        mut got: Vec<Got>,
    ) -> Result<bool, TestCaseError> {
        let echo = self.clients[sender].echo || only.is_some();
        let listens = |wanted: &&Wanted| {
            matches(wanted.pattern.as_bytes(), subject.as_bytes())
                && only.is_none_or(|only| wanted.client == only)
                && (echo || wanted.client != sender)
        };
        let listeners: Vec<Wanted> = self.subscriptions.iter().filter(listens).cloned().collect();
        let mut receivers = Vec::new();
        for wanted in listeners.iter().filter(|wanted| wanted.queue.is_none()) {
            let at = got.iter().position(|(client, sid, _)| *client == wanted.client && *sid == wanted.sid);
            prop_assert!(at.is_some(), "{} did not reach {:?}", subject, wanted);
            got.remove(at.unwrap_or_default());
            receivers.push((wanted.client, wanted.sid.clone()));
        }
        for queue in ["q", "p"] {
            let is_member = |client: usize, sid: &str| {
                let mut members = listeners.iter().filter(|wanted| wanted.queue == Some(queue));
                members.any(|wanted| wanted.client == client && wanted.sid == sid)
            };
            let (chosen, rest): (Vec<Got>, Vec<Got>) =
                got.into_iter().partition(|(client, sid, _)| is_member(*client, sid));
            let members = listeners.iter().any(|wanted| wanted.queue == Some(queue));
            prop_assert_eq!(chosen.len(), usize::from(members), "one of group {}: {:?}", queue, chosen);
            receivers.extend(chosen.into_iter().map(|(client, sid, _)| (client, sid)));
            got = rest;
        }
        prop_assert!(got.is_empty(), "{} came where nobody listens: {:?}", subject, got);
        self.subscriptions.retain_mut(|wanted| {
            let hit = receivers.iter().any(|(client, sid)| *client == wanted.client && *sid == wanted.sid);
            wanted.delivered += u64::from(hit);
            !(hit && wanted.max > 0 && wanted.delivered >= wanted.max)
        });
        Ok(!receivers.is_empty())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_message_reaches_exactly_those_whom_the_model_names(steps in vec(any::<Step>(), 1..250)) {
        let mut storm = Storm::new();
        for step in steps {
            storm.step(step)?;
            prop_assert_eq!(storm.world.switch.subscriptions_len(), storm.subscriptions.len());
        }
    }
}
