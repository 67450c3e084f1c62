//! What clients send. Stateless: the first frame of a buffer, or how much is missing.

use super::ProtocolError;
use super::line::{Arguments, Body, Frame, Limits, Verb, body, number, rest, size, unquoted, verb};

/// One operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op<'a> {
    /// Who the client is and what it wants: the JSON of a [`super::Connect`], not yet read.
    Connect(&'a [u8]),
    /// An INFO line, which only servers send; nats-server ignores it from a client.
    Info(&'a [u8]),
    /// Asks for a PONG.
    Ping,
    /// Answers a PING.
    Pong,
    /// An acknowledgement, which only servers send; nats-server ignores it from a client.
    Ok,
    /// An error text without its quotes; nats-server closes when a client sends one.
    Err(&'a [u8]),
    /// A message to be delivered.
    Publish(Publish<'a>),
    /// Asks for messages on a subject.
    Subscribe {
        /// The subject, maybe with wildcards; not validated here.
        subject: &'a [u8],
        /// The queue group.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// Ends a subscription.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// Only after so many messages, counted from its beginning; `None` and numbers already reached mean at once.
        max: Option<u64>,
    },
}

/// A message as a client publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The subject; not validated here.
    pub subject: &'a [u8],
    /// Where replies go; not validated here.
    pub reply: Option<&'a [u8]>,
    /// The whole block (`NATS/1.0`, lines, empty line), not validated; empty without headers.
    pub headers: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

/// What [`parse`] found.
pub type Parsed<'a> = Frame<Op<'a>>;

#[derive(Clone, Copy)]
enum Kind {
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Connect,
    Info,
    Ok,
    Err,
}

/// The commonest first.
const VERBS: [Verb<Kind>; 10] = [
    Verb { word: "PUB", kind: Kind::Pub, spaced: true },
    Verb { word: "HPUB", kind: Kind::Hpub, spaced: true },
    Verb { word: "SUB", kind: Kind::Sub, spaced: true },
    Verb { word: "UNSUB", kind: Kind::Unsub, spaced: true },
    Verb { word: "PING", kind: Kind::Ping, spaced: false },
    Verb { word: "PONG", kind: Kind::Pong, spaced: false },
    Verb { word: "CONNECT", kind: Kind::Connect, spaced: false },
    Verb { word: "INFO", kind: Kind::Info, spaced: false },
    Verb { word: "+OK", kind: Kind::Ok, spaced: false },
    Verb { word: "-ERR", kind: Kind::Err, spaced: true },
];

/// The first frame of a client's bytes. Copies nothing, keeps nothing.
///
/// What is over a limit is refused as soon as the control line says so; the payload need not be there.
///
/// # Errors
///
/// The bytes are not the protocol, or are more than `limits` allow: the connection is to be told
/// [`ProtocolError::wire`] and closed.
pub fn parse<'a>(buffer: &'a [u8], limits: &Limits) -> Result<Parsed<'a>, ProtocolError> {
    let incomplete = Ok(Parsed::Incomplete { at_least: buffer.len() + 1 });
    let Some(Verb { word, kind, .. }) = verb(buffer, &VERBS)? else { return incomplete };
    let Some(line) = rest(buffer, word.len(), limits)? else { return incomplete };
    let op = match kind {
        Kind::Pub | Kind::Hpub => {
            let head = head(line.arguments, word, matches!(kind, Kind::Hpub), limits)?;
            return Ok(match body(buffer, line.end, head.headers, head.size)? {
                Ok(Body { headers, payload, end }) => {
                    let op = Op::Publish(Publish { subject: head.subject, reply: head.reply, headers, payload });
                    Parsed::Op { op, length: end }
                }
                Err(at_least) => Parsed::Incomplete { at_least },
            });
        }
        Kind::Sub => subscribe(line.arguments).ok_or(ProtocolError::BadArguments { verb: word })?,
        Kind::Unsub => unsubscribe(line.arguments).ok_or(ProtocolError::BadArguments { verb: word })?,
        Kind::Ping => Op::Ping,
        Kind::Pong => Op::Pong,
        Kind::Connect => Op::Connect(line.arguments),
        Kind::Info => Op::Info(line.arguments),
        Kind::Ok => Op::Ok,
        Kind::Err => Op::Err(unquoted(line.arguments)),
    };
    Ok(Parsed::Op { op, length: line.end })
}

/// The control line of a message.
struct Head<'a> {
    subject: &'a [u8],
    reply: Option<&'a [u8]>,
    headers: usize,
    size: usize,
}

/// `subject [reply] size`, with headers `subject [reply] header-size size`.
#[inline]
fn head<'a>(line: &'a [u8], verb: &'static str, has_headers: bool, limits: &Limits) -> Result<Head<'a>, ProtocolError> {
    let bad = ProtocolError::BadArguments { verb };
    let arguments = Arguments::split(line).ok_or(bad)?;
    let (subject, reply, headers, total) = match (has_headers, arguments.words()) {
        (false, &[subject, total]) => (subject, None, None, total),
        (false, &[subject, reply, total]) => (subject, Some(reply), None, total),
        (true, &[subject, headers, total]) => (subject, None, Some(headers), total),
        (true, &[subject, reply, headers, total]) => (subject, Some(reply), Some(headers), total),
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
    Ok(Head { subject, reply, headers, size })
}

/// `subject [queue] sid`.
fn subscribe(line: &[u8]) -> Option<Op<'_>> {
    match *Arguments::split(line)?.words() {
        [subject, sid] => Some(Op::Subscribe { subject, queue: None, sid }),
        [subject, queue, sid] => Some(Op::Subscribe { subject, queue: Some(queue), sid }),
        _ => None,
    }
}

/// `sid [max]`; a maximum that is no number, or 0, means at once, as nats-server has it.
fn unsubscribe(line: &[u8]) -> Option<Op<'_>> {
    match *Arguments::split(line)?.words() {
        [sid] => Some(Op::Unsubscribe { sid, max: None }),
        [sid, max] => Some(Op::Unsubscribe { sid, max: number(max).filter(|&max| max > 0) }),
        _ => None,
    }
}
