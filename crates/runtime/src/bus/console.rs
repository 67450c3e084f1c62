//! What a person asks and says on the bus, in the operator's name: any payload, any subject that an operator may use.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use werkpilot_bus::protocol::{Publish, headers};
use werkpilot_bus::subject::is_valid_subject;
use werkpilot_bus::switch::{Delivery, Topic, topic};

use super::board::Board;
use super::callers::Expected;
use super::messenger::{Messenger, gone};
use super::query::{RequestError, error_of};
use crate::clock::Clock;

/// Where an answer may be late by: the switch finds out first, and says more.
const AFTER_THE_SWITCH: Duration = Duration::from_millis(50);
const DEADLINE: &str = "Werkpilot-Deadline";

/// What is asked or said.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// Where.
    pub subject: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// What.
    pub payload: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered.
    pub from: String,
    /// Names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// What was answered.
    pub payload: Vec<u8>,
    /// How long it took.
    pub took: Duration,
}

/// Why something was not asked or said, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Nobody may publish there.
    #[error("`{0}` is no subject that can be published to: words with dots between them, without spaces and wildcards")]
    Subject(String),
    /// Only the orchestrator, or the bus itself, speaks there.
    #[error("`{0}` is the system's: events and replies are published by the orchestrator and the bus only")]
    SystemSubject(String),
    /// That is no header.
    #[error("`{0}` is no header: a name is visible ASCII without a colon, a value is one line")]
    Header(String),
    /// The bus or the agent has an error for it.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Note {
    fn check(&self) -> Result<(), ConsoleError> {
        let subject = self.subject.as_bytes();
        if !is_valid_subject(subject) {
            return Err(ConsoleError::Subject(self.subject.clone()));
        }
        if !matches!(topic(subject), Topic::Request(_) | Topic::Service(_) | Topic::Free) {
            return Err(ConsoleError::SystemSubject(self.subject.clone()));
        }
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        let bad = self.headers.iter().find(|(name, value)| !is_name(name) || value.contains(char::is_control));
        bad.map_or(Ok(()), |(name, _)| Err(ConsoleError::Header(name.clone())))
    }

    /// The block of its headers; empty without.
    fn block(&self, deadline: Option<&str>) -> Vec<u8> {
        let own = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let deadline = deadline.filter(|_| !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(DEADLINE)));
        let mut all = own.chain(deadline.map(|deadline| (DEADLINE, deadline))).peekable();
        if all.peek().is_none() {
            return Vec::new();
        }
        all.fold(headers::Headers::new(), |block, (name, value)| block.with(name, value)).block()
    }

    fn fits(&self, block: &[u8], board: &Board) -> Result<(), RequestError> {
        let (bytes, max) = (self.payload.len() + block.len(), board.switch.borrow().settings().max_payload);
        if bytes > max { Err(RequestError::TooLarge { bytes, max }) } else { Ok(()) }
    }
}

impl Messenger {
    /// Asks in the operator's name. The first answer counts.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub async fn ask_as_operator(&self, note: Note, timeout: Duration) -> Result<Reply, ConsoleError> {
        note.check()?;
        let (sender, receiver) = oneshot::channel();
        let work = Box::new(move |board: &Rc<Board>| {
            let board = board.clone();
            actix::spawn(async move {
                // Who asked may have given up.
                let _ = sender.send(ask(&board, &note, timeout).await);
            });
        });
        self.send_over(work)?;
        Ok(receiver.await.unwrap_or_else(|_| Err(gone()))?)
    }

    /// Publishes in the operator's name. Who listens gets it, if anybody does.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub async fn publish_as_operator(&self, note: Note) -> Result<(), ConsoleError> {
        note.check()?;
        let (sender, receiver) = oneshot::channel();
        self.on_board(move |board| {
            let block = note.block(None);
            let fits = note.fits(&block, board);
            if fits.is_ok() {
                publish(board, &note, None, &block);
            }
            let _ = sender.send(fits);
        })?;
        Ok(receiver.await.unwrap_or_else(|_| Err(gone()))?)
    }
}

fn publish(board: &Board, note: &Note, reply: Option<&[u8]>, block: &[u8]) {
    let connection = board.callers.operator(board).connection();
    let publish = Publish { subject: note.subject.as_bytes(), reply, headers: block, payload: &note.payload };
    let now = board.clock.now();
    board.with(|switch| switch.publish(connection, &publish, now));
}

async fn ask(board: &Board, note: &Note, timeout: Duration) -> Result<Reply, RequestError> {
    let block = note.block(Some(&(Clock::wall() + timeout).to_string()));
    note.fits(&block, board)?;
    let (sender, receiver) = oneshot::channel();
    let caller = board.callers.operator(board);
    let expected = Expected::new(&caller, sender);
    let asked_at = board.clock.steady();
    publish(board, note, Some(expected.inbox().as_bytes()), &block);
    let answered = tokio::time::timeout(timeout + AFTER_THE_SWITCH, receiver).await;
    let Ok(Ok(Delivery { from, headers: block, payload, .. })) = answered else { return Err(RequestError::Timeout) };
    if let Some(error) = error_of(&note.subject, &block) {
        return Err(error);
    }
    let headers = headers::pairs(&block).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Reply { from: from.as_str().to_owned(), headers, payload, took: board.clock.steady().since(asked_at) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(subject: &str, name: &str, value: &str) -> Note {
        let headers = vec![(name.to_owned(), value.to_owned())];
        Note { subject: subject.to_owned(), headers, ..Note::default() }
    }

    #[test]
    fn only_what_an_operator_may_say_is_said() {
        for subject in ["rpc.sales", "rpc.sales.total", "orders.new", "$SRV.PING"] {
            assert!(note(subject, "a", "b").check().is_ok(), "{subject}");
        }
        for subject in ["", "a b", "a..b", "a.*", ">", "orders.\r\nPUB"] {
            assert!(matches!(note(subject, "a", "b").check(), Err(ConsoleError::Subject(_))), "{subject}");
        }
        for subject in ["agent.failed", "execution.succeeded", "_INBOX.x.1", "_R_.0000000000000001", "$SYS.x"] {
            assert!(matches!(note(subject, "a", "b").check(), Err(ConsoleError::SystemSubject(_))), "{subject}");
        }
        for (name, value) in [("", "x"), ("a:b", "x"), ("a b", "x"), ("ä", "x"), ("a", "x\r\nb: c"), ("a", "\0")] {
            assert!(matches!(note("a", name, value).check(), Err(ConsoleError::Header(_))), "{name:?} {value:?}");
        }
    }

    #[test]
    fn a_deadline_is_told_unless_the_person_tells_one() {
        assert_eq!(Note::default().block(None), b"");
        let block = note("a", "Color", "red").block(Some("soon"));
        assert_eq!((headers::get(&block, "color"), headers::get(&block, DEADLINE)), (Some("red"), Some("soon")));
        let block = note("a", "werkpilot-deadline", "later").block(Some("soon"));
        assert_eq!((headers::pairs(&block).count(), headers::get(&block, DEADLINE)), (1, Some("later")));
    }
}
