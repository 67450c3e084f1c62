//! The order in which waiting executions go: priority, then dependency depth, then first in, first out. Ageing lifts a
//! waiting execution by one priority level per period, so that priority 3 never starves.
//!
//! Invariant: `pop` answers the least `(level, depth, sequence)` of what waits, where `level` is the priority less the
//! levels gained. Push and pop cost O(log n); what is removed early leaves a tombstone behind that later calls sweep.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::spec::Priority;
use crate::time::Moment;

/// The handle of an execution while it is live: a place and the generation of its tenant, so that a late message about
/// an earlier tenant is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunKey {
    /// Position of the place.
    pub index: u32,
    /// Which tenant of the place.
    pub generation: u32,
}

const LEVELS: usize = 3;
const OUT: u8 = u8::MAX;
/// Tombstones are swept when they outnumber the living by so many: keeps sweeping rare for short queues.
const SLACK: usize = 64;

/// Depth, sequence, place and stamp.
type Ranked = Reverse<(u32, u64, u32, u32)>;

/// Where a waiting execution stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    /// Which entry into the queue this is: tells it from earlier ones of the same execution.
    stamp: u32,
    /// After ageing; [`OUT`]: nobody waits here.
    level: u8,
    /// Before ageing.
    priority: u8,
    depth: u32,
    sequence: u64,
    since: Moment,
}

impl Place {
    const FREE: Self =
        Self { generation: 0, stamp: 0, level: OUT, priority: 0, depth: 0, sequence: 0, since: Moment::ZERO };
}

/// A waiting execution as the queue sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which one.
    pub key: RunKey,
    /// 1, 2 or 3, after ageing.
    pub level: u8,
    /// Since when.
    pub since: Moment,
}

/// Its turn in the queue, kept by an execution that leaves it for a while, so that it comes back to its old place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    sequence: u64,
    since: Moment,
}

impl Turn {
    /// Since when it waits for this turn.
    pub const fn since(self) -> Moment {
        self.since
    }
}

/// The execution queue. Unbounded by itself: the dispatcher bounds what it admits.
#[derive(Debug)]
pub struct Queue {
    levels: [BinaryHeap<Ranked>; LEVELS],
    promotions: BinaryHeap<Reverse<(Moment, u64, u32, u32)>>,
    places: Vec<Place>,
    waiting: usize,
    next_sequence: u64,
    last_stamp: u32,
    ageing: Duration,
}

