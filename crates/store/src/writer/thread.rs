//! The writer's thread: one loop of "take in what is there, commit it, tell".

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use werkpilot_core::time::Timestamp;

use super::backlog::Backlog;
use super::checkpoint::{self, Checkpointer};
use super::health::{Health, Shared, count};
use super::submission::{Class, Job, Submission};
use crate::apply::{Applier, PROBE, raise, value};
use crate::change::Change;
use crate::error::StoreError;
use crate::failpoint;

/// The first wait before the disk is tried again; doubles up to [`LAST_PROBE`].
const FIRST_PROBE: Duration = Duration::from_millis(100);
/// The longest such wait: how late at most it is seen that space is back.
const LAST_PROBE: Duration = Duration::from_secs(5);
/// How long it sleeps when there is nothing to do. Any value would do: jobs wake it.
const IDLE: Duration = Duration::from_hours(1);

/// The disk is not well.
struct Illness {
    error: StoreError,
    since: Timestamp,
    next_probe: Instant,
    wait: Duration,
}

/// The state of the thread.
pub(super) struct Thread {
    /// First, so that its connection is closed before the writer's, whatever ends the thread.
    checkpointer: Checkpointer,
    applier: Applier,
    jobs: Receiver<Job>,
    backlog: Backlog,
    shared: Arc<Shared>,
    ill: Option<Illness>,
    closing: Option<SyncSender<Result<(), StoreError>>>,
}

impl Thread {
    pub(super) fn new(conn: Connection, checkpointer: Checkpointer, jobs: Receiver<Job>, shared: Arc<Shared>) -> Self {
        let applier = Applier::new(conn);
        Self { checkpointer, applier, jobs, backlog: Backlog::default(), shared, ill: None, closing: None }
    }

    /// Runs until it is closed or all handles are gone; what was handed in before is committed.
    pub(super) fn run(mut self) {
        let mut open = true;
        while open && self.closing.is_none() {
            open = self.take_in();
            self.attend(Instant::now());
        }
        self.finish();
    }

    /// Waits until there is something to do, then takes in all that is there, up to a commit's worth. Answers whether
    /// there can be more.
    fn take_in(&mut self) -> bool {
        let now = Instant::now();
        let due = match &self.ill {
            Some(illness) => Some(illness.next_probe),
            None => self.backlog.due(now),
        };
        let wait = due.map_or(IDLE, |due| due.saturating_duration_since(now));
        match self.jobs.recv_timeout(wait) {
            Ok(job) => self.accept(job),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        while !self.backlog.is_full() && self.closing.is_none() {
            let Ok(job) = self.jobs.try_recv() else { break };
            self.accept(job);
        }
        true
    }

    fn accept(&mut self, job: Job) {
        match job {
            Job::Batch(submission) => match &self.ill {
                Some(illness) if submission.class == Class::Durable => {
                    count(&self.shared.refused, 1);
                    submission.finish(Err(illness.error.clone()));
                }
                _ => self.backlog.push(submission),
            },
            Job::Prune(retention, done) => {
                // Small steps between the commits of others, so that nobody waits for it.
                self.commit_all();
                done(crate::prune::step(&mut self.applier, &retention));
            }
            Job::Tidy => {
                self.commit_all();
                if let Err(error) = crate::prune::tidy(&self.applier.conn) {
                    log::warn!(target: "werkpilot::store", "failed to tidy up: {error}");
                }
            }
            Job::Analyze(table, done) => {
                self.commit_all();
                done(crate::prune::analyze(&self.applier.conn, table));
            }
            Job::Shrink => {
                self.applier.conn.flush_prepared_statement_cache();
                if let Err(error) = self.applier.conn.execute_batch("PRAGMA shrink_memory") {
                    log::warn!(target: "werkpilot::store", "failed to give memory back: {error}");
                }
            }
            Job::Close(told) => self.closing = Some(told),
            Job::Crash => panic!("crash drill of the store's writer"),
            Job::LimitPages(pages) => {
                let pages = if pages == 0 { u32::MAX - 1 } else { pages };
                // Answers the limit in effect; a limit below the size is raised to it.
                let _ = self.applier.conn.pragma_update(None, "max_page_count", pages);
            }
        }
    }

    /// Commits what is due; or, while the disk is not well, tries it.
    fn attend(&mut self, now: Instant) {
        match &self.ill {
            Some(illness) if illness.next_probe > now => {}
            Some(_) => self.probe(),
            None => {
                if self.backlog.due(now).is_some_and(|due| due <= now) {
                    self.commit();
                }
            }
        }
        if self.ill.is_some() {
            count(&self.shared.dropped, self.backlog.surplus() as u64);
            self.backlog.drop_surplus();
        }
        self.shared.waiting.store(self.backlog.len() as u64, Ordering::Relaxed);
    }

    fn commit_all(&mut self) {
        while self.ill.is_none() && !self.backlog.is_empty() {
            self.commit();
        }
    }

    /// One transaction.
    fn commit(&mut self) {
        let submissions = self.backlog.take(Instant::now());
        let mut transacted = self.transact(&submissions, false);
        if transacted.as_ref().is_err_and(|error| !matches!(error, StoreError::Unavailable { .. })) {
            // One batch met something damaged: with savepoints, it takes no other one with it.
            transacted = self.transact(&submissions, true);
        }
        match transacted {
            Ok(conflicts) => {
                count(&self.shared.commits, 1);
                count(&self.shared.batches, submissions.len() as u64);
                let changes = submissions.iter().map(|submission| submission.batch.len()).sum();
                count(&self.shared.changes, changes as u64);
                self.checkpointer.committed(changes);
                for (submission, result) in submissions.into_iter().zip(conflicts) {
                    count(&self.shared.conflicts, u64::from(result.is_err()));
                    submission.finish(result);
                }
            }
            Err(error) => {
                self.backlog.put_back(submissions);
                self.fall_ill(&error);
            }
        }
    }

    /// Writes and commits; answers the result of each batch. An error is one of the whole transaction, of which nothing
    /// is kept.
    fn transact(
        &mut self,
        submissions: &[Submission],
        careful: bool,
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        let written = self.write(submissions, careful).and_then(|results| {
            reach(submissions, "before");
            self.applier.conn.execute_batch("COMMIT")?;
            Ok(results)
        });
        if written.is_ok() {
            reach(submissions, "after");
        } else {
            // The disk may have taken it back already.
            if !self.applier.conn.is_autocommit() {
                let _ = self.applier.conn.execute_batch("ROLLBACK");
            }
            self.applier.forget();
        }
        written
    }

    fn write(&mut self, submissions: &[Submission], careful: bool) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.applier.conn.execute_batch("BEGIN IMMEDIATE")?;
        let mut results = Vec::with_capacity(submissions.len());
        for submission in submissions {
            results.push(self.applier.apply_batch(&submission.batch, careful)?);
        }
        self.applier.settle()?;
        Ok(results)
    }

