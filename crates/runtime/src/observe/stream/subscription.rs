//! A listener's end of its line. It may be on any thread.
//!
//! Invariant: while a listener is behind, nothing is put into its queue; so an empty queue means that all before the gap has
//! been read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::vec;

use tokio::sync::{Notify, mpsc};
use werkpilot_core::stream::Place;

use super::fact::Fact;

/// What a listener gets.
#[derive(Clone, Debug)]
pub enum Item {
    /// A fact that fits.
    Fact(Arc<Fact>),
    /// Nothing up to here fits that was not told.
    Passed(Place),
    /// Facts are missing before what comes next: what is known has to be asked for anew.
    Resync {
        /// From this number on all facts are remembered.
        oldest: u64,
        /// The newest of those that may be missing. What happens meanwhile may be told as well.
        newest: u64,
        /// The place of the newest one, if the listener may go on there when it comes again.
        place: Option<Place>,
    },
}

/// What both ends of a line know.
#[derive(Debug, Default)]
pub(super) struct Lag {
    behind: AtomicBool,
    oldest: AtomicU64,
    newest: AtomicU64,
    fell: Notify,
}

impl Lag {
    /// Whether a fact is lost for a listener that is behind. Its number is noted first: whoever catches up at the same moment
    /// knows it then, or finds the fact in its queue.
    pub fn skips(&self, seq: u64, oldest: u64) -> bool {
        self.oldest.store(oldest, SeqCst);
        self.newest.store(seq, SeqCst);
        self.behind.load(SeqCst)
    }

    /// The queue was full.
    pub fn fall_behind(&self) {
        self.behind.store(true, SeqCst);
        // It may have read all meanwhile, and wait.
        self.fell.notify_one();
    }

    fn catch_up(&self) -> Item {
        self.behind.store(false, SeqCst);
        Item::Resync { oldest: self.oldest.load(SeqCst), newest: self.newest.load(SeqCst), place: None }
    }
}

/// What a listener reads from.
#[derive(Debug)]
pub struct Subscription {
    first: vec::IntoIter<Item>,
    queue: mpsc::Receiver<Item>,
    lag: Arc<Lag>,
}

impl Subscription {
    pub(super) fn new(first: Vec<Item>, queue: mpsc::Receiver<Item>, lag: Arc<Lag>) -> Self {
        Self { first: first.into_iter(), queue, lag }
    }

    /// The next item, if there is one already.
    pub fn try_next(&mut self) -> Option<Item> {
        if let first @ Some(_) = self.first.next() {
            return first;
        }
        // Looked at before the queue: what is put there later belongs behind the gap.
        let behind = self.lag.behind.load(SeqCst);
        let next = self.queue.try_recv().ok();
        next.or_else(|| behind.then(|| self.lag.catch_up()))
    }

    /// The next item; `None` if there will be none any more. Nothing is lost when this is dropped.
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            if let next @ Some(_) = self.try_next() {
                return next;
            }
            tokio::select! {
                next = self.queue.recv() => return next,
                () = self.lag.fell.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> (mpsc::Sender<Item>, Arc<Lag>, Subscription) {
        let (sender, queue) = mpsc::channel(1);
        let lag = Arc::new(Lag::default());
        (sender, lag.clone(), Subscription::new(Vec::new(), queue, lag))
    }

    #[tokio::test]
    async fn who_waits_with_an_empty_queue_hears_of_a_gap_at_once() {
        let (_sender, lag, mut subscription) = line();
        let waits = tokio::spawn(async move { subscription.next().await });
        tokio::task::yield_now().await;
        assert!(!lag.skips(7, 3));
        lag.fall_behind();
        assert!(lag.skips(8, 4));
        assert!(matches!(waits.await.unwrap(), Some(Item::Resync { oldest: 4, newest: 8, place: None })));
    }

    #[tokio::test]
    async fn nothing_comes_after_the_hub_has_gone() {
        let (sender, _, mut subscription) = line();
        sender.try_send(Item::Passed(Place { seq: 1, at: None })).unwrap();
        drop(sender);
        assert!(matches!(subscription.next().await, Some(Item::Passed(_))));
        assert!(subscription.next().await.is_none());
    }
}
