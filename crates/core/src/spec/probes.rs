//! How we know that a service is ready, and that it is alive.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::text;

/// How a service says that it is ready, and how long it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ready {
    /// The sign.
    pub check: ReadyCheck,
    /// Not ready after this long: ended as timed out.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub timeout: Duration,
}

/// The sign of readiness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadyCheck {
    /// It has lived for so long.
    #[schema(value_type = String)]
    After(#[serde(serialize_with = "text")] Duration),
    /// `READY=1` on its notify socket.
    Notify,
    /// A 2xx answer from this `http://` URL.
    Http(String),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// A line of its output matches this regular expression.
    Log(String),
    /// It answers `$SRV.PING` on the bus.
    Bus,
}

/// How a service is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Health {
    /// What is looked at.
    pub probe: Probe,
    /// How often. For `notify` the longest time between two `WATCHDOG=1`.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub interval: Duration,
    /// How long one probe may take.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub timeout: Duration,
    /// So many failures in a row make it unhealthy.
    pub failures: u32,
}

/// What a health check looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// A 2xx answer from this `http://` URL.
    Http(String),
    /// This `host:port` accepts a connection.
    Tcp(String),
    /// This command exits with 0.
    Exec(Vec<String>),
    /// It answers `$SRV.PING` on the bus.
    Bus,
    /// It sends `WATCHDOG=1` on its notify socket.
    Notify,
}

impl Probe {
    /// Whether somebody asks, again and again; else the agent has to speak up itself.
    pub const fn is_asked(&self) -> bool {
        !matches!(self, Self::Notify)
    }

    /// The key of the registry.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Exec(_) => "exec",
            Self::Bus => "bus",
            Self::Notify => "notify",
        }
    }
}
