//! The percentile tracker: how long successful executions take, per agent, and how long they wait, of all agents.
//!
//! Invariant: what it takes in is on its way to disk within 10 ms, several together.

pub mod kept;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::percentiles::{DigestRing, SampleWindow, Summary};
use werkpilot_core::time::{Clocks, Moment, Timestamp, as_ms};
use werkpilot_store::Change;
use werkpilot_store::row::figures::{AgentSamples, DigestRow};

use crate::agents::kept::patience;
use crate::house::House;
use crate::supervision::ExitNotice;
use kept::{KeptRing, RestartLog};

/// Digests of agents' answers that are written at a time: the next ones follow 10 ms later, so that many busy agents do
/// not cost more than a few.
const RINGS_AT_ONCE: usize = 8;

/// A successful execution's times.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RecordSuccess {
    /// Whose.
    pub agent: AgentIndex,
    /// Of the successful attempt.
    pub duration: Duration,
    /// For a worker.
    pub waited: Duration,
}

/// An agent answered a request on the bus.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RecordRequest {
    /// Who answered.
    pub agent: AgentIndex,
    /// From the request to the answer.
    pub latency: Duration,
}

/// Automatic restarts were taken from the global breaker.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RestartsTaken {
    /// How many.
    pub count: u64,
    /// When.
    pub at: Timestamp,
}

/// Keeps so many samples per agent from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResizeSamples(pub u16);

/// These agents have come; what was kept of their names is theirs.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Introduce(pub Vec<(AgentIndex, AgentName)>);

/// The book of samples.
#[derive(Debug)]
pub struct Samples {
    size: u16,
    durations: Vec<Option<Box<SampleWindow>>>,
    waiting: KeptRing,
    requests: BTreeMap<AgentIndex, KeptRing>,
    /// Who bears a name now.
    bearers: HashMap<AgentName, AgentIndex>,
    /// Of names that nobody bears yet.
    restored: HashMap<AgentName, Past>,
    unsaved: Unsaved,
}

/// Durations and answers of an agent before it came.
type Past = (Option<Box<SampleWindow>>, Option<KeptRing>);

/// What is not on its way to disk yet.
#[derive(Debug, Default)]
struct Unsaved {
    changes: Vec<Change>,
    waiting: bool,
    requests: BTreeSet<AgentIndex>,
    restarts: RestartLog,
    /// Until when old rows were forgotten.
    tidied: Option<Moment>,
}

impl Samples {
    /// An empty book that keeps so many samples per agent.
    pub fn new(size: u16) -> Self {
        Self::restored(size, Vec::new(), &[], Clocks::default())
    }

    /// A book as it was.
    pub fn restored(size: u16, samples: Vec<AgentSamples>, digests: &[DigestRow], now: Clocks) -> Self {
        let (waiting, requests) = kept::rings(digests, now);
        let mut restored: HashMap<AgentName, Past> = HashMap::new();
        for AgentSamples { agent, count, durations } in samples {
            restored.entry(agent).or_default().0 = Some(Box::new(SampleWindow::restored(size, count, durations)));
        }
        for (agent, ring) in requests {
            restored.entry(agent).or_default().1 = Some(KeptRing::new(ring));
        }
        let unsaved = Unsaved { restarts: RestartLog::restored(digests), ..Unsaved::default() };
        let waiting = KeptRing::new(waiting);
        let (durations, requests, bearers) = (Vec::new(), BTreeMap::new(), HashMap::new());
        Self { size, durations, waiting, requests, bearers, restored, unsaved }
    }

    /// Durations of an agent's successful executions; `None` if there was none.
    pub fn of(&self, agent: AgentIndex) -> Option<Summary> {
        self.durations.get(agent.slot())?.as_ref().map(|window| window.summary())
    }

    /// Latencies of an agent's answers on the bus in the last hour; `None` if it never answered.
    pub fn requests(&self, agent: AgentIndex, now: Moment) -> Option<Summary> {
        self.requests.get(&agent).map(|kept| kept.ring.merged(Duration::from_hours(1), now))
    }

    /// Waiting times of the last hour.
    pub fn waiting(&self, now: Moment) -> Summary {
        self.waiting.ring.merged(Duration::from_hours(1), now)
    }

    fn window(&mut self, agent: AgentIndex) -> &mut Option<Box<SampleWindow>> {
        if self.durations.len() <= agent.slot() {
            self.durations.resize_with(agent.slot() + 1, || None);
        }
        &mut self.durations[agent.slot()]
    }

    /// A new agent of a name takes over what there is of it, from a restart or from the agent that bore it before.
    fn introduce(&mut self, agent: AgentIndex, name: &AgentName) {
        let size = self.size;
        let (mut window, ring) = if let Some(before) = self.bearers.insert(name.clone(), agent) {
            (self.window(before).take(), self.requests.remove(&before))
        } else {
            self.restored.remove(name).unwrap_or_default()
        };
        if let Some(window) = &mut window {
            window.resize(size);
        }
        *self.window(agent) = window;
        if let Some(ring) = ring {
            self.requests.insert(agent, ring);
        }
    }

