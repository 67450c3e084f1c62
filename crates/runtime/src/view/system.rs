//! The fleet and the orchestrator as a whole: what `/metrics` and the health checks answer.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_store::Health;

use super::{AgentView, Times, agents};
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
#[derive(Clone, Debug, Serialize, ToSchema)]
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
    /// Dead letters ever.
    pub dead_letters_total: u64,
    /// Dead letters that had to make room.
    pub dead_letters_evicted: u64,
    /// Agents by status.
    pub statuses: BTreeMap<&'static str, u32>,
    /// Events since the start, by topic.
    pub events: BTreeMap<&'static str, u64>,
    /// The state on disk.
    pub store: StoreView,
}

/// How it is about the state on disk.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreView {
    /// `ok`; `degraded`: the disk does not take what it is given; `gone`: its writer is being started again; `none`:
    /// nothing is kept.
    pub state: &'static str,
    /// Since when it is not `ok`.
    pub since: Option<Timestamp>,
    /// What the disk said.
    pub reason: Option<String>,
    /// Transactions since the start of the writer.
    pub commits: u64,
    /// Batches in them.
    pub batches: u64,
    /// Changes in them.
    pub changes: u64,
    /// Batches that did not fit what was there.
    pub conflicts: u64,
    /// What had to be durable and was refused because of the disk.
    pub refused: u64,
    /// What could wait and was thrown away because of the disk.
    pub dropped: u64,
    /// What waits for the disk.
    pub waiting: u64,
}

impl StoreView {
    /// Whether what is to be kept is kept.
    pub fn is_well(&self) -> bool {
        matches!(self.state, "ok" | "none")
    }
}

pub(super) fn store(house: &House) -> StoreView {
    let Some(writer) = house.ledger.writer() else { return StoreView { state: "none", ..StoreView::default() } };
    let done = writer.stats();
    let (state, since, reason) = match writer.health() {
        _ if writer.is_gone() => ("gone", None, Some("its writer is being started again".to_owned())),
        Health::Healthy => ("ok", None, None),
        Health::Degraded { since, reason } => ("degraded", Some(since), Some(reason.to_string())),
    };
    StoreView {
        state,
        since,
        reason,
        commits: done.commits,
        batches: done.batches,
        changes: done.changes,
        conflicts: done.conflicts,
        refused: done.refused,
        dropped: done.dropped,
        waiting: done.waiting,
    }
}

/// Memory, with the predecessor's names. Percent is the larger of ours / budget and 1 − available / total.
#[derive(Clone, Debug, Serialize, ToSchema)]
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

pub(super) fn phase_word(house: &House) -> &'static str {
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
    let counts = statuses(agents.iter().map(|agent| agent.status));
    Overview { system: system(house, now, counts), agents, metrics, dead_letter_queue }
}

pub(super) fn system(house: &House, now: Clocks, statuses: BTreeMap<&'static str, u32>) -> SystemView {
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
        waiting: house.samples.borrow().waiting(now).into(),
        dead_letters_total: letters.total(),
        dead_letters_evicted: letters.evicted(),
        statuses,
        events: house.events.borrow().counts().clone(),
        store: store(house),
    }
}

pub(super) fn statuses(all: impl Iterator<Item = Status>) -> BTreeMap<&'static str, u32> {
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
