//! The end of a run: first its leader, then all that it left behind, then the report.
//!
//! In most runs the leader leaves nothing: one `kill` of its group finds nobody, no stray is found, and the report goes
//! out in the same round. Otherwise the rest gets SIGTERM and SIGCONT, is looked at in growing intervals, and gets
//! SIGKILL when the grace of its stop policy is over.

use std::time::{Duration, Instant};

use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::StopPolicy;

use crate::event::{ExitReport, ProcessEvent, WaitStatus};
use crate::host::ShutdownReport;
use crate::launch::ProcessKey;
use crate::logs::read_tail;
use crate::reactor::{CHUNK, Reactor, TICK};
use crate::run::End;
use crate::strays::Stray;
use crate::sys;

/// Bytes that are read from a pipe after the end of the leader: what a pipe can hold at most without privileges.
const MAX_DRAIN: usize = 1 << 20;

/// After SIGKILL so long is waited for the kernel, which may be busy with a broken disk; then it is given up.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// The shortest and the longest interval between two looks at what is ending.
const POLL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

/// Ticks between two searches for strays of runs that have ended.
const TICKS_PER_SEARCH: u32 = 3;

/// Lines and bytes of a report's log tail.
const TAIL: (usize, usize) = (20, 4096);

/// A shutdown that is under way.
pub(crate) struct Closing {
    deadline: Instant,
    asked: bool,
    killed: bool,
    report: ShutdownReport,
}

impl Closing {
    /// How a process that is still being started is stopped.
    pub fn policy(&self, now: Instant) -> StopPolicy {
        StopPolicy { signal: Signal::TERM, timeout: self.deadline.saturating_duration_since(now) }
    }
}

/// SIGTERM and SIGCONT, or SIGKILL, to a process or group. Whether anybody was there.
fn end(target: i32, kill: bool) -> bool {
    if kill {
        return sys::kill(target, libc::SIGKILL);
    }
    let there = sys::kill(target, libc::SIGTERM);
    if there {
        sys::kill(target, libc::SIGCONT);
    }
    there
}

/// A stray's own group if it leads one, so that its children go too, else the stray alone.
fn end_stray(stray: &Stray, kill: bool) {
    end(if stray.group == stray.pid { -stray.pid } else { stray.pid }, kill);
}

