//! The status of an agent: one enum, whose words are part of the API.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What an agent is doing. Declared from best to worst, so that the status of an agent with several instances is the
/// greatest of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A service that is ready, or a job with a run in progress.
    Running,
    /// A job that waits for its trigger.
    Idle,
    /// Started, not ready yet.
    Starting,
    /// Waits for a worker, for its dependencies or for its boot layer.
    Queued,
    /// Asked to end, not ended yet.
    Stopping,
    /// Stopped by an operator, or a service that ended and is not to be restarted.
    Stopped,
    /// Ended badly; waits before its next attempt.
    BackingOff,
    /// Runs, but its probes fail.
    Unhealthy,
    /// Its last execution failed for good.
    Error,
    /// Its last execution timed out for good.
    Timeout,
    /// Its command is not there, or it is not in the registry.
    Missing,
    /// Its memory was wanted by others.
    DisabledByMemory,
    /// Its own breaker is open.
    DisabledByFailure,
    /// Switched off in the registry or by an operator.
    Disabled,
}

impl Status {
    /// Every status, best first.
    pub const ALL: [Self; 14] = [
        Self::Running,
        Self::Idle,
        Self::Starting,
        Self::Queued,
        Self::Stopping,
        Self::Stopped,
        Self::BackingOff,
        Self::Unhealthy,
        Self::Error,
        Self::Timeout,
        Self::Missing,
        Self::DisabledByMemory,
        Self::DisabledByFailure,
        Self::Disabled,
    ];

    /// The word that the API, the logs and the pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Queued => "queued",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::BackingOff => "backing_off",
            Self::Unhealthy => "unhealthy",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Missing => "missing",
            Self::DisabledByMemory => "disabled_by_memory",
            Self::DisabledByFailure => "disabled_by_failure",
            Self::Disabled => "disabled",
        }
    }

    /// Whether the agent takes part in nothing until somebody, or a cooldown, switches it on again.
    pub const fn is_disabled(self) -> bool {
        matches!(self, Self::Disabled | Self::DisabledByFailure | Self::DisabledByMemory)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
