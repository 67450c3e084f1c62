//! What outlived a crash of the orchestrator: found by pid and start time, or by run id, and ended.
//!
//! Only processes are touched that the journal of this state folder knows: the agents of another instance on the same
//! machine have run ids that are not in it.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use werkpilot_core::ids::RunId;

use crate::journal::{self, Entry};
use crate::proc_fs;
use crate::sys;

/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// From SIGKILL to giving up.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// Nanoseconds of a clock tick as `/proc` counts (`USER_HZ` is 100 everywhere).
const TICK_NS: u64 = 10_000_000;

/// A process that outlived its orchestrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The execution that it belonged to.
    pub run: RunId,
    /// Its process id.
    pub pid: i32,
    /// Whether it took SIGKILL.
    pub forced: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// What [`end_all`] found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The executions that were running when the orchestrator died, whether or not something was left of them.
    pub runs: Vec<RunId>,
    /// The processes that were left.
    pub survivors: Vec<Survivor>,
}

/// Ends what the last orchestrator on this state folder left behind: SIGTERM and SIGCONT, after 5 s SIGKILL. Call it
/// before [`crate::Host::start`], and only while holding the lock of the state folder. Blocks until they have ended.
///
/// # Errors
/// A journal that cannot be read or removed.
pub fn end_all(state_dir: &Path) -> io::Result<Report> {
    let entries = journal::read(state_dir)?;
    let mut report = Report { runs: entries.iter().map(|entry| entry.run).collect(), survivors: Vec::new() };
    report.runs.sort_unstable();
    report.runs.dedup();
    let begun = Instant::now();
    let mut killing = false;
    // In rounds, since one that was forking while we looked has a child that we have not seen.
    while begun.elapsed() < GRACE + AFTER_KILL {
        let found = find(&entries);
        for survivor in &mut report.survivors {
            survivor.ended = !found.iter().any(|(_, pid)| *pid == survivor.pid);
        }
        if found.is_empty() {
            break;
        }
        let kill_now = !killing && begun.elapsed() >= GRACE;
        killing |= kill_now;
        for (run, pid) in &found {
            let known = report.survivors.iter_mut().find(|survivor| survivor.pid == *pid);
            let new = known.is_none();
            match known {
                Some(survivor) => survivor.forced |= killing,
                None => report.survivors.push(Survivor { run: *run, pid: *pid, forced: killing, ended: false }),
            }
            if killing {
                sys::kill(*pid, libc::SIGKILL);
            } else if new {
                sys::kill(*pid, libc::SIGTERM);
                sys::kill(*pid, libc::SIGCONT);
            }
        }
        wait_for_any(&found, if killing { AFTER_KILL } else { GRACE.saturating_sub(begun.elapsed()) });
    }
    journal::clear(state_dir)?;
    Ok(report)
}

/// The live processes of the journal's runs, with their run.
fn find(entries: &[Entry]) -> Vec<(RunId, i32)> {
    if entries.is_empty() {
        return Vec::new();
    }
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut found = Vec::new();
    for pid in proc_fs::pids().into_iter().filter(|pid| *pid > 1 && *pid != own) {
        let Some(stat) = proc_fs::stat(pid).filter(|stat| !stat.zombie) else { continue };
        let by_start = entries.iter().find(|entry| entry.pid == pid && started_then(entry, stat.start_ticks));
        let run = by_start.map(|entry| entry.run).or_else(|| {
            let run = proc_fs::run_id(pid)?;
            entries.iter().any(|entry| entry.run == run).then_some(run)
        });
        found.extend(run.map(|run| (run, pid)));
    }
    found
}

/// Whether a process that started at this tick can be the one that the entry is about.
fn started_then(entry: &Entry, start_ticks: u64) -> bool {
    let tick_begins = start_ticks.saturating_mul(TICK_NS);
    tick_begins + TICK_NS >= entry.before && tick_begins <= entry.after
}

/// Waits until one of them has ended, at most so long.
fn wait_for_any(found: &[(RunId, i32)], at_most: Duration) {
    let open = |pid: &i32| pidfd_open(Pid::from_raw(*pid)?, PidfdFlags::empty()).ok();
    let pidfds: Vec<_> = found.iter().filter_map(|(_, pid)| open(pid)).collect();
    let mut fds: Vec<_> = pidfds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // One that is gone has no descriptor: no need to wait then. The upper bound is for forks that we do not see.
    if fds.len() == found.len() {
        let left = at_most.min(Duration::from_millis(200));
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        let _ = poll(&mut fds, Some(&timeout));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_must_lie_between_the_two_times() {
        let entry = Entry { run: RunId::from_parts(1, 1), pid: 5, before: 1_000_000_000, after: 1_030_000_000 };
        for (ticks, then) in [(98, false), (99, true), (100, true), (103, true), (104, false)] {
            assert_eq!(started_then(&entry, ticks), then, "{ticks}");
        }
    }

    #[test]
    fn without_a_journal_there_is_nothing_to_do() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(end_all(dir.path()).unwrap(), Report::default());
    }
}
