//! Agents as lists and pages show them.

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::agent::{InstanceView, LastWords};
use werkpilot_core::dispatcher::{Dispatcher, Live};
use werkpilot_core::event::{End, Event, Recorded};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::optimizer::Decision;
use werkpilot_core::reason::UnhealthyDependency;
use werkpilot_core::score::Parts;
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Timestamp, as_ms, human};
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState};

use super::{MemoryFigures, RequestTimes, Times};
use crate::directory::Slot;
use crate::house::House;
use crate::observe::health::{Finding, LastCheck};
use crate::observe::scores::DailyScore;

/// An agent as lists show it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its name.
    pub name: AgentName,
    /// Its group.
    pub department: String,
    /// For people.
    pub description: String,
    /// `job` or `service`.
    pub kind: &'static str,
    /// Its status.
    pub status: Status,
    /// Why it is not as it should be, if it is not.
    pub reason: Option<String>,
    /// 1, 2 or 3.
    pub priority: u8,
    /// Longest path down to an agent without dependencies.
    pub dependency_depth: u32,
    /// Boot layer.
    pub layer: u32,
    /// On whom it depends.
    pub dependencies: Vec<AgentName>,
    /// Its schedule as it is written, or `every 90s`.
    pub schedule: Option<String>,
    /// When it is due next.
    pub next_run: Option<Timestamp>,
    /// How its last execution ended.
    pub last_run: Option<LastRun>,
    /// The last 20 ends, the newest last, a letter each: s succeeded, f failed, t timed out, k skipped, r refused,
    /// c cancelled, i interrupted, l lost; of a service u ready, x failed, d stopped.
    pub recent: String,
    /// Pids of its processes.
    pub pids: Vec<i32>,
    /// Seconds since its oldest process was started.
    pub uptime_seconds: Option<f64>,
    /// Automatic restarts and retries, ever.
    pub restarts: u64,
    /// Executions, or a service's efforts, that failed for good, ever.
    pub failures: u64,
    /// What its process trees use.
    #[serde(flatten)]
    pub memory: MemoryFigures,
    /// Percentiles of its successful executions; null for a service.
    #[serde(flatten)]
    pub times: Times,
    /// How far it can be relied on, 0 to 100; null without data.
    pub score: Option<f64>,
    /// What the score is made of, each 0 to 1, or null without data; null without a score.
    pub score_parts: Option<Parts>,
}

/// The end of an execution in a line.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRun {
    /// Its id.
    pub run_id: RunId,
    /// How it ended.
    pub end: End,
    /// When.
    pub at: Timestamp,
    /// How long its last attempt took.
    pub duration_ms: Option<f64>,
    /// How many attempts it had.
    pub attempts: u32,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
}

impl LastRun {
    /// From the fact of an execution's end.
    pub fn of(recorded: &Recorded) -> Option<Self> {
        let Event::ExecutionEnded { run, end, duration, attempts, reason, .. } = &recorded.event else { return None };
        Some(Self {
            run_id: *run,
            end: *end,
            at: recorded.time,
            duration_ms: duration.map(as_ms),
            attempts: *attempts,
            reason: reason.as_ref().map(ToString::to_string),
        })
    }

    /// From what was kept of it; `None`: it has no end.
    pub fn kept(row: &ExecutionRow) -> Option<Self> {
        let ExecutionState::Ended(end) = row.state else { return None };
        Some(Self {
            run_id: row.run,
            end,
            at: row.ended_at?,
            duration_ms: row.duration.map(as_ms),
            attempts: row.attempt,
            reason: row.why.as_ref().map(|why| why.text.clone()),
        })
    }
}

/// An agent with everything that is known of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentDetail {
    /// The same as in the list.
    #[serde(flatten)]
    pub agent: AgentView,
    /// Its definition; secrets and values of its environment are left out. Null for who has no role: commands may have
    /// something secret in them.
    pub spec: Option<AgentSpec>,
    /// The decision that its priority comes from; null: the registry. `spec` has the registry's.
    pub priority_from: Option<Decision>,
    /// What its program said before its last failure; null after a success, and for who has no role.
    pub last_words: Option<LastWords>,
    /// Executions that have not ended, or starts of a service that wait.
    pub live: Vec<Live>,
    /// The instances of a service.
    pub instances: Vec<InstanceDetail>,
    /// Dependencies that are not as they have to be now.
    pub unhealthy_dependencies: Vec<UnhealthyDependency>,
    /// Who depends on it directly.
    pub dependents: Vec<AgentName>,
    /// The last health check.
    pub last_health_check: Option<HealthCheck>,
    /// Latencies of its answers on the bus in the last hour; null if it never answered.
    pub requests: Option<RequestTimes>,
    /// Its score at the end of each of the last 90 days, today's as it is now; oldest first.
    pub scores: Vec<DailyScore>,
}

/// One instance of a service.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceDetail {
    /// Its number, from 0.
    pub instance: u16,
    /// Its own status.
    pub status: Status,
    /// Its pid.
    pub pid: Option<i32>,
    /// The id of this life.
    pub run_id: Option<RunId>,
    /// Seconds since it was started.
    pub uptime_seconds: Option<f64>,
    /// Automatic restarts in a row.
    pub restarts_in_a_row: u32,
    /// Why it is not running, or is being stopped.
    pub reason: Option<String>,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// What it last said about itself (`STATUS=`).
    pub said: Option<String>,
}

