//! Whole process trees in one pass over `/proc`.
//!
//! Invariant: the proportional shares of one check cost at most [`SHARE_TIME`] of CPU. Who has no share yet counts with
//! its resident memory; who has an old one, with that in proportion.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::rollup::{Rollup, Unread};
use super::{TreeMemory, page_bytes};
use crate::proc_fs::{self, Proc, Stat};

/// CPU time for reading proportional shares, per check. The kernel walks all pages of a process for one: 30 µs for a
/// small one, milliseconds for gigabytes.
const SHARE_TIME: Duration = Duration::from_millis(15);
/// A share is read anew after so many checks, if there is time: it also depends on what others share.
const SHARE_AGE: u32 = 16;

/// Looks at process trees again and again, and remembers what is costly to read.
#[derive(Debug, Default)]
pub struct Sampler {
    check: u32,
    shares: HashMap<i32, Share>,
}

/// The proportional share of a process when it was read last.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// Tells it from another process of the same number.
    start_ticks: u64,
    /// At that time.
    rss_pages: u64,
    /// Stands for all processes of its tree.
    kin: u64,
    check: u32,
    parts: Parts,
}

/// What a share is made of, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parts {
    /// Its proportional share of everything but anonymous memory.
    other: u64,
    /// Its proportional share of anonymous memory.
    anonymous: u64,
    /// Anonymous memory that it has alone.
    own: u64,
    /// Anonymous memory that it shares, whole: with who forked it, or whom it forked.
    shared: u64,
}

impl Parts {
    fn of(rollup: &Rollup) -> Self {
        if rollup.pss_anon == 0 {
            return Self { other: rollup.pss, ..Self::default() };
        }
        let own = rollup.anonymous.min(rollup.private_dirty);
        let (other, shared) = (rollup.pss.saturating_sub(rollup.pss_anon), rollup.anonymous - own);
        Self { other, anonymous: rollup.pss_anon, own, shared }
    }

    /// Of a whole tree. The proportional shares would do, but that they are read one after the other: of a process that
    /// has just forked only half is left, and the copy, with the other half, may be gone when it is its turn. So what
    /// they share is at least as much as the one that shares most.
    fn of_tree(parts: &[Self]) -> u64 {
        let sum = |part: fn(&Self) -> u64| parts.iter().map(part).sum::<u64>();
        let shared = parts.iter().map(|parts| parts.shared).max().unwrap_or(0);
        sum(|parts| parts.other) + sum(|parts| parts.anonymous).max(sum(|parts| parts.own) + shared)
    }

