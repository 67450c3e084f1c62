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
    pub turn: Option<Turn>,
    pub accepted: Moment,
    pub waiting_since: Moment,
    pub waited: Duration,
    /// The next start counts against the global breaker.
    pub automatic: bool,
    pub force: bool,
    pub reason: Option<Reason>,
    pub cancelled: Option<Reason>,
    pub attempts: Vec<Attempt>,
    pub peak_rss_bytes: u64,
}

impl Run {
    pub fn job(
        id: RunId,
        agent: AgentIndex,
        trigger: Trigger,
        scheduled_for: Option<Timestamp>,
        payload: Option<Arc<[u8]>>,
        trial: bool,
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
            turn: None,
            accepted: now,
            waiting_since: now,
            waited: Duration::ZERO,
            automatic: trial,
            force,
            reason: None,
            cancelled: None,
            attempts: Vec::new(),
            peak_rss_bytes: 0,
        }
    }

    pub fn service(id: RunId, agent: AgentIndex, instance: u16, automatic: bool, force: bool, now: Moment) -> Self {
        let mut run = Self::job(id, agent, Trigger::Startup, None, None, automatic, now);
        run.instance = Some(instance);
        run.force = force;
        run
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

/// The slab.
#[derive(Debug, Default)]
pub(super) struct Runs {
    places: Vec<Place>,
    free: Vec<u32>,
}

impl Runs {
    pub fn reserve(&mut self, additional: usize) {
        self.places.reserve(additional.saturating_sub(self.free.len()));
    }

    /// The key that the next execution will have.
    pub fn next_key(&self) -> RunKey {
        let new = || u32::try_from(self.places.len()).expect("fewer than 2^32 live executions");
        let index = self.free.last().copied().unwrap_or_else(new);
        let generation = self.places.get(index as usize).map_or(0, |place| place.generation);
        RunKey { index, generation: generation.wrapping_add(1) }
    }

    pub fn insert(&mut self, run: Run) -> RunKey {
        let key = self.next_key();
        let place = Place { generation: key.generation, run: Some(run) };
        match self.free.pop() {
            Some(index) => self.places[index as usize] = place,
            None => self.places.push(place),
        }
        key
    }

    pub fn remove(&mut self, key: RunKey) -> Run {
        let place = &mut self.places[key.index as usize];
        debug_assert_eq!(place.generation, key.generation, "only a live execution is removed");
        self.free.push(key.index);
        place.run.take().expect("only a live execution is removed")
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
