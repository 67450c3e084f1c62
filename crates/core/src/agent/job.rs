//! The attempts of a job that are in progress.

use std::sync::Arc;
use std::time::Duration;

use super::shortage::Shortage;
use super::{Action, AttemptView, Core, Event, Launch, ProcessEnd, ProcessKey, attempt, ended};
use crate::backoff::{RetryDecision, retry};
use crate::breaker::BreakerEvent;
use crate::dead_letters::Attempt;
use crate::dispatcher::{Ended, Event as ToDispatcher, Gate, Grant};
use crate::event::{End, Event as Fact};
use crate::exit::{Exit, SpawnFailure, SpawnFailureKind};
use crate::ids::RunId;
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::spec::AgentSpec;
use crate::time::{Clocks, Moment, Timestamp};

/// An attempt in progress.
#[derive(Debug)]
struct InProgress {
    key: RunKey,
    run: RunId,
    attempt: u32,
    /// What it was launched with: a new definition concerns the next one.
    spec: Arc<AgentSpec>,
    process: ProcessKey,
    launched_at: Timestamp,
    running: bool,
    timeout_at: Option<Moment>,
    ending: Option<Ending>,
}

/// Why an attempt is being ended by us.
#[derive(Clone, Debug)]
enum Ending {
    TimedOut,
    /// It is over `memory_max`; the reason to show.
    MemoryLimit(Reason),
    Cancelled(Reason),
}

/// All attempts in progress: one, but for `overlap = "allow"`.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    attempts: Vec<InProgress>,
    /// The last end was "command missing": the first of a row makes a dead letter, the others don't.
    missing: bool,
    shortage: Shortage,
}

impl Jobs {
    pub fn processes(&self) -> Vec<ProcessKey> {
        self.attempts.iter().map(|attempt| attempt.process).collect()
    }

    /// Whether its command was missing last.
    pub fn missing(&self) -> bool {
        self.missing
    }

    pub fn restore(&mut self, missing: bool) {
        self.missing = missing;
    }

    pub fn any_process(&self) -> bool {
        !self.attempts.is_empty()
    }

    pub fn holds(&self, key: RunKey) -> bool {
        self.attempts.iter().any(|attempt| attempt.key == key)
    }

    /// The attempt of this execution that is in progress.
    pub fn view(&self, run: RunId) -> Option<AttemptView> {
        let attempt = self.attempts.iter().find(|attempt| attempt.run == run)?;
        let ending = attempt.ending.as_ref().map(|ending| match ending {
            Ending::TimedOut => {
                let timeout = attempt.spec.job().and_then(|job| job.timeout).unwrap_or_default();
                Reason::TimedOut { timeout }
            }
            Ending::MemoryLimit(reason) | Ending::Cancelled(reason) => reason.clone(),
        });
        Some(AttemptView { timeout_at: attempt.timeout_at, stop: attempt.spec.stop, ending })
    }

    pub fn next_deadline(&self) -> Option<Moment> {
        self.attempts.iter().filter(|attempt| attempt.ending.is_none()).filter_map(|attempt| attempt.timeout_at).min()
    }

