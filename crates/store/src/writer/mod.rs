//! The one writer: takes batches of changes from everywhere and commits many of them at once.
//!
//! Invariants: a durable batch is acknowledged after its commit is on disk, or with the reason why it is not; a lazy one
//! is on disk 50 ms after it was submitted, while the disk is well; batches take effect in the order in which they were
//! submitted, but for lazy ones of facts (events, samples, digests), which others may overtake; each `done` is called exactly once, on the writer's thread.

mod backlog;
mod checkpoint;
mod health;
mod submission;
mod thread;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::time::Duration;

use rusqlite::Connection;

use crate::change::Change;
use crate::error::{OpenError, StoreError};
use crate::prune::{Pruned, Retention};
pub(crate) use health::Shared;
pub use health::{Health, WriterStats};
pub use submission::{Class, Done};
use submission::{Job, Submission};

/// Batches that wait for the writer's thread: two commits' worth. What finds it full is handed back.
pub const QUEUE: usize = 8_192;

/// The handle of the writer. Cheap to clone; never blocks but in [`Writer::flush`].
#[derive(Clone)]
pub struct Writer {
    sender: SyncSender<Job>,
    shared: Arc<Shared>,
}

/// A batch that was not taken, handed back.
pub struct NotTaken {
    /// Why.
    pub cause: Cause,
    /// The changes.
    pub batch: Vec<Change>,
    /// Whom to tell; has not been called.
    pub done: Done,
}

/// Why a batch was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// So many batches wait that there is no room.
    #[error("hand it to the writer of the store: {QUEUE} batches wait already")]
    Full,
    /// The writer's thread is gone: start another one with `Store::restart_writer`.
    #[error("hand it to the writer of the store: it is gone")]
    Gone,
}

impl fmt::Debug for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotTaken").field("cause", &self.cause).field("batch", &self.batch).finish_non_exhaustive()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the writer's thread on the file.
    pub(crate) fn start_on(conn: Connection, path: &Path) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        let checkpointer = checkpoint::Checkpointer::start(&conn, path)?;
        let thread = thread::Thread::new(conn, checkpointer, receiver, Arc::clone(&shared));
        let farewell = health::Farewell(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                let _farewell = farewell;
                thread.run();
            })
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { sender, shared })
    }

    /// Hands in a batch, which is kept whole or not at all. `done` hears of it once that is decided: for both classes
    /// after the commit.
    ///
    /// # Errors
    /// The batch and `done` come back if there is no room, or no writer.
    pub fn submit(&self, batch: Vec<Change>, class: Class, done: Done) -> Result<(), Box<NotTaken>> {
        self.send(Job::Batch(Submission::new(batch, class, done))).map_err(|(cause, job)| {
            let Job::Batch(submission) = job else { unreachable!("what was sent comes back") };
            let (batch, done) = submission.into_parts();
            Box::new(NotTaken { cause, batch, done })
        })
    }

    /// Hands in a lazy batch of which nobody has to hear.
    ///
    /// # Errors
    /// The batch comes back if there is no room, or no writer.
    pub fn post(&self, batch: Vec<Change>) -> Result<(), Box<NotTaken>> {
        self.submit(batch, Class::Lazy, Box::new(|_| ()))
    }

    /// Hands in a durable batch and waits until it is on disk. For tools and tests; blocks.
    ///
    /// # Errors
    /// [`StoreError`]: it is not on disk.
    pub fn keep(&self, batch: Vec<Change>) -> Result<(), StoreError> {
        let (told, answer) = mpsc::sync_channel(1);
        let done: Done = Box::new(move |result| {
            let _ = told.send(result);
        });
        self.submit(batch, Class::Durable, done).map_err(|_| StoreError::WriterGone)?;
        answer.recv().unwrap_or(Err(StoreError::WriterGone))
    }

    /// Waits until all that was handed in before is on disk, or refused. Blocks.
    ///
    /// # Errors
    /// The disk does not take it, or the writer is gone.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.keep(Vec::new())
    }

    /// Takes one small step of pruning: at most [`crate::STEP`] rows of each kind. Repeat while [`Pruned::more`].
    ///
    /// # Errors
    /// There is no room, or no writer; `done` was not called.
    pub fn prune(
        &self,
        retention: Retention,
        done: Box<dyn FnOnce(Result<Pruned, StoreError>) + Send>,
    ) -> Result<(), Cause> {
        self.send(Job::Prune(Box::new(retention), done)).map_err(|(cause, _)| cause)
    }

    /// Tidies up between two commits: gives free pages back to the disk and shortens the log. Some milliseconds.
    ///
    /// # Errors
    /// There is no room, or no writer.
    pub fn tidy(&self) -> Result<(), Cause> {
        self.send(Job::Tidy).map_err(|(cause, _)| cause)
    }

    /// Counts anew how one table is filled, for the planner: some milliseconds, as only a part of it is looked at. `done`
    /// hears whether there is a table of the next number.
    ///
    /// # Errors
    /// There is no room, or no writer; `done` was not called.
    pub fn analyze(&self, table: u32, done: Box<dyn FnOnce(Result<bool, StoreError>) + Send>) -> Result<(), Cause> {
        self.send(Job::Analyze(table, done)).map_err(|(cause, _)| cause)
    }

    /// Gives the memory back that the database can do without: pages that it keeps, statements that wait for their next
    /// use. They are read, and made, again when they are needed.
    ///
    /// # Errors
    /// There is no room, or no writer.
    pub fn shrink(&self) -> Result<(), Cause> {
        self.send(Job::Shrink).map_err(|(cause, _)| cause)
    }

    /// Ends the writer's thread after all that was handed in before. Blocks up to `timeout`.
    ///
    /// # Errors
    /// The disk did not take it, or not in time.
    pub fn close(&self, timeout: Duration) -> Result<(), StoreError> {
        let (told, answer) = mpsc::sync_channel(1);
        let mut job = Job::Close(told);
        let until = std::time::Instant::now() + timeout;
        loop {
            match self.send(job) {
                Ok(()) => break,
                Err((Cause::Gone, _)) => return Err(StoreError::WriterGone),
                Err((Cause::Full, again)) if std::time::Instant::now() < until => {
                    job = again;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((Cause::Full, _)) => return Err(StoreError::Dropped),
            }
        }
        answer.recv_timeout(timeout).unwrap_or(Err(StoreError::WriterGone))
    }

    /// Whether the disk takes what it is given.
    pub fn health(&self) -> Health {
        self.shared.health()
    }

    /// Whether its thread has ended: start another one with `Store::restart_writer`.
    pub fn is_gone(&self) -> bool {
        self.shared.is_gone()
    }

    /// What was done since the writer's start.
    pub fn stats(&self) -> WriterStats {
        self.shared.stats()
    }

    /// Lets the writer's thread panic, to show in tests and drills that the fleet survives it.
    ///
    /// # Errors
    /// There is no room, or no writer.
    pub fn crash(&self) -> Result<(), Cause> {
        self.send(Job::Crash).map_err(|(cause, _)| cause)
    }

    /// Sets the most pages that the file may have, to show in tests what a full disk does; 0 lifts it.
    ///
    /// # Errors
    /// There is no room, or no writer.
    pub fn limit_pages(&self, pages: u32) -> Result<(), Cause> {
        self.send(Job::LimitPages(pages)).map_err(|(cause, _)| cause)
    }

    fn send(&self, job: Job) -> Result<(), (Cause, Job)> {
        self.sender.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) => (Cause::Full, job),
            TrySendError::Disconnected(job) => (Cause::Gone, job),
        })
    }
}
