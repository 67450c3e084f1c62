//! What was found last, and what was made of it.
//!
//! Invariant: what could not be read stays what it was.

use std::collections::BTreeMap;
use std::time::Duration;

use werkpilot_core::ids::AgentIndex;
use werkpilot_core::memory::{History, Ladder, Level, Sample};
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_process::heap::HeapFigures;
use werkpilot_process::memory::Pressure;

use super::source::{Look, Watched};

/// What an agent's process trees use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AgentMemory {
    /// The fairer figure: the proportional share where it could be read, else resident memory. 0 without a process.
    pub bytes: u64,
    /// Resident memory; pages that several processes share are counted once for each.
    pub rss_bytes: u64,
    /// Proportional share; `None` where it could not be read for all of its processes.
    pub pss_bytes: Option<u64>,
    /// Processes of all its trees.
    pub processes: u32,
    /// CPU time of its live processes.
    pub cpu: Duration,
    /// CPU time since the check before, percent of one core.
    pub cpu_percent: f32,
    /// The most `bytes` that a check has seen since the start of the orchestrator.
    pub peak_bytes: u64,
}

impl AgentMemory {
    /// `pss` or `rss`: which of the two `bytes` is.
    pub const fn measured(&self) -> &'static str {
        if self.pss_bytes.is_some() { "pss" } else { "rss" }
    }
}

/// Where the budget is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BudgetSource {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// `[memory] budget`.
    Config,
    /// The limit of our cgroup, of version 1 or 2.
    Cgroup(u8),
    /// The host's memory.
    Host,
}

impl BudgetSource {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Config => "config",
            Self::Cgroup(1) => "cgroup v1",
            Self::Cgroup(_) => "cgroup v2",
            Self::Host => "host",
        }
    }
}

/// What was found last.
#[derive(Debug, Default)]
pub struct MemoryBook {
    /// When.
    pub at: Option<Timestamp>,
    /// The same on the steady clock.
    measured: Option<Moment>,
    /// When it is looked again.
    pub next_check: Option<Timestamp>,
    /// Resident memory of the orchestrator, bytes.
    pub own_rss_bytes: u64,
    /// Live heap of the orchestrator, bytes.
    pub own_heap_bytes: u64,
    /// All figures of its heap.
    pub heap: HeapFigures,
    /// The budget, bytes: as configured, or the cgroup's limit, or the host's memory.
    pub budget_bytes: u64,
    /// Which of these.
    pub budget_source: BudgetSource,
    /// Memory of the host, bytes.
    pub host_total_bytes: u64,
    /// What the host could give, bytes.
    pub host_available_bytes: u64,
    /// The pressure on memory, where the kernel tells.
    pub pressure: Option<Pressure>,
    /// Per agent that has, or had, processes.
    pub agents: BTreeMap<AgentIndex, AgentMemory>,
    /// What all used, orchestrator and agents together, over the last hours.
    pub history: History,
    /// The same of each agent that ever had a process.
    pub histories: BTreeMap<AgentIndex, History>,
    /// Processes that could not be read at the last check.
    pub unreadable: usize,
    /// How short memory is.
    pub level: Level,
    /// The larger of ours / budget and 1 − available / total.
    pub percent: f64,
    /// Who is disabled because of it, in the order in which they come back.
    pub shed: Vec<AgentIndex>,
    /// What decides.
    pub ladder: Ladder,
}

impl MemoryBook {
    /// Bytes of all agents.
    pub fn agents_bytes(&self) -> u64 {
        self.agents.values().map(|agent| agent.bytes).sum()
    }

    /// What an agent uses; `None`: it has no process, or was not looked at yet.
    pub fn of(&self, agent: AgentIndex) -> Option<AgentMemory> {
        self.agents.get(&agent).copied().filter(|memory| memory.processes > 0)
    }

    /// Takes in what was seen.
    pub(super) fn take(&mut self, look: &Look, watched: &[Watched], sample: &Sample, now: Clocks) {
        let passed = self.measured.map(|before| now.steady.since(before));
        self.at = Some(now.wall);
        self.measured = Some(now.steady);
        self.own_rss_bytes = look.own_rss_bytes.unwrap_or(self.own_rss_bytes);
        self.heap = look.heap;
        self.own_heap_bytes = look.heap.allocated;
        self.pressure = look.pressure;
        if let Some(host) = look.host {
            self.host_total_bytes = host.total_bytes;
            self.host_available_bytes = host.available_bytes;
        }
        if let Some(budget) = sample.budget_bytes {
            self.budget_bytes = budget;
            self.budget_source = match look.cgroup {
                Some(limit) if limit.bytes == budget => BudgetSource::Cgroup(limit.version),
                _ if look.host.is_some_and(|host| host.total_bytes == budget) => BudgetSource::Host,
                _ => BudgetSource::Config,
            };
        }
        self.unreadable = sample.trees.iter().filter(|tree| tree.bytes.is_none()).count();
        self.take_agents(look, watched, passed);
        self.history.take(self.own_rss_bytes + self.agents_bytes(), now.steady);
        for (agent, memory) in &self.agents {
            self.histories.entry(*agent).or_default().take(memory.bytes, now.steady);
        }
        self.histories.retain(|agent, _| self.agents.contains_key(agent));
    }

