//! The decisions of Werkpilot as pure values.
//!
//! # Theory of operation
//!
//! Everything that is decided (who starts, waits, is skipped, restarts or is given up) is decided here, by plain values
//! with one shape: an event and the time go in, actions come out. Nothing in this crate reads a clock, draws a random
//! number, looks at the environment or starts anything: `now` is a parameter, wall time is a parameter, jitter comes
//! from a seed. The actors in `werkpilot-runtime` own these values and carry out what they answer.
//!
//! ```text
//!  schedule ──due──▶ dispatcher ──start──▶ agent ──launch──▶ (process)
//!                      ▲    ▲                │                   │
//!                      │    └──run ended─────┤◀──────exit────────┘
//!                      └───status changed────┘──▶ percentiles, dead letters, events
//! ```

pub mod agent;
pub mod attention;
pub mod audit;
pub mod backoff;
pub mod boot;
pub mod breaker;
pub mod catch_up;
pub mod dead_letters;
pub mod digest;
pub mod dispatcher;
pub mod event;
pub mod exit;
pub mod graph;
pub mod idempotency;
pub mod ids;
pub mod impact;
pub mod memory;
pub mod notifications;
mod openapi;
pub mod optimizer;
pub mod percentiles;
pub mod probes;
pub mod queue;
pub mod reason;
pub mod requests;
pub mod role;
pub mod schedule;
pub mod score;
pub mod settings;
pub mod shutdown;
pub mod signal;
pub mod signature;
pub mod simulate;
pub mod spec;
pub mod status;
pub mod strategy;
pub mod stream;
pub mod strip;
pub mod suggest;
pub mod throughput;
pub mod time;
pub mod timetable;
pub mod trigger;
pub mod vitals;
pub mod why;