    pub fn on(&mut self, core: &mut Core, event: Event, now: Clocks, out: &mut Vec<Action>) {
        match event {
            Event::Granted(grant) => self.granted(core, grant, now, out),
            Event::CancelRun { key, reason } => {
                let found = self.attempts.iter_mut().find(|attempt| attempt.key == key);
                // An execution that ended meanwhile has reported so already.
                if let Some(attempt) = found {
                    end_attempt(attempt, Ending::Cancelled(reason), out);
                }
            }
            Event::OverMemoryLimit { process, used_bytes, limit_bytes } => {
                let reason = Reason::MemoryLimit { used_bytes, limit_bytes };
                if let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.process == process) {
                    end_attempt(attempt, Ending::MemoryLimit(reason), out);
                }
            }
            Event::Started { process, pid } => self.started(core, process, pid, now, out),
            Event::SpawnFailed { process, failure } => self.spawn_failed(core, process, failure, now, out),
            Event::Exited { process, end } => self.exited(core, process, end, now, out),
            // A job has no readiness, no probes and no group; the rest is the agent's.
            _ => {}
        }
    }

    pub fn deadline(&mut self, now: Clocks, out: &mut Vec<Action>) {
        let over = |attempt: &&mut InProgress| {
            attempt.ending.is_none() && attempt.timeout_at.is_some_and(|at| at <= now.steady)
        };
        for attempt in self.attempts.iter_mut().filter(over) {
            end_attempt(attempt, Ending::TimedOut, out);
        }
    }

    pub fn end_all(&mut self, reason: &Reason, out: &mut Vec<Action>) {
        for attempt in &mut self.attempts {
            end_attempt(attempt, Ending::Cancelled(reason.clone()), out);
        }
    }

    fn granted(&mut self, core: &mut Core, grant: Grant, now: Clocks, out: &mut Vec<Action>) {
        if let Some((end, reason)) = closed(core, grant.attempt) {
            out.push(ended(Ended::without_process(grant.key, end, reason)));
            return;
        }
        let process = core.next_process();
        self.attempts.push(InProgress {
            key: grant.key,
            run: grant.run,
            attempt: grant.attempt,
            spec: core.spec.clone(),
            process,
            launched_at: now.wall,
            running: false,
            timeout_at: core.spec.job().and_then(|job| job.timeout).map(|timeout| now.steady + timeout),
            ending: None,
        });
        out.push(Action::Launch(Launch {
            process,
            run: grant.run,
            attempt: grant.attempt,
            instance: 0,
            spec: core.spec.clone(),
            trigger: Some(grant.trigger),
            queued_at: Some(grant.queued_at),
            scheduled_for: grant.scheduled_for,
            payload: grant.payload,
        }));
    }

    fn started(&mut self, core: &mut Core, process: ProcessKey, pid: i32, now: Clocks, out: &mut Vec<Action>) {
        let Some(attempt) = self.attempts.iter_mut().find(|attempt| attempt.process == process) else { return };
        core.spawned(out);
        attempt.running = true;
        attempt.launched_at = now.wall;
        self.missing = false;
        self.shortage.is_over();
        out.push(Action::Emit(Fact::AgentStarted {
            agent: core.spec.name.clone(),
            instance: 0,
            run: attempt.run,
            attempt: attempt.attempt,
            pid,
        }));
        if attempt.ending.is_some() {
            out.push(Action::StopProcess { process, policy: attempt.spec.stop });
        }
    }

    fn take(&mut self, process: ProcessKey) -> Option<InProgress> {
        let position = self.attempts.iter().position(|attempt| attempt.process == process)?;
        Some(self.attempts.swap_remove(position))
    }

    fn spawn_failed(
        &mut self,
        core: &mut Core,
        process: ProcessKey,
        failure: SpawnFailure,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let Some(this) = self.take(process) else { return };
        if let Some(Ending::Cancelled(reason)) = this.ending {
            out.push(ended(Ended::without_process(this.key, end_of_cancelled(&reason, this.attempt > 1), reason)));
            return;
        }
        let record = attempt(this.attempt, this.launched_at, Duration::ZERO, Exit::SpawnFailed(failure.clone()));
        match failure.kind {
            SpawnFailureKind::Transient => {
                let delay = self.shortage.met(now.steady);
                let reason = Reason::Exited { exit: Exit::SpawnFailed(failure) };
                if !core.leaves() {
                    out.push(restarting(core, this.attempt, delay, reason.clone()));
                }
                let (key, counted, attempt) = (this.key, false, None);
                out.push(Action::Dispatcher(ToDispatcher::Retry { key, delay, counted, attempt, reason }));
            }
            SpawnFailureKind::Missing => {
                let first = !std::mem::replace(&mut self.missing, true);
                let reason = Reason::CommandMissing { message: failure.message.clone() };
                out.push(failed(core, &this, record.exit.clone()));
                let mut report = Ended::without_process(this.key, End::Failed, reason);
                report.exit = Some(record.exit.clone());
                report.attempt = Some(record);
                report.dead_letter = first;
                out.push(ended(report));
            }
            SpawnFailureKind::Other => Self::attempt_failed(core, &this, record, None, now, out),
        }
    }

    fn exited(&mut self, core: &mut Core, process: ProcessKey, end: ProcessEnd, now: Clocks, out: &mut Vec<Action>) {
        let Some(this) = self.take(process) else { return };
        // It ran, also if the word that it was started comes later than the word of its end, or never.
        core.spawned(out);
        self.missing = false;
        self.shortage.is_over();
        let exit = match this.ending {
            Some(Ending::TimedOut) => Exit::TimedOut,
            Some(Ending::MemoryLimit(_)) => Exit::MemoryLimit,
            _ => end.exit.clone(),
        };
        let record = attempt(this.attempt, this.launched_at, end.lived, exit.clone());
        if let Some(Ending::Cancelled(reason)) = &this.ending {
            let stopped = Fact::AgentStopped {
                agent: core.spec.name.clone(),
                instance: 0,
                exit: Some(exit.clone()),
                forced: end.forced,
                reason: reason.clone(),
            };
            out.push(Action::Emit(stopped));
            let mut report = Ended::without_process(this.key, end_of_cancelled(reason, true), reason.clone());
            report.exit = Some(exit);
            report.attempt = Some(record);
            report.peak_rss_bytes = end.peak_rss_bytes;
            out.push(ended(report));
        } else if exit.is_success(&this.spec.success_codes) {
            core.last_words = None;
            let _ = core.breaker(BreakerEvent::Succeeded, now.steady, out);
            out.push(ended(Ended {
                key: this.key,
                end: End::Succeeded,
                attempt: Some(record),
                exit: Some(exit),
                reason: None,
                dead_letter: false,
                log_tail: Vec::new(),
                peak_rss_bytes: end.peak_rss_bytes,
            }));
        } else {
            core.heard(this.run, end.last_words.clone(), now);
            Self::attempt_failed(core, &this, record, Some(end), now, out);
        }
    }

    fn attempt_failed(
        core: &mut Core,
        this: &InProgress,
        record: Attempt,
        end: Option<ProcessEnd>,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let exit = record.exit.clone();
        out.push(failed(core, this, exit.clone()));
        let Some(job) = this.spec.job() else { return };
        let timeout = job.timeout;
        match retry(&job.retry, this.attempt, &exit, core.dice.unit()) {
            RetryDecision::Again { delay } => {
                let reason = match &this.ending {
                    Some(Ending::MemoryLimit(reason)) => reason.clone(),
                    _ => Reason::Exited { exit },
                };
                if !core.leaves() {
                    out.push(restarting(core, this.attempt, delay, reason.clone()));
                }
                let (key, counted, attempt) = (this.key, true, Some(record));
                out.push(Action::Dispatcher(ToDispatcher::Retry { key, delay, counted, attempt, reason }));
            }
            RetryDecision::GiveUp(reason) => {
                let (end_word, reason) = match (&exit, timeout) {
                    (Exit::TimedOut, Some(timeout)) if this.attempt == 1 => {
                        (End::TimedOut, Reason::TimedOut { timeout })
                    }
                    (Exit::TimedOut, _) => (End::TimedOut, reason),
                    _ => (End::Failed, reason),
                };
                let (log_tail, peak_rss_bytes) = end.map_or((Vec::new(), 0), |end| (end.log_tail, end.peak_rss_bytes));
                let _ = core.breaker(BreakerEvent::DeadLetter, now.steady, out);
                out.push(ended(Ended {
                    key: this.key,
                    end: end_word,
                    attempt: Some(record),
                    exit: Some(exit),
                    reason: Some(reason),
                    dead_letter: true,
                    log_tail,
                    peak_rss_bytes,
                }));
            }
        }
    }
}