    fn take_agents(&mut self, look: &Look, watched: &[Watched], passed: Option<Duration>) {
        let mut seen: BTreeMap<AgentIndex, Option<AgentMemory>> = BTreeMap::new();
        for Watched { process, .. } in watched {
            let sum =
                seen.entry(process.agent).or_insert(Some(AgentMemory { pss_bytes: Some(0), ..AgentMemory::default() }));
            *sum = look.trees.get(process).zip(*sum).map(|(tree, sum)| AgentMemory {
                bytes: sum.bytes + tree.bytes(),
                rss_bytes: sum.rss_bytes + tree.rss_bytes,
                pss_bytes: sum.pss_bytes.zip(tree.pss_bytes).map(|(a, b)| a + b),
                processes: sum.processes + tree.processes,
                cpu: sum.cpu + tree.cpu,
                ..sum
            });
        }
        for (agent, known) in &mut self.agents {
            if !seen.contains_key(agent) {
                *known = AgentMemory { peak_bytes: known.peak_bytes, ..AgentMemory::default() };
            }
        }
        for (agent, memory) in seen {
            // One that could not be read, or not wholly, stays what it was.
            let Some(memory) = memory else { continue };
            let known = self.agents.entry(agent).or_default();
            let busy = memory.cpu.saturating_sub(known.cpu);
            let passed = passed.filter(|passed| !passed.is_zero() && known.processes > 0);
            let cpu_percent = passed.map_or(0.0, |passed| busy.as_secs_f32() / passed.as_secs_f32() * 100.0);
            *known = AgentMemory { cpu_percent, peak_bytes: known.peak_bytes.max(memory.bytes), ..memory };
        }
    }

    /// The ladder has decided.
    pub(super) fn judged(&mut self) {
        self.level = self.ladder.level();
        self.percent = self.ladder.usage().map_or(0.0, |usage| usage.percent);
        self.shed = self.ladder.shed().map(|(agent, _)| agent).collect();
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_core::agent::ProcessKey;
    use werkpilot_process::memory::{CgroupLimit, HostMemory, TreeMemory};

    use super::*;

    fn watched(agent: u32, serial: u32) -> Watched {
        Watched { process: ProcessKey { agent: AgentIndex(agent), serial }, pid: 1 }
    }

    fn tree(rss_bytes: u64, pss_bytes: Option<u64>, cpu_ms: u64) -> TreeMemory {
        TreeMemory { rss_bytes, pss_bytes, processes: 2, cpu: Duration::from_millis(cpu_ms) }
    }

    fn take(book: &mut MemoryBook, trees: &[(Watched, Option<TreeMemory>)], secs: u64) {
        let look = Look {
            own_rss_bytes: Some(7),
            host: Some(HostMemory { total_bytes: 1_000, available_bytes: 500 }),
            cgroup: Some(CgroupLimit { bytes: 600, version: 1 }),
            trees: trees.iter().filter_map(|(watched, tree)| Some((watched.process, (*tree)?))).collect(),
            ..Look::default()
        };
        let watched: Vec<Watched> = trees.iter().map(|(watched, _)| *watched).collect();
        let now = Clocks { steady: Moment::from_secs(secs), wall: Timestamp::from_secs(1_000) };
        book.take(&look, &watched, &look.sample(&watched, None), now);
    }

    #[test]
    fn the_trees_of_an_agent_are_added_up_and_the_worse_measure_counts() {
        let mut book = MemoryBook::default();
        let trees = [
            (watched(0, 1), Some(tree(100, Some(60), 10))),
            (watched(0, 2), Some(tree(50, None, 10))),
            (watched(1, 1), Some(tree(10, Some(4), 0))),
        ];
        take(&mut book, &trees, 10);
        let both = book.of(AgentIndex(0)).unwrap();
        assert_eq!((both.bytes, both.rss_bytes, both.measured(), both.processes), (110, 150, "rss", 4));
        assert_eq!(book.of(AgentIndex(1)).unwrap().measured(), "pss");
        assert_eq!(book.agents_bytes(), 114);
        assert_eq!((book.budget_bytes, book.budget_source.as_str()), (600, "cgroup v1"));
    }

    #[test]
    fn cpu_is_a_share_of_the_time_between_two_checks_and_peaks_stay() {
        let mut book = MemoryBook::default();
        take(&mut book, &[(watched(0, 1), Some(tree(100, None, 1_000)))], 10);
        assert!(book.of(AgentIndex(0)).unwrap().cpu_percent.abs() < f32::EPSILON, "there was none before");
        take(&mut book, &[(watched(0, 1), Some(tree(40, None, 2_000)))], 12);
        let agent = book.of(AgentIndex(0)).unwrap();
        assert!((agent.cpu_percent - 50.0).abs() < 0.01, "{agent:?}");
        assert_eq!((agent.bytes, agent.peak_bytes), (40, 100));
        take(&mut book, &[], 14);
        assert_eq!(book.of(AgentIndex(0)), None, "it has no process");
        assert_eq!(book.agents[&AgentIndex(0)].peak_bytes, 100);
        take(&mut book, &[(watched(0, 2), Some(tree(10, None, 5)))], 16);
        assert_eq!(book.of(AgentIndex(0)).unwrap().peak_bytes, 100);
    }

    #[test]
    fn an_agent_that_could_not_be_read_stays_what_it_was() {
        let mut book = MemoryBook::default();
        take(&mut book, &[(watched(0, 1), Some(tree(100, None, 0)))], 10);
        take(&mut book, &[(watched(0, 1), None)], 12);
        assert_eq!((book.of(AgentIndex(0)).unwrap().bytes, book.unreadable), (100, 1));
    }
}
