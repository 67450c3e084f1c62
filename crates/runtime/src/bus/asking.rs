//! A question on its way, on the bus's arbiter: straight to an actor, or as a message to a program.
//!
//! The way to an actor is the hot path: one lookup by name, one message, and a place in a coarse table of deadlines
//! instead of a timer.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::dev::RecipientRequest;
use pin_project_lite::pin_project;
use tokio::sync::{mpsc, oneshot};
use werkpilot_bus::deadlines::{Deadlines, Key};
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::subject::is_valid_pattern;
use werkpilot_bus::switch::{Delivery, Fact};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Moment;

use super::board::Board;
use super::messenger::Incoming;
use super::query::{AgentError, Query, RequestError, answer, subject};
use super::residents::{Found, Tally};
use crate::clock::Clock;
use crate::supervision;

/// Who waits for an actor's answer.
#[derive(Debug)]
pub struct Wait {
    waker: Waker,
    from: AgentName,
    to: AgentName,
}

impl Wait {
    /// The time is over.
    pub fn wake(self, others: &Deadlines<Wait>) -> Option<Fact> {
        let circle = circle(&self, others);
        self.waker.wake();
        circle.map(|agents| Fact::Circle { agents })
    }
}

/// The way back from who was asked to who asked, along those that wait: each agent's first wait is followed.
fn circle(late: &Wait, others: &Deadlines<Wait>) -> Option<Vec<AgentName>> {
    let mut way = vec![late.from.clone()];
    let mut last = late.to.clone();
    while last != late.from {
        if way.contains(&last) {
            return None;
        }
        way.push(last.clone());
        last = others.iter().find(|(_, wait)| wait.from == last).map(|(_, wait)| wait.to.clone())?;
    }
    Some(way)
}

/// A program's answer, once it comes.
type ProgramAnswer<R> = Pin<Box<dyn Future<Output = Result<R, RequestError>>>>;

pin_project! {
    /// A question on its way.
    #[project = AskingProjected]
    pub enum Asking<Q: Query> {
        /// To an actor.
        Actor {
            #[pin]
            asking: ToActor<Q>,
        },
        /// To a program.
        Program {
            asking: ProgramAnswer<Q::Response>,
        },
        /// It could not be asked.
        Failed {
            error: Option<RequestError>,
        },
    }
}

/// Asks an agent in the name of another one.
pub fn ask<Q: Query>(board: &Rc<Board>, from: &AgentName, to: &AgentName, query: Q, timeout: Duration) -> Asking<Q> {
    match board.residents.recipient::<Q>(to) {
        Found::Here(recipient, tally) => {
            let now = board.clock.steady();
            let asking = ToActor {
                sent: recipient.send(query),
                board: board.clone(),
                tally,
                asked_at: now,
                deadline: now + timeout,
                wait: Place::New(from.clone(), to.clone()),
            };
            Asking::Actor { asking }
        }
        Found::NotAnswered => {
            Asking::Failed { error: Some(RequestError::NoResponder(subject(to.as_str(), Q::ENDPOINT))) }
        }
        Found::Elsewhere => ask_program::<Q>(board, from, to, &query, timeout),
    }
}

/// Where the asker stands in the table of deadlines.
enum Place {
    New(AgentName, AgentName),
    Taken(Key),
}

pin_project! {
    /// A question to an actor.
    pub struct ToActor<Q: Query> {
        #[pin]
        sent: RecipientRequest<Q>,
        board: Rc<Board>,
        tally: Rc<Tally>,
        asked_at: Moment,
        deadline: Moment,
        wait: Place,
    }

    impl<Q: Query> PinnedDrop for ToActor<Q> {
        fn drop(this: Pin<&mut Self>) {
            if let Place::Taken(key) = this.wait {
                this.board.waits.borrow_mut().cancel(key);
            }
        }
    }
}

