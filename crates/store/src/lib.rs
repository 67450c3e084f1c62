//! What Werkpilot keeps: executions, events, dead letters, agents' state, figures; in one SQLite file with one writer.
//!
//! # Theory of operation
//!
//! ```text
//!  many ──submit(batch, class, done)──▶ Writer ──channel──▶ one thread: BEGIN · batches · COMMIT ──▶ done(result)
//!  many ──ask──▶ Reader (a read-only connection each)             │
//!                     ▲                                           ▼
//!                     └────────────────────────────── werkpilot.db (WAL, FULL)
//! ```
//!
//! Everything that is to be kept goes through the [`Writer`]: batches of [`Change`]s, durable ones (acknowledged after
//! the commit) and lazy ones (on disk within 50 ms). Its thread commits all that is there at once. A batch is kept whole
//! or not at all; one that does not fit what is there is a [`Conflict`]. A full or failing disk refuses durable batches
//! with the reason, lets lazy ones wait, and is tried again until it is back ([`Health`]).
//!
//! [`Reader`]s ask on connections of their own. Each row carries a checksum; a row that is not what was written is an
//! error, never a value.
//!
//! No actor, no async, no clock for decisions: whoever uses it puts those in front.

mod apply;
mod error;
mod failpoint;
mod lock;
mod names;
mod prune;
mod schema;
mod store;
mod sum;

pub mod change;
pub mod maintenance;
pub mod reader;
pub mod row;
pub mod writer;

pub use change::{Change, ExecutionEnd, ExecutionStart, LetterAction};
pub use error::{Conflict, OpenError, StoreError};
pub use lock::{Holder, LockError, StateLock};
pub use prune::{EvictedLetter, Pruned, Retention, STEP};
pub use reader::Reader;
pub use row::Json;
pub use store::{FILE, Store};
pub use writer::{Class, Done, Health, Writer, WriterStats};
