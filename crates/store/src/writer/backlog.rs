//! What waits for its commit: in the order of arrival, bounded while the disk is not well.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::submission::{Class, Submission};
use crate::error::StoreError;

/// How long a lazy batch may wait for company. With the commit itself it is on disk within 50 ms.
pub(super) const LAG: Duration = Duration::from_millis(40);
/// Changes to a commit: what one transaction writes in about 20 ms, so that nobody waits longer behind it.
pub(super) const COMMIT: usize = 2_048;
/// Lazy batches that wait while the disk is not well: some megabytes.
pub(super) const PATIENCE: usize = 20_000;

/// Batches without a commit yet.
#[derive(Default)]
pub(super) struct Backlog {
    batches: VecDeque<Submission>,
    changes: usize,
    durable: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, submission: Submission) {
        self.changes += submission.batch.len();
        self.durable += usize::from(submission.class == Class::Durable);
        self.batches.push_back(submission);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether a commit is full.
    pub(super) const fn is_full(&self) -> bool {
        self.changes >= COMMIT
    }

    /// When the commit is due: at once if somebody waits for it, or it is full.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let oldest = self.batches.front()?;
        Some(if self.durable > 0 || self.is_full() { now } else { oldest.since + LAG })
    }

    /// Takes out what the next commit holds: a whole commit's worth, and at least one batch.
    pub(super) fn take(&mut self) -> Vec<Submission> {
        let mut taken = Vec::new();
        let mut changes = 0;
        while let Some(next) = self.batches.front() {
            if !taken.is_empty() && changes + next.batch.len() > COMMIT {
                break;
            }
            changes += next.batch.len();
            taken.extend(self.batches.pop_front());
        }
        self.changes -= changes;
        self.durable -= taken.iter().filter(|submission| submission.class == Class::Durable).count();
        taken
    }

    /// Takes back what could not be committed, ahead of all else.
    pub(super) fn put_back(&mut self, submissions: Vec<Submission>) {
        for submission in submissions.into_iter().rev() {
            self.changes += submission.batch.len();
            self.durable += usize::from(submission.class == Class::Durable);
            self.batches.push_front(submission);
        }
    }

    /// Batches that somebody waits for.
    pub(super) const fn durable(&self) -> u64 {
        self.durable as u64
    }

    /// Refuses everything that somebody waits for.
    pub(super) fn refuse_durable(&mut self, error: &StoreError) {
        let (refused, kept): (Vec<_>, Vec<_>) =
            self.batches.drain(..).partition(|submission| submission.class == Class::Durable);
        self.batches = kept.into();
        self.durable = 0;
        self.changes = self.batches.iter().map(|submission| submission.batch.len()).sum();
        for submission in refused {
            submission.finish(Err(error.clone()));
        }
    }

    /// Batches above the bound.
    pub(super) fn surplus(&self) -> usize {
        self.batches.len().saturating_sub(PATIENCE)
    }

    /// Throws away the oldest ones above the bound.
    pub(super) fn drop_surplus(&mut self) {
        let surplus = self.surplus();
        for submission in self.batches.drain(..surplus) {
            self.changes -= submission.batch.len();
            self.durable -= usize::from(submission.class == Class::Durable);
            submission.finish(Err(StoreError::Dropped));
        }
    }
}
