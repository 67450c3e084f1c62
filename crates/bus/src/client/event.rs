//! What a client is told.

use super::{RequestId, ServerRefusal, Sid};
use crate::protocol::{Info, headers};

/// Something that the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Who it is: first of all, and again when something changes ([`Info::lame_duck`]).
    Info(Box<Info>),
    /// A message of a subscription.
    Message {
        /// Which.
        sid: Sid,
        /// The message.
        message: Received,
    },
    /// An answer to a request. [`Received::answer`] tells what it means.
    Answer {
        /// Which.
        request: RequestId,
        /// The answer.
        message: Received,
    },
    /// It does not like something.
    Refused(ServerRefusal),
    /// It has handled all that was sent before the ping of this number.
    Pong(u64),
}

/// A message that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The subject that it was published on.
    pub subject: Vec<u8>,
    /// Where replies go.
    pub reply: Option<Vec<u8>>,
    /// The whole header block; empty without headers.
    pub headers: Vec<u8>,
    /// What it says.
    pub payload: Vec<u8>,
}

/// What an answer to a request means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The payload is the answer.
    Given,
    /// Nobody listens to the subject.
    NoResponders,
    /// An error of the responder, or the reason why there is none (code 503).
    Error {
        /// `Nats-Service-Error-Code`; 500 where it is missing or no number.
        code: u16,
        /// `Nats-Service-Error`.
        message: String,
    },
}

impl Received {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        headers::get(&self.headers, name)
    }

    /// Who sent it, where the bus proves it (`Werkpilot-From`).
    pub fn from(&self) -> Option<&str> {
        self.header("Werkpilot-From")
    }

    /// What it means as an answer to a request (ADR-32 for errors).
    pub fn answer(&self) -> Answer {
        const ERROR: &str = "Nats-Service-Error";
        const ERROR_CODE: &str = "Nats-Service-Error-Code";
        if self.payload.is_empty() && matches!(headers::status(&self.headers), Some((503, _))) {
            return Answer::NoResponders;
        }
        let (code, message) = (self.header(ERROR_CODE), self.header(ERROR));
        if code.is_none() && message.is_none() {
            return Answer::Given;
        }
        let code = code.and_then(|code| code.parse().ok()).unwrap_or(500);
        Answer::Error { code, message: message.unwrap_or_default().to_owned() }
    }
}