    /// Of so many parts instead of that many.
    fn scaled(self, now: u64, then: u64) -> Self {
        let scale = |bytes: u64| {
            let scaled = u128::from(bytes) * u128::from(now) / u128::from(then.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let Self { other, anonymous, own, shared } = self;
        Self { other: scale(other), anonymous: scale(anonymous), own: scale(own), shared: scale(shared) }
    }
}

impl Share {
    /// Whether it still says something exact.
    fn is_fresh(&self, stat: &Stat, kin: u64, check: u32) -> bool {
        let moved = self.rss_pages.abs_diff(stat.rss_pages) > self.rss_pages / 16;
        !moved && self.kin == kin && check.wrapping_sub(self.check) < SHARE_AGE
    }

    /// The parts of as much memory as it has now.
    fn now(&self, stat: &Stat) -> Parts {
        if self.rss_pages == stat.rss_pages {
            return self.parts;
        }
        self.parts.scaled(stat.rss_pages, self.rss_pages)
    }
}

/// A process of a tree.
type Process = (i32, Stat);

impl Sampler {
    /// The memory of these leaders with all that they started. Leaders that have ended are left out. `None`: `/proc` is
    /// not readable.
    pub fn trees(&mut self, leaders: &[i32]) -> Option<BTreeMap<i32, TreeMemory>> {
        let mut members = members(leaders)?;
        self.check = self.check.wrapping_add(1);
        let gone = self.read_shares(&members);
        for processes in members.values_mut() {
            processes.retain(|(pid, _)| !gone.contains(pid));
        }
        members.retain(|_, processes| !processes.is_empty());
        let tick = rustix::param::clock_ticks_per_second();
        let trees = members.into_iter().map(|(leader, processes)| {
            let parts = processes.iter().map(|(pid, stat)| Some(self.shares.get(pid)?.now(stat)));
            let rss_bytes = processes.iter().map(|(_, stat)| stat.rss_pages).sum::<u64>() * page_bytes();
            let tree = TreeMemory {
                rss_bytes,
                pss_bytes: parts.collect::<Option<Vec<_>>>().map(|parts| Parts::of_tree(&parts).min(rss_bytes)),
                processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
                cpu: processes.iter().map(|(_, stat)| Duration::from_millis(stat.cpu_ticks * 1_000 / tick)).sum(),
            };
            (leader, tree)
        });
        Some(trees.collect())
    }

    /// What the memory of these trees is made of. Takes its time.
    pub fn rollups(leaders: &[i32]) -> BTreeMap<i32, Rollup> {
        let trees = members(leaders).unwrap_or_default().into_iter();
        let of_tree = |processes: Vec<Process>| {
            let rollups = processes.iter().filter_map(|(pid, _)| Rollup::read(*pid).ok());
            rollups.reduce(Rollup::plus)
        };
        trees.filter_map(|(leader, processes)| Some((leader, of_tree(processes)?))).collect()
    }

    /// Reads the shares that are missing or old, of the largest trees first, as long as there is time. Answers who has ended
    /// since it was listed.
    fn read_shares(&mut self, members: &BTreeMap<i32, Vec<Process>>) -> HashSet<i32> {
        let processes: HashMap<i32, u64> =
            members.values().flatten().map(|(pid, stat)| (*pid, stat.start_ticks)).collect();
        self.shares.retain(|pid, share| processes.get(pid) == Some(&share.start_ticks));
        let mut due: Vec<Due<'_>> = members.values().filter_map(|processes| self.due(processes)).collect();
        due.sort_by_key(|tree| (!tree.has_unknown, Reverse(tree.rss_pages)));
        let (begin, mut gone) = (cpu_time(), HashSet::new());
        // Who forked before who was forked: see `Parts::of_tree`.
        for (kin, pid, stat) in
            due.iter().flat_map(|tree| tree.processes.iter().map(|(pid, stat)| (tree.kin, pid, stat)))
        {
            if cpu_time().saturating_sub(begin) >= SHARE_TIME {
                break;
            }
            match Rollup::read(*pid) {
                Ok(rollup) => {
                    let (start_ticks, rss_pages, check) = (stat.start_ticks, stat.rss_pages, self.check);
                    let share = Share { start_ticks, rss_pages, kin, check, parts: Parts::of(&rollup) };
                    self.shares.insert(*pid, share);
                }
                Err(Unread::Gone) => {
                    gone.insert(*pid);
                }
                Err(Unread::Denied) => {}
            }
        }
        self.shares.shrink_to(self.shares.len() * 2);
        gone
    }

    /// What of a tree is to be read, if something is.
    fn due<'a>(&self, processes: &'a [Process]) -> Option<Due<'a>> {
        let kin = kin(processes.iter().map(|(pid, _)| *pid));
        let is_fresh =
            |pid: &i32, stat: &Stat| self.shares.get(pid).is_some_and(|share| share.is_fresh(stat, kin, self.check));
        let mut due: Vec<&Process> = processes.iter().filter(|(pid, stat)| !is_fresh(pid, stat)).collect();
        due.sort_by_key(|(pid, stat)| (stat.start_ticks, *pid));
        let has_unknown = due.iter().any(|(pid, _)| !self.shares.contains_key(pid));
        let rss_pages = processes.iter().map(|(_, stat)| stat.rss_pages).sum();
        (!due.is_empty()).then_some(Due { kin, has_unknown, rss_pages, processes: due })
    }
}

/// Processes of a tree whose shares are to be read.
struct Due<'a> {
    kin: u64,
    has_unknown: bool,
    /// Of the whole tree.
    rss_pages: u64,
    /// The oldest first.
    processes: Vec<&'a Process>,
}

