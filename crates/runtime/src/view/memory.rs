//! Memory: who uses what, who is disabled because of it, and what will happen next.

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::agent::Agent;
use werkpilot_core::dispatcher::Gate;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::memory::{Cause, Level};
use werkpilot_core::status::Status;
use werkpilot_core::time::{Timestamp, as_ms};

use crate::directory::Slot;
use crate::house::House;
use crate::observe::memory::{AgentMemory, MemoryBook};
use crate::observe::recent::MemoryMark;

/// What `GET /api/v1/memory` answers. Bytes, and percents with a fraction.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryState {
    /// When it was looked; null before the first check.
    pub at: Option<Timestamp>,
    /// When it is looked again.
    pub next_check: Option<Timestamp>,
    /// `normal`, `warning` or `critical`.
    pub level: Level,
    /// The larger of ours / budget and 1 − available / total.
    pub percent: f64,
    /// Which of these: `budget` or `host`.
    pub cause: Option<Cause>,
    /// What orchestrator and agents use.
    pub used_bytes: u64,
    /// What there is for them.
    pub budget_bytes: u64,
    /// `config`, `cgroup v1`, `cgroup v2`, `host`, or `unknown` before the first check.
    pub budget_from: &'static str,
    /// The thresholds in effect.
    pub thresholds: Thresholds,
    /// What will happen next.
    pub next: String,
    /// The orchestrator itself.
    pub orchestrator: OwnMemory,
    /// The host.
    pub host: HostView,
    /// Shares of time that are lost to a shortage; null where the kernel does not tell.
    pub pressure: Option<PressureView>,
    /// Processes that could not be read at the last check; they count as they were before.
    pub unreadable_processes: usize,
    /// All agents that use memory, the largest first.
    pub agents: Vec<AgentUse>,
    /// Who is disabled because of it, in the order in which they come back.
    pub shed: Vec<ShedAgent>,
}

/// `[memory]`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Thresholds {
    /// Memory is given back from here on.
    pub warning_percent: u8,
    /// Agents of priority 3 are disabled from here on.
    pub critical_percent: u8,
    /// They are enabled again under this.
    pub recover_percent: u8,
    /// Between two checks.
    pub interval_ms: f64,
}

/// The orchestrator's own memory.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "units belong to the names")]
pub struct OwnMemory {
    /// Resident.
    pub rss_bytes: u64,
    /// Live bytes of its heap; 0 where the allocator does not tell.
    pub heap_allocated_bytes: u64,
    /// Pages of its heap in memory.
    pub heap_resident_bytes: u64,
}

/// The host's memory.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostView {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
}

pub use crate::observe::memory::PressureView;

/// What an agent uses.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentUse {
    /// Its name.
    pub name: AgentName,
    /// 1, 2 or 3.
    pub priority: u8,
    /// The same as in the list of agents.
    #[serde(flatten)]
    pub figures: MemoryFigures,
    /// Its `memory_max`, of each process tree.
    pub memory_max_bytes: Option<u64>,
    /// Whether a tree of it was over that at the last check: after a second one it is ended.
    pub over_memory_max: bool,
}

/// The figures of an agent's memory and CPU; all null without a process, and before the first check.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryFigures {
    /// Bytes of its process trees: what counts.
    pub memory_bytes: Option<u64>,
    /// `pss` or `rss`: what that is.
    pub memory_measured: Option<&'static str>,
    /// Resident memory; shared pages are counted once for each process.
    pub rss_bytes: Option<u64>,
    /// Proportional share; null where it could not be read.
    pub pss_bytes: Option<u64>,
    /// The most `memoryBytes` since the start of the orchestrator; kept when its processes have ended.
    pub memory_peak_bytes: Option<u64>,
    /// Processes of all its trees.
    pub processes: Option<u32>,
    /// CPU time of its live processes.
    pub cpu_seconds: Option<f64>,
    /// CPU time since the check before, percent of one core.
    pub cpu_percent: Option<f64>,
}

impl MemoryFigures {
    /// Of this agent.
    pub fn of(house: &House, agent: AgentIndex) -> Self {
        house.memory.borrow().agents.get(&agent).map(Self::from).unwrap_or_default()
    }
}

impl From<&AgentMemory> for MemoryFigures {
    fn from(memory: &AgentMemory) -> Self {
        let peak = Self { memory_peak_bytes: Some(memory.peak_bytes), ..Self::default() };
        if memory.processes == 0 {
            return peak;
        }
        Self {
            memory_bytes: Some(memory.bytes),
            memory_measured: Some(memory.measured()),
            rss_bytes: Some(memory.rss_bytes),
            pss_bytes: memory.pss_bytes,
            processes: Some(memory.processes),
            cpu_seconds: Some(memory.cpu.as_secs_f64()),
            cpu_percent: Some((f64::from(memory.cpu_percent) * 10.0).round() / 10.0),
            ..peak
        }
    }
}

