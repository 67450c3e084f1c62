//! What a bus does for a fleet: speaks for the system, triggers jobs, looks whether agents answer.
//!
//! Invariant: it outlives the bus actor, with the connections that it has in the switch.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use tokio::sync::mpsc;
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::switch::{ConnectionId, Delivery, Who};
use werkpilot_core::ids::{AgentIndex, AgentName};

use super::board::Board;
use super::messenger::Messenger;
use super::residents::EndSink;

/// The system's inbox. Its token is ours from the start.
const INBOX: &str = "_INBOX.werkpilot";

/// A message came on the subject of a job.
#[derive(Debug)]
pub struct Triggered {
    /// The job.
    pub agent: AgentIndex,
    /// The subject of the message.
    pub subject: String,
    /// What was sent.
    pub payload: Vec<u8>,
    /// Where an answer is expected.
    pub reply: Option<ReplyTo>,
    /// It is to be on disk before it is answered, and that is the answer.
    pub durable: bool,
}

/// With `durable` as its value, a message is answered once its trigger is on disk.
const ACK: &str = "Werkpilot-Ack";

/// Where the answer to a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// In whose name it is answered.
    pub agent: AgentIndex,
    /// The reply subject.
    pub subject: Box<[u8]>,
}

/// Takes messages that trigger jobs; `false` if it can't take any more at the moment.
pub type TriggerSink = Box<dyn Fn(Triggered) -> bool>;

/// See the module.
pub struct Desk {
    board: Rc<Board>,
    system: ConnectionId,
    triggers: RefCell<HashMap<AgentIndex, (ConnectionId, String)>>,
    sink: TriggerSink,
    messenger: Messenger,
    ends: EndSink,
    asked: Rc<RefCell<HashMap<u64, mpsc::Sender<Delivery>>>>,
    last_inbox: Cell<u64>,
    triggers_dropped: Cell<u64>,
}

impl Desk {
    /// A desk on a board.
    pub fn new(board: Rc<Board>, sink: TriggerSink, messenger: Messenger, ends: EndSink) -> Rc<Self> {
        let now = board.clock.steady();
        let system = board.with(|switch| {
            let system = switch.open_local(Who::System, now);
            switch.subscribe_local(system, 1, format!("{INBOX}.*").as_bytes(), None);
            system
        });
        let asked: Rc<RefCell<HashMap<u64, mpsc::Sender<Delivery>>>> = Rc::default();
        let for_endpoint = asked.clone();
        board.attach_endpoint(
            system,
            Rc::new(move |delivery: Delivery| {
                let text = std::str::from_utf8(&delivery.subject).unwrap_or_default();
                let number = text.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
                if let Some(sender) = number.and_then(|number| for_endpoint.borrow().get(&number).cloned()) {
                    // Who has heard enough does not take any more.
                    let _ = sender.try_send(delivery);
                }
            }),
        );
        Rc::new(Self {
            board,
            system,
            triggers: RefCell::default(),
            sink,
            messenger,
            ends,
            asked,
            last_inbox: Cell::new(0),
            triggers_dropped: Cell::new(0),
        })
    }

    /// The way to the bus for in-process agents.
    pub fn messenger(&self) -> &Messenger {
        &self.messenger
    }

    /// Takes the ends of in-process agents.
    pub fn ends(&self) -> &EndSink {
        &self.ends
    }

    /// Says something in the system's name.
    pub fn say(&self, subject: &str, payload: &[u8]) {
        let now = self.board.clock.now();
        let publish = Publish { subject: subject.as_bytes(), reply: None, headers: &[], payload };
        self.board.with(|switch| switch.publish(self.system, &publish, now));
    }

