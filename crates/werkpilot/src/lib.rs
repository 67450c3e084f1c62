//! Werkpilot as a program uses it: one binary, and the pieces that it is made of for programs that embed it.
//!
//! # Theory of operation
//!
//! ```text
//!  Source ──load──▶ Loaded ─┐
//!                           ├─▶ Prepared ──start──▶ Orchestrator: Handle (runtime) ◀── HTTP, control socket (web)
//!  StateDir (locked) ───────┘                             ▲    ▲
//!                                               signals ──┘    └── changed files
//! ```
//!
//! [`run`] does all of it and returns when the fleet is down: what `werkpilot up` does. A program that has an actix
//! `System` of its own calls [`Prepared::new`] and [`Prepared::start`].
//!
//! Invariant: nothing is started before the files are read without fault, the state folder is ours, and both listeners
//! are bound.

mod builder;
pub mod bus;
pub mod logging;
mod orchestrator;
mod provenance;
mod runtime_dir;
mod signals;
mod source;
pub mod state;
mod systemd;
mod watch;

pub use builder::{BuildError, Builder};
pub use orchestrator::{Options, Orchestrator, Prepared, RunError, StartError, Summary, run};
pub use source::{ConfigInEffect, Source};

// What an embedding program names: it needs no other crate of ours.
pub use werkpilot_core::ids::AgentName;
pub use werkpilot_core::spec::{Backoff, Condition, Dependency, Priority, RestartPolicy};
pub use werkpilot_runtime::bus::{AgentError, InProcess, InProcessBuilder, Incoming, Messenger, Query, RequestError};
pub use werkpilot_runtime::{ControlError, Handle};
