//! A fleet in which everybody asks, answers, guesses, spies, leaves and comes back: nobody gets what is not his.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::{World, credential, frames, patient};
use crate::protocol::{Message, ServerOp, headers};
use crate::switch::{ConnectionId, Settings};

/// Two processes of each agent, and a person.
const USERS: [&str; 7] = ["sales#1", "sales#2", "db#1", "db#2", "mail#1", "mail#2", "operator"];
const AGENTS: [&str; 4] = ["sales", "db", "mail", "nobody"];
/// `plain`: answers carry the number of their request. `kept`: answers may be kept for their asker.
const ENDPOINTS: [&str; 3] = ["plain", "kept", "shared"];

/// What to do, and three numbers to do it with.
type Step = (u8, u8, u8, u8);

/// Somebody connected.
struct Peer {
    user: &'static str,
    id: ConnectionId,
    /// Of its inbox, never used again.
    token: String,
}

/// A request as a responder saw it.
#[derive(Clone)]
struct Seen {
    reply: String,
    asker: String,
    endpoint: String,
    payload: String,
    /// Whom it was delivered to.
    by: &'static str,
}

struct Storm {
    world: World,
    peers: Vec<Peer>,
    /// Who may answer what, right or wrong.
    seen: Vec<Seen>,
    answered: HashSet<String>,
    /// Inboxes that were answered already.
    got: HashMap<String, usize>,
    next: usize,
}

impl Storm {
    fn new() -> Self {
        let world = World::fleet_with(Settings { max_pending_requests: 40, ..patient() });
        let (peers, seen) = (Vec::new(), Vec::new());
        let mut storm = Self { world, peers, seen, answered: HashSet::new(), got: HashMap::new(), next: 0 };
        for user in USERS {
            let peer = storm.connect(user);
            storm.peers.push(peer);
        }
        storm
    }

    /// Listens to its own requests, its inbox, what is free, and to as much of the others' as wildcards may get.
    fn connect(&mut self, user: &'static str) -> Peer {
        let (id, token) = (self.world.user(user), format!("t{}", self.next));
        self.next += 1;
        let agent = agent(user);
        if agent != "operator" {
            self.world.send(id, &format!("SUB rpc.{agent}.> r\r\n"));
        }
        self.world.send(id, &format!("SUB _INBOX.{token}.* in\r\nSUB free q free\r\n"));
        for (sid, pattern) in [">", "*.*.*", "rpc.>", "_INBOX.>"].iter().enumerate() {
            self.world.send(id, &format!("SUB {pattern} spy{sid}\r\n"));
        }
        Peer { user, id, token }
    }

    fn step(&mut self, (kind, a, b, c): Step) -> Result<(), TestCaseError> {
        let at = usize::from(a) % self.peers.len();
        let (id, token) = (self.peers[at].id, self.peers[at].token.clone());
        match kind % 16 {
            0..=5 => {
                let (agent, endpoint) = (AGENTS[usize::from(b) % 4], ENDPOINTS[usize::from(c) % 3]);
                let number = self.next;
                self.next += 1;
                // What may be kept is asked in a few ways only, so that it is asked again.
                let payload = if endpoint == "plain" { number.to_string() } else { (c % 2).to_string() };
                let subject = format!("rpc.{agent}.{endpoint} _INBOX.{token}.{number}");
                let deadline = self.world.now.wall + Duration::from_millis(u64::from(c) * 20);
                let lines = [("Werkpilot-Deadline", deadline.to_string()), ("Werkpilot-From", "boss".to_owned())];
                let lines = lines.each_ref().map(|(name, value)| (*name, value.as_str()));
                self.world.publish_with(id, &subject, &lines[usize::from(c % 2)..], &payload);
            }
            6..=10 if !self.seen.is_empty() => {
                // Mostly by who was asked, at times by somebody else, at times twice.
                let seen = self.seen[usize::from(b) % self.seen.len()].clone();
                let right = self.peers.iter().find(|peer| peer.user == seen.by && c % 4 != 0).map(|peer| peer.id);
                self.answer(right.unwrap_or(id), &seen);
            }
            11 => self.world.publish(id, &format!("free _INBOX.{token}.free"), "free"),
            12 => {
                // A guess at somebody's inbox, and at somebody's request.
                let other = self.peers[usize::from(b) % self.peers.len()].token.clone();
                self.world.publish(id, &format!("_INBOX.{other}.{c}"), "forged");
                let operator = self.peers.iter().find(|peer| peer.user == "operator").map_or(id, |peer| peer.id);
                self.world.publish(operator, &format!("_R_.{:08x}{:08x}", b % 4, c % 8), "forged");
            }
            13 => {
                let user = self.peers[at].user;
                if c % 2 == 0 && user != "operator" {
                    self.world.switch.revoke(credential(user));
                }
                self.read()?;
                self.world.close(id);
                self.peers[at] = self.connect(user);
            }
            14 => self.world.pass(Duration::from_millis(u64::from(b) * 10)),
            _ => {}
        }
        self.read()
    }

