//! The message bus as pure values: bytes and decisions in, bytes and deliveries out.
//!
//! # Theory of operation
//!
//! ```text
//!  socket ─bytes─▶ protocol::parse ─Op─▶ Switch ─┬─▶ table (who listens?) ─▶ outbox of each receiver ─bytes─▶ socket
//!                                          │     └─▶ pending (who may answer?)
//!                                          └─▶ deliveries for receivers inside the process
//! ```
//!
//! Knows no socket, no clock, no actor: `now` is a parameter, and what has to be written is in outboxes.

pub mod cache;
pub mod client;
pub mod deadlines;
pub mod protocol;
pub mod subject;
pub mod switch;
pub mod table;
