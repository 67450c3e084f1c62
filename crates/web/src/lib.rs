//! HTTP: metrics, health, a plain status page and the control API.
//!
//! # Theory of operation
//!
//! ```text
//!  browser, Prometheus, curl ──TCP, loopback──▶ gate ──▶ routes that are open ──────────┐
//!                                                                                       ├──▶ runtime::Handle
//!  werkpilot CLI ──Unix socket, mode 0600────▶ gate ──▶ all routes ─────────────────────┘
//! ```
//!
//! Two listeners serve one table of routes ([`routes::ROUTES`]). What the table does not call open does not exist on TCP:
//! its handler is not even registered there. The gate in front of both checks Host and forwarding headers (TCP only),
//! keeps the number of requests in progress bounded, turns a panic into a 500, and sets the security headers.
//!
//! One thread serves both; each has bounds of its own, so that a flood on TCP never locks the CLI out. While nobody is
//! connected there is no application either, only two listeners: it is made when somebody comes.
//!
//! Invariant: both listeners are bound by [`Bound::bind`] before any agent is started; nothing here decides about agents,
//! every answer is a value of [`werkpilot_runtime::view`] or an error of its handle, rendered.

mod accept;
mod api;
mod bind;
mod body;
mod control_socket;
mod door;
mod gate;
mod health;
mod metrics;
mod monitor;
pub mod openmetrics;
mod page;
mod port_owner;
mod problem;
pub mod routes;
mod server;

pub use bind::{BindError, Bound, bind_bus};
pub use control_socket::control_socket_path;
pub use monitor::{Monitor, monitor};
pub use port_owner::Owner;
pub use server::{ConfigReport, Server, serve};