    /// Refuses what somebody waits for, keeps the rest, and tries again later.
    fn fall_ill(&mut self, error: &StoreError) {
        let now = Instant::now();
        let (since, wait) = match &self.ill {
            Some(illness) => (illness.since, (illness.wait * 2).min(LAST_PROBE)),
            None => (wall(), FIRST_PROBE),
        };
        let reason = match error {
            StoreError::Unavailable { reason } => Arc::clone(reason),
            other => other.to_string().into(),
        };
        if self.ill.is_none() {
            log::error!(target: "werkpilot::store", "the state cannot be written: {reason}; it is tried again");
        }
        let error = StoreError::Unavailable { reason: Arc::clone(&reason) };
        // First it is seen, then it is told.
        self.shared.set_health(Health::Degraded { since, reason });
        count(&self.shared.refused, self.backlog.durable());
        self.backlog.refuse_durable(&error);
        self.ill = Some(Illness { error, since, next_probe: now + wait, wait });
    }

    /// Tries whether the disk is back, and commits what has waited.
    fn probe(&mut self) {
        if let Err(error) = self.probe_disk() {
            return self.fall_ill(&error);
        }
        log::info!(target: "werkpilot::store", "the state can be written again");
        let illness = self.ill.take();
        self.shared.set_health(Health::Healthy);
        while self.ill.is_none() && !self.backlog.is_empty() {
            self.commit();
        }
        // It was not back after all: the pauses go on growing from where they were.
        if let (Some(ill), Some(before)) = (&mut self.ill, illness) {
            ill.since = before.since;
            ill.wait = (before.wait * 2).min(LAST_PROBE);
            ill.next_probe = Instant::now() + ill.wait;
        }
    }

    fn probe_disk(&mut self) -> Result<(), StoreError> {
        let conn = &self.applier.conn;
        // A log that is moved wholly begins anew, and needs no more room. A full disk may not let it: then it is the same.
        let _ = checkpoint::run(conn);
        let tried = (|| {
            conn.execute_batch("BEGIN IMMEDIATE")?;
            raise(conn, PROBE, value(conn, PROBE)? + 1)?;
            Ok(conn.execute_batch("COMMIT")?)
        })();
        if !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        tried
    }

    /// The last commit.
    fn finish(mut self) {
        if self.ill.is_some() {
            self.probe();
        }
        self.commit_all();
        let result = match &self.ill {
            Some(illness) => Err(illness.error.clone()),
            None => Ok(()),
        };
        let Self { checkpointer, applier, closing, backlog, .. } = self;
        drop(backlog);
        drop(checkpointer);
        // Closing the last connection writes the log into the file.
        drop(applier);
        if let Some(told) = closing {
            let _ = told.send(result);
        }
    }
}

fn reach(submissions: &[Submission], side: &str) {
    if cfg!(any(debug_assertions, feature = "failpoints")) {
        let changes = submissions.iter().flat_map(|submission| &submission.batch);
        changes.filter_map(Change::step).for_each(|step| failpoint::reach(step, side));
    }
}

fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
