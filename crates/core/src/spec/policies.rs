//! The choices that an agent's definition makes: who goes first, what has to be well before, what follows an end.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::text;
use crate::ids::AgentName;
use crate::signal::Signal;

/// Who goes first: 1 critical, 2 important, 3 normal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "u8")]
pub enum Priority {
    /// 1
    Critical,
    /// 2
    Important,
    /// 3
    #[default]
    Normal,
}

impl Priority {
    /// From 1, 2 or 3.
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::Critical),
            2 => Some(Self::Important),
            3 => Some(Self::Normal),
            _ => None,
        }
    }

    /// 1, 2 or 3.
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 1,
            Self::Important => 2,
            Self::Normal => 3,
        }
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.number()
    }
}

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dependency {
    /// On whom.
    pub agent: AgentName,
    /// What is asked of it.
    pub condition: Condition,
}

/// What a dependency has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Not unhealthy (product guide, section 1).
    #[default]
    Healthy,
    /// Started at least once since boot.
    Started,
    /// Succeeded at least once since boot.
    Succeeded,
}

/// What a trigger does while an execution of the same agent is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is skipped.
    #[default]
    Skip,
    /// One may wait; further ones are skipped.
    QueueOne,
    /// All wait, one after the other.
    QueueAll,
    /// The live one is cancelled, the new one follows it.
    CancelPrevious,
    /// They run side by side.
    Allow,
}

/// Which missed times run after a downtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None.
    #[default]
    None,
    /// Only the latest.
    Latest,
    /// All of them.
    All,
}

/// What an unhealthy dependency means for an execution of a job. Services always wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnhealthyDependency {
    /// It is skipped.
    #[default]
    Skip,
    /// It waits.
    Wait,
}

/// Exponential backoff: `initial × factor^n`, at most `cap`, spread by ± `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Backoff {
    /// How many repeats after the first attempt (jobs only).
    pub max: u32,
    /// The first delay.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub initial: Duration,
    /// At least 1.
    pub factor: f64,
    /// The longest delay.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub cap: Duration,
    /// Share of the delay, 0 to 1, by which it varies up or down.
    pub jitter: f64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { max: 3, initial: Duration::from_secs(1), factor: 2.0, cap: Duration::from_mins(5), jitter: 0.1 }
    }
}

/// When a service that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartPolicy {
    /// However it ended.
    #[default]
    Always,
    /// Only if it failed.
    OnFailure,
    /// Never.
    Never,
}

/// How a program is stopped: the signal to its whole group, and after `timeout` SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StopPolicy {
    /// The polite signal.
    pub signal: Signal,
    /// How long it may take.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String)]
    pub timeout: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { signal: Signal::TERM, timeout: Duration::from_secs(10) }
    }
}

/// What happens to an execution of which nobody can say how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnLost {
    /// It becomes a dead letter.
    #[default]
    DeadLetter,
    /// It is run again.
    Rerun,
    /// Nothing.
    Ignore,
}

/// What a department does when one of its services is restarted (OTP, supervisor strategies).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Only that one.
    #[default]
    OneForOne,
    /// That one and those that depend on it.
    RestForOne,
    /// All of the department.
    OneForAll,
}
