//! What is known of the fleet when it is decided what needs attention.

use std::time::Duration;

use super::letters::NewLetters;
use crate::agent::LastWords;
use crate::ids::AgentName;
use crate::memory::Level;
use crate::reason::{Reason, UnhealthyDependency};
use crate::status::Status;
use crate::time::Timestamp;
use crate::vitals::DiskSpace;

/// So many failures in a row are no accident.
pub(super) const AGAIN_AND_AGAIN: u32 = 3;

/// The fleet and the orchestrator.
#[derive(Clone, Debug, Default)]
pub struct FleetAccount {
    /// Agents that are not simply well; those that are may be left out.
    pub agents: Vec<AgentStanding>,
    /// Dead letters of the last hour.
    pub letters: Vec<NewLetters>,
    /// The orchestrator.
    pub system: SystemStanding,
}

/// How an agent is.
#[derive(Clone, Debug)]
pub struct AgentStanding {
    /// Its name.
    pub name: AgentName,
    /// Whether it is a service; else it is a job.
    pub service: bool,
    /// 1, 2 or 3.
    pub priority: u8,
    /// Its status.
    pub status: Status,
    /// Why it is so, as far as the agent or its gate say it.
    pub cause: Option<Reason>,
    /// Its last error.
    pub error: Option<String>,
    /// Since when it is not well, where that is known.
    pub since: Option<Timestamp>,
    /// When its breaker lets a trial through.
    pub trial_at: Option<Timestamp>,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// Restarts or failed attempts in a row.
    pub failures_in_a_row: u32,
    /// What it waits for longest, if it waits.
    pub waits: Option<Waits>,
    /// Dependencies that are not as they have to be.
    pub unhealthy: Vec<UnhealthyDependency>,
    /// Whether it was not ready in time at the boot.
    pub late: bool,
    /// What its program said before its last failure.
    pub last_words: Option<LastWords>,
}

/// That an execution, or a start, waits.
#[derive(Clone, Debug)]
pub struct Waits {
    /// Why.
    pub reason: Reason,
    /// Since when.
    pub since: Timestamp,
}

impl AgentStanding {
    /// One that is well.
    pub fn new(name: AgentName, service: bool, priority: u8, status: Status) -> Self {
        Self {
            name,
            service,
            priority,
            status,
            cause: None,
            error: None,
            since: None,
            trial_at: None,
            next_attempt: None,
            failures_in_a_row: 0,
            waits: None,
            unhealthy: Vec::new(),
            late: false,
            last_words: None,
        }
    }

    /// Whether nothing can be said about it that anybody has to know: it may be left out of the account.
    pub fn is_calm(&self) -> bool {
        let busy = matches!(self.status, Status::Running | Status::Stopping);
        let at_rest = matches!(self.status, Status::Idle | Status::Starting) && self.unhealthy.is_empty();
        let late = self.late && self.status == Status::Starting;
        (busy || at_rest) && !late && !self.keeps_failing()
    }

    /// Whether it is a service that failed so often that nobody trusts it because it lives at the moment.
    pub(super) const fn keeps_failing(&self) -> bool {
        self.service && self.failures_in_a_row >= AGAIN_AND_AGAIN
    }

    /// Whether it fails by itself: who depends on it waits because of it.
    pub(super) const fn is_faulty(&self) -> bool {
        is_faulty(self.status)
    }

    /// Why, in a sentence.
    pub(super) fn why(&self) -> String {
        let cause = self.cause.as_ref().map(|cause| match cause {
            // The status is in the title.
            Reason::Disabled { why, .. } => why.clone(),
            cause => cause.to_string(),
        });
        // What it tries again for says what the last error was.
        let error = self.error.as_ref().filter(|_| self.status != Status::BackingOff || cause.is_none());
        match (cause, error) {
            (Some(cause), Some(error)) if !cause.contains(error.as_str()) => format!("{cause}; last: {error}"),
            (Some(cause), _) => cause,
            (None, Some(error)) => error.clone(),
            (None, None) => "nobody kept why".to_owned(),
        }
    }
}

pub(super) const fn is_faulty(status: Status) -> bool {
    match status {
        Status::Error
        | Status::Timeout
        | Status::Missing
        | Status::Unhealthy
        | Status::BackingOff
        | Status::Stopped
        | Status::Disabled
        | Status::DisabledByFailure
        | Status::DisabledByMemory => true,
        Status::Running | Status::Idle | Status::Starting | Status::Queued | Status::Stopping => false,
    }
}

/// How the orchestrator is. `Default` is: well.
#[derive(Clone, Debug, Default)]
pub struct SystemStanding {
    /// What keeps the state.
    pub store: StoreStanding,
    /// System actors that are not there.
    pub missing_actors: Vec<&'static str>,
    /// The disk of the state; why it is not known; `None`: not asked yet.
    pub disk: Option<Result<DiskSpace, String>>,
    /// The worst lag of the event loop within the last minute.
    pub lag: Duration,
    /// By how much the schedule is late, if it is.
    pub schedule_late: Option<Duration>,
    /// Memory.
    pub memory: MemoryStanding,
    /// The breaker of all agents.
    pub breaker: BreakerStanding,
    /// The queue.
    pub queue: QueueStanding,
    /// Triggers are paused.
    pub paused: Option<Paused>,
    /// The last reload was rejected.
    pub rejected: Option<Rejected>,
    /// Keys that do nothing in this version, with their places.
    pub not_effective: Vec<String>,
    /// The wall clock was set.
    pub clock: Option<ClockSet>,
}

/// What keeps the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreStanding {
    /// Well, or nothing is to be kept.
    #[default]
    Well,
    /// Its writer is being started again.
    Gone,
    /// The disk does not take what it is given.
    Degraded {
        /// Since when.
        since: Option<Timestamp>,
        /// What the disk said.
        reason: String,
        /// What had to be durable and was refused.
        refused: u64,
    },
}

/// Memory and its ladder.
#[derive(Clone, Debug, Default)]
pub struct MemoryStanding {
    /// How short it is.
    pub level: Level,
    /// How much is used, percent.
    pub percent: f64,
    /// Agents come back under this.
    pub recover_percent: u8,
    /// What will happen next, a sentence.
    pub next: String,
}

/// The breaker of all agents.
#[derive(Clone, Copy, Debug, Default)]
pub struct BreakerStanding {
    /// Automatic restarts within the window.
    pub restarts: u32,
    /// At most; 0 is unlimited.
    pub max_restarts: u32,
    /// The window.
    pub window: Duration,
    /// When there is room again; `None`: there is.
    pub room_at: Option<Timestamp>,
}

/// The queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueueStanding {
    /// How many wait.
    pub waiting: u32,
    /// How many may.
    pub capacity: u32,
    /// Executions at a time.
    pub workers: u32,
}

/// That triggers are paused.
#[derive(Clone, Debug)]
pub struct Paused {
    /// By whom; nothing where that is not known.
    pub by: Option<String>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// That a reload was rejected.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// When.
    pub at: Timestamp,
    /// How many faults there were.
    pub faults: u32,
    /// The first one.
    pub first: String,
}

/// That the wall clock was set.
#[derive(Clone, Copy, Debug)]
pub struct ClockSet {
    /// When.
    pub at: Timestamp,
    /// By how much, seconds.
    pub seconds: f64,
    /// Scheduled times within the step, which were left out.
    pub misfired: u32,
}
