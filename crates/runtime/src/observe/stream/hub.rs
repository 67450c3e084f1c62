//! The hub: who listens, and the way of a fact to all of them. It lives in the house, so that the event log may die.
//!
//! Invariant: [`Hub::publish`] never waits. A listener whose queue is full is behind: it gets nothing until it has read all
//! that is in its queue, and then hears of the gap.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};
use werkpilot_core::stream::{Beginning, LISTENERS, PASSED, Place, QUEUE, beginning, makes_room};
use werkpilot_core::time::Moment;
use werkpilot_store::reader::EventFilter;

use super::fact::Fact;
use super::subscription::{Item, Lag, Subscription};
use crate::observe::events::EventBook;

/// What is counted of streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    /// Open ones.
    pub open: usize,
    /// How often a listener was told of a gap, since the start.
    pub resyncs: u64,
    /// Listeners that were turned away because there were too many, since the start.
    pub refused: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Hub {
    lines: Vec<Line>,
    resyncs: u64,
    refused: u64,
}

/// The way to one listener.
#[derive(Debug)]
struct Line {
    filter: EventFilter,
    sender: mpsc::Sender<Item>,
    lag: Arc<Lag>,
    behind_since: Option<Moment>,
    /// Facts since it was told how far it is.
    passed: u32,
}