impl Queue {
    /// An empty queue; `ageing` of zero means never.
    pub fn new(ageing: Duration) -> Self {
        Self {
            levels: Default::default(),
            promotions: BinaryHeap::new(),
            places: Vec::new(),
            waiting: 0,
            next_sequence: 0,
            last_stamp: 0,
            ageing,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Sets the ageing period, for what waits, too.
    pub fn set_ageing(&mut self, ageing: Duration) {
        if std::mem::replace(&mut self.ageing, ageing) == ageing {
            return;
        }
        self.promotions.clear();
        self.levels.iter_mut().for_each(BinaryHeap::clear);
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            if place.level != OUT {
                place.level = place.priority;
                let since = place.since;
                self.enter(index, since);
            }
        }
    }

    /// Makes room for so many more, so that a burst does not have to grow step by step.
    pub fn reserve(&mut self, additional: usize) {
        self.places.reserve((self.waiting + additional).saturating_sub(self.places.len()));
    }

    /// Makes and touches room for so many, so that the busiest second does not wait for memory.
    pub fn expect(&mut self, waiting: usize, priority: Priority) {
        if waiting > self.places.len() {
            self.places.resize(waiting, Place::FREE);
        }
        let level = level_of(priority);
        if self.is_empty() && waiting > self.levels[level].capacity() {
            let rank = Reverse((0, 0, 0, 0));
            self.levels[level].extend(std::iter::repeat_n(rank, waiting));
            self.levels[level].clear();
            if level > 0 && !self.ageing.is_zero() {
                self.promotions.extend(std::iter::repeat_n(Reverse((Moment::ZERO, 0, 0, 0)), waiting));
                self.promotions.clear();
            }
        }
    }

    /// Puts an execution at its place. Each key may wait once only.
    pub fn push(&mut self, key: RunKey, priority: Priority, depth: u32, now: Moment) -> Turn {
        let turn = Turn { sequence: self.next_sequence, since: now };
        self.next_sequence += 1;
        self.put(key, level_of(priority), depth, turn);
        turn
    }

    /// Puts an execution that had left for a while back at its old turn; what it waited meanwhile counts for ageing.
    pub fn push_back(&mut self, key: RunKey, priority: Priority, depth: u32, turn: Turn) {
        self.put(key, level_of(priority), depth, turn);
    }

    fn put(&mut self, key: RunKey, level: usize, depth: u32, turn: Turn) {
        let index = key.index as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, Place::FREE);
        }
        debug_assert_eq!(self.places[index].level, OUT, "a place holds one waiting execution");
        self.last_stamp = self.last_stamp.wrapping_add(1);
        let priority = u8::try_from(level).unwrap_or(0);
        let (generation, stamp, Turn { sequence, since }) = (key.generation, self.last_stamp, turn);
        self.places[index] = Place { generation, stamp, level: priority, priority, depth, sequence, since };
        self.waiting += 1;
        self.enter(index, since);
    }

    /// Puts a place in line at its level, which it reached at `since`.
    fn enter(&mut self, index: usize, since: Moment) {
        let Place { stamp, level, depth, sequence, .. } = self.places[index];
        let place = u32::try_from(index).unwrap_or(u32::MAX);
        self.levels[usize::from(level)].push(Reverse((depth, sequence, place, stamp)));
        if level > 0 && !self.ageing.is_zero() {
            self.promotions.push(Reverse((since + self.ageing, sequence, place, stamp)));
        }
    }

    /// Takes the one whose turn it is.
    pub fn pop(&mut self, now: Moment) -> Option<RunKey> {
        self.promote(now);
        for level in 0..LEVELS {
            while let Some(Reverse((_, _, index, stamp))) = self.levels[level].pop() {
                if stands(&self.places, index, stamp, level) {
                    let key = RunKey { index, generation: self.places[index as usize].generation };
                    self.leave(key);
                    return Some(key);
                }
            }
        }
        None
    }

    /// Takes one out of turn. Answers whether it waited.
    pub fn remove(&mut self, key: RunKey) -> bool {
        let waits =
            self.places.get(key.index as usize).is_some_and(|p| p.generation == key.generation && p.level != OUT);
        if waits {
            self.leave(key);
        }
        waits
    }

    /// What waits, in the order in which it would go now.
    pub fn in_order(&mut self, now: Moment) -> Vec<Waiting> {
        self.promote(now);
        let mut all = Vec::with_capacity(self.waiting);
        for (level, heap) in self.levels.iter().enumerate() {
            let standing =
                heap.iter().filter(|Reverse((_, _, index, stamp))| stands(&self.places, *index, *stamp, level));
            let mut here: Vec<_> = standing.collect();
            here.sort_unstable_by_key(|Reverse(rank)| *rank);
            all.extend(here.into_iter().map(|Reverse((_, _, index, _))| {
                let Place { generation, since, .. } = self.places[*index as usize];
                let level = u8::try_from(level + 1).unwrap_or(u8::MAX);
                Waiting { key: RunKey { index: *index, generation }, level, since }
            }));
        }
        all
    }

    fn leave(&mut self, key: RunKey) {
        self.places[key.index as usize].level = OUT;
        self.waiting -= 1;
        let standing: usize = self.levels.iter().map(BinaryHeap::len).sum();
        if standing > 2 * self.waiting + SLACK {
            for (level, heap) in self.levels.iter_mut().enumerate() {
                heap.retain(|Reverse((_, _, index, stamp))| stands(&self.places, *index, *stamp, level));
            }
        }
        if self.promotions.len() > 2 * self.waiting + SLACK {
            self.promotions.retain(|Reverse((_, _, index, stamp))| {
                let place = &self.places[*index as usize];
                place.stamp == *stamp && place.level != OUT
            });
        }
    }

    fn promote(&mut self, now: Moment) {
        while let Some(Reverse((at, _, index, stamp))) = self.promotions.peek().copied() {
            if at > now {
                return;
            }
            self.promotions.pop();
            let place = &mut self.places[index as usize];
            if place.stamp == stamp && place.level != OUT && place.level > 0 {
                place.level -= 1;
                self.enter(index as usize, at);
            }
        }
    }
}

/// Whether this entry into a level is where its execution waits now.
fn stands(places: &[Place], index: u32, stamp: u32, level: usize) -> bool {
    let place = &places[index as usize];
    place.stamp == stamp && usize::from(place.level) == level
}

