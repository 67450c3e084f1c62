//! The message bus: the actors around the switch of `werkpilot-bus`, on an arbiter of their own.
//!
//! ```text
//!  clients ──TCP──▶ Session (one per connection) ──bytes──▶ Board { Switch } ──postman──▶ sockets, endpoints
//!                                                              ▲
//!  BusActor: takes in connections, does what others ask ───────┘
//! ```
//!
//! Everything of the bus is on one arbiter, because what talks together should: a hop to another thread costs more than
//! thirty times a message on the same one. In-process agents live there, too.

mod actor;
mod asking;
mod board;
mod callers;
mod console;
mod credentials;
mod desk;
pub mod executions;
mod fleet;
mod life;
pub mod link;
mod messenger;
mod micro;
mod patience;
mod query;
mod resident;
mod residents;
mod session;
mod side;
mod start;
mod tray;

pub use actor::{
    BeginLameDuck, BusActor, BusReport, CloseBus, Crash, GetBusReport, GetConnections, GetRequests, RequestFigures,
};
pub use werkpilot_bus::switch::{Access, ConnectionView, Settings as BusSettings};

pub use console::{ConsoleError, Note as ConsoleNote, Reply};
pub use credentials::{Credentials, OPERATOR};
pub use fleet::{GetServices, PingService, ServiceQuestion};
pub use messenger::{Incoming, Messenger};
pub use query::{AgentError, Query, RequestError};
pub use resident::{InProcess, InProcessBuilder};
pub use side::{BusSide, OperatorAccess};
pub use start::{Bus, BusOptions, BusStartError, server_info};
pub(crate) use tray::Note;
