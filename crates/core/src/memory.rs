//! When memory gets short: what is given back, who is told, who is shed, and who comes back.
//!
//! A ladder with three thresholds of `[memory]`, climbed check by check:
//!
//! | percent | level | what happens |
//! |---|---|---|
//! | at `warning_percent` | warning | caches and allocator give memory back; `memory.warning` |
//! | at `critical_percent` | critical | a profile, `memory.critical`; priority 3 is shed, largest first |
//! | under `warning_percent` again | warning | nothing more is shed |
//! | under `recover_percent` | normal | `memory.recovered`; who was shed comes back, one per check |
//!
//! Invariants: agents of priority 1 and 2 are never shed; nobody is shed under the threshold, nor once the forecast (what
//! is used, less what the shed ones free) is under it; who came back is left alone for [`LEFT_ALONE`]; what could not be
//! measured is never taken for zero: it neither brings anybody back nor ends an alarm. Never reads a clock.

mod history;
mod ladder;
mod limits;
mod next;
mod sample;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

pub use history::{History, SPAN as HISTORY_SPAN};
pub use ladder::Ladder;
pub use next::Next;
pub use sample::{Cause, HostReading, Sample, TreeReading, Usage};

use crate::agent::ProcessKey;
use crate::ids::AgentIndex;
use crate::reason::Reason;
use crate::spec::Priority;

/// Who came back, by itself or by hand, is not shed again for so long: an agent that fills memory anew each time it
/// starts would else be stopped and started at every check.
pub const LEFT_ALONE: Duration = Duration::from_mins(5);

/// How short memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// There is enough.
    #[default]
    Normal,
    /// `warning_percent` was reached.
    Warning,
    /// `critical_percent` was reached.
    Critical,
}

impl Level {
    /// The word that the API, the logs and the pages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether an agent takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Open,
    /// It was shed.
    Shed,
    /// It does not, for another reason.
    Closed,
}

/// What the ladder has to know of an agent that has processes, or that was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub agent: AgentIndex,
    /// Only [`Priority::Normal`] is ever shed.
    pub priority: Priority,
    /// A service is stopped when it is shed; a job's run goes on, so that shedding it frees nothing yet.
    pub service: bool,
    /// Whether it takes part.
    pub standing: Standing,
    /// `memory_max`, bytes of each of its process trees.
    pub memory_max: Option<u64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Action {
    /// Caches and allocator are to give back what they can.
    GiveBack,
    /// Tell `memory.warning`.
    Warn(Usage),
    /// Keep a profile, and tell `memory.critical`. What is shed comes after it.
    Critical(Usage),
    /// Disable it: no new executions; a service is stopped.
    Shed {
        /// Whom.
        agent: AgentIndex,
        /// What to show.
        reason: Reason,
    },
    /// Enable it again.
    Enable {
        /// Whom.
        agent: AgentIndex,
        /// What to show.
        reason: Reason,
    },
    /// Tell `memory.recovered`.
    Recovered(Usage),
    /// End it, for it was over its `memory_max` in two checks in a row. Its policy decides what follows.
    RestartForLimit {
        /// Which process, with its tree.
        process: ProcessKey,
        /// What it uses.
        used_bytes: u64,
        /// Its limit.
        limit_bytes: u64,
    },
}

#[cfg(test)]
mod tests;
