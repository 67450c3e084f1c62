//! Memory: of programs with all that they started, of the host, and our own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sysinfo::System;

use crate::proc_fs::{self, Stat};

/// Processes whose proportional share is read per call: the kernel walks all pages of each.
const MAX_PSS: usize = 256;

/// What a leader and all its descendants use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeMemory {
    /// Resident memory. Pages that several processes share are counted once for each.
    pub rss_bytes: u64,
    /// Proportional share, which counts shared pages once; only for trees of several processes, and not for all of them
    /// where there are very many.
    pub pss_bytes: Option<u64>,
    /// How many processes there are, the leader included.
    pub processes: u32,
    /// CPU time of those that live, user and system.
    pub cpu: Duration,
}

impl TreeMemory {
    /// The fairer of the two figures.
    pub fn bytes(&self) -> u64 {
        self.pss_bytes.unwrap_or(self.rss_bytes)
    }
}

/// What the host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "units belong to the names")]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
    /// The limit of our cgroup, if it has one.
    pub cgroup_limit_bytes: Option<u64>,
}

/// The memory of these leaders with all that they started, in one pass over `/proc`. Leaders that have ended are left
/// out. A process belongs to the leader whose session it is in, or who is its ancestor, or, for a daemonised one that
/// was given to us, whose run id it has.
pub fn tree_rss(leaders: &[i32]) -> BTreeMap<i32, TreeMemory> {
    let stats: HashMap<i32, Stat> =
        proc_fs::pids().into_iter().filter_map(|pid| Some((pid, proc_fs::stat(pid)?))).collect();
    let mut trees: BTreeMap<i32, (TreeMemory, Vec<i32>)> = BTreeMap::new();
    for leader in leaders.iter().filter(|leader| stats.contains_key(leader)) {
        trees.entry(*leader).or_default();
    }
    let own_pid = i32::try_from(std::process::id()).unwrap_or(0);
    let mut by_run = None;
    let (page, tick) = (rustix::param::page_size() as u64, rustix::param::clock_ticks_per_second());
    for (pid, stat) in stats.iter().filter(|(pid, stat)| !stat.zombie && **pid != own_pid) {
        let leader = owner(*pid, stat, &stats, |pid| trees.contains_key(&pid)).or_else(|| {
            if stat.parent != own_pid {
                return None;
            }
            let run_of = |leader: &i32| Some((proc_fs::run_id(*leader)?, *leader));
            let by_run = by_run.get_or_insert_with(|| trees.keys().filter_map(run_of).collect::<HashMap<_, _>>());
            by_run.get(&proc_fs::run_id(*pid)?).copied()
        });
        if let Some((memory, members)) = leader.and_then(|leader| trees.get_mut(&leader)) {
            memory.rss_bytes += stat.rss_pages * page;
            memory.processes += 1;
            memory.cpu += Duration::from_millis(stat.cpu_ticks * 1_000 / tick);
            members.push(*pid);
        }
    }
    let mut left = MAX_PSS;
    trees
        .into_iter()
        .map(|(leader, (mut memory, members))| {
            if members.len() > 1 && members.len() <= left {
                left -= members.len();
                memory.pss_bytes = members.iter().map(|pid| pss(*pid)).sum();
            }
            (leader, memory)
        })
        .collect()
}

/// The leader of whose tree a process is: itself, its session's, or the nearest ancestor's.
fn owner(pid: i32, stat: &Stat, stats: &HashMap<i32, Stat>, is_leader: impl Fn(i32) -> bool) -> Option<i32> {
    let (mut pid, mut stat) = (pid, stat);
    // Bounded, since the picture was not taken in one moment and might have a circle.
    for _ in 0..64 {
        if let Some(leader) = [pid, stat.session].into_iter().find(|pid| is_leader(*pid)) {
            return Some(leader);
        }
        pid = stat.parent;
        stat = stats.get(&pid)?;
    }
    None
}

/// The proportional share of one process, bytes; `None` where we may not read it.
fn pss(pid: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// What the host has; `None` where the system does not tell.
pub fn host() -> Option<HostMemory> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let total_bytes = system.total_memory();
    let limit = system.cgroup_limits().map(|limits| limits.total_memory);
    Some(HostMemory {
        total_bytes,
        available_bytes: system.available_memory(),
        cgroup_limit_bytes: limit.filter(|limit| *limit > 0 && *limit < total_bytes),
    })
}

/// Our own resident memory, bytes.
pub fn own_rss() -> u64 {
    let own_pid = i32::try_from(std::process::id()).unwrap_or(0);
    proc_fs::stat(own_pid).map_or(0, |stat| stat.rss_pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_more_than_is_available_and_we_use_some() {
        let host = host().unwrap();
        assert!(host.total_bytes > host.available_bytes && host.available_bytes > 0);
        assert!(own_rss() > 100_000);
    }

    #[test]
    fn a_process_belongs_to_its_session_or_its_ancestor() {
        let stat = |parent, session| Stat {
            zombie: false,
            parent,
            group: session,
            session,
            cpu_ticks: 0,
            start_ticks: 0,
            rss_pages: 1,
        };
        let stats = HashMap::from([
            (1, stat(0, 1)),
            (10, stat(1, 10)),
            (11, stat(1, 10)),
            (12, stat(11, 12)),
            (13, stat(1, 13)),
        ]);
        let owner_of = |pid| owner(pid, &stats[&pid], &stats, |pid| pid == 10);
        assert_eq!([10, 11, 12, 13].map(owner_of), [Some(10), Some(10), Some(10), None]);
    }

    #[test]
    fn a_leader_that_is_gone_is_left_out() {
        assert_eq!(tree_rss(&[i32::MAX]), BTreeMap::new());
    }
}
