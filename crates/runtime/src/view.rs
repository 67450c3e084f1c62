//! What pages, programs and the CLI see of the house: plain values, made in one go so that they agree with each other.
//!
//! Times are milliseconds with fractions and end in `Ms` but for the percentiles, whose names (`p50` …) are the
//! predecessor's; sizes are bytes, but for `system.memory`, whose names say MB.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use werkpilot_core::agent::InstanceView;
use werkpilot_core::dead_letters::{DeadLetter, DeadLetterGroup};
use werkpilot_core::dispatcher::{Live, Waiting};
use werkpilot_core::event::{End, Event, Recorded};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::percentiles::Summary;
use werkpilot_core::reason::UnhealthyDependency;
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp, as_ms};

use crate::directory::Slot;
use crate::house::{House, HousePhase};

/// Dead letters that `/metrics` shows.
const SHOWN_DEAD_LETTERS: usize = 20;
const MB: f64 = 1024.0 * 1024.0;

/// The whole fleet: what `GET /metrics` answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// The orchestrator.
    pub system: SystemView,
    /// All agents in the order of the registry.
    pub agents: Vec<AgentView>,
    /// Percentiles by agent; only agents with a successful execution.
    pub metrics: BTreeMap<AgentName, Times>,
    /// The last dead letters, newest last; without payload and log.
    pub dead_letter_queue: Vec<serde_json::Value>,
}

/// The orchestrator itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemView {
    /// Of this binary.
    pub version: &'static str,
    /// `booting`, `running` or `shutting_down`.
    pub phase: &'static str,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Executions that wait: in line, parked or backing off.
    pub execution_queue_size: u32,
    /// Dead letters that are kept.
    pub dead_letter_queue_size: usize,
    /// Automatic restarts and retries within the last hour.
    pub restarts_last_hour: u32,
    /// What is used.
    pub memory: MemoryView,
    /// Whether all triggers but explicit ones are paused.
    pub paused: bool,
    /// Workers that are busy.
    pub workers_busy: u32,
    /// Workers in all.
    pub workers: u32,
    /// Executions that may wait.
    pub queue_capacity: u32,
    /// Waiting times of the last hour.
    pub waiting: Times,
    /// Dead letters since the start.
    pub dead_letters_total: u64,
    /// Dead letters that had to make room.
    pub dead_letters_evicted: u64,
    /// Agents by status.
    pub statuses: BTreeMap<&'static str, u32>,
    /// Events since the start, by topic.
    pub events: BTreeMap<&'static str, u64>,
}

/// Memory, with the predecessor's names. Percent is the larger of ours / budget and 1 − available / total.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryView {
    /// What orchestrator and agents use.
    #[serde(rename = "heapUsedMB")]
    pub heap_used_mb: f64,
    /// The budget.
    #[serde(rename = "heapTotalMB")]
    pub heap_total_mb: f64,
    /// See above.
    #[serde(rename = "heapPercent")]
    pub heap_percent: f64,
    /// The orchestrator alone.
    #[serde(rename = "rssMB")]
    pub rss_mb: f64,
    /// The agents.
    #[serde(rename = "externalMB")]
    pub external_mb: f64,
    /// Live bytes of the orchestrator's own heap.
    #[serde(rename = "ownHeapMB")]
    pub own_heap_mb: f64,
}

/// Percentiles and mean in milliseconds; null without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Times {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Mean.
    pub avg_duration_ms: Option<f64>,
    /// How many in all.
    pub count: u64,
}

impl From<Summary> for Times {
    fn from(summary: Summary) -> Self {
        Self {
            p50: summary.p50_ms,
            p95: summary.p95_ms,
            p99: summary.p99_ms,
            avg_duration_ms: summary.mean_ms,
            count: summary.count,
        }
    }
}

/// An agent as lists show it.
#[derive(Clone, Debug, Serialize)]
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
    /// Pids of its processes.
    pub pids: Vec<i32>,
    /// Seconds since its oldest process was started.
    pub uptime_seconds: Option<f64>,
    /// Automatic restarts and retries since boot.
    pub restarts: u64,
    /// Bytes of its process trees.
    pub memory_bytes: Option<u64>,
    /// Percentiles of its successful executions; null for a service.
    #[serde(flatten)]
    pub times: Times,
    /// 0 to 100; null until self-observation comes.
    pub score: Option<f64>,
}

/// The end of an execution in a line.
#[derive(Clone, Debug, Serialize)]
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
}

/// An agent with everything that is known of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentDetail {
    /// The same as in the list.
    #[serde(flatten)]
    pub agent: AgentView,
    /// Its definition; secrets and values of its environment are left out.
    pub spec: AgentSpec,
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
}

/// One instance of a service.
#[derive(Clone, Debug, Serialize)]
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

