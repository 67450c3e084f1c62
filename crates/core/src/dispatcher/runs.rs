//! The live executions and the starts of services that wait: a slab whose handles tell tenants of one place apart.

use std::sync::Arc;
use std::time::Duration;

use crate::dead_letters::Attempt;
use crate::ids::{AgentIndex, RunId};
use crate::queue::{RunKey, Turn};
use crate::reason::Reason;
use crate::time::{Moment, Timestamp};
use crate::trigger::Trigger;

/// Where a live execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// In the queue.
    Queued,
    /// Out of the queue until something changes.
    Parked(Park),
    /// Its program runs, or is about to.
    Running,
    /// Waits before its next attempt.
    BackingOff {
        /// Until when.
        until: Moment,
    },
}

/// What a parked execution waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Park {
    /// An earlier execution of the same agent.
    Previous,
    /// The health of its dependencies.
    Dependencies,
    /// Room for automatic restarts.
    RestartRoom,
}

/// One live execution, or one start of a service's instance.
#[derive(Debug)]
pub(super) struct Run {
    pub id: RunId,
    pub agent: AgentIndex,
    pub instance: Option<u16>,
    pub trigger: Trigger,
    pub scheduled_for: Option<Timestamp>,
    pub payload: Option<Arc<[u8]>>,
    pub attempt: u32,
    pub phase: Phase,
    /// It has had a worker.
    pub started: bool,
    /// Its admission has been told.
    pub announced: bool,
    pub turn: Turn,
    pub accepted: Moment,
    /// When it got a worker, the last time.
    pub granted: Option<Moment>,
    /// The next start counts against the global breaker.
    pub automatic: bool,
    pub force: bool,
    pub reason: Option<Box<Reason>>,
    pub cancelled: Option<Box<Reason>>,
    past: Option<Box<Past>>,
}

/// What its attempts have left behind. Most executions wait without a past, and there may be many of them.
#[derive(Debug, Default)]
struct Past {
    attempts: Vec<Attempt>,
    peak_rss_bytes: u64,
}

impl Run {
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "each is one field")]
    pub fn job(
        id: RunId,
        agent: AgentIndex,
        trigger: Trigger,
        scheduled_for: Option<Timestamp>,
        payload: Option<Arc<[u8]>>,
        automatic: bool,
        turn: Turn,
        now: Moment,
    ) -> Self {
        let force = trigger.is_forced();
        Self {
            id,
            agent,
            instance: None,
            trigger,
            scheduled_for,
            payload,
            attempt: 1,
            phase: Phase::Queued,
            started: false,
            announced: false,
            turn,
            accepted: now,
            granted: None,
            automatic,
            force,
            reason: None,
            cancelled: None,
            past: None,
        }
    }

    pub fn service(
        id: RunId,
        agent: AgentIndex,
        instance: u16,
        automatic: bool,
        force: bool,
        turn: Turn,
        now: Moment,
    ) -> Self {
        let mut run = Self::job(id, agent, Trigger::Startup, None, None, automatic, turn, now);
        run.instance = Some(instance);
        run.force = force;
        run
    }

    /// Every attempt that has ended.
    pub fn attempts(&self) -> &[Attempt] {
        self.past.as_ref().map_or(&[], |past| &past.attempts)
    }

    /// The most memory that one of them took.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.past.as_ref().map_or(0, |past| past.peak_rss_bytes)
    }

    /// One more attempt has ended.
    pub fn remember(&mut self, attempt: Option<Attempt>, peak_rss_bytes: u64) {
        if let Some(attempt) = attempt {
            let past = self.past.get_or_insert_default();
            past.attempts.push(attempt);
            past.peak_rss_bytes = past.peak_rss_bytes.max(peak_rss_bytes);
        }
    }

    /// How long it waited for its worker, the last time.
    pub fn waited(&self) -> Duration {
        self.granted.map_or(Duration::ZERO, |granted| granted.since(self.turn.since()))
    }

    /// Whether it is in the queue, aside or backing off.
    pub fn waits(&self) -> bool {
        self.phase != Phase::Running
    }
}

