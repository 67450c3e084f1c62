//! Where samples come from: the real one reads `/proc`, tests bring their own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use werkpilot_core::agent::ProcessKey;
use werkpilot_core::memory::{HostReading, Sample, TreeReading};
use werkpilot_process::heap::{self, HeapFigures};
use werkpilot_process::memory::{self, CgroupLimit, HostMemory, Pressure, Rollup, Sampler, TreeMemory};

/// A process of an agent, with all that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub process: ProcessKey,
    /// Its pid.
    pub pid: i32,
}

/// What one look found. What could not be read is `None`, or not there.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// The orchestrator's resident memory.
    pub own_rss_bytes: Option<u64>,
    /// Its heap.
    pub heap: HeapFigures,
    /// The host.
    pub host: Option<HostMemory>,
    /// The limit of its cgroup.
    pub cgroup: Option<CgroupLimit>,
    /// The pressure on memory.
    pub pressure: Option<Pressure>,
    /// The trees that were asked for.
    pub trees: BTreeMap<ProcessKey, TreeMemory>,
}

impl Look {
    /// For the ladder. The budget is what is configured, else the smaller of the cgroup's limit and the host's memory.
    pub fn sample(&self, watched: &[Watched], configured: Option<u64>) -> Sample {
        let there_is = [self.cgroup.map(|limit| limit.bytes), self.host.map(|host| host.total_bytes)];
        let trees = watched.iter().map(|Watched { process, .. }| TreeReading {
            process: *process,
            bytes: self.trees.get(process).map(TreeMemory::bytes),
        });
        Sample {
            own_bytes: self.own_rss_bytes,
            budget_bytes: configured.or_else(|| there_is.into_iter().flatten().min()),
            host: self
                .host
                .map(|host| HostReading { total_bytes: host.total_bytes, available_bytes: host.available_bytes }),
            trees: trees.collect(),
        }
    }
}

/// What the memory of trees is made of.
#[derive(Clone, Debug, Default)]
pub struct Details {
    /// The orchestrator's own.
    pub own: Option<Rollup>,
    /// Of those that were asked for, those that could be read.
    pub trees: BTreeMap<ProcessKey, Rollup>,
}

/// Where samples come from. Is asked on a thread of its own with the lowest priority, and may block there.
pub trait SampleSource: Send + Sync {
    /// Looks at everything.
    fn look(&self, watched: &[Watched]) -> Look;
    /// Looks closely, for a profile.
    fn details(&self, watched: &[Watched]) -> Details;
}

/// The real world.
#[derive(Debug, Default)]
pub struct ProcSource {
    sampler: Mutex<Sampler>,
}

impl SampleSource for ProcSource {
    fn look(&self, watched: &[Watched]) -> Look {
        let pids: Vec<i32> = watched.iter().map(|watched| watched.pid).collect();
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        let by_pid = if pids.is_empty() { BTreeMap::new() } else { sampler.trees(&pids).unwrap_or_default() };
        drop(sampler);
        Look {
            own_rss_bytes: memory::read_own_rss(),
            heap: heap::figures(),
            host: memory::host(),
            cgroup: memory::cgroup_limit(),
            pressure: memory::pressure(),
            trees: watched.iter().filter_map(|w| Some((w.process, *by_pid.get(&w.pid)?))).collect(),
        }
    }

    fn details(&self, watched: &[Watched]) -> Details {
        let pids: Vec<i32> = watched.iter().map(|watched| watched.pid).collect();
        let by_pid = Sampler::rollups(&pids);
        let own = i32::try_from(std::process::id()).ok().and_then(|pid| Rollup::read(pid).ok());
        Details { own, trees: watched.iter().filter_map(|w| Some((w.process, *by_pid.get(&w.pid)?))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_what_is_configured_or_else_the_smaller_of_what_there_is() {
        let look = |cgroup: Option<u64>, host: Option<u64>| Look {
            cgroup: cgroup.map(|bytes| CgroupLimit { bytes, version: 2 }),
            host: host.map(|total_bytes| HostMemory { total_bytes, available_bytes: 1 }),
            ..Look::default()
        };
        let cases = [
            (Some(5), Some(10), Some(20), Some(5)),
            (None, Some(10), Some(20), Some(10)),
            (None, Some(30), Some(20), Some(20)),
            (None, None, Some(20), Some(20)),
            (None, None, None, None),
        ];
        for (configured, cgroup, host, budget) in cases {
            assert_eq!(look(cgroup, host).sample(&[], configured).budget_bytes, budget);
        }
    }

    #[test]
    fn the_real_source_sees_us() {
        let look = ProcSource::default().look(&[]);
        assert!(look.own_rss_bytes.is_some_and(|bytes| bytes > 0) && look.host.is_some());
    }
}