impl Ended {
    /// The end of an execution of which nobody can say how it ended, since the report about it got lost.
    pub fn lost(key: RunKey) -> Self {
        let reason = Reason::ActorDied { message: "its report was lost".to_owned() };
        Self { dead_letter: true, ..Self::without_process(key, End::Lost, reason) }
    }

    /// The end of an execution whose program was not started, or whose program's end says nothing.
    fn without_process(key: RunKey, end: End, reason: Reason) -> Self {
        Self {
            key,
            end,
            attempt: None,
            exit: None,
            reason: Some(reason),
            dead_letter: false,
            log_tail: Vec::new(),
            peak_rss_bytes: 0,
        }
    }
}

/// What was started and cut off by the shutdown is interrupted; everything else that we end is cancelled.
fn end_of_cancelled(reason: &Reason, ran: bool) -> End {
    if ran && *reason == Reason::ShuttingDown { End::Interrupted } else { End::Cancelled }
}

/// Why a grant comes too late, if it does: between the dispatcher's look at the gate and now it was closed.
fn closed(core: &Core, attempt: u32) -> Option<(End, Reason)> {
    let ran = attempt > 1;
    if core.removed {
        return Some((End::Cancelled, Reason::Removed));
    }
    if core.draining {
        return Some((end_of_cancelled(&Reason::ShuttingDown, ran), Reason::ShuttingDown));
    }
    match core.gate() {
        Gate::Closed { reason, .. } => Some((if ran { End::Cancelled } else { End::Skipped }, reason)),
        Gate::Open | Gate::HalfOpen => None,
    }
}

fn end_attempt(attempt: &mut InProgress, ending: Ending, out: &mut Vec<Action>) {
    if attempt.ending.is_some() {
        return; // It is being ended already: the first cause counts.
    }
    attempt.ending = Some(ending);
    if attempt.running {
        out.push(Action::StopProcess { process: attempt.process, policy: attempt.spec.stop });
    }
}

fn failed(core: &Core, this: &InProgress, exit: Exit) -> Action {
    let (agent, run, attempt) = (core.spec.name.clone(), this.run, this.attempt);
    Action::Emit(Fact::AgentFailed { agent, instance: 0, run, attempt, exit })
}

fn restarting(core: &Core, count: u32, delay: Duration, reason: Reason) -> Action {
    Action::Emit(Fact::AgentRestarting { agent: core.spec.name.clone(), instance: 0, count, delay, reason })
}
