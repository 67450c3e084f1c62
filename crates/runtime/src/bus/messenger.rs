//! The bus for Rust: ask, publish and subscribe, from any thread; on the bus's own arbiter without a detour.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use werkpilot_bus::subject::{is_publishable, is_valid_pattern};
use werkpilot_core::ids::AgentName;

use super::actor::BusActor;
use super::asking;
use super::board::Board;
use super::patience::Patience;
use super::query::{AgentError, Query, RequestError};
use crate::post::Post;

thread_local! {
    /// The board of this thread, if it is the bus's arbiter.
    static HERE: RefCell<Option<(Post<BusActor>, Rc<Board>)>> = const { RefCell::new(None) };
}

/// Messages that wait for a subscriber; more are dropped, as for any consumer that does not keep up.
const SUBSCRIBED: usize = 1_024;

/// A message that came for a subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Its subject.
    pub subject: String,
    /// Who sent it.
    pub from: String,
    /// What was sent.
    pub payload: Vec<u8>,
}

/// What is done on the bus's arbiter.
pub(super) type Work = Box<dyn FnOnce(&Rc<Board>) + Send>;

/// Does something on the bus's arbiter.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct OnBoard(Work);

impl Handler<OnBoard> for BusActor {
    type Result = ();
    fn handle(&mut self, OnBoard(work): OnBoard, _: &mut Self::Context) {
        work(self.board_rc());
    }
}

/// The way to the bus. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Messenger {
    post: Post<BusActor>,
    patience: Patience,
}

impl Messenger {
    pub(super) fn new(post: Post<BusActor>, patience: Patience) -> Self {
        Self { post, patience }
    }

    /// How long to wait for an answer, for those who have no reason for another time: `[bus] request_timeout`, as of the
    /// last reload.
    pub fn timeout(&self) -> Duration {
        self.patience.get()
    }

    /// From now on, messengers of this bus on this thread need no detour.
    pub(super) fn settle(&self, board: &Rc<Board>) {
        HERE.with_borrow_mut(|here| *here = Some((self.post.clone(), board.clone())));
    }

    /// The board, if this is its thread.
    fn here(&self) -> Option<Rc<Board>> {
        HERE.with_borrow(|here| {
            let (post, board) = here.as_ref()?;
            post.is_same(&self.post).then(|| board.clone())
        })
    }

    /// Asks an agent, in the name of another one. An in-process agent gets the question as it is, a program as JSON.
    ///
    /// # Errors
    /// [`RequestError`]
    pub async fn request<Q: Query>(
        &self,
        from: &AgentName,
        to: &AgentName,
        query: Q,
        timeout: Duration,
    ) -> Result<Q::Response, RequestError> {
        if let Some(board) = self.here() {
            return asking::ask(board, from, to, query, timeout).await;
        }
        let (sender, receiver) = oneshot::channel();
        let (from, to) = (from.clone(), to.clone());
        let work = Box::new(move |board: &Rc<Board>| {
            let board = board.clone();
            actix::spawn(async move {
                let answer = asking::ask(board, &from, &to, query, timeout).await;
                // Who asked may have given up.
                let _ = sender.send(answer);
            });
        });
        self.send_over(work)?;
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Publishes, in the name of an agent. What is larger than a message may be is dropped, with a line in the log.
    ///
    /// # Errors
    /// [`RequestError::Agent`] with code 400 if that is no subject, [`RequestError::Overloaded`], or that the bus is gone.
    pub fn publish(&self, from: &AgentName, subject: &str, payload: Vec<u8>) -> Result<(), RequestError> {
        check(subject, is_publishable)?;
        let (from, subject) = (from.clone(), subject.to_owned());
        self.on_board(move |board| asking::publish(board, &from, &subject, &payload))
    }

    /// Subscribes, in the name of an agent. Messages come for as long as the receiver lives; who does not take them loses
    /// them.
    ///
    /// # Errors
    /// As [`Self::publish`].
    pub fn subscribe(&self, from: &AgentName, pattern: &str) -> Result<mpsc::Receiver<Incoming>, RequestError> {
        check(pattern, is_valid_pattern)?;
        let (sender, receiver) = mpsc::channel(SUBSCRIBED);
        let (from, pattern) = (from.clone(), pattern.to_owned());
        self.on_board(move |board| asking::subscribe(board, &from, &pattern, sender))?;
        Ok(receiver)
    }

    pub(super) fn on_board(&self, work: impl FnOnce(&Rc<Board>) + Send + 'static) -> Result<(), RequestError> {
        match self.here() {
            Some(board) => work(&board),
            None => self.send_over(Box::new(work))?,
        }
        Ok(())
    }

    pub(super) fn send_over(&self, work: Work) -> Result<(), RequestError> {
        let bus = self.post.addr().ok_or_else(gone)?;
        bus.try_send(OnBoard(work)).map_err(|refused| match refused {
            SendError::Full(_) => RequestError::Overloaded,
            SendError::Closed(_) => gone(),
        })
    }
}

fn check(subject: &str, is_good: fn(&[u8]) -> bool) -> Result<(), RequestError> {
    let error = || AgentError::new(400, format!("`{subject}` is no subject"));
    is_good(subject.as_bytes()).then_some(()).ok_or_else(|| error().into())
}

pub(super) fn gone() -> RequestError {
    RequestError::Unavailable { reason: "the bus is not there at the moment".to_owned() }
}
