//! Daemonised descendants: who left the session of its run and has become our child, since we are a subreaper.
//!
//! The kernel gives orphans to the main thread, whose children `/proc/self/task/<tid>/children` lists (programs that we
//! started are children of the spawner threads, and not in it). Where the kernel lacks that file, processes younger than
//! the leader in question are looked at, or all of them.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use werkpilot_core::ids::RunId;

use crate::proc_fs::{self, Stat};

/// So many young processes are looked at one by one; more, and listing all of them is cheaper.
const FEW: i32 = 64;

/// A child of ours that we did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stray {
    pub pid: i32,
    pub group: i32,
    pub session: i32,
    pub start_ticks: u64,
    /// Ended, but not reaped.
    pub zombie: bool,
    /// From its environment.
    pub run: Option<RunId>,
}

/// Finds strays.
pub(crate) struct Strays {
    own_pid: i32,
    own_session: i32,
    children: Option<File>,
    load: Option<File>,
    /// What was read from environments, by pid and start.
    known: HashMap<i32, (u64, Option<RunId>)>,
    /// Before this a listing of all processes would take more than half of our time.
    rested_at: Instant,
}

impl Strays {
    pub fn new(now: Instant) -> Self {
        let own_pid = i32::try_from(std::process::id()).unwrap_or(0);
        let children = File::open(format!("/proc/{own_pid}/task/{own_pid}/children")).ok();
        let own_session = proc_fs::stat(own_pid).map_or(0, |stat| stat.session);
        Self {
            own_pid,
            own_session,
            children,
            load: File::open("/proc/loadavg").ok(),
            known: HashMap::new(),
            rested_at: now,
        }
    }

    /// Our children that `is_leader` does not know, as far as they are younger than `oldest`. `Err` says until when to
    /// wait, because looking is dear and was done just now.
    pub fn find(&mut self, oldest: i32, is_leader: impl Fn(i32) -> bool) -> Result<Vec<Stray>, Instant> {
        let candidates = match self.adopted() {
            Some(adopted) => adopted,
            None => match self.young(oldest) {
                Some(young) => young,
                None => return self.find_among_all(&is_leader),
            },
        };
        Ok(self.among(&candidates, &is_leader))
    }

    fn find_among_all(&mut self, is_leader: &impl Fn(i32) -> bool) -> Result<Vec<Stray>, Instant> {
        let begun = Instant::now();
        if begun < self.rested_at {
            return Err(self.rested_at);
        }
        let found = self.among(&proc_fs::pids(), is_leader);
        // A poll is never sooner than a millisecond, so a short listing needs no rest.
        let took = begun.elapsed();
        self.rested_at = begun + took + took.max(Duration::from_micros(100));
        Ok(found)
    }

    /// The main thread's children, if the kernel lists them.
    fn adopted(&self) -> Option<Vec<i32>> {
        let file = self.children.as_ref()?;
        let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match file.read_at(&mut buffer, text.len() as u64).ok()? {
                0 => break,
                length => text.extend_from_slice(&buffer[..length]),
            }
        }
        Some(std::str::from_utf8(&text).ok()?.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }

    /// All pids given out since `oldest`, if they are few. Descendants of a process are among those.
    fn young(&self, oldest: i32) -> Option<Vec<i32>> {
        let mut buffer = [0; 128];
        let read = self.load.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let last: i32 = std::str::from_utf8(&buffer[..read]).ok()?.split_ascii_whitespace().last()?.parse().ok()?;
        // Less than `oldest` after the pids have wrapped around.
        (oldest > 0 && last >= oldest && last - oldest <= FEW).then(|| (oldest + 1..=last).collect())
    }

    fn among(&mut self, candidates: &[i32], is_leader: &impl Fn(i32) -> bool) -> Vec<Stray> {
        let mut found = Vec::new();
        for pid in candidates.iter().copied().filter(|pid| !is_leader(*pid)) {
            let Some(Stat { parent, group, session, start_ticks, zombie, .. }) = proc_fs::stat(pid) else { continue };
            // Whatever a run leaves behind is in another session than ours; what is in ours was started by somebody else
            // in this process, and is theirs.
            if parent != self.own_pid || session == self.own_session {
                continue;
            }
            let known = self.known.get(&pid).filter(|(start, _)| *start == start_ticks).and_then(|(_, run)| *run);
            // A zombie has no environment any more.
            let run = known.or_else(|| if zombie { None } else { proc_fs::run_id(pid) });
            found.push(Stray { pid, group, session, start_ticks, zombie, run });
        }
        self.known.clear();
        self.known.extend(found.iter().map(|stray| (stray.pid, (stray.start_ticks, stray.run))));
        found
    }
}
