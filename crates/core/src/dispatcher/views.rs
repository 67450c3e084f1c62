//! What the dispatcher shows: statuses, the queue in order, and why something waits.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::entry::{Entry, Gate};
use super::runs::{Park, Phase, Run};
use super::{Dispatcher, Ended};
use crate::dead_letters::{Attempt, DeadLetterDraft};
use crate::exit::Exit;
use crate::ids::{AgentIndex, AgentName, RunId};
use crate::queue::RunKey;
use crate::reason::{DependencyProblem, Reason, UnhealthyDependency};
use crate::spec::Condition;
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};
use crate::trigger::Trigger;

/// An execution that waits, with the reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Waiting {
    /// Its id.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// What asked for it.
    pub trigger: Trigger,
    /// The next attempt's number.
    pub attempt: u32,
    /// The priority of the agent.
    pub priority: u8,
    /// The priority after ageing; null while it is not in line.
    pub effective_priority: Option<u8>,
    /// Dependency depth.
    pub depth: u32,
    /// Since it was admitted.
    #[expect(clippy::struct_field_names, reason = "it is what the API calls it")]
    #[serde(rename = "waiting_ms", serialize_with = "ms")]
    #[schema(value_type = f64)]
    pub waiting: Duration,
    /// Place in line, from 1; null while it is not in line.
    pub position: Option<usize>,
    /// Why it is not running.
    pub reason: Reason,
}

/// An execution that has not ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Live {
    /// Its id.
    pub run: RunId,
    /// What asked for it.
    pub trigger: Trigger,
    /// Number of the attempt.
    pub attempt: u32,
    /// Whether its program runs.
    pub running: bool,
    /// Why not, if it waits.
    pub reason: Option<Reason>,
}

fn ms<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(crate::time::as_ms(*duration))
}

impl Dispatcher {
    /// The status of an agent; `missing` if there is none at this index.
    pub fn status(&self, agent: AgentIndex) -> Status {
        let Some(entry) = self.entries.get(agent.slot()).filter(|entry| entry.is_defined()) else {
            return Status::Missing;
        };
        match entry.gate {
            Gate::Closed { status, .. } if status.is_disabled() => status,
            _ if entry.profile.service => self.service_status_word(entry),
            _ => self.job_status_word(entry),
        }
    }

    /// What is wrong with an agent for one that depends on its health; `None`: it is healthy.
    pub fn problem(&self, agent: AgentIndex) -> Option<DependencyProblem> {
        let missing = Some(DependencyProblem::Status(Status::Missing));
        self.entries.get(agent.slot()).map_or(missing, |entry| entry.problem(Condition::Healthy))
    }

    fn service_status_word(&self, entry: &Entry) -> Status {
        let starved = entry.live.iter().any(|key| self.runs.is_parked(*key, Park::RestartRoom));
        if starved && entry.status == Status::Queued { Status::BackingOff } else { entry.status }
    }

    fn job_status_word(&self, entry: &Entry) -> Status {
        let runs = || entry.live.iter().map(|key| self.runs.get(*key));
        let closed = match entry.gate {
            Gate::Closed { status, .. } => Some(status),
            _ => None,
        };
        // What runs goes before what waits; of what waits the one that has been there longest.
        let mut word = None;
        for run in runs() {
            match run.phase {
                Phase::Running if run.cancelled.is_none() => return Status::Running,
                Phase::Running => word = Some(Status::Stopping),
                Phase::BackingOff { .. } | Phase::Parked(Park::RestartRoom) => word = word.or(Some(Status::BackingOff)),
                Phase::Queued | Phase::Parked(_) => word = word.or(Some(Status::Queued)),
            }
        }
        let left_behind = || entry.outcome.and_then(super::Outcome::as_status);
        word.or(closed).or_else(left_behind).unwrap_or(Status::Idle)
    }