/// An agent that is disabled because memory was short.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShedAgent {
    /// Its name.
    pub name: AgentName,
    /// 1, 2 or 3.
    pub priority: u8,
    /// Why.
    pub reason: String,
}

/// How it is about memory.
pub fn memory_state(house: &House) -> MemoryState {
    let (book, directory) = (house.memory.borrow(), house.directory.borrow());
    let settings = house.settings.borrow().memory.clone();
    let usage = book.ladder.usage();
    let mut agents: Vec<AgentUse> = book
        .agents
        .iter()
        .filter(|(_, memory)| memory.processes > 0)
        .filter_map(|(agent, memory)| Some(agent_use(house, &book, *agent, directory.get(*agent)?, memory)))
        .collect();
    agents.sort_by_key(|agent| std::cmp::Reverse(agent.figures.memory_bytes));
    let shed = book.shed.iter().filter_map(|agent| {
        let slot = directory.get(*agent)?;
        let reason = shed_because(&slot.machine.borrow())?;
        Some(ShedAgent { name: slot.name.clone(), priority: house.priority_of(&slot.spec).number(), reason })
    });
    let name = |agent| directory.get(agent).map_or_else(|| "an agent".to_owned(), |slot| slot.name.to_string());
    MemoryState {
        at: book.at,
        next_check: book.next_check,
        level: book.level,
        percent: (book.percent * 10.0).round() / 10.0,
        cause: usage.map(|usage| usage.cause),
        used_bytes: book.own_rss_bytes + book.agents_bytes(),
        budget_bytes: book.budget_bytes,
        budget_from: book.budget_source.as_str(),
        thresholds: Thresholds {
            warning_percent: settings.warning_percent,
            critical_percent: settings.critical_percent,
            recover_percent: settings.recover_percent,
            interval_ms: as_ms(settings.interval),
        },
        next: book.ladder.next().sentence(name),
        orchestrator: OwnMemory {
            rss_bytes: book.own_rss_bytes,
            heap_allocated_bytes: book.heap.allocated,
            heap_resident_bytes: book.heap.resident,
        },
        host: HostView { total_bytes: book.host_total_bytes, available_bytes: book.host_available_bytes },
        pressure: book.pressure.map(PressureView::from),
        unreadable_processes: book.unreadable,
        shed: shed.collect(),
        agents,
    }
}

fn agent_use(house: &House, book: &MemoryBook, agent: AgentIndex, slot: &Slot, memory: &AgentMemory) -> AgentUse {
    AgentUse {
        name: slot.name.clone(),
        priority: house.priority_of(&slot.spec).number(),
        figures: memory.into(),
        memory_max_bytes: slot.spec.memory_max,
        over_memory_max: book.ladder.is_over_limit(agent),
    }
}

/// Why an agent is disabled by memory, if it is.
fn shed_because(machine: &Agent) -> Option<String> {
    match machine.gate() {
        Gate::Closed { status: Status::DisabledByMemory, reason } => Some(reason.to_string()),
        _ => None,
    }
}

/// Memory over the last two hours: what `GET /api/v1/memory/history` answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MemoryHistory {
    /// The length of a step: each point is the most of its step.
    pub step_ms: f64,
    /// When each step began, in milliseconds since 1970, and bytes; oldest first.
    pub points: Vec<(i64, u64)>,
    /// What happened meanwhile.
    pub marks: Vec<MemoryMark>,
}

/// Memory of an agent, or of orchestrator and agents together; `None`: there is no such agent.
pub fn memory_history(house: &House, agent: Option<&str>) -> Option<MemoryHistory> {
    let now = house.now();
    let (book, directory) = (house.memory.borrow(), house.directory.borrow());
    let index = match agent {
        None => None,
        Some(name) => Some(directory.find(name)?),
    };
    let history = match index {
        None => Some(&book.history),
        Some(index) => book.histories.get(&index),
    };
    let name = index.and_then(|index| directory.get(index)).map(|slot| &slot.name);
    let marks = house.recent.borrow().marks(name, now.wall);
    let Some(history) = history else {
        return Some(MemoryHistory { step_ms: 1_000.0, points: Vec::new(), marks });
    };
    let points = history.points().map(|(at, bytes)| (now.wall_at(at).as_millis(), bytes));
    Some(MemoryHistory { step_ms: as_ms(history.step()), points: points.collect(), marks })
}