    /// Asks in the system's name. The answers, at most `most`, come out of the receiver for as long as it lives.
    pub fn ask(&self, subject: &str, payload: &[u8], most: usize) -> Answers {
        let number = self.last_inbox.get() + 1;
        self.last_inbox.set(number);
        let (sender, receiver) = mpsc::channel(most);
        self.asked.borrow_mut().insert(number, sender);
        let reply = format!("{INBOX}.{number}");
        let now = self.board.clock.now();
        let publish = Publish { subject: subject.as_bytes(), reply: Some(reply.as_bytes()), headers: &[], payload };
        self.board.with(|switch| switch.publish(self.system, &publish, now));
        Answers { receiver, number, asked: self.asked.clone() }
    }

    /// Sets on which subject messages trigger a job; without one none does.
    pub fn set_trigger(self: &Rc<Self>, agent: AgentIndex, name: &AgentName, subject: Option<&str>) {
        let known = self.triggers.borrow().get(&agent).map(|(_, subject)| subject.clone());
        if known.as_deref() == subject {
            return;
        }
        let old = self.triggers.borrow_mut().remove(&agent);
        if let Some((connection, _)) = old {
            self.board.close(connection);
        }
        let Some(subject) = subject else { return };
        let now = self.board.clock.steady();
        let connection = self.board.with(|switch| {
            let connection = switch.open_local(Who::Agent(name.clone()), now);
            switch.subscribe_local(connection, 1, subject.as_bytes(), None);
            connection
        });
        self.triggers.borrow_mut().insert(agent, (connection, subject.to_owned()));
        let desk = Rc::downgrade(self);
        self.board.attach_endpoint(
            connection,
            Rc::new(move |delivery| {
                if let Some(desk) = desk.upgrade() {
                    desk.trigger(agent, delivery);
                }
            }),
        );
    }

    fn trigger(&self, agent: AgentIndex, delivery: Delivery) {
        let reply = delivery.reply.map(|subject| ReplyTo { agent, subject });
        let subject = String::from_utf8_lossy(&delivery.subject).into_owned();
        let durable = headers::get(&delivery.headers, ACK) == Some("durable");
        let triggered = Triggered { agent, subject, payload: delivery.payload, reply: reply.clone(), durable };
        if (self.sink)(triggered) {
            return;
        }
        self.triggers_dropped.set(self.triggers_dropped.get() + 1);
        if let Some(reply) = reply {
            self.answer(&reply, Err((429, "too many messages wait for the queue".to_owned())));
        }
    }

    /// Messages that could not be taken.
    pub fn triggers_dropped(&self) -> u64 {
        self.triggers_dropped.get()
    }

    /// Answers a message in the name of the job that it triggered: with what the job wrote, or with a code and a text.
    pub fn answer(&self, to: &ReplyTo, answer: Result<Vec<u8>, (u16, String)>) {
        let connection = self.triggers.borrow().get(&to.agent).map_or(self.system, |(connection, _)| *connection);
        let (block, payload) = match answer {
            Ok(payload) => (Vec::new(), payload),
            Err((code, text)) => {
                let block = headers::Headers::new()
                    .with("Nats-Service-Error", &text)
                    .with("Nats-Service-Error-Code", &code.to_string())
                    .block();
                (block, Vec::new())
            }
        };
        let now = self.board.clock.now();
        let publish = Publish { subject: &to.subject, reply: None, headers: &block, payload: &payload };
        self.board.with(|switch| switch.publish(connection, &publish, now));
    }
}

/// Answers to a question of the system.
pub struct Answers {
    receiver: mpsc::Receiver<Delivery>,
    number: u64,
    asked: Rc<RefCell<HashMap<u64, mpsc::Sender<Delivery>>>>,
}

impl Answers {
    /// The next one; `None` if nobody listens.
    pub async fn next(&mut self) -> Option<Delivery> {
        let delivery = self.receiver.recv().await?;
        let nobody = headers::status(&delivery.headers).is_some_and(|(code, _)| code == 503);
        (!nobody).then_some(delivery)
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.asked.borrow_mut().remove(&self.number);
    }
}