    fn answer(&mut self, by: ConnectionId, seen: &Seen) {
        let Seen { endpoint, asker, payload, .. } = seen;
        let lines: &[(&str, &str)] = match endpoint.as_str() {
            "kept" => &[("Werkpilot-Cache-Ttl", "1s")],
            "shared" => &[("Werkpilot-Cache-Ttl", "1s"), ("Werkpilot-Cache-Scope", "all")],
            _ => &[],
        };
        self.world.publish_with(by, &seen.reply, lines, &format!("{endpoint} {asker} {payload}"));
        self.answered.insert(seen.reply.clone());
    }

    /// Everybody reads, and everything that came is his.
    fn read(&mut self) -> Result<(), TestCaseError> {
        for at in 0..self.peers.len() {
            let bytes = self.world.take(self.peers[at].id);
            for op in frames(&bytes) {
                match op {
                    ServerOp::Message(message) => self.check(at, &message)?,
                    ServerOp::Err(text) => {
                        let text = String::from_utf8_lossy(text);
                        let known = ["Permissions Violation", "User Authentication Revoked"];
                        prop_assert!(known.iter().any(|known| text.starts_with(known)), "{}", text);
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
        }
        let stats = self.world.switch.stats();
        prop_assert!(stats.requests >= stats.answers);
        prop_assert!(self.world.switch.pending_len() <= 40);
        Ok(())
    }

    fn check(&mut self, at: usize, message: &Message<'_>) -> Result<(), TestCaseError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (subject, sid, payload) = (text(message.subject), text(message.sid), text(message.payload));
        let (user, token) = (self.peers[at].user, self.peers[at].token.as_str());
        let from = headers::get(message.headers, "Werkpilot-From").map(str::to_owned);
        prop_assert!(from.as_deref() != Some("boss"), "a forged sender");
        prop_assert!(payload != "forged", "{} got a forged message on {}", user, subject);
        let tokens: Vec<&str> = subject.split('.').collect();
        match tokens.as_slice() {
            ["free"] => prop_assert!(sid == "free" || sid == "spy0"),
            ["rpc", agent_asked, endpoint] => {
                if user == "operator" {
                    prop_assert!(message.reply.is_none(), "a watcher was told where to answer");
                    return Ok(());
                }
                prop_assert_eq!(*agent_asked, agent(user), "a request for another");
                let reply = message.reply.map(text).unwrap_or_default();
                prop_assert!(reply.starts_with("_R_."));
                let again = self.seen.iter().any(|seen| seen.reply == reply);
                prop_assert!(!again, "a request was delivered to two, or its reply subject was used twice");
                let seen = Seen {
                    reply,
                    asker: from.unwrap_or_default(),
                    endpoint: (*endpoint).to_owned(),
                    payload,
                    by: user,
                };
                self.seen.push(seen);
            }
            ["_INBOX", whose, number] => {
                prop_assert_eq!(*whose, token, "an answer for another's inbox");
                prop_assert!(sid == "in" || sid == "spy3" || sid == "spy0" || sid == "spy1");
                if *number == "free" || sid != "in" {
                    return Ok(());
                }
                let times = self.got.entry(subject.clone()).or_default();
                *times += 1;
                prop_assert_eq!(*times, 1, "a second answer on {}", &subject);
                let words: Vec<&str> = payload.split(' ').collect();
                match words.as_slice() {
                    ["plain", asker, question] => {
                        prop_assert_eq!(*asker, agent(user));
                        prop_assert_eq!(question, number, "the answer to another request");
                    }
                    ["kept", asker, _] => prop_assert_eq!(*asker, agent(user), "an answer kept for another"),
                    ["shared", ..] => {}
                    _ => prop_assert!(
                        headers::get(message.headers, "Nats-Service-Error").is_some()
                            || headers::status(message.headers).is_some()
                    ),
                }
            }
            _ => prop_assert!(false, "{} got {}", user, subject),
        }
        Ok(())
    }
}

fn agent(user: &str) -> &str {
    user.split('#').next().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_what_is_not_his_and_nobody_gets_it_twice(steps in vec(any::<Step>(), 1..250)) {
        let mut storm = Storm::new();
        for step in steps {
            storm.step(step)?;
        }
        // In the end all is answered, refused or over.
        for seen in storm.seen.clone() {
            let by = storm.peers.iter().find(|peer| peer.user == seen.by).map(|peer| peer.id);
            storm.answer(by.unwrap(), &seen);
        }
        storm.read()?;
        storm.world.pass(Duration::from_mins(10));
        storm.read()?;
        prop_assert_eq!(storm.world.switch.pending_len(), 0);
        for peer in std::mem::take(&mut storm.peers) {
            storm.world.close(peer.id);
        }
        prop_assert_eq!((storm.world.switch.subscriptions_len(), storm.world.switch.next_deadline()), (0, None));
    }
}