impl<Q: Query> ToActor<Q> {
    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Result<Q::Response, RequestError>> {
        let this = self.project();
        if let Poll::Ready(answer) = this.sent.poll(task) {
            this.tally.answered(this.board, *this.asked_at);
            return Poll::Ready(match answer {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(error.into()),
                // Its mailbox was closed: it has ended, by a panic most likely.
                Err(_) => Err(AgentError::new(500, ended()).into()),
            });
        }
        match this.wait {
            Place::New(from, to) => {
                let wait = Wait { waker: task.waker().clone(), from: from.clone(), to: to.clone() };
                let key = this.board.wait(*this.deadline, wait);
                *this.wait = Place::Taken(key);
                Poll::Pending
            }
            Place::Taken(key) => {
                let mut waits = this.board.waits.borrow_mut();
                let Some(wait) = waits.get_mut(*key) else { return Poll::Ready(Err(RequestError::Timeout)) };
                if !wait.waker.will_wake(task.waker()) {
                    wait.waker.clone_from(task.waker());
                }
                Poll::Pending
            }
        }
    }
}

fn ended() -> String {
    format!("it ended before it answered: {}", supervision::last_panic())
}

impl<Q: Query> Future for Asking<Q> {
    type Output = Result<Q::Response, RequestError>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            AskingProjected::Actor { asking } => asking.poll(task),
            AskingProjected::Program { asking } => asking.as_mut().poll(task),
            AskingProjected::Failed { error } => Poll::Ready(Err(error.take().unwrap_or(RequestError::Timeout))),
        }
    }
}

fn ask_program<Q: Query>(
    board: &Rc<Board>,
    from: &AgentName,
    to: &AgentName,
    query: &Q,
    timeout: Duration,
) -> Asking<Q> {
    let payload = match serde_json::to_vec(query) {
        Ok(payload) => payload,
        Err(error) => {
            let text = format!("the question can't be written as JSON: {error}");
            return Asking::Failed { error: Some(AgentError::new(400, text).into()) };
        }
    };
    let max = board.switch.borrow().settings().max_payload;
    if payload.len() > max {
        return Asking::Failed { error: Some(RequestError::TooLarge { bytes: payload.len(), max }) };
    }
    let subject = subject(to.as_str(), Q::ENDPOINT);
    let (sender, receiver) = oneshot::channel();
    let caller = board.callers.of(board, from);
    let number = caller.expect(sender);
    let reply = caller.inbox(number);
    let deadline = Clock::wall() + timeout;
    let block = headers::Headers::new().with("Werkpilot-Deadline", &deadline.to_string()).block();
    let publish =
        Publish { subject: subject.as_bytes(), reply: Some(reply.as_bytes()), headers: &block, payload: &payload };
    let now = board.clock.now();
    board.with(|switch| switch.publish(caller.connection(), &publish, now));
    let asking = Box::pin(async move {
        let delivered = tokio::time::timeout(timeout, receiver).await;
        caller.give_up(number);
        let delivery: Delivery = match delivered {
            Ok(Ok(delivery)) => delivery,
            Ok(Err(_)) | Err(_) => return Err(RequestError::Timeout),
        };
        answer(&subject, &delivery.headers, &delivery.payload)
    });
    Asking::Program { asking }
}

/// Publishes in the name of an agent.
pub fn publish(board: &Rc<Board>, from: &AgentName, subject: &str, payload: &[u8]) {
    let caller = board.callers.of(board, from);
    let publish = Publish { subject: subject.as_bytes(), reply: None, headers: &[], payload };
    let now = board.clock.now();
    board.with(|switch| switch.publish(caller.connection(), &publish, now));
}

/// Subscribes in the name of an agent, for as long as somebody receives.
pub fn subscribe(board: &Rc<Board>, from: &AgentName, pattern: &str, sender: mpsc::Sender<Incoming>) {
    if !is_valid_pattern(pattern.as_bytes()) {
        log::warn!(target: "werkpilot", "{from} wants to subscribe to `{pattern}`, which is no subject");
        return;
    }
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