/// The same for the same processes in any order, and hardly ever for others.
fn kin(pids: impl Iterator<Item = i32>) -> u64 {
    let spread = |pid: i32| {
        let mixed = u64::from(pid.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    };
    pids.map(spread).fold(0, u64::wrapping_add)
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The processes of these leaders. A process belongs to the leader whose session it is in, or who is its ancestor, or,
/// for a daemonised one that was given to us, whose run id it has. `None`: `/proc` is not readable.
fn members(leaders: &[i32]) -> Option<BTreeMap<i32, Vec<Process>>> {
    let proc = Proc::open()?;
    let own_pid = i32::try_from(std::process::id()).unwrap_or(0);
    let stats: HashMap<i32, Stat> =
        proc_fs::pids().into_iter().filter_map(|pid| Some((pid, proc.stat(pid)?))).collect();
    if !stats.contains_key(&own_pid) {
        return None; // We live: what was read is not what there is.
    }
    let is_alive = |leader: &&i32| stats.contains_key(*leader);
    let mut trees: BTreeMap<i32, Vec<Process>> =
        leaders.iter().filter(is_alive).map(|leader| (*leader, Vec::new())).collect();
    let mut by_run = None;
    for (pid, stat) in stats.iter().filter(|(pid, stat)| !stat.zombie && **pid != own_pid) {
        let leader = owner(*pid, stat, &stats, |pid| trees.contains_key(&pid)).or_else(|| {
            if stat.parent != own_pid {
                return None;
            }
            let run_of = |leader: &i32| Some((proc_fs::run_id(*leader)?, *leader));
            let by_run = by_run.get_or_insert_with(|| trees.keys().filter_map(run_of).collect::<HashMap<_, _>>());
            by_run.get(&proc_fs::run_id(*pid)?).copied()
        });
        if let Some(processes) = leader.and_then(|leader| trees.get_mut(&leader)) {
            processes.push((*pid, *stat));
        }
    }
    Some(trees)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(parent: i32, session: i32) -> Stat {
        Stat { zombie: false, parent, group: session, session, cpu_ticks: 0, start_ticks: 0, rss_pages: 1 }
    }

    #[test]
    fn a_process_belongs_to_its_session_or_its_ancestor() {
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
    fn a_share_holds_until_memory_moves_or_it_is_old() {
        let parts = Parts { other: 100, anonymous: 50, own: 50, shared: 0 };
        let share = Share { start_ticks: 7, rss_pages: 160, kin: 1, check: 5, parts };
        let of = |rss_pages| Stat { rss_pages, ..stat(1, 1) };
        assert!(share.is_fresh(&of(170), 1, 5) && share.is_fresh(&of(160), 1, 20));
        assert!(!share.is_fresh(&of(171), 1, 5) && !share.is_fresh(&of(160), 1, 21));
        assert!(!share.is_fresh(&of(160), 2, 5), "it has forked since");
        assert_eq!((share.now(&of(160)), share.now(&of(320)).other), (parts, 200));
        assert_eq!(kin([3, 5].into_iter()), kin([5, 3].into_iter()));
        assert_ne!(kin([3, 5].into_iter()), kin([4, 4].into_iter()));
    }

    #[test]
    fn a_fork_does_not_change_what_a_tree_uses_whenever_it_is_looked_at() {
        let alone = Parts { other: 10, anonymous: 120, own: 120, shared: 0 };
        let half = Parts { other: 5, anonymous: 60, own: 0, shared: 120 };
        let tree = |parts: &[Parts]| Parts::of_tree(parts);
        assert_eq!(tree(&[alone]), 130);
        assert_eq!(tree(&[half, half]), 130, "both are there");
        assert_eq!(tree(&[half]), 125, "the copy was gone, or came after the list was made");
        let worker = Parts { other: 2, anonymous: 45, own: 20, shared: 100 };
        assert_eq!(tree(&[worker; 4]), 8 + 180, "workers that share what their master read");
    }

    #[test]
    fn the_second_look_at_an_idle_tree_reads_no_share_again() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // The kernel may not have counted its pages yet.
        while Sampler::default().trees(&[pid]).unwrap()[&pid].rss_bytes == 0 {
            std::thread::yield_now();
        }
        let mut sampler = Sampler::default();
        let first = sampler.trees(&[pid]).unwrap()[&pid];
        let read_at = sampler.shares[&pid].check;
        let second = sampler.trees(&[pid]).unwrap()[&pid];
        assert!(first.rss_bytes > 0 && first.processes == 1);
        assert!(first.pss_bytes.is_some_and(|pss| pss > 0 && pss <= first.rss_bytes), "{first:?}");
        assert_eq!(second.processes, 1);
        // Its start may not be over at the first look.
        sampler.trees(&[pid]).unwrap();
        assert!(sampler.shares[&pid].check <= read_at + 2);
        assert!(Sampler::rollups(&[pid])[&pid].rss > 0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(sampler.trees(&[pid]).unwrap().is_empty());
        assert!(sampler.shares.is_empty(), "who is gone is forgotten");
    }
}
