//! What `werkpilot state check|backup|restore|vacuum` does.

pub(crate) mod check;
mod copy;

pub use check::{CheckReport, TableReport, check};
pub use copy::{MaintenanceError, Vacuumed, backup, restore, vacuum};
