//! The NATS client protocol: bytes to operations and back, in both directions.
//!
//! What a server needs is [`parse`] and the first half of [`encode`]; what a client needs is [`parse_server`] and the
//! second half. Both parsers are stateless and copy nothing: they look at the first frame of a buffer, and either hand
//! out an operation that borrows from it, or say how many bytes the buffer must hold before asking again makes sense.
//! No input makes them panic, and what they ask for is bounded by [`Limits`].
//!
//! Where the protocol leaves room, nats-server 2.9 decides (each of these was tried on 2.9.10):
//!
//! | input | here and there |
//! |---|---|
//! | verbs in any case; spaces and tabs between arguments | accepted |
//! | LF alone after a control line | accepted |
//! | LF alone, or anything but CR LF, after a payload | `Unknown Protocol Operation`, closed |
//! | an empty line, a space before the verb, `MSG` from a client | `Unknown Protocol Operation`, closed |
//! | anything after `PING`, `PONG` and `+OK` up to the end of the line | ignored |
//! | `CONNECT{…}` without a space | accepted |
//! | a control line is longer than the limit: the arguments count, the verb does not | `maximum control line exceeded` |
//! | `UNSUB 1 x`, `UNSUB 1 -5`, `UNSUB 1 0` | unsubscribes at once |
//! | `HPUB` with a header length of 0 | a message without headers |
//! | `HPUB` with a header block that is none | accepted, delivered as it came |
//! | a size with leading zeros | accepted |
//! | CR inside the arguments of SUB and UNSUB | separates, as a space does |
//!
//! And here it differs, on purpose:
//!
//! | input | nats-server | here |
//! |---|---|---|
//! | wrong number of arguments, a size that is no number | closes without a word | `Parser Error`, closes |
//! | a size of ten digits or more | closes without a word | `Maximum Payload Violation`, closes |
//! | CR inside the arguments of PUB and HPUB | part of the subject, which then is in other clients' `MSG` lines | separates |
//! | a maximum for UNSUB of ten digits or more | unsubscribes at once | is the maximum |
//! | endless spaces before the arguments, endless text after `PING` | accepted | `maximum control line exceeded` |

pub mod encode;
mod error;
pub mod headers;
mod info;
mod line;
mod parse;
mod server;

pub use error::ProtocolError;
pub use headers::{Headers, NO_RESPONDERS};
pub use info::{Connect, Info};
pub use line::{Frame, Limits};
pub use parse::{Op, Parsed, Publish, parse};
pub use server::{Message, ParsedServer, ServerOp, parse_server};
