//! Executions on disk: the intent before anything is started, the end when there is one.
//!
//! Invariant: an execution of which the disk knows gets exactly one end there; one that never had its turn is written
//! down once, with its end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use werkpilot_core::agent::Launch;
use werkpilot_core::dispatcher::Finished;
use werkpilot_core::event::End;
use werkpilot_core::ids::RunId;
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::StopPolicy;
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_process::{self as process, ProcessKey};
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState, Why};
use werkpilot_store::{Change, ExecutionEnd, ExecutionStart, Json, StoreError};

use super::Ledger;

/// The book of executions. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Executions {
    ledger: Ledger,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Executions without an end of which the disk knows, or will in a moment.
    known: HashSet<RunId>,
    /// Launches that wait for the disk, with the wish to be stopped that came meanwhile.
    waiting: HashMap<ProcessKey, Option<StopPolicy>>,
}

impl Executions {
    /// A book that writes to this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, shared: Arc::default() }
    }

    /// Starts a program once the disk knows that it was meant to be. A disk that is not well stops no fleet: then the
    /// execution is written down at its end, if the disk is back by then.
    pub fn launch(&self, host: &Arc<process::Host>, launch: &Launch, real: process::Launch) {
        let (Some(intent), true) = (intent(launch), self.ledger.is_kept()) else { return host.launch(real) };
        let (run, key) = (launch.run, real.key);
        {
            let mut shared = self.lock();
            if launch.attempt > 1 && shared.known.contains(&run) {
                drop(shared);
                return host.launch(real);
            }
            shared.known.insert(run);
            shared.waiting.insert(key, None);
        }
        let (host, book) = (Arc::clone(host), self.clone());
        self.ledger.keep(vec![Change::InsertExecution(Box::new(intent))], move |kept| {
            let stop = {
                let mut shared = book.lock();
                if let Err(error) = &kept {
                    shared.known.remove(&run);
                    tell(run, error);
                }
                shared.waiting.remove(&key).flatten()
            };
            host.launch(real);
            if let Some(policy) = stop {
                host.stop(key, policy);
            }
        });
    }

    /// Stops a program; one that has not been launched yet is stopped right after.
    pub fn stop(&self, host: &process::Host, key: ProcessKey, policy: StopPolicy) {
        match self.lock().waiting.get_mut(&key) {
            Some(wish) => *wish = Some(policy),
            None => host.stop(key, policy),
        }
    }

    /// A program of an execution was started.
    pub fn started(&self, run: RunId, attempt: u32, at: Timestamp) {
        if self.lock().known.contains(&run) {
            let start = ExecutionStart { run, at, attempt, process: None, log: None };
            self.ledger.post(vec![Change::StartExecution(start)]);
        }
    }

    /// What is to be written down of an execution that has ended.
    pub fn end(&self, finished: Finished) -> Vec<Change> {
        if !self.ledger.is_kept() {
            return Vec::new();
        }
        let known = self.lock().known.remove(&finished.run);
        if known { vec![Change::EndExecution(Box::new(end(finished)))] } else { whole(finished) }
    }

    /// Writes that down. What never had its turn was promised to nobody, and may follow.
    pub fn record(&self, changes: Vec<Change>) {
        match changes.first() {
            Some(Change::EndExecution(_)) => self.ledger.record(changes),
            Some(_) => self.ledger.post(changes),
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job's first attempt, and one after the disk has refused the first.
fn intent(launch: &Launch) -> Option<ExecutionRow> {
    let (trigger, queued_at) = (launch.trigger.clone()?, launch.queued_at?);
    let origin = origin(&trigger);
    let row = ExecutionRow::intent(launch.run, launch.spec.name.clone(), trigger, queued_at);
    Some(ExecutionRow { origin, scheduled_for: launch.scheduled_for, ..row })
}

const fn origin(trigger: &Trigger) -> Option<u64> {
    match trigger {
        Trigger::Replay { dead_letter } => Some(*dead_letter),
        _ => None,
    }
}

fn end(finished: Finished) -> ExecutionEnd {
    let attempts = (!finished.attempts.is_empty()).then(|| Json::of(&finished.attempts));
    ExecutionEnd {
        attempts,
        waited: Some(finished.waited),
        duration: finished.attempts.last().map(|attempt| attempt.duration),
        exit: finished.exit,
        why: finished.reason.as_ref().map(Why::from),
        peak_bytes: finished.peak_rss_bytes,
        ..ExecutionEnd::new(finished.run, finished.ended_at, finished.end)
    }
}

/// An execution of which the disk does not know yet. A trigger that somebody was promised is kept for the next start if
/// it was only the shutdown that was in its way.
fn whole(finished: Finished) -> Vec<Change> {
    let run = finished.run;
    let promised = finished.end == End::Cancelled && matches!(finished.reason, Some(Reason::ShuttingDown));
    let (agent, trigger, queued_at) = (finished.agent.clone(), finished.trigger.clone(), finished.queued_at);
    let row = ExecutionRow {
        origin: origin(&trigger),
        scheduled_for: finished.scheduled_for,
        attempt: u32::try_from(finished.attempts.len()).unwrap_or(u32::MAX),
        started_at: finished.attempts.first().map(|attempt| attempt.started_at),
        ..ExecutionRow::intent(run, agent, trigger, queued_at)
    };
    let end = end(finished);
    let row = ExecutionRow {
        state: ExecutionState::Ended(end.end),
        ended_at: Some(end.at),
        attempts: end.attempts,
        waited: end.waited,
        duration: end.duration,
        exit: end.exit,
        why: end.why,
        peak_bytes: end.peak_bytes,
        ..row
    };
    let insert = Change::InsertExecution(Box::new(row));
    if promised { vec![insert] } else { vec![insert, Change::DropTrigger(run)] }
}

fn tell(run: RunId, error: &StoreError) {
    match error {
        // Told once, by who watches the disk.
        StoreError::Unavailable { .. } => {}
        error => log::error!("failed to write down the start of execution {run}: {error}"),
    }
}
