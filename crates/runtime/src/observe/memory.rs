//! The memory monitor: samples what the orchestrator and each agent's process tree use. The ladder of thresholds comes
//! with self-observation; until then it only looks.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::time::Timestamp;
use werkpilot_process::memory;

use crate::house::House;
use crate::supervision::ExitNotice;

/// The first look is early, so that pages have figures soon after the start.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// What was sampled last.
#[derive(Clone, Debug, Default)]
pub struct MemoryBook {
    /// When.
    pub at: Option<Timestamp>,
    /// Resident memory of the orchestrator, bytes.
    pub own_rss_bytes: u64,
    /// Live heap of the orchestrator, bytes.
    pub own_heap_bytes: u64,
    /// The budget, bytes: as configured, or the cgroup's limit, or the host's memory.
    pub budget_bytes: u64,
    /// Memory of the host, bytes.
    pub host_total_bytes: u64,
    /// What the host could give, bytes.
    pub host_available_bytes: u64,
    /// Per agent: bytes of its process trees.
    pub agents: BTreeMap<AgentIndex, u64>,
}

impl MemoryBook {
    /// Bytes of all agents.
    pub fn agents_bytes(&self) -> u64 {
        self.agents.values().sum()
    }
}

/// What one look found.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Sampled {
    trees: BTreeMap<AgentIndex, u64>,
    host: Option<memory::HostMemory>,
    own_rss_bytes: u64,
}

/// The actor of the memory book.
pub struct MemoryMonitor {
    house: Rc<House>,
    looking: bool,
    _notice: ExitNotice,
}

impl MemoryMonitor {
    /// An actor for the house's memory book.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, looking: false, _notice: notice }
    }

    /// Reads `/proc` on another thread: with a thousand agents it takes tens of milliseconds.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let interval = self.house.settings.borrow().memory.interval;
        ctx.run_later(interval, Self::look);
        if std::mem::replace(&mut self.looking, true) {
            return;
        }
        let leaders: Vec<(AgentIndex, i32)> = {
            let directory = self.house.directory.borrow();
            let pids = directory
                .iter()
                .flat_map(|(index, slot)| slot.processes.iter().filter_map(move |process| Some((index, process.pid?))));
            pids.collect()
        };
        let sample = tokio::task::spawn_blocking(move || {
            let pids: Vec<i32> = leaders.iter().map(|(_, pid)| *pid).collect();
            let by_pid = memory::tree_rss(&pids);
            let mut trees = BTreeMap::new();
            for (agent, pid) in leaders {
                if let Some(tree) = by_pid.get(&pid) {
                    *trees.entry(agent).or_insert(0) += tree.bytes();
                }
            }
            Sampled { trees, host: memory::host(), own_rss_bytes: memory::own_rss() }
        });
        ctx.spawn(sample.into_actor(self).map(|result, this, ctx| {
            this.looking = false;
            match result {
                Ok(sampled) => ctx.notify(sampled),
                Err(error) => log::warn!("failed to sample memory: {error}"),
            }
        }));
    }
}

/// Live bytes of our own heap, as jemalloc counts them; 0 where another allocator is linked.
fn own_heap_bytes() -> u64 {
    let advanced = tikv_jemalloc_ctl::epoch::advance();
    let allocated = advanced.and_then(|_| tikv_jemalloc_ctl::stats::allocated::read());
    allocated.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

impl Actor for MemoryMonitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(FIRST_LOOK, Self::look);
    }
}

impl Handler<Sampled> for MemoryMonitor {
    type Result = ();
    fn handle(&mut self, sampled: Sampled, _: &mut Self::Context) {
        let configured = self.house.settings.borrow().memory.budget;
        let mut book = self.house.memory.borrow_mut();
        book.at = Some(crate::clock::Clock::wall());
        book.own_rss_bytes = sampled.own_rss_bytes;
        book.own_heap_bytes = own_heap_bytes();
        book.agents = sampled.trees;
        if let Some(host) = sampled.host {
            book.host_total_bytes = host.total_bytes;
            book.host_available_bytes = host.available_bytes;
            book.budget_bytes = configured.unwrap_or_else(|| host.cgroup_limit_bytes.unwrap_or(host.total_bytes));
        }
    }
}
