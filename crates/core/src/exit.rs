//! How a run of a program ended: one type over the whole space.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::signal::Signal;

/// How one attempt, or one life of a service's instance, ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub enum Exit {
    /// Exit code 0.
    Clean,
    /// Any other exit code.
    Code(i32),
    /// Ended by a signal that we did not send.
    Signal(Signal),
    /// Ended by us because the attempt's `timeout` was over, or readiness did not come in time.
    TimedOut,
    /// An in-process agent panicked.
    Panicked(String),
    /// The program could not be started at all.
    SpawnFailed(SpawnFailure),
    /// Ended by us because `memory_max` was exceeded.
    MemoryLimit,
    /// Ended by us because health probes, the watchdog or `max_silence` said that it hangs.
    Unresponsive(String),
}

/// Why a program could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpawnFailure {
    /// What kind of failure it is: decides between `missing`, trying again and `error`.
    pub kind: SpawnFailureKind,
    /// What the operating system said, naming the file; completes "failed to …".
    pub message: String,
}

/// The kinds of [`SpawnFailure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFailureKind {
    /// The command is not there, not executable or of a bad format (ENOENT, EACCES, ENOEXEC): the agent is `missing`.
    Missing,
    /// The machine is short of something (EAGAIN, EMFILE, ENFILE, ENOMEM): tried again, not the agent's failure.
    Transient,
    /// Anything else, such as an unknown user or an unreadable secret.
    Other,
}

impl Exit {
    /// Whether this counts as success under the agent's `success_codes`.
    pub fn is_success(&self, success_codes: &[i32]) -> bool {
        match self {
            Self::Clean => success_codes.contains(&0),
            Self::Code(code) => success_codes.contains(code),
            _ => false,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("exited with code 0"),
            Self::Code(code) => write!(f, "exited with code {code}"),
            Self::Signal(signal) => write!(f, "killed by {signal}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
            Self::SpawnFailed(failure) => write!(f, "failed to {}", failure.message),
            Self::MemoryLimit => f.write_str("exceeded memory_max"),
            Self::Unresponsive(why) => write!(f, "was unresponsive: {why}"),
        }
    }
}
