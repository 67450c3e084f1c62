//! What pages, programs and the CLI see of the house: plain values, made in one go so that they agree with each other.
//!
//! Times are milliseconds with fractions and end in `Ms` but for the percentiles, whose names (`p50` …) are the
//! predecessor's; sizes are bytes, but for `system.memory`, whose names say MB.

mod agents;
mod bus;
mod system;

use std::time::Duration;

use serde::Serialize;
use werkpilot_core::dead_letters::{DeadLetter, DeadLetterGroup};
use werkpilot_core::dispatcher::Waiting;
use werkpilot_core::ids::AgentName;
use werkpilot_core::percentiles::Summary;
use werkpilot_core::time::Timestamp;

use crate::house::House;

pub use agents::{AgentDetail, AgentView, HealthCheck, InstanceDetail, LastRun, agent_detail, agents, short_reason};
pub use bus::{BusView, RequestCounts, RequestTimes, Scrape, join_services, request_times};
pub use system::{HealthView, MemoryView, Overview, StoreView, SystemView, health, overview};

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
