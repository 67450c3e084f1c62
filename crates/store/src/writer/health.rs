//! Whether the disk takes what it is given, and how much was given: for everybody to read at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use werkpilot_core::time::Timestamp;

/// Whether the disk takes what it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It does.
    #[default]
    Healthy,
    /// It does not: durable changes are refused, others wait. Tried again by itself.
    Degraded {
        /// Since when.
        since: Timestamp,
        /// What the disk said.
        reason: Arc<str>,
    },
}

/// What the writer has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriterStats {
    /// Transactions committed.
    pub commits: u64,
    /// Batches in them.
    pub batches: u64,
    /// Changes in them.
    pub changes: u64,
    /// Batches that did not fit what was there.
    pub conflicts: u64,
    /// Durable batches refused because of the disk.
    pub refused: u64,
    /// Lazy batches thrown away because of the disk.
    pub dropped: u64,
    /// Lazy batches that wait for the disk.
    pub waiting: u64,
}

/// Shared by the writer's thread and everybody else.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    health: Mutex<Health>,
    gone: AtomicBool,
    pub(super) commits: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) waiting: AtomicU64,
}

impl Shared {
    pub(super) fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_health(&self, health: Health) {
        *self.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    pub(super) fn stats(&self) -> WriterStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WriterStats {
            commits: read(&self.commits),
            batches: read(&self.batches),
            changes: read(&self.changes),
            conflicts: read(&self.conflicts),
            refused: read(&self.refused),
            dropped: read(&self.dropped),
            waiting: read(&self.waiting),
        }
    }
}

/// Adds to a counter that people read.
pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// Tells everybody that the writer's thread has ended, whatever ended it.
#[derive(Debug)]
pub(super) struct Farewell(pub Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.gone.store(true, Ordering::Release);
    }
}
