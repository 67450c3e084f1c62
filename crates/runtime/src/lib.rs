//! The actors of Werkpilot: thin, single-threaded, supervised.
//!
//! # Theory of operation
//!
//! All actors live on one arbiter, so a message between two of them costs a fraction of a microsecond and arrives in
//! order. Each owns one decision machine of `werkpilot-core`; a handler feeds the machine and carries out what it
//! answers. Folders follow the data:
//!
//! ```text
//!  intake::Schedule ──due──▶ work::Queue ──grant──▶ agents::Agent ──launch──▶ Hands (werkpilot-process)
//!       ▲ layer reached          ▲                    │    ▲                     │
//!  agents::Boot            retry, ended ──────────────┘    └── started, exited ──┘ (router)
//!                                │
//!                                ▼ facts
//!              observe::{EventLog, DeadLetters, Percentiles, Memory, Prober}
//! ```
//!
//! State that has to survive the death of its actor (the machines, the dead letters, the samples) lives in the
//! [`house::House`]: each part is changed by its own actor only and read by whoever answers questions. An actor that
//! panics is started again by its parent on the same state; see [`supervision`].
//!
//! Only [`Handle`] leaves the arbiter: it is what the web server, the CLI and an embedding program hold.

pub mod agents;
mod alarm;
pub mod bus;
pub mod clock;
mod cloud_event;
mod directory;
mod handle;
pub mod hands;
pub mod house;
pub mod intake;
pub mod observe;
mod orchestrator;
mod post;
mod provenance;
mod router;
pub mod simulate;
pub mod state;
pub mod supervision;
pub mod view;
pub mod why;
pub mod work;

pub use handle::{
    AuditPageView, AuditView, ControlError, Handle, LogQuery, MadeBefore, ReportPage, RunRequest, kept_reports,
};
pub use orchestrator::{LoadFault, Loaded, Loader, Options, StartError, start};
pub use post::{Post, Unavailable};
pub use provenance::{AgentConfig, ConfigKey, KeyChange, Provenance, SettingChange};
pub use werkpilot_store::reader::AuditFilter;
pub use werkpilot_store::row::token::TokenRow;
