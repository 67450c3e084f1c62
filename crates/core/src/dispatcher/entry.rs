//! What the dispatcher knows of an agent, and whether others may depend on it.

use super::keys::Keys;
use crate::event::End;
use crate::ids::{AgentIndex, AgentName};
use crate::reason::{DependencyProblem, Reason};
use crate::spec::{AgentSpec, Condition, OnUnhealthyDependency, Overlap, Priority};
use crate::status::Status;

/// What the dispatcher has to know of an agent's definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentProfile {
    /// Its name.
    pub name: AgentName,
    /// Its group.
    pub department: String,
    /// Whether it is a service.
    pub service: bool,
    /// Who goes first.
    pub priority: Priority,
    /// Longest path down to an agent without dependencies.
    pub depth: u32,
    /// What a trigger does while an execution is live.
    pub overlap: Overlap,
    /// Jobs: whether an execution is skipped or waits.
    pub on_unhealthy: OnUnhealthyDependency,
    /// On whom it depends, and how.
    pub dependencies: Vec<(AgentIndex, Condition)>,
    /// Whose success triggers it.
    pub after: Option<AgentIndex>,
    /// Its schedule as text, for dead letters.
    pub schedule: Option<String>,
}

impl AgentProfile {
    /// Of this definition; `find` answers who bears a name.
    pub fn of(spec: &AgentSpec, depth: u32, find: impl Fn(&str) -> Option<AgentIndex>) -> Self {
        let job = spec.job();
        let dependencies = spec.dependencies.iter();
        Self {
            name: spec.name.clone(),
            department: spec.department.clone(),
            service: job.is_none(),
            priority: spec.priority,
            depth,
            overlap: job.map_or(Overlap::Skip, |job| job.overlap),
            on_unhealthy: job.map(|job| job.on_unhealthy_dependency).unwrap_or_default(),
            dependencies: dependencies.filter_map(|d| Some((find(d.agent.as_str())?, d.condition))).collect(),
            after: job.and_then(|job| find(job.triggers.after.as_ref()?.as_str())),
            schedule: job.and_then(|job| job.triggers.schedule.clone()),
        }
    }
}

/// Whether an agent takes executions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    #[default]
    Open,
    /// One trial (its breaker's cooldown is over).
    HalfOpen,
    /// No.
    Closed {
        /// The status that this is.
        status: Status,
        /// Why.
        reason: Reason,
    },
}

/// The last end of a job that says something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
    Missing,
}

/// An agent's entry.
#[derive(Debug)]
pub(super) struct Entry {
    pub profile: AgentProfile,
    pub gate: Gate,
    /// Executions that have not ended, in the order of admission; for a service the starts that wait.
    pub live: Keys,
    defined: bool,
    /// Since boot its program was spawned, not only granted a start.
    pub ever_started: bool,
    pub ever_succeeded: bool,
    /// Of a service, as it reports it.
    pub status: Status,
    /// How many of those that are live were started; at most one under every overlap but `allow`, except that a rule
    /// that became stricter finds more of them.
    pub started: u32,
    /// How many of these have a program.
    pub running: u32,
    /// Of a job.
    pub outcome: Option<Outcome>,
    pub error: Option<String>,
    pub dependents: Vec<AgentIndex>,
    pub followers: Vec<AgentIndex>,
}

impl Entry {
    /// Whether one more may run beside those that there are. One that was started already only waits for those that run.
    pub fn has_turn(&self, started_already: bool) -> bool {
        self.profile.overlap == Overlap::Allow || if started_already { self.running == 0 } else { self.started == 0 }
    }

    /// A slot without an agent.
    pub fn vacant() -> Self {
        Self {
            profile: AgentProfile {
                name: AgentName::new("vacant").expect("a good name"),
                department: String::new(),
                service: false,
                priority: Priority::Normal,
                depth: 0,
                overlap: Overlap::Skip,
                on_unhealthy: OnUnhealthyDependency::Skip,
                dependencies: Vec::new(),
                after: None,
                schedule: None,
            },
            defined: false,
            gate: Gate::Open,
            status: Status::Stopped,
            outcome: None,
            error: None,
            ever_started: false,
            ever_succeeded: false,
            live: Keys::default(),
            started: 0,
            running: 0,
            dependents: Vec::new(),
            followers: Vec::new(),
        }
    }

    pub fn is_defined(&self) -> bool {
        self.defined
    }

    pub fn redefine(&mut self, profile: AgentProfile) {
        self.profile = profile;
        self.defined = true;
    }

    /// Forgets all but its name and what still runs.
    pub fn vacate(&mut self) {
        let name = self.profile.name.clone();
        let (live, started, running) = (std::mem::take(&mut self.live), self.started, self.running);
        let dependents = std::mem::take(&mut self.dependents);
        let followers = std::mem::take(&mut self.followers);
        *self = Self { live, started, running, dependents, followers, ..Self::vacant() };
        self.profile.name = name;
    }

    /// What is wrong with it for one that depends on it (product guide, section 1).
    pub fn problem(&self, condition: Condition) -> Option<DependencyProblem> {
        match condition {
            Condition::Started => (!self.ever_started).then_some(DependencyProblem::NotStarted),
            Condition::Succeeded => (!self.ever_succeeded).then_some(DependencyProblem::NotSucceeded),
            Condition::Healthy => self.unhealthy_status().map(DependencyProblem::Status),
        }
    }

    fn unhealthy_status(&self) -> Option<Status> {
        if !self.defined {
            return Some(Status::Missing);
        }
        if let Gate::Closed { status, .. } = self.gate
            && status.is_disabled()
        {
            return Some(status);
        }
        if self.profile.service {
            return (self.status != Status::Running).then_some(self.status);
        }
        self.outcome.and_then(Outcome::as_status)
    }
}

impl Outcome {
    /// What an end says about the agent, if it says something.
    pub fn of(end: End, missing: bool) -> Option<Self> {
        match end {
            End::Succeeded => Some(Self::Succeeded),
            End::Failed if missing => Some(Self::Missing),
            End::Failed | End::Lost => Some(Self::Failed),
            End::TimedOut => Some(Self::TimedOut),
            End::Skipped | End::Refused | End::Cancelled | End::Interrupted => None,
        }
    }

    /// The end that left this status behind.
    pub const fn from_status(status: Status) -> Option<Self> {
        match status {
            Status::Error => Some(Self::Failed),
            Status::Timeout => Some(Self::TimedOut),
            Status::Missing => Some(Self::Missing),
            _ => None,
        }
    }

    /// The status that it leaves behind, if it is one.
    pub fn as_status(self) -> Option<Status> {
        match self {
            Self::Succeeded => None,
            Self::Failed => Some(Status::Error),
            Self::TimedOut => Some(Status::Timeout),
            Self::Missing => Some(Status::Missing),
        }
    }
}
