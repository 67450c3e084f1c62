//! The typed rows: what is kept, one file per subject.

pub mod agent;
pub(crate) mod audit;
pub mod event;
pub mod execution;
pub mod figures;
pub mod idempotency;
pub mod letter;
pub mod optimizer;
pub mod token;
pub mod trigger;

mod columns;
mod json;

pub(crate) use columns::{Columns, millis, run_bytes, span, whole};
pub use json::Json;
