//! Typed questions: what is asked, what is answered, and what may go wrong.

use actix::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use werkpilot_bus::protocol::headers;

/// A question with the type of its answer.
///
/// The message of an actor: an in-process agent implements `Handler` for it and gets it as it is. Asked of a program, it
/// travels as JSON on `rpc.<agent>.<ENDPOINT>`, and so does a program's question to an in-process agent.
///
/// ```
/// use actix::Message;
/// use serde::{Deserialize, Serialize};
/// use werkpilot_runtime::bus::{AgentError, Query};
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[rtype(result = "Result<u64, AgentError>")]
/// struct CountOrders { customer: String }
///
/// impl Query for CountOrders {
///     type Response = u64;
///     const ENDPOINT: &'static str = "count";
/// }
/// ```
pub trait Query:
    Message<Result = Result<<Self as Query>::Response, AgentError>> + Serialize + DeserializeOwned + Send + 'static
{
    /// The answer.
    type Response: Serialize + DeserializeOwned + Send + 'static;
    /// The last part of the subject; empty for `rpc.<agent>` itself. One or more tokens of a NATS subject.
    const ENDPOINT: &'static str;
}

/// What an agent answers if it can't answer the question.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct AgentError {
    /// A number that the agent's callers know, as of HTTP: 400 for a bad question, 500 for a fault.
    pub code: u16,
    /// For people.
    pub message: String,
}

impl AgentError {
    /// An error.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// Why a question was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The answer did not come in time.
    #[error("the answer did not come in time")]
    Timeout,
    /// Nobody of this name is in the fleet, or it does not know the question.
    #[error("nobody answers to {0}")]
    NoResponder(String),
    /// The agent is known and can't answer now.
    #[error("it is not available: {reason}")]
    Unavailable {
        /// Its status and why.
        reason: String,
    },
    /// Too many requests wait already.
    #[error("too many requests wait for answers")]
    Overloaded,
    /// The question is larger than a message may be.
    #[error("the question has {bytes} bytes, a message at most {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// The agent answered with an error, or with something else than was expected.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// The subject of a question to an agent.
pub(super) fn subject(agent: &str, endpoint: &str) -> String {
    if endpoint.is_empty() { format!("rpc.{agent}") } else { format!("rpc.{agent}.{endpoint}") }
}

impl RequestError {
    /// Its number as of HTTP, the agent's own if it is the agent's.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::NoResponder(_) | Self::Unavailable { .. } => 503,
            Self::Overloaded => 429,
            Self::TooLarge { .. } => 413,
            Self::Agent(AgentError { code, .. }) => *code,
        }
    }
}

/// What went wrong, if the headers of an answer say that something did.
pub(super) fn error_of(subject: &str, block: &[u8]) -> Option<RequestError> {
    if headers::status(block).is_some_and(|(code, _)| code == 503) {
        return Some(RequestError::NoResponder(subject.to_owned()));
    }
    let code = headers::get(block, "Nats-Service-Error-Code")?;
    let text = headers::get(block, "Nats-Service-Error").unwrap_or_default().to_owned();
    Some(match code.trim().parse() {
        Ok(503) => RequestError::Unavailable { reason: text },
        Ok(408) => RequestError::Timeout,
        Ok(429) => RequestError::Overloaded,
        code => AgentError::new(code.unwrap_or(500), text).into(),
    })
}

/// The answer of a message.
pub(super) fn answer<R: DeserializeOwned>(subject: &str, block: &[u8], payload: &[u8]) -> Result<R, RequestError> {
    if let Some(error) = error_of(subject, block) {
        return Err(error);
    }
    let unreadable = |error| AgentError::new(502, format!("its answer is not what was expected: {error}")).into();
    serde_json::from_slice(payload).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str) -> RequestError {
        let block =
            headers::Headers::new().with("Nats-Service-Error", "why").with("Nats-Service-Error-Code", code).block();
        answer::<u64>("rpc.a", &block, b"").unwrap_err()
    }

    #[test]
    fn headers_say_what_went_wrong() {
        assert_eq!(answer("rpc.a", b"", b"7"), Ok(7_u64));
        assert_eq!(
            answer::<u64>("rpc.a", headers::NO_RESPONDERS, b""),
            Err(RequestError::NoResponder("rpc.a".to_owned()))
        );
        assert_eq!(error("503"), RequestError::Unavailable { reason: "why".to_owned() });
        assert_eq!(error("408"), RequestError::Timeout);
        assert_eq!(error("429"), RequestError::Overloaded);
        assert_eq!(error("404"), AgentError::new(404, "why").into());
        assert_eq!(error("x"), AgentError::new(500, "why").into());
        assert!(matches!(answer::<u64>("rpc.a", b"", b"no"), Err(RequestError::Agent(AgentError { code: 502, .. }))));
    }
}
