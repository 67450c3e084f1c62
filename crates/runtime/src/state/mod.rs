//! What survives a restart: how facts become rows, and rows become the state of a new start.
//!
//! ```text
//!  actors ──keep, record, post──▶ Ledger ──▶ werkpilot-store ──▶ Restored ──▶ the next start
//! ```
//!
//! Invariant: what somebody is told is on disk first ([`Ledger::keep`]); everything else follows within 50 ms.

mod cut_off;
mod executions;
mod ledger;
mod restored;
pub mod triggers;

pub use cut_off::{CutOff, settle};
pub use executions::Executions;
pub use ledger::{Ledger, ReadError};
pub use restored::Restored;