    /// Why the agent takes no executions, if it takes none.
    pub fn closed_because(&self, agent: AgentIndex) -> Option<&Reason> {
        match &self.entries.get(agent.slot())?.gate {
            Gate::Closed { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Its last error, if its last end was one.
    pub fn last_error(&self, agent: AgentIndex) -> Option<&str> {
        self.entries.get(agent.slot())?.error.as_deref()
    }

    /// Its executions that have not ended; for a service the starts that wait.
    pub fn live(&self, agent: AgentIndex) -> Vec<Live> {
        let Some(entry) = self.entries.get(agent.slot()) else { return Vec::new() };
        let live = entry.live.iter().map(|key| self.runs.get(*key));
        live.map(|run| Live {
            run: run.id,
            trigger: run.trigger.clone(),
            attempt: run.attempt,
            running: run.phase == Phase::Running,
            reason: (run.phase != Phase::Running).then(|| self.why_waiting(run)),
        })
        .collect()
    }

    /// How many executions wait, of all agents.
    pub fn waiting(&self) -> u32 {
        self.waiting
    }

    /// For how long the one that waits longest has waited; `None`: none waits.
    pub fn oldest_waiting(&self, now: Moment) -> Option<Duration> {
        let waiting = self.runs.iter().filter(|(_, run)| run.phase != Phase::Running && run.instance.is_none());
        waiting.map(|(_, run)| run.accepted).min().map(|accepted| now.since(accepted))
    }

    /// How many workers are busy, of how many.
    pub fn workers(&self) -> (u32, u32) {
        (self.busy, self.workers)
    }

    /// How many executions may wait.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Whether all triggers but explicit ones are paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Automatic restarts and retries within the last `window`.
    pub fn restarts_within(&mut self, now: Moment, window: Duration) -> u32 {
        self.restarts.count_within(now, window)
    }

    /// Every dependency of the agent that is not as it has to be.
    pub fn unhealthy_dependencies(&self, agent: AgentIndex) -> Vec<UnhealthyDependency> {
        let Some(entry) = self.entries.get(agent.slot()) else { return Vec::new() };
        let problems = entry.profile.dependencies.iter().filter_map(|(dependency, condition)| {
            let dependency = &self.entries[dependency.slot()];
            let reason = dependency.problem(*condition)?;
            Some(UnhealthyDependency { dep: dependency.profile.name.clone(), reason, error: dependency.error.clone() })
        });
        problems.collect()
    }

    /// Jobs with a running program, and how many each.
    pub fn running_jobs(&self) -> Vec<(AgentIndex, u32)> {
        let mut counts = std::collections::BTreeMap::new();
        for (_, run) in self.runs.iter().filter(|(_, run)| run.phase == Phase::Running && run.instance.is_none()) {
            *counts.entry(run.agent).or_insert(0) += 1;
        }
        counts.into_iter().collect()
    }

    /// Jobs with a running program, one by one, by agent.
    pub fn running_keys(&self) -> Vec<(AgentIndex, RunKey)> {
        let running = self.runs.iter().filter(|(_, run)| run.phase == Phase::Running && run.instance.is_none());
        let mut keys: Vec<_> = running.map(|(key, run)| (run.agent, key)).collect();
        keys.sort_unstable();
        keys
    }

    /// All that waits, first who goes first; what is not in line comes after it.
    pub fn queue(&mut self, now: Moment) -> Vec<Waiting> {
        let line = self.jobs.in_order(now);
        let mut items = Vec::with_capacity(line.len());
        for (position, place) in line.iter().enumerate() {
            items.push(self.waiting_item(place.key, Some((position + 1, place.level)), now));
        }
        let mut apart: Vec<RunKey> = self
            .runs
            .iter()
            .filter(|(_, run)| matches!(run.phase, Phase::Parked(_) | Phase::BackingOff { .. }))
            .map(|(key, _)| key)
            .collect();
        apart.sort_unstable_by_key(|key| (self.runs.get(*key).accepted, self.runs.get(*key).turn));
        items.extend(apart.into_iter().map(|key| self.waiting_item(key, None, now)));
        items
    }

    fn waiting_item(&self, key: RunKey, place: Option<(usize, u8)>, now: Moment) -> Waiting {
        let run = self.runs.get(key);
        let profile = &self.entries[run.agent.slot()].profile;
        Waiting {
            run: run.id,
            agent: profile.name.clone(),
            trigger: run.trigger.clone(),
            attempt: run.attempt,
            priority: profile.priority.number(),
            effective_priority: place.map(|(_, level)| level),
            depth: profile.depth,
            waiting: now.since(run.accepted),
            position: place.map(|(position, _)| position),
            reason: self.why_waiting(run),
        }
    }

    pub(super) fn why_waiting(&self, run: &Run) -> Reason {
        match (run.reason.as_deref(), run.phase) {
            (Some(reason), Phase::Parked(_) | Phase::BackingOff { .. }) => reason.clone(),
            _ => Reason::WaitingForWorker { workers: self.workers },
        }
    }

    // ---- dead letters ----

    pub(super) fn job_draft(&self, key: RunKey, ended: &Ended, now: Clocks) -> DeadLetterDraft {
        let run = self.runs.get(key);
        let error = ended.reason.as_ref().map_or_else(|| ended.end.to_string(), ToString::to_string);
        let mut draft = self.draft(run.agent, run.id, error, run.trigger.clone(), now.wall);
        draft.payload.clone_from(&run.payload);
        draft.exit.clone_from(&ended.exit);
        draft.attempts = run.attempts().to_vec();
        draft.log_tail.clone_from(&ended.log_tail);
        draft.memory = Some(run.peak_rss_bytes()).filter(|bytes| *bytes > 0);
        draft
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one event")]
    pub(super) fn service_draft(
        &self,
        agent: AgentIndex,
        run: RunId,
        reason: &Reason,
        exit: Exit,
        attempts: Vec<Attempt>,
        log_tail: Vec<String>,
        now: Clocks,
    ) -> Option<DeadLetterDraft> {
        self.entries.get(agent.slot()).filter(|entry| entry.is_defined())?;
        let mut draft = self.draft(agent, run, reason.to_string(), Trigger::Startup, now.wall);
        draft.exit = Some(exit);
        draft.attempts = attempts;
        draft.log_tail = log_tail;
        Some(draft)
    }

    fn draft(&self, agent: AgentIndex, run: RunId, error: String, trigger: Trigger, now: Timestamp) -> DeadLetterDraft {
        let profile = &self.entries[agent.slot()].profile;
        let dependencies = profile.dependencies.iter().map(|(dependency, _)| {
            let name = self.entries[dependency.slot()].profile.name.clone();
            (name, self.status(*dependency))
        });
        DeadLetterDraft::new(
            profile.name.clone(),
            run,
            error,
            now,
            profile.department.clone(),
            profile.schedule.clone(),
            trigger,
            dependencies.collect(),
        )
    }
}
