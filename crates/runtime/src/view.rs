//! What pages, programs and the CLI see of the house: plain values, made in one go so that they agree with each other.
//!
//! Times are milliseconds with fractions and end in `Ms` but for the percentiles, whose names (`p50` …) are the
//! predecessor's; sizes are bytes, but for `system.memory`, whose names say MB.

mod agents;
mod attention;
mod bus;
mod dashboard;
mod graph;
mod health;
mod memory;
mod scrape;
mod system;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::dead_letters::{DeadLetter, DeadLetterGroup, LetterFilter};
use werkpilot_core::dispatcher::Waiting;
use werkpilot_core::ids::AgentName;
use werkpilot_core::percentiles::Summary;
use werkpilot_core::time::Timestamp;
use werkpilot_core::timetable::{Ahead, Upcoming};

use crate::house::House;

pub use agents::{
    AgentDetail, AgentView, HealthCheck, InstanceDetail, LastRun, agent_detail, agents, priority_from, short_reason,
};
pub use bus::{BusDetail, BusView, RequestCounts, RequestTimes, ResponderView, join_services, request_times};
pub use dashboard::{BootLayer, BootView, BreakerTile, Dashboard, DeadLetterTile, MemoryTile, QueueTile, dashboard};
pub use graph::{AffectedView, GraphEdge, GraphNode, GraphView, ImpactView, graph_view, impact_view};
pub use health::{
    AgentHealth, HealthView, LastProbeView, LoopView, Outlook, OverallView, ProbeView, ScheduleView, VerdictView,
    agent_health, health,
};
pub use memory::{
    AgentUse, MemoryFigures, MemoryHistory, MemoryState, ShedAgent, Thresholds, memory_history, memory_state,
};
pub use scrape::{
    AgentFigures, BootFigures, BreakerFigures, DeskFigures, HttpFigures, OptimizerFigures, ProbeFigures,
    ProbingFigures, Scrape,
};
pub use system::{MemoryView, Overview, StoreView, SystemView, overview};

/// Percentiles and mean in milliseconds; null without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
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

/// The queue in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
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
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterList {
    /// Newest last.
    pub dead_letters: Vec<DeadLetter>,
    /// By error signature, the one with the newest letter first; each with all its letters, whatever is asked for.
    pub groups: Vec<DeadLetterGroup>,
    /// How many are meant in all, on this page and on others.
    pub matching: usize,
    /// `before` or `cursor` of the next page; null: this is the last one.
    pub next: Option<u64>,
    /// Ever.
    pub total: u64,
    /// That had to make room, ever.
    pub evicted: u64,
    /// That wait in memory until the disk takes them; not in the list yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting_for_disk: usize,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterPage {
    /// At most so many.
    pub limit: usize,
    /// Only letters before this one.
    pub before: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if takes a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A time to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
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

/// The times to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextRuns {
    /// Soonest first.
    pub runs: Vec<NextRun>,
    /// Agents with more times than were asked for.
    pub left_out: Vec<AgentName>,
}

/// The queue in order.
pub fn queue(house: &House) -> QueueView {
    let mut dispatcher = house.dispatcher.borrow_mut();
    let (workers_busy, workers) = dispatcher.workers();
    let waiting = dispatcher.queue(house.clock.steady());
    QueueView { workers_busy, workers, capacity: dispatcher.capacity(), waiting }
}

/// The last dead letters that are meant, with their groups; `among`: only these ids.
pub fn dead_letters(
    house: &House,
    filter: &LetterFilter,
    among: Option<&BTreeSet<u64>>,
    page: DeadLetterPage,
) -> DeadLetterList {
    let desk = house.dead_letters.borrow();
    let is_meant = |letter: &&DeadLetter| filter.fits(letter) && among.is_none_or(|among| among.contains(&letter.id));
    let all = filter.is_all() && among.is_none();
    let meant: Vec<&DeadLetter> = desk.iter().filter(is_meant).collect();
    let end = page.before.map_or(meant.len(), |before| meant.partition_point(|letter| letter.id < before));
    let begin = end.saturating_sub(page.limit);
    let signatures: BTreeSet<&str> = meant.iter().map(|letter| letter.signature.as_str()).collect();
    let mut groups = desk.groups();
    groups.retain(|group| all || signatures.contains(group.signature.as_str()));
    DeadLetterList {
        dead_letters: meant[begin..end].iter().copied().cloned().collect(),
        groups,
        matching: meant.len(),
        next: (begin > 0 && begin < end).then(|| meant[begin].id),
        total: desk.total(),
        evicted: desk.evicted(),
        waiting_for_disk: desk.waiting_for_disk(),
    }
}

/// Which times to come are wanted.
#[derive(Clone, Debug)]
pub struct NextRunsQuery {
    /// So far ahead.
    pub span: Duration,
    /// The first so many, and what is due together with the last of them.
    pub limit: usize,
    /// So many of one agent behind the place at most.
    pub each: usize,
    /// Only of this agent.
    pub agent: Option<AgentName>,
    /// Only what comes behind this place, in the order of times and names.
    pub after: Option<(Timestamp, AgentName)>,
}

/// What is due.
pub fn next_runs(house: &House, query: &NextRunsQuery) -> NextRuns {
    let now = house.now();
    let directory = house.directory.borrow();
    let name = |agent| directory.get(agent).map(|slot| slot.name.clone());
    let only = query.agent.as_ref().map(|agent| directory.find(agent.as_str()));
    if only == Some(None) {
        return NextRuns { runs: Vec::new(), left_out: Vec::new() };
    }
    // Nothing before the place has to be looked at.
    let from =
        query.after.as_ref().map_or(now.wall, |(at, _)| Timestamp::from_millis(at.as_millis() - 1).max(now.wall));
    let wanted = Ahead { from, to: now.wall + query.span, limit: query.limit, each: query.each, only: only.flatten() };
    let passed = |next: &Upcoming| match (&query.after, directory.get(next.agent)) {
        (Some((at, agent)), Some(slot)) => (next.at, &slot.name) <= (*at, agent),
        _ => false,
    };
    let (upcoming, left_out) = house.timetable.borrow().ahead(&wanted, now, passed);
    let runs = upcoming.into_iter().filter_map(|next| {
        Some(NextRun {
            agent: name(next.agent)?,
            at: next.at,
            scheduled_for: next.scheduled_for,
            trigger: match next.trigger {
                werkpilot_core::timetable::DueKind::Schedule => "schedule",
                werkpilot_core::timetable::DueKind::Every => "every",
            },
        })
    });
    NextRuns { runs: runs.collect(), left_out: left_out.into_iter().filter_map(name).collect() }
}