/// What the last look at an agent's health found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HealthCheck {
    /// When.
    pub at: Timestamp,
    /// Whether it was well; null where that could not be told.
    pub healthy: Option<bool>,
    /// What was wrong, or why it could not be told.
    pub error: Option<String>,
}

impl From<&LastCheck> for HealthCheck {
    fn from(check: &LastCheck) -> Self {
        let healthy = match check.finding {
            Finding::Healthy => Some(true),
            Finding::Unhealthy => Some(false),
            Finding::NotCheckable => None,
        };
        Self { at: check.at, healthy, error: check.reason.as_ref().map(ToString::to_string) }
    }
}

/// All agents in the order of their slots.
pub fn agents(house: &House, now: Clocks) -> Vec<AgentView> {
    house.directory.borrow().iter().map(|(index, slot)| agent_view(house, index, slot, now)).collect()
}

fn agent_view(house: &House, index: AgentIndex, slot: &Slot, now: Clocks) -> AgentView {
    let spec = &slot.spec;
    let graph = house.graph.borrow();
    let dispatcher = house.dispatcher.borrow();
    let status = dispatcher.status(index);
    let since = slot.processes.iter().filter(|process| process.pid.is_some()).map(|process| process.since).min();
    let last = house.events.borrow().last_run_of(&slot.name).cloned();
    let score = house.scores.borrow().of(index);
    AgentView {
        name: slot.name.clone(),
        department: spec.department.clone(),
        description: spec.description.clone(),
        kind: if spec.job().is_some() { "job" } else { "service" },
        status,
        reason: short_reason(&dispatcher, index, status),
        priority: house.priority_of(spec).number(),
        dependency_depth: graph.depth(index),
        layer: house.layers.borrow().get(index.slot()).copied().unwrap_or(0),
        dependencies: spec.dependencies.iter().map(|dependency| dependency.agent.clone()).collect(),
        schedule: schedule_text(spec),
        next_run: house.timetable.borrow().next_of(index, now).map(|next| next.at),
        last_run: last,
        recent: house.recent.borrow().strip(&slot.name),
        pids: slot.processes.iter().filter_map(|process| process.pid).collect(),
        uptime_seconds: since.map(|since| now.wall.since(since).as_secs_f64()),
        restarts: slot.figures.restarts,
        failures: slot.figures.failures,
        memory: MemoryFigures::of(house, index),
        times: house.samples.borrow().of(index).map(Times::from).unwrap_or_default(),
        score: score.and_then(|score| score.value),
        score_parts: score.map(|score| score.parts),
    }
}

/// Why an agent is not as it should be, in a line.
pub fn short_reason(dispatcher: &Dispatcher, agent: AgentIndex, status: Status) -> Option<String> {
    if matches!(status, Status::Running | Status::Idle) {
        return None;
    }
    if let Some(reason) = dispatcher.closed_because(agent) {
        return Some(reason.to_string());
    }
    let waiting = dispatcher.live(agent).into_iter().find_map(|live| live.reason);
    waiting.map(|reason| reason.to_string()).or_else(|| dispatcher.last_error(agent).map(ToOwned::to_owned))
}

fn schedule_text(spec: &AgentSpec) -> Option<String> {
    let triggers = &spec.job()?.triggers;
    let every = triggers.every.map(|every| format!("every {}", human(every)));
    let after = triggers.after.as_ref().map(|agent| format!("after {agent}"));
    triggers.schedule.clone().or(every).or(after)
}

/// One agent with everything that is known of it.
pub fn agent_detail(house: &House, name: &str) -> Option<AgentDetail> {
    let now = house.now();
    let directory = house.directory.borrow();
    let index = directory.find(name)?;
    let slot = directory.get(index)?;
    let dispatcher = house.dispatcher.borrow();
    let graph = house.graph.borrow();
    let dependents =
        graph.dependents(index).iter().filter_map(|dependent| Some(directory.get(*dependent)?.name.clone()));
    let instances = slot.machine.borrow().instances();
    Some(AgentDetail {
        agent: agent_view(house, index, slot, now),
        spec: Some(slot.spec.as_ref().clone()),
        priority_from: priority_from(house, &slot.spec),
        last_words: slot.machine.borrow().last_words().cloned(),
        live: dispatcher.live(index),
        instances: instances.into_iter().map(|instance| instance_detail(slot, instance, now)).collect(),
        unhealthy_dependencies: dispatcher.unhealthy_dependencies(index),
        dependents: dependents.collect(),
        last_health_check: slot.last_health_check.as_ref().map(HealthCheck::from),
        requests: house.samples.borrow().requests(index, now).map(RequestTimes::from),
        // From the disk, which is not asked here.
        scores: Vec::new(),
    })
}

/// The decision that an agent's priority comes from.
pub fn priority_from(house: &House, spec: &AgentSpec) -> Option<Decision> {
    house.optimizer.borrow().decisions.in_effect(&spec.name, spec.priority).decision.cloned()
}

fn instance_detail(slot: &Slot, view: InstanceView, now: Clocks) -> InstanceDetail {
    let process = view.process.and_then(|key| slot.processes.iter().find(|process| process.key == key));
    InstanceDetail {
        instance: view.instance,
        status: view.status,
        pid: process.and_then(|process| process.pid),
        run_id: view.run,
        uptime_seconds: view.since.map(|since| now.steady.since(since).as_secs_f64()),
        restarts_in_a_row: view.restarts,
        reason: view.reason.map(|reason| reason.to_string()),
        next_attempt: view.next_attempt.map(|at| now.wall_at(at)),
        said: process.and_then(|process| process.said.clone()),
    }
}
