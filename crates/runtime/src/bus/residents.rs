//! The in-process agents of a board: who is there, and who answers what.
//!
//! Invariant: a resident that has ended is gone before anybody else is served, so that nobody is sent to a dead actor.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::switch::{ConnectionId, Delivery, Fact, Who};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::board::Board;
use super::messenger::Messenger;
use super::query::{AgentError, Query, subject};
use super::resident::{ExitGuard, InProcess, Running};

/// Tells the fleet of the end of an actor: its key, and what the panic said, if it was one.
pub type EndSink = Rc<dyn Fn(u64, Option<String>)>;

/// Latencies of an agent that wait to be told: as many as make a good estimate of a tenth of a second.
const SAMPLES: usize = 256;
/// So long they wait.
const TOLD_AFTER: Duration = Duration::from_millis(100);

/// What an in-process agent's answers took.
#[derive(Default)]
pub struct Tally {
    agent: Option<AgentName>,
    samples: RefCell<Vec<Duration>>,
}

impl Tally {
    /// An answer came. Beyond a few hundred in a tenth of a second, some are as good as all.
    pub fn answered(self: &Rc<Self>, board: &Rc<Board>, asked_at: Moment) {
        let mut samples = self.samples.borrow_mut();
        if samples.len() >= SAMPLES {
            return;
        }
        samples.push(board.clock.steady().since(asked_at));
        if samples.len() == 1 {
            let (board, tally) = (board.clone(), self.clone());
            actix::spawn(async move {
                tokio::time::sleep(TOLD_AFTER).await;
                tally.tell(&board);
            });
        }
    }

    fn tell(&self, board: &Board) {
        let samples = std::mem::take(&mut *self.samples.borrow_mut());
        let Some(agent) = &self.agent else { return };
        let facts = samples.into_iter().map(|latency| Fact::Answered { agent: agent.clone(), latency });
        board.tell_facts(facts.collect());
    }
}

/// A running in-process agent.
struct Resident {
    key: u64,
    tally: Rc<Tally>,
    running: Running,
    connection: ConnectionId,
}

/// All in-process agents.
#[derive(Default)]
pub struct Residents {
    kinds: RefCell<HashMap<AgentName, InProcess>>,
    running: RefCell<HashMap<AgentName, Resident>>,
}

impl Residents {
    /// Makes these agents known.
    pub fn define(&self, agents: Vec<InProcess>) {
        let mut kinds = self.kinds.borrow_mut();
        kinds.extend(agents.into_iter().map(|agent| (agent.spec.name.clone(), agent)));
    }

    /// Who takes this question at that agent.
    pub fn recipient<Q: Query>(&self, agent: &AgentName) -> Found<Q> {
        let running = self.running.borrow();
        let Some(resident) = running.get(agent) else { return Found::Elsewhere };
        let route = resident.running.routes.iter().find(|route| route.query == TypeId::of::<Q>());
        let recipient = route.and_then(|route| route.recipient.downcast_ref::<Recipient<Q>>());
        recipient.map_or(Found::NotAnswered, |recipient| Found::Here(recipient.clone(), resident.tally.clone()))
    }

    /// Starts an agent's actor. Whether there is one of this name.
    pub fn start(
        &self,
        board: &Rc<Board>,
        messenger: &Messenger,
        key: u64,
        agent: &AgentName,
        ended: &EndSink,
    ) -> bool {
        let guard = {
            let (ended, name, board) = (ended.clone(), agent.clone(), Rc::downgrade(board));
            ExitGuard(Some(Box::new(move |panicked: Option<String>| {
                if let Some(board) = board.upgrade() {
                    board.residents.forget(&board, &name, key);
                }
                ended(key, panicked);
            })))
        };
        let running = {
            let kinds = self.kinds.borrow();
            let Some(kind) = kinds.get(agent) else { return false };
            (kind.make)(messenger, guard)
        };
        let connection = connect(board, agent);
        let endpoint_board = Rc::downgrade(board);
        let name = agent.clone();
        board.attach_endpoint(
            connection,
            Rc::new(move |delivery| {
                if let Some(board) = endpoint_board.upgrade() {
                    board.residents.serve(&board, &name, delivery);
                }
            }),
        );
        let tally = Rc::new(Tally { agent: Some(agent.clone()), ..Tally::default() });
        self.running.borrow_mut().insert(agent.clone(), Resident { key, tally, running, connection });
        true
    }

    /// Stops the actor of this key, if it still runs.
    pub fn stop(&self, board: &Board, key: u64) {
        let mut running = self.running.borrow_mut();
        let name = running.iter().find(|(_, resident)| resident.key == key).map(|(name, _)| name.clone());
        let resident = name.and_then(|name| running.remove(&name));
        drop(running);
        if let Some(resident) = resident {
            board.close(resident.connection);
            // It has ended already if this fails.
            let _ = resident.running.stop.send(());
        }
    }

    fn forget(&self, board: &Board, agent: &AgentName, key: u64) {
        // During a panic nothing may be borrowed twice: who holds it is about to unwind, too.
        let Ok(mut running) = self.running.try_borrow_mut() else { return };
        if running.get(agent).is_some_and(|resident| resident.key == key)
            && let Some(resident) = running.remove(agent)
        {
            drop(running);
            board.close(resident.connection);
        }
    }

    /// Answers a program's question.
    fn serve(&self, board: &Rc<Board>, agent: &AgentName, delivery: Delivery) {
        let base = subject(agent.as_str(), "");
        let text = std::str::from_utf8(&delivery.subject).unwrap_or_default();
        let endpoint = text.strip_prefix(&base).map(|rest| rest.trim_start_matches('.')).unwrap_or_default();
        let answer = {
            let running = self.running.borrow();
            let Some(resident) = running.get(agent) else { return };
            let route = resident.running.routes.iter().find(|route| route.endpoint == endpoint);
            route.map(|route| (route.json)(&delivery.payload))
        };
        let Some(reply) = delivery.reply else {
            // Nobody wants to know; the actor does it all the same.
            if let Some(answer) = answer {
                actix::spawn(async move { drop(answer.await) });
            }
            return;
        };
        let (board, from) = (board.clone(), delivery.to);
        let unknown = format!("{agent} does not answer {text}");
        actix::spawn(async move {
            let result = match answer {
                Some(answer) => answer.await,
                None => Err(AgentError::new(404, unknown)),
            };
            let (block, payload) = match result {
                Ok(payload) => (Vec::new(), payload),
                Err(AgentError { code, message }) => {
                    let block = headers::Headers::new()
                        .with("Nats-Service-Error", &message)
                        .with("Nats-Service-Error-Code", &code.to_string());
                    (block.block(), Vec::new())
                }
            };
            let now = board.clock.now();
            let publish = Publish { subject: &reply, reply: None, headers: &block, payload: &payload };
            board.with(|switch| switch.publish(from, &publish, now));
        });
    }
}

/// Where a question goes.
pub enum Found<Q: Query> {
    /// To this actor.
    Here(Recipient<Q>, Rc<Tally>),
    /// The agent is here, and does not know the question.
    NotAnswered,
    /// To a program, if to anybody.
    Elsewhere,
}

fn connect(board: &Board, agent: &AgentName) -> ConnectionId {
    let now = board.clock.steady();
    board.with(|switch| {
        let connection = switch.open_local(Who::Agent(agent.clone()), now);
        switch.subscribe_local(connection, 1, subject(agent.as_str(), "").as_bytes(), None);
        switch.subscribe_local(connection, 2, subject(agent.as_str(), ">").as_bytes(), None);
        connection
    })
}
