//! What is handed to the writer's thread.

use std::sync::mpsc::SyncSender;
use std::time::Instant;

use crate::change::Change;
use crate::error::StoreError;
use crate::prune::{Pruned, Retention};

/// What is told once it is decided whether a batch is kept. Runs on the writer's thread: it must not take long.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// When a batch has to be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Before it is acknowledged. Refused while the disk is not well.
    Durable,
    /// Within 50 ms. Waits, up to a bound, while the disk is not well.
    Lazy,
}

/// A batch and whom to tell. Whoever it is is told even if this is dropped.
pub(super) struct Submission {
    pub(super) batch: Vec<Change>,
    pub(super) class: Class,
    pub(super) since: Instant,
    done: Option<Done>,
}

impl Submission {
    pub(super) fn new(batch: Vec<Change>, class: Class, done: Done) -> Self {
        Self { batch, class, since: Instant::now(), done: Some(done) }
    }

    /// Whether it holds facts only, which depend on nothing else and on which nothing else depends.
    pub(super) fn is_facts(&self) -> bool {
        self.class == Class::Lazy && !self.batch.is_empty() && self.batch.iter().all(Change::is_fact)
    }

    /// Whether all facts that were handed in before have to go ahead of it: it is a flush, or deletes facts.
    pub(super) fn needs_facts(&self) -> bool {
        self.batch.is_empty() || self.batch.iter().any(|change| matches!(change, Change::ForgetAgent(_)))
    }

    /// Tells.
    pub(super) fn finish(mut self, result: Result<(), StoreError>) {
        if let Some(done) = self.done.take() {
            done(result);
        }
    }

    pub(super) fn into_parts(mut self) -> (Vec<Change>, Done) {
        let done = self.done.take().unwrap_or_else(|| Box::new(|_| ()));
        (std::mem::take(&mut self.batch), done)
    }
}

impl Drop for Submission {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(StoreError::WriterGone));
        }
    }
}

/// What the writer's thread is asked to do.
pub(super) enum Job {
    Batch(Submission),
    Prune(Box<Retention>, Box<dyn FnOnce(Result<Pruned, StoreError>) + Send>),
    Tidy,
    Shrink,
    Analyze(u32, Box<dyn FnOnce(Result<bool, StoreError>) + Send>),
    Close(SyncSender<Result<(), StoreError>>),
    Crash,
    LimitPages(u32),
}
