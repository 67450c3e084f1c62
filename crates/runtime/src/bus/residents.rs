//! The in-process agents of a board: who is there, and who answers what.
//!
//! Invariant: a resident that has ended is gone before anybody else is served, so that nobody is sent to a dead actor.

use std::any::TypeId;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use actix::prelude::*;
use tokio::sync::oneshot;
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::switch::{ConnectionId, Delivery, Who};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::board::Board;
use super::life::{Life, Tally};
use super::messenger::Messenger;
use super::micro;
use super::query::{AgentError, Query, RequestError, subject};
use super::resident::{ExitGuard, InProcess, JsonAnswer, Route};
use crate::supervision;

/// Tells the fleet of the end of an actor: its key, and what the panic said, if it was one.
pub type EndSink = Rc<dyn Fn(u64, Option<String>)>;

/// A question that an agent answers, and how that goes.
pub struct Served {
    pub route: Route,
    pub tally: Rc<Tally>,
}

/// A running in-process agent.
struct Resident {
    life: Rc<Life>,
    served: Vec<Served>,
    /// Once it is used, the actor is about to end.
    stop: Option<oneshot::Sender<()>>,
    connection: ConnectionId,
}

/// All in-process agents.
#[derive(Default)]
pub struct Residents {
    kinds: RefCell<HashMap<AgentName, InProcess>>,
    running: RefCell<hashbrown::HashMap<AgentName, Resident>>,
    /// Questions of programs that are with actors.
    serving: Cell<usize>,
}

impl Residents {
    /// Makes these agents known.
    pub fn define(&self, agents: Vec<InProcess>) {
        let mut kinds = self.kinds.borrow_mut();
        kinds.extend(agents.into_iter().map(|agent| (agent.spec.name.clone(), agent)));
    }

