//! A question on its way, on the bus's arbiter: straight to an actor, or as a message to a program.
//!
//! The way to an actor is the hot path: one lookup by name, one message, and a place in a coarse table of deadlines
//! instead of a timer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::dev::RecipientRequest;
use tokio::sync::{mpsc, oneshot};
use werkpilot_bus::deadlines::Key;
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::switch::{Delivery, Edge};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::board::Board;
use super::callers::Expected;
use super::life::Tally;
use super::messenger::Incoming;
use super::query::{AgentError, Query, RequestError, answer, subject};
use super::residents::Found;
use crate::clock::Clock;

/// The switch finds out first that a program is late, while those that wait for the asker still do: else circles that
/// lead through both would not be found.
const AFTER_THE_SWITCH: Duration = Duration::from_millis(10);

/// Who waits for an actor's answer.
pub struct Wait {
    waker: Waker,
    from: AgentName,
    tally: Rc<Tally>,
}

impl Wait {
    /// Who asked whom.
    pub fn edge(&self) -> Edge {
        (self.from.clone(), self.tally.life.agent.clone())
    }

    /// The time is over. Who asked whom.
    pub fn give_up(self) -> Edge {
        let edge = self.edge();
        self.waker.wake();
        edge
    }
}

/// Asks an agent in the name of another one.
pub async fn ask<Q: Query>(
    board: Rc<Board>,
    from: &AgentName,
    to: &AgentName,
    query: Q,
    timeout: Duration,
) -> Result<Q::Response, RequestError> {
    if board.is_full() {
        board.suspect_circle(from, to);
        board.failed(to, &RequestError::Overloaded);
        return Err(RequestError::Overloaded);
    }
    let (recipient, tally) = match board.residents.find::<Q>(to) {
        Found::Here(recipient, tally) => (recipient, tally),
        Found::NotAnswered => return Err(RequestError::NoResponder(subject(to.as_str(), Q::ENDPOINT))),
        Found::Elsewhere => return Box::pin(ask_program(&board, from, to, query, timeout)).await,
    };
    let now = board.clock.coarse();
    board.switch.borrow_mut().requests_mut().asked(to, now);
    let deadline = now + timeout;
    let asked_at = tally.is_timing().then(|| board.clock.steady());
    let mut asking = Asking { board: &board, tally: &tally, from, asked_at, deadline, key: None };
    let mut sent = std::pin::pin!(recipient.send(query));
    let answer = std::future::poll_fn(|task| asking.poll(sent.as_mut(), task)).await;
    if let Err(error) = &answer {
        board.failed(to, error);
    }
    answer
}

/// A question that an actor has got.
struct Asking<'a> {
    board: &'a Rc<Board>,
    tally: &'a Rc<Tally>,
    from: &'a AgentName,
    /// If it is one of those that are timed.
    asked_at: Option<Moment>,
    deadline: Moment,
    /// The place in the table of deadlines, once it waits.
    key: Option<Key>,
}

impl Asking<'_> {
    fn poll<Q: Query>(
        &mut self,
        sent: Pin<&mut RecipientRequest<Q>>,
        task: &mut Context<'_>,
    ) -> Poll<Result<Q::Response, RequestError>> {
        if let Poll::Ready(answer) = sent.poll(task) {
            self.tally.answered(self.board, self.asked_at);
            return Poll::Ready(match answer {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => {
                    self.tally.failed(&error);
                    Err(error.into())
                }
                Err(_) => Err(self.board.residents.unanswered(&self.tally.life)),
            });
        }
        let Some(key) = self.key else {
            let wait = Wait { waker: task.waker().clone(), from: self.from.clone(), tally: self.tally.clone() };
            self.key = Some(self.board.wait(self.deadline, wait));
            return Poll::Pending;
        };
        let mut waits = self.board.waits.borrow_mut();
        let Some(wait) = waits.get_mut(key) else { return Poll::Ready(Err(RequestError::Timeout)) };
        if !wait.waker.will_wake(task.waker()) {
            wait.waker.clone_from(task.waker());
        }
        Poll::Pending
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.board.waits.borrow_mut().cancel(key);
        }
    }
}

async fn ask_program<Q: Query>(
    board: &Rc<Board>,
    from: &AgentName,
    to: &AgentName,
    query: Q,
    timeout: Duration,
) -> Result<Q::Response, RequestError> {
    let unwritable = |error| AgentError::new(400, format!("the question can't be written as JSON: {error}"));
    let payload = serde_json::to_vec(&query).map_err(unwritable)?;
    let max = board.switch.borrow().settings().max_payload;
    if payload.len() > max {
        return Err(RequestError::TooLarge { bytes: payload.len(), max });
    }
    let subject = subject(to.as_str(), Q::ENDPOINT);
    let (sender, receiver) = oneshot::channel();
    let caller = board.callers.of(board, from);
    let expected = Expected::new(&caller, sender);
    let reply = expected.inbox();
    let deadline = Clock::wall() + timeout;
    let block = headers::Headers::new().with("Werkpilot-Deadline", &deadline.to_string()).block();
    let publish =
        Publish { subject: subject.as_bytes(), reply: Some(reply.as_bytes()), headers: &block, payload: &payload };
    let now = board.clock.now();
    board.with(|switch| switch.publish(caller.connection(), &publish, now));
    match tokio::time::timeout(timeout + AFTER_THE_SWITCH, receiver).await {
        Ok(Ok(delivery)) => answer(&subject, &delivery.headers, &delivery.payload),
        Ok(Err(_)) | Err(_) => Err(RequestError::Timeout),
    }
}

/// Publishes in the name of an agent.
pub fn publish(board: &Rc<Board>, from: &AgentName, subject: &str, payload: &[u8]) {
    let max = board.switch.borrow().settings().max_payload;
    if payload.len() > max {
        let bytes = payload.len();
        log::warn!(target: "werkpilot", "{from} publishes {bytes} bytes on {subject}, of {max} at most: they are dropped");
        return;
    }
    let caller = board.callers.of(board, from);
    let publish = Publish { subject: subject.as_bytes(), reply: None, headers: &[], payload };
    let now = board.clock.now();
    board.with(|switch| switch.publish(caller.connection(), &publish, now));
}

/// Subscribes in the name of an agent, for as long as somebody receives. The pattern is a valid one.
pub fn subscribe(board: &Rc<Board>, from: &AgentName, pattern: &str, sender: mpsc::Sender<Incoming>) {
    let now = board.clock.steady();
    let connection = board.with(|switch| {
        let connection = switch.open_local(werkpilot_bus::switch::Who::Agent(from.clone()), now);
        switch.subscribe_local(connection, 1, pattern.as_bytes(), None);
        connection
    });
    let ours = Rc::downgrade(board);
    board.attach_endpoint(
        connection,
        Rc::new(move |delivery: Delivery| {
            let incoming = Incoming {
                subject: String::from_utf8_lossy(&delivery.subject).into_owned(),
                from: delivery.from.as_str().to_owned(),
                payload: delivery.payload,
            };
            if let Err(mpsc::error::TrySendError::Closed(_)) = sender.try_send(incoming)
                && let Some(board) = ours.upgrade()
            {
                board.close(connection);
            }
        }),
    );
}