impl Reactor {
    /// Reaps a leader that has ended.
    pub fn leader_ended(&mut self, key: ProcessKey, now: Instant) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.is_live()) else { return };
        let reaped = match sys::reap(run.pid) {
            Ok(None) => return,
            Ok(Some((_, reaped))) => Some(reaped),
            Err(error) => {
                log::error!(agent = run.agent.as_str(), pid = run.pid; "the exit status of {} is lost: {error}", run.agent);
                None
            }
        };
        let pidfd = run.pidfd.take();
        self.by_pid.remove(&run.pid);
        run.end = Some(Box::new(End {
            reaped,
            lived: now.duration_since(run.started),
            group_gone: false,
            strays: Vec::new(),
            strays_ended: 0,
            kill_at: run.kill_at.map_or(now + run.grace, |at| at.max(now)),
            killed: false,
        }));
        self.ended.push(key);
        if let Some(pidfd) = pidfd {
            self.unregister(&pidfd);
        }
    }

    /// Decides for all leaders that have ended in this round whether something is left of their runs.
    pub fn settle(&mut self, now: Instant) {
        if self.ended.is_empty() {
            return;
        }
        let ended = std::mem::take(&mut self.ended);
        let oldest = ended.iter().filter_map(|key| self.runs.get(key)).map(|run| run.pid).min().unwrap_or(0);
        let found = self.strays.find(oldest, |pid| self.by_pid.contains_key(&pid));
        for key in &ended {
            let Some(run) = self.runs.get_mut(key) else { continue };
            let pid = run.pid;
            let Some(state) = &mut run.end else { continue };
            state.group_gone = !end(-pid, false);
            let gone = state.group_gone;
            let left = found.as_ref().is_ok_and(|strays| self.ask_strays(*key, strays));
            if gone && !left && found.is_ok() {
                self.finish(*key, now);
            } else {
                self.ending.push(*key);
                let at = found.as_ref().err().copied().unwrap_or(now + POLL.0);
                self.poll_delay = POLL.0;
                self.poll_at = Some(self.poll_at.map_or(at, |earlier| earlier.min(at)));
            }
        }
        self.ended = ended;
        self.ended.clear();
    }

    /// Asks those strays to end that belong to this run; whether there are any.
    fn ask_strays(&mut self, key: ProcessKey, strays: &[Stray]) -> bool {
        if strays.is_empty() {
            return false;
        }
        let Some((run_id, pid)) = self.runs.get(&key).map(|run| (run.id, run.pid)) else { return false };
        // An exec probe shares the run id of its service, whose strays are to stay.
        let shared = self.runs.values().any(|other| other.is_live() && other.id == run_id);
        let Some(state) = self.runs.get_mut(&key).and_then(|run| run.end.as_mut()) else { return false };
        let mut any = false;
        for stray in strays {
            if stray.session != pid && (stray.run != Some(run_id) || shared) {
                continue;
            }
            let new = !state.strays.contains(&stray.pid);
            if stray.zombie {
                state.strays_ended += u32::from(stray.session != pid);
                state.strays.retain(|known| *known != stray.pid);
                let _ = sys::reap(stray.pid);
                continue;
            }
            any = true;
            if new {
                state.strays.push(stray.pid);
            }
            if new || state.killed {
                end_stray(stray, state.killed);
            }
        }
        any
    }

    /// Looks at what is ending, if it is time to, and at the rest every tick.
    pub fn look_after_ending(&mut self, now: Instant) {
        if self.poll_at.is_some_and(|at| at <= now) {
            self.poll_at = None;
            self.poll_ending(now);
        }
        if self.tick_at <= now {
            self.tick_at = now + TICK;
            self.ticks += 1;
            self.logs.close_idle(now);
            self.reap_adopted();
            if self.ticks.is_multiple_of(TICKS_PER_SEARCH) && !self.runs.is_empty() {
                self.end_orphans();
            }
        }
    }

    fn poll_ending(&mut self, now: Instant) {
        let ending = std::mem::take(&mut self.ending);
        if ending.is_empty() {
            return;
        }
        for key in &ending {
            self.reap_rest(*key);
        }
        let oldest = ending.iter().filter_map(|key| self.runs.get(key)).map(|run| run.pid).min().unwrap_or(0);
        let found = self.strays.find(oldest, |pid| self.by_pid.contains_key(&pid));
        for key in ending {
            if self.is_over(key, found.as_deref().ok(), now) {
                self.finish(key, now);
            } else {
                self.ending.push(key);
            }
        }
        if !self.ending.is_empty() {
            self.poll_delay = (self.poll_delay * 2).clamp(POLL.0, POLL.1);
            let next = now + self.poll_delay;
            self.poll_at = Some(found.err().map_or(next, |rested| rested.max(next)));
        }
    }

    /// Reaps what has ended of what the leader left behind.
    fn reap_rest(&mut self, key: ProcessKey) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let Some(state) = &mut run.end else { return };
        if !state.group_gone {
            while matches!(sys::reap(-run.pid), Ok(Some(_))) {}
            state.group_gone = !sys::kill(-run.pid, 0);
        }
        let before = state.strays.len();
        state.strays.retain(|stray| matches!(sys::reap(*stray), Ok(None)));
        state.strays_ended += u32::try_from(before - state.strays.len()).unwrap_or(0);
    }

    /// Whether nothing is left of a run. `None` for strays: nobody knows now.
    fn is_over(&mut self, key: ProcessKey, strays: Option<&[Stray]>, now: Instant) -> bool {
        let Some(run) = self.runs.get_mut(&key) else { return true };
        let pid = run.pid;
        let Some(state) = &mut run.end else { return true };
        let kill_now = now >= state.kill_at && !state.killed;
        if kill_now && (!state.group_gone || !state.strays.is_empty()) {
            (state.killed, run.forced) = (true, true);
            if !state.group_gone {
                end(-pid, true);
            }
            for stray in &state.strays {
                end(*stray, true);
            }
        }
        let (gone, given_up) = (state.group_gone, now >= state.kill_at + AFTER_KILL);
        let left = strays.is_none_or(|strays| self.ask_strays(key, strays));
        if given_up && (!gone || left) {
            log::error!(pid = pid; "processes that run {pid} left behind do not end, not even by SIGKILL");
        }
        given_up || (gone && !left)
    }

    /// Reports the end of a run and forgets it.
    fn finish(&mut self, key: ProcessKey, now: Instant) {
        for index in 0..2 {
            for _ in 0..MAX_DRAIN / CHUNK {
                if !self.read_output(key, index, false, false, now) {
                    break;
                }
            }
            if self.runs.get(&key).is_some_and(|run| run.outputs[index].is_some()) {
                self.read_output(key, index, true, true, now);
            }
        }
        self.read_notices(key, now);
        let Some(mut run) = self.runs.remove(&key) else { return };
        let Some(state) = run.end.take() else { return };
        self.journal.ended(run.slot);
        let status = state.reaped.map_or(WaitStatus::Code(-1), |reaped| WaitStatus::from_raw(reaped.status));
        let peak = state.reaped.map_or(0, |reaped| reaped.max_rss);
        let failed = status != WaitStatus::Code(0);
        let kept = run.kept.take();
        let (mut log_tail, mut last_words) = (Vec::new(), None);
        if failed && run.tail_on_failure && run.logged {
            log_tail = self.tail(&run.agent, run.id);
            last_words = run.last_words(&log_tail);
        }
        let report = ExitReport {
            status,
            peak_rss_bytes: (peak > sys::own_max_rss()).then_some(peak),
            cpu: state.reaped.map_or(Duration::ZERO, |reaped| reaped.cpu),
            lived: state.lived,
            forced: run.forced,
            strays_ended: state.strays_ended,
            log_tail,
            last_words,
            stdout_truncated: kept.as_ref().is_some_and(|kept| kept.truncated),
            stdout: kept.map(|kept| kept.bytes),
        };
        if let Some(notify) = &run.notify {
            self.unregister(notify.socket());
        }
        // Before the event, so that the socket's file is gone when the caller hears of it.
        drop(run);
        self.emit(ProcessEvent::Exited { key, report: Box::new(report) });
    }

    fn tail(&self, agent: &AgentName, run: RunId) -> Vec<String> {
        let lines = read_tail(&self.logs_dir, agent, Some(&run), TAIL.0).unwrap_or_default();
        let mut room = TAIL.1;
        let mut texts: Vec<String> = Vec::new();
        for line in lines.into_iter().rev() {
            if line.text.len() > room {
                break;
            }
            room -= line.text.len();
            texts.push(line.text);
        }
        texts.reverse();
        texts
    }

    /// Reaps descendants that were given to us and have ended since.
    fn reap_adopted(&mut self) {
        // One call that nearly always says no.
        if !sys::some_child_ended() || self.desk.in_flight() > 0 {
            // A leader that has not been handed to us yet looks like a stray.
            return;
        }
        for stray in self.strays.find(0, |pid| self.by_pid.contains_key(&pid)).unwrap_or_default() {
            if stray.zombie {
                let _ = sys::reap(stray.pid);
            }
        }
    }

    /// Ends strays whose run has ended: SIGTERM at one search, SIGKILL at the next.
    fn end_orphans(&mut self) {
        let Ok(strays) = self.strays.find(0, |pid| self.by_pid.contains_key(&pid)) else { return };
        let asked = std::mem::take(&mut self.orphans);
        for stray in strays.iter().filter(|stray| !stray.zombie) {
            let Some(run) = stray.run else {
                if self.desk.in_flight() == 0 {
                    log::debug!(pid = stray.pid; "process {} was left to us, and nobody knows by whom", stray.pid);
                }
                continue;
            };
            let wanted = self.runs.values().any(|live| live.id == run || live.pid == stray.session);
            if wanted || self.desk.is_in_flight(run) {
                continue;
            }
            let id = (stray.pid, stray.start_ticks);
            end_stray(stray, asked.contains(&id));
            self.orphans.push(id);
        }
    }

    /// Begins a shutdown: every run is stopped, with `grace` at most.
    pub fn close(&mut self, grace: Duration, now: Instant) {
        let closing = Closing { deadline: now + grace, asked: false, killed: false, report: ShutdownReport::default() };
        let policy = closing.policy(now);
        self.closing = Some(closing);
        let keys: Vec<ProcessKey> = self.runs.keys().copied().collect();
        for key in keys {
            self.stop(key, policy, now);
        }
    }

    /// Ends what is left when all runs are through; the report when nothing is.
    pub fn try_close(&mut self, now: Instant) -> Option<ShutdownReport> {
        let closing = self.closing.as_mut()?;
        let soon = now + POLL.1;
        self.poll_at = Some(self.poll_at.map_or(soon, |earlier| earlier.min(soon)));
        if !self.runs.is_empty() || self.desk.in_flight() > 0 {
            return None;
        }
        let left: Vec<Stray> = match self.strays.find(0, |_| false) {
            Ok(left) => left.into_iter().filter(|stray| !matches!(sys::reap(stray.pid), Ok(Some(_)))).collect(),
            Err(rested) => {
                self.poll_at = Some(rested.min(soon));
                return None;
            }
        };
        let given_up = now >= closing.deadline + AFTER_KILL;
        if left.is_empty() || given_up {
            closing.report.left = left.iter().map(|stray| stray.pid).collect();
            return Some(std::mem::take(&mut closing.report));
        }
        if !closing.asked {
            closing.asked = true;
            closing.report.strays_ended = u32::try_from(left.len()).unwrap_or(u32::MAX);
            for stray in &left {
                end_stray(stray, false);
            }
        }
        closing.killed |= now >= closing.deadline;
        if closing.killed {
            for stray in &left {
                end_stray(stray, true);
            }
        }
        self.poll_at = Some(now + POLL.0);
        None
    }
}