const fn level_of(priority: Priority) -> usize {
    match priority {
        Priority::Critical => 0,
        Priority::Important => 1,
        Priority::Normal => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NEVER: Duration = Duration::ZERO;

    fn key(index: u32) -> RunKey {
        RunKey { index, generation: 1 }
    }

    fn at(secs: u64) -> Moment {
        Moment::from_secs(secs)
    }

    fn drain(queue: &mut Queue, now: Moment) -> Vec<u32> {
        std::iter::from_fn(|| queue.pop(now)).map(|key| key.index).collect()
    }

    #[test]
    fn priority_goes_before_depth_and_depth_before_age() {
        let mut queue = Queue::new(NEVER);
        queue.push(key(0), Priority::Normal, 0, at(0));
        queue.push(key(1), Priority::Critical, 2, at(1));
        queue.push(key(2), Priority::Critical, 1, at(2));
        queue.push(key(3), Priority::Normal, 0, at(3));
        queue.push(key(4), Priority::Important, 9, at(4));
        assert_eq!(drain(&mut queue, at(5)), [2, 1, 4, 0, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn waiting_lifts_by_one_level_per_period() {
        let mut queue = Queue::new(Duration::from_mins(5));
        queue.push(key(0), Priority::Normal, 0, at(0));
        queue.push(key(1), Priority::Important, 0, at(299));
        assert_eq!(queue.in_order(at(299)).first().map(|w| w.key), Some(key(1)));
        assert_eq!(queue.in_order(at(300)).first().map(|w| (w.key, w.level)), Some((key(0), 2)));
        queue.push(key(2), Priority::Critical, 0, at(400));
        assert_eq!(drain(&mut queue, at(400)), [2, 0, 1]);
        queue.push(key(3), Priority::Normal, 0, at(1_000));
        queue.push(key(4), Priority::Critical, 0, at(1_600));
        assert_eq!(drain(&mut queue, at(1_600)), [3, 4], "after two periods it is level 1 and older");
    }

    #[test]
    fn one_that_left_for_a_while_comes_back_to_its_old_turn() {
        let mut queue = Queue::new(Duration::from_mins(5));
        let turn = queue.push(key(0), Priority::Normal, 0, at(0));
        queue.push(key(1), Priority::Normal, 0, at(1));
        assert_eq!(queue.pop(at(2)), Some(key(0)));
        queue.push_back(key(0), Priority::Normal, 0, turn);
        assert_eq!(drain(&mut queue, at(3)), [0, 1]);
        queue.push_back(key(0), Priority::Normal, 0, turn);
        assert_eq!(queue.in_order(at(301))[0].level, 2, "one period is one level");
        assert_eq!(queue.in_order(at(700))[0].level, 1);
    }

    #[test]
    fn removed_ones_are_gone_and_their_remains_are_swept() {
        let mut queue = Queue::new(Duration::from_mins(5));
        for round in 0..10_000 {
            let key = RunKey { index: round % 10, generation: round };
            queue.push(key, Priority::Normal, 0, at(0));
            assert!(queue.remove(key));
            assert!(!queue.remove(key));
        }
        assert_eq!(queue.pop(at(1)), None);
        assert!(queue.promotions.len() <= SLACK + 1);
    }

    #[test]
    fn another_ageing_period_concerns_what_waits_already() {
        let mut queue = Queue::new(NEVER);
        queue.push(key(0), Priority::Normal, 0, at(0));
        queue.push(key(1), Priority::Critical, 0, at(600));
        assert_eq!(queue.in_order(at(900))[0].key, key(1));
        queue.set_ageing(Duration::from_mins(5));
        assert_eq!(queue.in_order(at(900))[0].key, key(0));
        queue.set_ageing(NEVER);
        assert_eq!(drain(&mut queue, at(900)), [1, 0]);
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_a_plain_sort(pushes in prop::collection::vec((1..=3i64, 0..4u32, 0..900u64), 1..60), now in 900..2_000u64) {
            let ageing = 300;
            let mut queue = Queue::new(Duration::from_secs(ageing));
            let mut sorted = pushes.clone();
            sorted.sort_by_key(|(_, _, since)| *since);
            let mut model = Vec::new();
            for (index, (priority, depth, since)) in sorted.into_iter().enumerate() {
                queue.push(key(u32::try_from(index).unwrap()), Priority::from_number(priority).unwrap(), depth, at(since));
                let gained = i64::try_from((now - since) / ageing).unwrap();
                model.push(((priority - gained).max(1), depth, index));
            }
            model.sort_unstable();
            let expected: Vec<_> = model.into_iter().map(|(_, _, index)| u32::try_from(index).unwrap()).collect();
            prop_assert_eq!(drain(&mut queue, at(now)), expected);
        }
    }
}