impl Hub {
    /// Takes in a listener that has `last` already. `None`: there are too many.
    pub fn subscribe(
        &mut self,
        book: &EventBook,
        filter: EventFilter,
        last: Option<Place>,
        now: Moment,
    ) -> Option<Subscription> {
        self.lines.retain(|line| !line.sender.is_closed());
        if self.lines.len() >= LISTENERS {
            let behind = self.lines.iter().enumerate().filter_map(|(at, line)| Some((at, line.behind_since?)));
            let Some(forsaken) = makes_room(behind, now) else {
                self.refused += 1;
                return None;
            };
            self.lines.swap_remove(forsaken);
        }
        let first = match beginning(last, book.oldest(), book.newest(), |seq| book.time_of(seq)) {
            Beginning::Now => Vec::new(),
            Beginning::After(seq) => replay(book, &filter, seq),
            Beginning::Gap => {
                self.resyncs += 1;
                vec![Item::Resync { oldest: book.oldest(), newest: book.newest(), place: book.newest_place() }]
            }
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        let lag = Arc::new(Lag::default());
        self.lines.push(Line { filter, sender, lag: lag.clone(), behind_since: None, passed: 0 });
        Some(Subscription::new(first, receiver, lag))
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Hands a fact to all whom it fits. All facts from `oldest` on are remembered.
    pub fn publish(&mut self, fact: &Arc<Fact>, oldest: u64, now: Moment) {
        let resyncs = &mut self.resyncs;
        self.lines.retain_mut(|line| line.offer(fact, oldest, now, resyncs));
    }

    /// What is counted.
    pub fn figures(&self) -> StreamFigures {
        let open = self.lines.iter().filter(|line| !line.sender.is_closed()).count();
        StreamFigures { open, resyncs: self.resyncs, refused: self.refused }
    }
}

/// All that is remembered and fits, and how far the listener is with it.
fn replay(book: &EventBook, filter: &EventFilter, after: u64) -> Vec<Item> {
    let facts = book.facts().filter(|fact| fact.seq() > after && fact.fits(filter));
    let mut items: Vec<Item> = facts.cloned().map(Item::Fact).collect();
    let is_last = matches!(items.last(), Some(Item::Fact(fact)) if fact.seq() == book.newest());
    if !is_last && book.newest() > after {
        items.extend(book.newest_place().map(Item::Passed));
    }
    items
}

impl Line {
    /// Whether there is still somebody at its end.
    fn offer(&mut self, fact: &Arc<Fact>, oldest: u64, now: Moment, resyncs: &mut u64) -> bool {
        if self.lag.skips(fact.seq(), oldest) {
            return !self.sender.is_closed();
        }
        self.behind_since = None;
        let item = if fact.fits(&self.filter) {
            Item::Fact(fact.clone())
        } else if self.passed < PASSED {
            self.passed += 1;
            return !self.sender.is_closed();
        } else {
            Item::Passed(fact.place())
        };
        self.passed = 0;
        match self.sender.try_send(item) {
            // Where it is full, nothing that fits is lost with how far it is.
            Ok(()) | Err(TrySendError::Full(Item::Passed(_) | Item::Resync { .. })) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(Item::Fact(_))) => {
                self.behind_since = Some(now);
                *resyncs += 1;
                self.lag.fall_behind();
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_core::event::{Event, Recorded};
    use werkpilot_core::stream::FORSAKEN;
    use werkpilot_core::time::Timestamp;

    use super::*;

    /// The event log's part of it.
    struct World {
        book: EventBook,
        hub: Hub,
        now: Moment,
    }

    impl World {
        fn new() -> Self {
            Self { book: EventBook::default(), hub: Hub::default(), now: Moment::from_secs(1) }
        }

        fn record(&mut self, event: Event) {
            let time = Timestamp::from_secs(self.book.newest().cast_signed() + 1);
            let fact = self.book.record(|seq| Recorded { seq, time, event });
            self.hub.publish(&fact, self.book.oldest(), self.now);
        }

        /// Pauses and resumes in turn.
        fn happen(&mut self, times: usize) {
            for _ in 0..times {
                let paused = self.book.newest().is_multiple_of(2);
                self.record(Event::TriggersPaused { paused, by: String::new() });
            }
        }

        fn listen(&mut self, topics: &[&str], last: Option<Place>) -> Option<Subscription> {
            let topics = topics.iter().map(|topic| topic.parse().unwrap()).collect();
            self.hub.subscribe(&self.book, EventFilter { topics, ..EventFilter::default() }, last, self.now)
        }
    }

    fn after(seq: u64) -> Place {
        Place { seq, at: None }
    }

    /// Numbers of facts; `-n` for how far it is; 0 for a gap.
    fn read(subscription: &mut Subscription) -> Vec<i64> {
        let items = std::iter::from_fn(|| subscription.try_next());
        let number = |item| match item {
            Item::Fact(fact) => fact.seq().cast_signed(),
            Item::Passed(place) => -place.seq.cast_signed(),
            Item::Resync { .. } => 0,
        };
        items.map(number).collect()
    }

    #[test]
    fn a_listener_hears_what_comes_or_goes_on_where_it_was() {
        let mut world = World::new();
        world.happen(5);
        let (mut fresh, mut back) = (world.listen(&[], None).unwrap(), world.listen(&[], Some(after(2))).unwrap());
        let mut current = world.listen(&[], Some(after(5))).unwrap();
        world.happen(2);
        assert_eq!((read(&mut fresh), read(&mut current)), (vec![6, 7], vec![6, 7]));
        assert_eq!(read(&mut back), [3, 4, 5, 6, 7]);
        assert_eq!(world.hub.figures(), StreamFigures { open: 3, resyncs: 0, refused: 0 });
    }

    #[test]
    fn what_is_not_remembered_or_means_another_fact_is_a_gap() {
        let mut world = World::new();
        world.happen(1_200);
        assert_eq!(world.book.oldest(), 201);
        let other = Place { seq: 1_100, at: Some(Timestamp::from_secs(7)) };
        for last in [after(199), after(1_201), other] {
            let mut listener = world.listen(&[], Some(last)).unwrap();
            let first = listener.try_next().unwrap();
            let place = Some(Place { seq: 1_200, at: Some(Timestamp::from_secs(1_200)) });
            assert!(
                matches!(first, Item::Resync { oldest: 201, newest: 1_200, place: to } if to == place),
                "{first:?}"
            );
            assert!(listener.try_next().is_none());
        }
        let mut listener = world.listen(&[], Some(after(200))).unwrap();
        assert!(read(&mut listener).into_iter().eq(201..=1_200));
        assert_eq!(world.hub.figures().resyncs, 3);
    }

    #[test]
    fn a_listener_that_does_not_read_hears_of_a_gap_and_goes_on_and_others_miss_nothing() {
        let mut world = World::new();
        let (mut stalled, mut awake) = (world.listen(&[], None).unwrap(), world.listen(&[], None).unwrap());
        let mut seen = Vec::new();
        for _ in 0..30 {
            world.happen(10);
            seen.extend(read(&mut awake));
        }
        assert!(seen.into_iter().eq(1..=300));
        let read_on = read(&mut stalled);
        assert!(read_on[..256].iter().copied().eq(1..=256));
        assert_eq!(read_on[256..], [0]);
        world.happen(2);
        assert_eq!((read(&mut stalled), read(&mut awake)), (vec![301, 302], vec![301, 302]));
        assert_eq!(world.hub.figures().resyncs, 1);
    }

    #[test]
    fn who_hears_little_is_told_how_far_it_is() {
        let mut world = World::new();
        world.happen(3);
        let mut listener = world.listen(&["boot.completed"], Some(after(1))).unwrap();
        assert_eq!(read(&mut listener), [-3]);
        world.happen(250);
        assert_eq!(read(&mut listener), [-104, -205]);
        world.record(Event::ShutdownStarted { reason: String::new() });
        assert_eq!(read(&mut listener), Vec::<i64>::new());
        world.record(Event::BootCompleted {
            agents: 0,
            layers: 0,
            duration: std::time::Duration::ZERO,
            late: Vec::new(),
            critical_path: Vec::new(),
        });
        assert_eq!(read(&mut listener), [255]);
    }

    #[test]
    fn one_too_many_is_refused_until_somebody_leaves_or_has_not_read_for_long() {
        let mut world = World::new();
        let mut all: Vec<_> = (0..LISTENERS).map(|_| world.listen(&[], None).unwrap()).collect();
        assert!(world.listen(&[], None).is_none());
        all.pop();
        all.push(world.listen(&[], None).expect("one has left"));
        world.happen(QUEUE + 1);
        all[1..].iter_mut().for_each(|listener| drop(read(listener)));
        world.happen(1);
        assert!(world.listen(&[], None).is_none(), "it may yet read on");
        world.now = world.now + FORSAKEN;
        all.push(world.listen(&[], None).expect("nobody reads there any more"));
        let last = read(&mut all[0]);
        assert_eq!((last.len(), last[QUEUE]), (QUEUE + 1, 0), "what was in its queue, and that there is a gap");
        assert_eq!(world.hub.figures().open, LISTENERS);
        assert_eq!(world.hub.figures().refused, 2);
    }

    #[test]
    fn facts_while_a_listener_catches_up_are_in_its_queue_or_in_the_gap() {
        // Every order of one more fact and one more look, after the queue has run over.
        for order in 0..64_u32 {
            let mut world = World::new();
            let mut listener = world.listen(&[], None).unwrap();
            world.happen(QUEUE + 1);
            let mut heard = Vec::new();
            for step in 0..6 {
                if order >> step & 1 == 0 { world.happen(1) } else { heard.extend(listener.try_next()) }
            }
            while let Some(item) = listener.try_next() {
                heard.push(item);
            }
            let mut last = 0;
            for item in heard {
                match item {
                    Item::Fact(fact) => {
                        assert_eq!(fact.seq(), last + 1, "{order:b}");
                        last = fact.seq();
                    }
                    Item::Resync { newest, .. } => {
                        assert!(newest > last, "{order:b}");
                        last = newest;
                    }
                    Item::Passed(_) => unreachable!("everything fits"),
                }
            }
            assert_eq!(last, world.book.newest(), "{order:b}");
        }
    }
}
