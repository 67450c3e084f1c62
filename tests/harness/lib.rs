//! The harness of the promise tests: the real binary, started in a folder of its own and held to what it promises.
//!
//! Theory of operation: a [`Setup`] writes registry and settings to a temporary folder; a [`Werkpilot`] is an
//! orchestrator that runs there. When it is dropped, it is asked to end, and the test fails unless it ends with code 0
//! and leaves nothing behind: no process, no zombie, no control socket.
//!
//! All that an orchestrator starts carries the [`MARK`] of its test in its environment, which is how leftovers are found
//! and, after a failed test, ended: by pid, and nobody else's. Only [`wait_for`] polls.

pub mod endpoint;
mod http;
pub mod nats;
mod outcome;
pub mod peer;
pub mod processes;
mod setup;
mod wait;
mod werkpilot;

pub use endpoint::Endpoint;
pub use http::{Answer, fetch};
pub use outcome::Outcome;
pub use peer::{BusAccess, Peer};
pub use setup::{MARK, Setup, built};
pub use wait::{PATIENCE, wait_for, wait_until};
pub use werkpilot::Werkpilot;
