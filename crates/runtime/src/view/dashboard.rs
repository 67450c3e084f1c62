//! What the first page of the dashboard shows: the orchestrator in tiles, and what needs attention.

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::attention::Item;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentName;
use werkpilot_core::memory::Level;
use werkpilot_core::throughput::Ends;
use werkpilot_core::time::{Clocks, Timestamp, as_ms};

use super::attention::{attention, breaker};
use super::system::{SystemView, phase_word, statuses, system};
use crate::house::House;

/// Layers of the boot that are answered; of more, the slowest.
const LAYERS: usize = 100;

/// What `GET /api/v1/overview` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dashboard {
    /// The orchestrator.
    pub system: SystemView,
    /// What needs attention, the worst first; at most 100.
    pub attention: Vec<Item>,
    /// How many there are in all.
    pub attention_total: usize,
    /// Ends of executions in each of the last 60 minutes, the present one last.
    pub throughput: Vec<Ends>,
    /// The breaker of all agents.
    pub breaker: BreakerTile,
    /// Memory against its thresholds.
    pub memory: MemoryTile,
    /// The queue.
    pub queue: QueueTile,
    /// Dead letters.
    pub dead_letters: DeadLetterTile,
    /// The boot.
    pub boot: BootView,
}

/// The breaker of all agents.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BreakerTile {
    /// Automatic restarts within the window.
    pub restarts: u32,
    /// At most so many; 0 is unlimited.
    pub max_restarts: u32,
    /// The window.
    #[serde(rename = "window_ms")]
    pub window_ms: f64,
    /// `closed`, or `open`: further restarts wait.
    pub state: &'static str,
    /// When there is room again; null: there is.
    pub room_at: Option<Timestamp>,
}

/// Memory against its thresholds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryTile {
    /// How much is used.
    pub percent: f64,
    /// Memory is given back from here on.
    pub warning_percent: u8,
    /// Agents of priority 3 are disabled from here on.
    pub critical_percent: u8,
    /// They are enabled again under this.
    pub recover_percent: u8,
    /// What orchestrator and agents use.
    pub used_bytes: u64,
    /// What there is for them.
    pub budget_bytes: u64,
    /// `normal`, `warning` or `critical`.
    #[schema(value_type = String)]
    pub level: Level,
}

/// The queue in figures.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueueTile {
    /// How many wait.
    pub waiting: u32,
    /// How many may.
    pub capacity: u32,
    /// For how long the oldest waits; null: none does.
    pub oldest_waiting_ms: Option<f64>,
    /// Workers that are busy.
    pub workers_busy: u32,
    /// Workers in all.
    pub workers: u32,
}

/// Dead letters in figures.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterTile {
    /// How many are kept.
    pub total: usize,
    /// Groups with the same signature.
    pub groups: usize,
    /// When the newest one was given up.
    pub newest: Option<Timestamp>,
}

/// How the boot went, or goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootView {
    /// `booting`, `running` or `shutting_down`.
    pub phase: &'static str,
    /// How long it took; null: it is not over.
    pub duration_ms: Option<f64>,
    /// Its layers in their order; of more than 100, the slowest.
    pub layers: Vec<BootLayer>,
    /// How many layers there are in all.
    pub layers_total: usize,
    /// The chain of agents that it waited for longest, first one first.
    pub critical_path: Vec<AgentName>,
}

/// A layer of the boot that is over.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BootLayer {
    /// Counts from 0.
    pub layer: u32,
    /// How long it took.
    pub ms: f64,
    /// Services that were not ready in time.
    pub late: Vec<AgentName>,
}

/// The first page.
pub fn dashboard(house: &House) -> Dashboard {
    let now = house.now();
    let found = attention(house);
    let agents = {
        let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
        statuses(directory.iter().map(|(index, _)| dispatcher.status(index)))
    };
    Dashboard {
        system: system(house, now, agents),
        attention: found.items,
        attention_total: found.total,
        throughput: house.recent.borrow().throughput().minutes(now.wall),
        breaker: breaker_tile(house, now),
        memory: memory_tile(house),
        queue: queue_tile(house, now),
        dead_letters: dead_letter_tile(house),
        boot: boot(house),
    }
}

fn breaker_tile(house: &House, now: Clocks) -> BreakerTile {
    let standing = breaker(house, now);
    BreakerTile {
        restarts: standing.restarts,
        max_restarts: standing.max_restarts,
        window_ms: as_ms(standing.window),
        state: if standing.room_at.is_some() { "open" } else { "closed" },
        room_at: standing.room_at,
    }
}

fn memory_tile(house: &House) -> MemoryTile {
    let (book, settings) = (house.memory.borrow(), house.settings.borrow());
    MemoryTile {
        percent: (book.percent * 10.0).round() / 10.0,
        warning_percent: settings.memory.warning_percent,
        critical_percent: settings.memory.critical_percent,
        recover_percent: settings.memory.recover_percent,
        used_bytes: book.own_rss_bytes + book.agents_bytes(),
        budget_bytes: book.budget_bytes,
        level: book.level,
    }
}

fn queue_tile(house: &House, now: Clocks) -> QueueTile {
    let dispatcher = house.dispatcher.borrow();
    let (workers_busy, workers) = dispatcher.workers();
    QueueTile {
        waiting: dispatcher.waiting(),
        capacity: dispatcher.capacity(),
        oldest_waiting_ms: dispatcher.oldest_waiting(now.steady).map(as_ms),
        workers_busy,
        workers,
    }
}

fn dead_letter_tile(house: &House) -> DeadLetterTile {
    let desk = house.dead_letters.borrow();
    DeadLetterTile {
        total: desk.len(),
        groups: desk.groups().len(),
        newest: desk.last(1).next().map(|letter| letter.timestamp),
    }
}

fn boot(house: &House) -> BootView {
    let mut layers = house.boot_layers.borrow().clone();
    let layers_total = layers.len();
    if layers_total > LAYERS {
        layers.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        layers.truncate(LAYERS);
        layers.sort_by_key(|layer| layer.layer);
    }
    let (duration_ms, critical_path) = match house.boot_report.borrow().as_ref() {
        Some(Event::BootCompleted { duration, critical_path, .. }) => (Some(as_ms(*duration)), critical_path.clone()),
        _ => (None, Vec::new()),
    };
    BootView { phase: phase_word(house), duration_ms, layers, layers_total, critical_path }
}