    /// Who takes this question at that agent.
    pub fn find<Q: Query>(&self, agent: &AgentName) -> Found<Q> {
        let running = self.running.borrow();
        let Some(resident) = running.get(agent) else { return Found::Elsewhere };
        let served = resident.served.iter().find(|served| served.route.query == TypeId::of::<Q>());
        let found = served.and_then(|it| Some((it.route.recipient.clone().downcast().ok()?, it.tally.clone())));
        found.map_or(Found::NotAnswered, |(recipient, tally)| Found::Here(recipient, tally))
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
        let life = Life::begin(agent.clone(), key);
        let guard = {
            let (ended, life, board) = (ended.clone(), life.clone(), Rc::downgrade(board));
            ExitGuard(Some(Box::new(move |panicked: Option<String>| {
                let panicked = panicked.or_else(|| life.panicked.take());
                life.panicked.replace(panicked.clone());
                life.over.set(true);
                if let Some(board) = board.upgrade() {
                    board.residents.forget(&board, &life);
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
                    board.residents.take(&board, &name, delivery);
                }
            }),
        );
        let served =
            running.routes.into_iter().map(|route| Served { route, tally: Tally::new(life.clone()) }).collect();
        let resident = Resident { life, served, stop: Some(running.stop), connection };
        self.running.borrow_mut().insert(agent.clone(), resident);
        true
    }

    /// Stops the actor of this key, if it still runs.
    pub fn stop(&self, board: &Board, key: u64) {
        let mut running = self.running.borrow_mut();
        let name = running.iter().find(|(_, resident)| resident.life.key == key).map(|(name, _)| name.clone());
        let resident = name.and_then(|name| running.remove(&name));
        drop(running);
        if let Some(resident) = resident {
            board.close(resident.connection);
            end(resident.stop);
        }
    }

    /// Why there is no answer to a question that an actor had got: it has ended, or a future that its handler left behind
    /// has panicked. The actor survives that, but it is the agent's failure all the same, so that it ends now.
    pub fn unanswered(&self, life: &Life) -> RequestError {
        if !life.over.get() && life.panicked.borrow().is_none() {
            life.panicked.replace(Some(supervision::last_panic()));
            let mut running = self.running.borrow_mut();
            if let Some(resident) = running.get_mut(&life.agent).filter(|resident| resident.life.key == life.key) {
                end(resident.stop.take());
            }
        }
        match &*life.panicked.borrow() {
            Some(text) => AgentError::new(500, format!("it panicked before it answered: {text}")).into(),
            None => RequestError::Unavailable { reason: format!("stopped: {} ended before it answered", life.agent) },
        }
    }

    fn forget(&self, board: &Rc<Board>, life: &Life) {
        // During a panic nothing may be borrowed twice: who holds it is about to unwind, too.
        let Ok(mut running) = self.running.try_borrow_mut() else { return };
        if running.get(&life.agent).is_some_and(|resident| resident.life.key == life.key)
            && let Some(resident) = running.remove(&life.agent)
        {
            drop(running);
            if life.panicked.borrow().is_none() {
                return board.close(resident.connection);
            }
            // After those who waited have been told what the panic said.
            let board = board.clone();
            actix::spawn(async move {
                tokio::task::yield_now().await;
                board.close(resident.connection);
            });
        }
    }

    /// Takes what was sent to an agent.
    fn take(&self, board: &Rc<Board>, agent: &AgentName, delivery: Delivery) {
        let text = std::str::from_utf8(&delivery.subject).unwrap_or_default();
        if text.starts_with("$SRV.") {
            return self.present(board, agent, text, &delivery);
        }
        let base = subject(agent.as_str(), "");
        let endpoint = text.strip_prefix(&base).map(|rest| rest.trim_start_matches('.')).unwrap_or_default();
        let running = self.running.borrow();
        let Some(resident) = running.get(agent) else { return };
        let served = resident.served.iter().find(|served| served.route.endpoint == endpoint);
        let most = board.switch.borrow().settings().max_pending_requests;
        match served {
            None => {
                let error = AgentError::new(404, format!("{agent} does not answer {text}"));
                reply(board, &delivery, Err(error));
            }
            Some(_) if self.serving.get() >= most => {
                let error = AgentError::new(429, format!("{most} questions are with actors already"));
                reply(board, &delivery, Err(error));
            }
            Some(Served { route, tally }) => {
                let answer = (route.json)(&delivery.payload);
                self.serving.set(self.serving.get() + 1);
                actix::spawn(serve(board.clone(), tally.clone(), answer, delivery, board.clock.steady()));
            }
        }
    }

    /// Tells what an agent is, as a micro-service.
    fn present(&self, board: &Board, agent: &AgentName, question: &str, delivery: &Delivery) {
        let running = self.running.borrow();
        let Some(resident) = running.get(agent) else { return };
        let kinds = self.kinds.borrow();
        let description = kinds.get(agent).map_or("", |kind| kind.spec.description.as_str());
        if let Some(answer) = micro::answer(question, &resident.life, description, &resident.served) {
            reply(board, delivery, Ok(answer));
        }
    }
}

fn end(stop: Option<oneshot::Sender<()>>) {
    if let Some(stop) = stop {
        // It has ended already if this fails.
        let _ = stop.send(());
    }
}

/// Waits for an actor's answer to a program's question, and passes it on, if anybody wants it.
async fn serve(board: Rc<Board>, tally: Rc<Tally>, answer: JsonAnswer, delivery: Delivery, asked_at: Moment) {
    let answer = answer.await;
    board.residents.serving.set(board.residents.serving.get() - 1);
    let answer = answer.unwrap_or_else(|_| {
        Err(match board.residents.unanswered(&tally.life) {
            RequestError::Agent(error) => error,
            RequestError::Unavailable { reason } => AgentError::new(503, reason),
            other => AgentError::new(500, other.to_string()),
        })
    });
    tally.served(board.clock.steady().since(asked_at));
    if let Err(error) = &answer {
        tally.failed(error);
    }
    reply(&board, &delivery, answer);
}

/// Answers a message in the name of who got it.
fn reply(board: &Board, delivery: &Delivery, answer: Result<Vec<u8>, AgentError>) {
    let Some(subject) = &delivery.reply else { return };
    let (block, payload) = match answer {
        Ok(payload) => (Vec::new(), payload),
        Err(AgentError { code, message }) => {
            let block = headers::Headers::new()
                .with("Nats-Service-Error", &message)
                .with("Nats-Service-Error-Code", &code.to_string());
            (block.block(), Vec::new())
        }
    };
    let now = board.clock.now();
    let publish = Publish { subject, reply: None, headers: &block, payload: &payload };
    board.with(|switch| switch.publish(delivery.to, &publish, now));
}

/// Where a question goes.
pub enum Found<Q: Query> {
    /// To this actor.
    Here(Rc<Recipient<Q>>, Rc<Tally>),
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
        switch.subscribe_local(connection, 3, micro::PATTERN.as_bytes(), None);
        connection
    })
}