/// What a probe found.
#[derive(Clone, Debug, Serialize)]
pub struct HealthCheck {
    /// When.
    pub at: Timestamp,
    /// Whether it passed.
    pub healthy: bool,
    /// What was wrong.
    pub error: Option<String>,
}

/// The queue in order.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueView {
    /// Workers that are busy.
    pub workers_busy: u32,
    /// Workers in all.
    pub workers: u32,
    /// How many may wait.
    pub capacity: u32,
    /// All that waits; those in line first, in their order.
    pub waiting: Vec<Waiting>,
}

/// The dead-letter queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// Newest last.
    pub dead_letters: Vec<DeadLetter>,
    /// By error signature, most frequent first.
    pub groups: Vec<DeadLetterGroup>,
    /// Since the start.
    pub total: u64,
    /// That had to make room.
    pub evicted: u64,
}

/// A time to come.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextRun {
    /// Whose.
    pub agent: AgentName,
    /// When, with its jitter.
    pub at: Timestamp,
    /// The time that its schedule names.
    pub scheduled_for: Timestamp,
    /// `schedule` or `every`.
    pub trigger: &'static str,
}

/// The health of the orchestrator itself.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// `booting`, `running` or `shutting_down`.
    pub phase: &'static str,
    /// Whether the boot is over and no shutdown has begun.
    pub ready: bool,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// System actors that are not there at this moment.
    pub missing_actors: Vec<&'static str>,
    /// Agents by status.
    pub statuses: BTreeMap<&'static str, u32>,
}

fn phase_word(house: &House) -> &'static str {
    match house.phase.get() {
        HousePhase::Booting => "booting",
        HousePhase::Running => "running",
        HousePhase::ShuttingDown => "shutting_down",
    }
}

/// The whole fleet.
pub fn overview(house: &House) -> Overview {
    let now = house.now();
    let agents = agents(house, now);
    let metrics = agents.iter().filter(|a| a.times.count > 0).map(|a| (a.name.clone(), a.times)).collect();
    let letters = house.dead_letters.borrow();
    let dead_letter_queue =
        letters.last(SHOWN_DEAD_LETTERS).filter_map(|letter| serde_json::to_value(letter.public()).ok()).collect();
    drop(letters);
    Overview { system: system(house, now, &agents), agents, metrics, dead_letter_queue }
}

/// All agents in the order of their slots.
pub fn agents(house: &House, now: Clocks) -> Vec<AgentView> {
    house.directory.borrow().iter().map(|(index, slot)| agent_view(house, index, slot, now)).collect()
}

fn system(house: &House, now: Clocks, agents: &[AgentView]) -> SystemView {
    let mut dispatcher = house.dispatcher.borrow_mut();
    let letters = house.dead_letters.borrow();
    let (workers_busy, workers) = dispatcher.workers();
    SystemView {
        version: env!("CARGO_PKG_VERSION"),
        phase: phase_word(house),
        uptime_seconds: now.steady.since(Moment::ZERO).as_secs_f64(),
        execution_queue_size: dispatcher.waiting(),
        dead_letter_queue_size: letters.len(),
        restarts_last_hour: dispatcher.restarts_within(now.steady, Duration::from_hours(1)),
        memory: memory(house),
        paused: dispatcher.is_paused(),
        workers_busy,
        workers,
        queue_capacity: dispatcher.capacity(),
        waiting: house.samples.borrow().waiting(now.steady).into(),
        dead_letters_total: letters.total(),
        dead_letters_evicted: letters.evicted(),
        statuses: statuses(agents.iter().map(|agent| agent.status)),
        events: house.events.borrow().counts().clone(),
    }
}

fn statuses(all: impl Iterator<Item = Status>) -> BTreeMap<&'static str, u32> {
    let mut counts = BTreeMap::new();
    for status in all {
        *counts.entry(status.as_str()).or_insert(0) += 1;
    }
    counts
}

fn memory(house: &House) -> MemoryView {
    let book = house.memory.borrow();
    let agents = book.agents_bytes();
    let used = book.own_rss_bytes + agents;
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let host = share(book.host_total_bytes.saturating_sub(book.host_available_bytes), book.host_total_bytes);
    let mb = |bytes: u64| (bytes as f64 / MB * 100.0).round() / 100.0;
    MemoryView {
        heap_used_mb: mb(used),
        heap_total_mb: mb(book.budget_bytes),
        heap_percent: (share(used, book.budget_bytes).max(host) * 1_000.0).round() / 10.0,
        rss_mb: mb(book.own_rss_bytes),
        external_mb: mb(agents),
        own_heap_mb: mb(book.own_heap_bytes),
    }
}

