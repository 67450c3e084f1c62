//! What the optimizer is told: of the fleet, and of each execution.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Baseline;
use crate::event::End;
use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::Timestamp;

/// How far back it looks: a week has every weekday in it, once.
pub const WINDOW: Duration = Duration::from_hours(7 * 24);

/// The time that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub to: Timestamp,
    /// Executions in it.
    pub executions: u64,
    /// There were more before `from` than are looked at.
    pub truncated: bool,
}

/// An execution that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Whose.
    pub agent: AgentName,
    /// Asked for by its crontab schedule.
    pub by_schedule: bool,
    /// Asked for by schedule or interval.
    pub timed: bool,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// Its end.
    pub end: End,
    /// For a worker.
    pub waited: Duration,
    /// Of the last attempt.
    pub duration: Option<Duration>,
    /// Each attempt: when it began and how long it took.
    pub attempts: Vec<(Timestamp, Duration)>,
}

/// An agent, with what is not in the history of executions.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub agent: AgentName,
    /// A job, else a service.
    pub job: bool,
    /// Its priority in effect.
    pub priority: Priority,
    /// Its `timeout`.
    pub timeout: Option<Duration>,
    /// Its `schedule`.
    pub schedule: Option<String>,
    /// Its `jitter`.
    pub jitter: Duration,
    /// Its newest score.
    pub score: Option<f64>,
    /// Automatic restarts and retries within the window.
    pub restarts: u64,
    /// Scheduled times that went by while nothing ran.
    pub missed: u64,
    /// A person undid a decision about its priority: it is left as it is.
    pub held: bool,
}

impl Member {
    /// A job of which no more is known.
    pub const fn job(agent: AgentName, priority: Priority) -> Self {
        Self {
            agent,
            job: true,
            priority,
            timeout: None,
            schedule: None,
            jitter: Duration::ZERO,
            score: None,
            restarts: 0,
            missed: 0,
            held: false,
        }
    }
}

/// All but the executions.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The time that is looked at.
    pub window: Window,
    /// The fleet.
    pub members: Vec<Member>,
    /// Workers in effect.
    pub workers: u32,
    /// What `workers = "auto"` is on this machine.
    pub auto_workers: u32,
    /// The baselines of the last report.
    pub before: Vec<Baseline>,
}
