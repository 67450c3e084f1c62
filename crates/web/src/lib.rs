//! HTTP: metrics, health, the dashboard and the API.
//!
//! # Theory of operation
//!
//! ```text
//!  browser, Prometheus, curl ──TCP──────▶ gate: URL, Host, Origin; who asks ──┐
//!                                                                             ├──▶ admit: its row ──▶ handler ──▶ runtime::Handle
//!  werkpilot CLI ──Unix socket, 0600────▶ gate: an admin ─────────────────────┘
//! ```
//!
//! Two listeners serve one table of routes ([`routes::ROUTES`]). What has no row there does not exist; who may use what has
//! one stands in it. The gate in front finds out who asks (`auth`: tokens, sessions, or nothing at all), keeps the number of
//! requests in progress bounded, turns a panic into a 500, and sets the security headers.
//!
//! One thread serves both; each has bounds of its own, so that a flood on TCP never locks the CLI out. While nobody is
//! connected there is no application either, only two listeners: it is made when somebody comes.
//!
//! Invariant: both listeners are bound by [`Bound::bind`] before any agent is started; nothing here decides about agents,
//! every answer is a value of [`werkpilot_runtime::view`] or an error of its handle, rendered.

mod accept;
mod api;
mod audit;
mod auth;
mod bind;
mod body;
mod compress;
mod control_socket;
mod counters;
mod dashboard;
mod door;
mod etag;
mod gate;
mod health;
mod idempotency;
mod metrics;
mod monitor;
pub mod openapi;
pub mod openmetrics;
mod port_owner;
mod problem;
pub mod routes;
mod server;
mod snapshot;
mod sse;
mod tls;

pub use bind::{BindError, Bound, Exposure, bind_bus};
pub use control_socket::control_socket_path;
pub use monitor::{Monitor, monitor};
pub use port_owner::Owner;
pub use server::{ConfigReport, Server, serve};
pub use tls::TlsError;
