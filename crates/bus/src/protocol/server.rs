//! What servers send, for our own clients: the CLI, tests, benchmarks.

use super::ProtocolError;
use super::line::{Arguments, Body, Frame, Limits, Verb, body, number, rest, size, unquoted, verb};

/// One operation of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOp<'a> {
    /// Who the server is: the JSON of a [`super::Info`], not yet read. The first line of every connection, and again
    /// when something changes.
    Info(&'a [u8]),
    /// A message for one of the client's subscriptions.
    Message(Message<'a>),
    /// An acknowledgement, in verbose mode.
    Ok,
    /// An error text without its quotes.
    Err(&'a [u8]),
    /// Asks for a PONG.
    Ping,
    /// Answers a PING.
    Pong,
}

/// A message as a server delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The subject that it was published on.
    pub subject: &'a [u8],
    /// The client's name for the subscription.
    pub sid: &'a [u8],
    /// Where replies go.
    pub reply: Option<&'a [u8]>,
    /// The whole header block; empty without headers.
    pub headers: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

/// What [`parse_server`] found.
pub type ParsedServer<'a> = Frame<ServerOp<'a>>;

#[derive(Clone, Copy)]
enum Kind {
    Msg,
    Hmsg,
    Ping,
    Pong,
    Info,
    Ok,
    Err,
}

/// The commonest first.
const VERBS: [Verb<Kind>; 7] = [
    Verb { word: "MSG", kind: Kind::Msg, spaced: true },
    Verb { word: "HMSG", kind: Kind::Hmsg, spaced: true },
    Verb { word: "PING", kind: Kind::Ping, spaced: false },
    Verb { word: "PONG", kind: Kind::Pong, spaced: false },
    Verb { word: "INFO", kind: Kind::Info, spaced: false },
    Verb { word: "+OK", kind: Kind::Ok, spaced: false },
    Verb { word: "-ERR", kind: Kind::Err, spaced: true },
];

/// The first frame of a server's bytes; [`Limits::CLIENT`] are limits that any server keeps. Copies nothing, keeps
/// nothing.
///
/// # Errors
///
/// The bytes are not the protocol, or are more than `limits` allow: there is no telling where the next frame begins.
pub fn parse_server<'a>(buffer: &'a [u8], limits: &Limits) -> Result<ParsedServer<'a>, ProtocolError> {
    let incomplete = Ok(ParsedServer::Incomplete { at_least: buffer.len() + 1 });
    let Some(Verb { word, kind, .. }) = verb(buffer, &VERBS)? else { return incomplete };
    let Some(line) = rest(buffer, word.len(), limits)? else { return incomplete };
    let op = match kind {
        Kind::Msg | Kind::Hmsg => {
            let head = head(line.arguments, word, matches!(kind, Kind::Hmsg), limits)?;
            let Head { subject, sid, reply, .. } = head;
            return Ok(match body(buffer, line.end, head.headers, head.size)? {
                Ok(Body { headers, payload, end }) => {
                    let op = ServerOp::Message(Message { subject, sid, reply, headers, payload });
                    ParsedServer::Op { op, length: end }
                }
                Err(at_least) => ParsedServer::Incomplete { at_least },
            });
        }
        Kind::Ping => ServerOp::Ping,
        Kind::Pong => ServerOp::Pong,
        Kind::Info => ServerOp::Info(line.arguments),
        Kind::Ok => ServerOp::Ok,
        Kind::Err => ServerOp::Err(unquoted(line.arguments)),
    };
    Ok(ParsedServer::Op { op, length: line.end })
}

/// The control line of a message.
struct Head<'a> {
    subject: &'a [u8],
    sid: &'a [u8],
    reply: Option<&'a [u8]>,
    headers: usize,
    size: usize,
}

/// `subject sid [reply] size`, with headers `subject sid [reply] header-size size`.
fn head<'a>(line: &'a [u8], verb: &'static str, has_headers: bool, limits: &Limits) -> Result<Head<'a>, ProtocolError> {
    let bad = ProtocolError::BadArguments { verb };
    let arguments = Arguments::split(line).ok_or(bad)?;
    let (subject, sid, reply, headers, total) = match (has_headers, arguments.words()) {
        (false, &[subject, sid, total]) => (subject, sid, None, None, total),
        (false, &[subject, sid, reply, total]) => (subject, sid, Some(reply), None, total),
        (true, &[subject, sid, headers, total]) => (subject, sid, None, Some(headers), total),
        (true, &[subject, sid, reply, headers, total]) => (subject, sid, Some(reply), Some(headers), total),
        _ => return Err(bad),
    };
    let size = size(total, verb, limits)?;
    let headers = match headers {
        Some(digits) => number(digits).and_then(|headers| usize::try_from(headers).ok()).ok_or(bad)?,
        None => 0,
    };
    if headers > size {
        return Err(bad);
    }
    Ok(Head { subject, sid, reply, headers, size })
}