    /// What to write now; at most so many digests of answers.
    fn take_unsaved(
        &mut self,
        rings: usize,
        restart_window: Duration,
        name_of: impl Fn(AgentIndex) -> Option<AgentName>,
        now: Clocks,
    ) -> Vec<Change> {
        let mut changes = std::mem::take(&mut self.unsaved.changes);
        if std::mem::take(&mut self.unsaved.waiting) {
            changes.extend(self.waiting.row(None, now));
        }
        changes.extend(self.unsaved.restarts.row());
        for _ in 0..rings {
            let Some(agent) = self.unsaved.requests.pop_first() else { break };
            // Answers of one that has left meanwhile are nobody's.
            let (name, ring) = (name_of(agent), self.requests.get_mut(&agent));
            changes.extend(name.zip(ring).and_then(|(name, ring)| ring.row(Some(&name), now)));
        }
        let minute = Duration::from_mins(1);
        if !changes.is_empty() && self.unsaved.tidied.is_none_or(|at| now.steady.since(at) >= minute) {
            self.unsaved.tidied = Some(now.steady);
            changes.extend(kept::forget(restart_window, now.wall));
        }
        changes
    }
}

/// The actor of the samples.
pub struct PercentileTracker {
    house: Rc<House>,
    /// Armed while something is unsaved.
    saving: bool,
    _notice: ExitNotice,
}

impl PercentileTracker {
    /// An actor for the house's samples.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, saving: false, _notice: notice }
    }

    fn save_soon(&mut self, ctx: &mut Context<Self>) {
        if !self.saving && self.house.ledger.is_kept() {
            self.saving = true;
            ctx.run_later(patience(&self.house), |this, ctx| {
                this.saving = false;
                if save(&this.house, RINGS_AT_ONCE) {
                    this.save_soon(ctx);
                }
            });
        }
    }
}

/// Hands in what is unsaved, at most so many digests of answers; whether there are more.
fn save(house: &House, rings: usize) -> bool {
    let (now, window) = (house.now(), house.settings.borrow().breaker.window);
    let mut samples = house.samples.borrow_mut();
    let name_of = |agent| house.directory.borrow().get(agent).map(|slot| slot.name.clone());
    let changes = samples.take_unsaved(rings, window, name_of, now);
    let more = !samples.unsaved.requests.is_empty();
    drop(samples);
    if !changes.is_empty() {
        house.ledger.post(changes);
    }
    more
}

/// The last figures, before the store is closed.
pub fn save_all(house: &House) {
    save(house, usize::MAX);
}

impl Actor for PercentileTracker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What one that died left unsaved.
        self.save_soon(ctx);
    }
}

impl Handler<RecordSuccess> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, success: RecordSuccess, ctx: &mut Self::Context) {
        let now = self.house.clock.steady();
        let name = self.house.ledger.is_kept().then(|| {
            let directory = self.house.directory.borrow();
            directory.get(success.agent).map(|slot| slot.name.clone())
        });
        let mut samples = self.house.samples.borrow_mut();
        let size = samples.size;
        let window = samples.window(success.agent).get_or_insert_with(|| Box::new(SampleWindow::new(size)));
        window.push(success.duration);
        samples.waiting.ring.push(as_ms(success.waited), now);
        if let Some(agent) = name.flatten() {
            samples.unsaved.changes.push(Change::AddSample { agent, duration: success.duration });
            samples.unsaved.waiting = true;
            drop(samples);
            self.save_soon(ctx);
        }
    }
}

impl Handler<RecordRequest> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, request: RecordRequest, ctx: &mut Self::Context) {
        let now = self.house.clock.steady();
        let mut samples = self.house.samples.borrow_mut();
        let ring = samples.requests.entry(request.agent).or_insert_with(|| KeptRing::new(DigestRing::minutes()));
        ring.ring.push(as_ms(request.latency), now);
        if self.house.ledger.is_kept() {
            samples.unsaved.requests.insert(request.agent);
            drop(samples);
            self.save_soon(ctx);
        }
    }
}

impl Handler<RestartsTaken> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, RestartsTaken { count, at }: RestartsTaken, ctx: &mut Self::Context) {
        if self.house.ledger.is_kept() {
            let mut samples = self.house.samples.borrow_mut();
            let finished = samples.unsaved.restarts.take(count, at);
            samples.unsaved.changes.extend(finished);
            drop(samples);
            self.save_soon(ctx);
        }
    }
}

impl Handler<ResizeSamples> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, ResizeSamples(size): ResizeSamples, _: &mut Self::Context) {
        let mut samples = self.house.samples.borrow_mut();
        samples.size = size;
        for window in samples.durations.iter_mut().flatten() {
            window.resize(size);
        }
    }
}

impl Handler<Introduce> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, Introduce(agents): Introduce, _: &mut Self::Context) {
        let mut samples = self.house.samples.borrow_mut();
        for (agent, name) in agents {
            samples.introduce(agent, &name);
        }
    }
}
