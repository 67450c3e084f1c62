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

pub mod event;
pub mod exit;
pub mod ids;
pub mod reason;
pub mod settings;
pub mod signal;
pub mod spec;
pub mod status;
pub mod time;
pub mod trigger;