fn agent_view(house: &House, index: AgentIndex, slot: &Slot, now: Clocks) -> AgentView {
    let spec = &slot.spec;
    let graph = house.graph.borrow();
    let dispatcher = house.dispatcher.borrow();
    let status = dispatcher.status(index);
    let since = slot.processes.iter().filter(|process| process.pid.is_some()).map(|process| process.since).min();
    let last = house.events.borrow().last_end_of(&slot.name).and_then(LastRun::of);
    AgentView {
        name: slot.name.clone(),
        department: spec.department.clone(),
        description: spec.description.clone(),
        kind: if spec.job().is_some() { "job" } else { "service" },
        status,
        reason: short_reason(&dispatcher, index, status),
        priority: spec.priority.number(),
        dependency_depth: graph.depth(index),
        layer: house.layers.borrow().get(index.slot()).copied().unwrap_or(0),
        dependencies: spec.dependencies.iter().map(|dependency| dependency.agent.clone()).collect(),
        schedule: schedule_text(spec),
        next_run: house.timetable.borrow().next_of(index, now).map(|next| next.at),
        last_run: last,
        pids: slot.processes.iter().filter_map(|process| process.pid).collect(),
        uptime_seconds: since.map(|since| now.wall.since(since).as_secs_f64()),
        restarts: slot.restarts,
        memory_bytes: house.memory.borrow().agents.get(&index).copied(),
        times: house.samples.borrow().of(index).map(Times::from).unwrap_or_default(),
        score: None,
    }
}

/// Why an agent is not as it should be, in a line.
pub fn short_reason(
    dispatcher: &werkpilot_core::dispatcher::Dispatcher,
    agent: AgentIndex,
    status: Status,
) -> Option<String> {
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
    let every = triggers.every.map(|every| format!("every {}", werkpilot_core::time::human(every)));
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
    let check = slot.last_health_check.as_ref().map(|(at, result)| HealthCheck {
        at: *at,
        healthy: result.is_ok(),
        error: result.clone().err(),
    });
    let instances = slot.machine.borrow().instances();
    Some(AgentDetail {
        agent: agent_view(house, index, slot, now),
        spec: slot.spec.as_ref().clone(),
        live: dispatcher.live(index),
        instances: instances.into_iter().map(|instance| instance_detail(slot, instance, now)).collect(),
        unhealthy_dependencies: dispatcher.unhealthy_dependencies(index),
        dependents: dependents.collect(),
        last_health_check: check,
    })
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

/// The queue in order.
pub fn queue(house: &House) -> QueueView {
    let mut dispatcher = house.dispatcher.borrow_mut();
    let (workers_busy, workers) = dispatcher.workers();
    let waiting = dispatcher.queue(house.clock.steady());
    QueueView { workers_busy, workers, capacity: dispatcher.capacity(), waiting }
}

/// The dead letters with their groups.
pub fn dead_letters(house: &House) -> DeadLetterList {
    let desk = house.dead_letters.borrow();
    DeadLetterList {
        dead_letters: desk.iter().cloned().collect(),
        groups: desk.groups(),
        total: desk.total(),
        evicted: desk.evicted(),
    }
}

/// What is due within the next `span`, at most `limit` times.
pub fn next_runs(house: &House, span: Duration, limit: usize) -> Vec<NextRun> {
    let now = house.now();
    let directory = house.directory.borrow();
    let upcoming = house.timetable.borrow().upcoming(now.wall, now.wall + span, now, limit);
    let runs = upcoming.into_iter().filter_map(|next| {
        Some(NextRun {
            agent: directory.get(next.agent)?.name.clone(),
            at: next.at,
            scheduled_for: next.scheduled_for,
            trigger: match next.trigger {
                werkpilot_core::timetable::DueKind::Schedule => "schedule",
                werkpilot_core::timetable::DueKind::Every => "every",
            },
        })
    });
    runs.collect()
}

/// The health of the orchestrator itself.
pub fn health(house: &House) -> HealthView {
    let posts = &house.posts;
    let actors = [
        ("event log", posts.events.addr().is_some()),
        ("dead letters", posts.dead_letters.addr().is_some()),
        ("percentile tracker", posts.percentiles.addr().is_some()),
        ("memory monitor", posts.memory.addr().is_some()),
        ("prober", posts.prober.addr().is_some()),
        ("queue", posts.queue.addr().is_some()),
        ("schedule", posts.schedule.addr().is_some()),
    ];
    let missing_actors: Vec<_> = actors.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    let dispatcher = house.dispatcher.borrow();
    let directory = house.directory.borrow();
    HealthView {
        phase: phase_word(house),
        ready: house.phase.get() == HousePhase::Running && missing_actors.is_empty(),
        uptime_seconds: house.clock.steady().since(Moment::ZERO).as_secs_f64(),
        missing_actors,
        statuses: statuses(directory.iter().map(|(index, _)| dispatcher.status(index))),
    }
}