#[derive(Debug, Default)]
struct Place {
    generation: u32,
    run: Option<Run>,
}

/// The slab. Whenever it is empty it begins at its first place again, so that a burst lies in memory in its order.
#[derive(Debug, Default)]
pub(super) struct Runs {
    places: Vec<Place>,
    /// Places from here on have no tenant.
    unused: u32,
    /// Places before that have none.
    free: Vec<u32>,
}

impl Runs {
    pub fn reserve(&mut self, additional: usize) {
        let wanted = self.unused as usize + additional.saturating_sub(self.free.len());
        self.places.reserve(wanted.saturating_sub(self.places.len()));
    }

    /// Makes and touches places for so many, so that the busiest second does not wait for memory.
    pub fn expect(&mut self, live: usize) {
        if live > self.places.len() {
            self.places.resize_with(live, Place::default);
        }
    }

    /// The key that the next execution will have.
    pub fn next_key(&self) -> RunKey {
        let index = self.free.last().copied().unwrap_or(self.unused);
        let generation = self.places.get(index as usize).map_or(0, |place| place.generation);
        RunKey { index, generation: generation.wrapping_add(1) }
    }

    #[inline]
    pub fn insert(&mut self, run: Run) -> RunKey {
        let key = self.next_key();
        if self.free.pop().is_none() {
            self.unused = self.unused.checked_add(1).expect("fewer than 2^32 live executions");
        }
        if let Some(vacant) = self.places.get_mut(key.index as usize) {
            vacant.generation = key.generation;
            vacant.run = Some(run);
        } else {
            self.places.push(Place { generation: key.generation, run: Some(run) });
        }
        key
    }

    pub fn remove(&mut self, key: RunKey) -> Run {
        let place = &mut self.places[key.index as usize];
        debug_assert_eq!(place.generation, key.generation, "only a live execution is removed");
        let run = place.run.take().expect("only a live execution is removed");
        self.free.push(key.index);
        if self.free.len() == self.unused as usize {
            self.free.clear();
            self.unused = 0;
        }
        run
    }

    /// The execution behind a key that is known to be live.
    pub fn get(&self, key: RunKey) -> &Run {
        self.try_get(key).expect("the key of a live execution")
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, key: RunKey) -> &mut Run {
        let place = &mut self.places[key.index as usize];
        debug_assert_eq!(place.generation, key.generation, "the key of a live execution");
        place.run.as_mut().expect("the key of a live execution")
    }

    pub fn try_get(&self, key: RunKey) -> Option<&Run> {
        let place = self.places.get(key.index as usize)?;
        if place.generation == key.generation { place.run.as_ref() } else { None }
    }

    pub fn try_get_mut(&mut self, key: RunKey) -> Option<&mut Run> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation { place.run.as_mut() } else { None }
    }

    pub fn id(&self, key: RunKey) -> RunId {
        self.get(key).id
    }

    pub fn is_running(&self, key: RunKey) -> bool {
        self.try_get(key).is_some_and(|run| run.phase == Phase::Running)
    }

    pub fn is_backing_off(&self, key: RunKey) -> bool {
        self.try_get(key).is_some_and(|run| matches!(run.phase, Phase::BackingOff { .. }))
    }

    pub fn is_parked(&self, key: RunKey, park: Park) -> bool {
        self.try_get(key).is_some_and(|run| run.phase == Phase::Parked(park))
    }

    /// By id, for people: looks at all of them.
    pub fn find(&self, id: RunId) -> Option<RunKey> {
        self.iter().find(|(_, run)| run.id == id && run.instance.is_none()).map(|(key, _)| key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (RunKey, &Run)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let index = u32::try_from(index).ok()?;
            Some((RunKey { index, generation: place.generation }, place.run.as_ref()?))
        })
    }
}
