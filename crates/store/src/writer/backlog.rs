//! What waits for its commit: in two lanes, each in the order of arrival, bounded while the disk is not well.
//!
//! Facts (events, samples, digests) are most of what is written and nobody waits for them: they gather in a lane of their
//! own, so that a commit for which somebody waits touches the pages of that alone. Everything else keeps its order.

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

/// Batches in the order of their arrival.
#[derive(Default)]
struct Lane {
    batches: VecDeque<Submission>,
    changes: usize,
}

impl Lane {
    fn push_back(&mut self, submission: Submission) {
        self.changes += submission.batch.len();
        self.batches.push_back(submission);
    }

    fn push_front(&mut self, submission: Submission) {
        self.changes += submission.batch.len();
        self.batches.push_front(submission);
    }

    fn pop_front(&mut self) -> Option<Submission> {
        let first = self.batches.pop_front()?;
        self.changes -= first.batch.len();
        Some(first)
    }

    fn due(&self) -> Option<Instant> {
        self.batches.front().map(|oldest| oldest.since + LAG)
    }

    const fn is_full(&self) -> bool {
        self.changes >= COMMIT
    }

    /// A commit's worth, and at least one batch, if there is one.
    fn take(&mut self, taken: &mut Vec<Submission>) {
        let mut room = COMMIT;
        while let Some(next) = self.batches.front()
            && (room == COMMIT || next.batch.len() <= room)
        {
            room = room.saturating_sub(next.batch.len());
            taken.extend(self.pop_front());
        }
    }
}

/// Batches without a commit yet.
#[derive(Default)]
pub(super) struct Backlog {
    ordinary: Lane,
    facts: Lane,
    /// Batches that somebody waits for; all of them are ordinary.
    durable: usize,
    /// Facts go with the next commit, all of them.
    hurry: bool,
}

impl Backlog {
    pub(super) fn push(&mut self, submission: Submission) {
        self.durable += usize::from(submission.class == Class::Durable);
        self.hurry |= submission.needs_facts();
        if submission.is_facts() { self.facts.push_back(submission) } else { self.ordinary.push_back(submission) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn len(&self) -> usize {
        self.ordinary.batches.len() + self.facts.batches.len()
    }

    /// Whether a commit is full.
    pub(super) const fn is_full(&self) -> bool {
        self.ordinary.is_full() || self.facts.is_full()
    }

    /// When the commit is due: at once if somebody waits for it, or it is full.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        if self.durable > 0 || self.is_full() {
            return Some(now);
        }
        self.ordinary.due().into_iter().chain(self.facts.due()).min()
    }

    /// Takes out what the next commit holds: a commit's worth of each lane at most, and at least one batch.
    pub(super) fn take(&mut self, now: Instant) -> Vec<Submission> {
        let mut taken = Vec::new();
        if std::mem::take(&mut self.hurry) {
            while let Some(fact) = self.facts.pop_front() {
                taken.push(fact);
            }
        } else if self.durable == 0 || self.facts.is_full() || self.facts.due().is_some_and(|due| due <= now) {
            self.facts.take(&mut taken);
        }
        self.ordinary.take(&mut taken);
        self.durable -= taken.iter().filter(|submission| submission.class == Class::Durable).count();
        taken
    }

    /// Takes back what could not be committed, ahead of all else.
    pub(super) fn put_back(&mut self, submissions: Vec<Submission>) {
        for submission in submissions.into_iter().rev() {
            self.durable += usize::from(submission.class == Class::Durable);
            let lane = if submission.is_facts() { &mut self.facts } else { &mut self.ordinary };
            lane.push_front(submission);
        }
    }

    /// Batches that somebody waits for.
    pub(super) const fn durable(&self) -> u64 {
        self.durable as u64
    }

    /// Refuses everything that somebody waits for.
    pub(super) fn refuse_durable(&mut self, error: &StoreError) {
        let all = std::mem::take(&mut self.ordinary);
        self.durable = 0;
        for submission in all.batches {
            match submission.class {
                Class::Durable => submission.finish(Err(error.clone())),
                Class::Lazy => self.ordinary.push_back(submission),
            }
        }
    }

    /// Batches above the bound.
    pub(super) fn surplus(&self) -> usize {
        self.len().saturating_sub(PATIENCE)
    }

