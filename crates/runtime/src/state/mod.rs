//! What survives a restart: how facts become rows, and rows become the state of a new start.
//!
//! ```text
//!  actors ──keep, record, post──▶ Ledger ──▶ werkpilot-store ──▶ Restored ──▶ the next start
//! ```
//!
//! Invariant: what somebody is told is on disk first ([`Ledger::keep`]); everything else follows within 50 ms.

pub mod archivist;
mod cut_off;
mod executions;
pub mod facts;
pub mod history;
mod ledger;
mod questions;
mod restored;
pub mod triggers;

pub use cut_off::{CutOff, settle};
pub use executions::Executions;
pub use facts::{Begun, FactPage, FactQuery, Told, kept_facts};
pub use history::{ExecutionView, HistoryPage, HistoryQuery, QueryError, kept_history};
pub use ledger::{Ledger, ReadError};
pub use restored::Restored;