    /// Throws away the oldest ones above the bound.
    pub(super) fn drop_surplus(&mut self) {
        for _ in 0..self.surplus() {
            let lane = match (self.facts.due(), self.ordinary.due()) {
                (Some(facts), Some(ordinary)) if ordinary < facts => &mut self.ordinary,
                (None, _) => &mut self.ordinary,
                _ => &mut self.facts,
            };
            if let Some(submission) = lane.pop_front() {
                self.durable -= usize::from(submission.class == Class::Durable);
                submission.finish(Err(StoreError::Dropped));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_core::ids::AgentName;
    use werkpilot_core::time::Timestamp;

    use super::*;
    use crate::change::Change;

    fn submission(batch: Vec<Change>, class: Class) -> Submission {
        Submission::new(batch, class, Box::new(|_| ()))
    }

    fn fact(millis: u64) -> Submission {
        let agent = AgentName::new("a").unwrap();
        submission(vec![Change::AddSample { agent, duration: Duration::from_millis(millis) }], Class::Lazy)
    }

    fn forget() -> Change {
        Change::ForgetAgent(AgentName::new("a").unwrap())
    }

    fn drop_digests() -> Change {
        Change::DropDigests { name: "waiting".to_owned(), slot: "minute".to_owned(), before: Timestamp::from_secs(1) }
    }

    fn kinds(taken: &[Submission]) -> Vec<(Class, usize)> {
        taken.iter().map(|submission| (submission.class, submission.batch.len())).collect()
    }

    #[test]
    fn who_waits_does_not_wait_for_facts_and_facts_do_not_wait_for_ever() {
        let mut backlog = Backlog::default();
        let now = Instant::now();
        backlog.push(fact(1));
        backlog.push(submission(vec![drop_digests()], Class::Durable));
        assert_eq!(backlog.due(now), Some(now));
        assert_eq!(kinds(&backlog.take(now)), [(Class::Durable, 1)]);
        let due = backlog.due(now).unwrap();
        assert!(due > now && due <= Instant::now() + LAG);
        backlog.push(submission(vec![drop_digests()], Class::Durable));
        assert_eq!(backlog.take(due).len(), 2, "facts whose time has come go with it");
        backlog.push(fact(2));
        assert_eq!(backlog.take(Instant::now()).len(), 1, "alone they go when they are asked for");
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_flush_and_what_deletes_facts_take_all_facts_along_and_before_them() {
        for last in [submission(Vec::new(), Class::Durable), submission(vec![forget()], Class::Lazy)] {
            let (class, changes) = (last.class, last.batch.len());
            let mut backlog = Backlog::default();
            (0..3_000).for_each(|millis| backlog.push(fact(millis)));
            backlog.push(last);
            let taken = backlog.take(Instant::now());
            assert_eq!((taken.len(), kinds(&taken).pop()), (3_001, Some((class, changes))));
        }
    }

    #[test]
    fn a_commit_has_its_bound_and_what_was_taken_back_comes_first_again() {
        let mut backlog = Backlog::default();
        (0..5).for_each(|_| backlog.push(submission(vec![drop_digests(); 1_000], Class::Lazy)));
        assert!(backlog.is_full());
        let taken = backlog.take(Instant::now());
        assert_eq!(taken.len(), 2);
        backlog.push(submission(vec![drop_digests()], Class::Lazy));
        backlog.put_back(taken);
        let sizes: Vec<usize> =
            std::iter::from_fn(|| Some(backlog.take(Instant::now())).filter(|taken| !taken.is_empty()))
                .flat_map(|taken| taken.iter().map(|submission| submission.batch.len()).collect::<Vec<_>>())
                .collect();
        assert_eq!(sizes, [1_000, 1_000, 1_000, 1_000, 1_000, 1]);
    }

    #[test]
    fn on_a_bad_disk_durable_ones_are_refused_and_the_oldest_lazy_ones_give_way() {
        let mut backlog = Backlog::default();
        backlog.push(submission(vec![forget()], Class::Durable));
        for _ in 0..PATIENCE {
            backlog.push(fact(1));
        }
        backlog.push(submission(vec![drop_digests()], Class::Lazy));
        assert_eq!((backlog.durable(), backlog.surplus()), (1, 2));
        backlog.refuse_durable(&StoreError::WriterGone);
        assert_eq!((backlog.durable(), backlog.surplus()), (0, 1));
        backlog.drop_surplus();
        assert_eq!((backlog.len(), backlog.ordinary.batches.len()), (PATIENCE, 1));
    }
}
