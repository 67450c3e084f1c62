//! The percentile tracker: how long successful executions take and how long answers on the bus, per agent, and how long
//! executions wait, of all agents.
//!
//! Invariant: samples and waiting times are on their way to disk within 10 ms, several together. An agent's digests are
//! on their way within 10 ms if they change seldom, else within 5 s; and once more when a minute is over.

mod book;
pub mod figures;
pub mod kept;

use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_store::Reader;

use crate::agents::kept::{TOGETHER, patience};
use crate::alarm::{Alarm, Alarmed};
use crate::house::House;
use crate::observe::scores;
use crate::supervision::ExitNotice;

pub use book::Samples;

/// Digests that are looked at in one turn: about 0.1 ms. The next ones follow 10 ms later, so that the end of a minute of
/// many busy agents delays nobody.
const AT_ONCE: usize = 16;

/// Between two sweeps that forget old digests, and before the first one.
const SWEEP: Duration = Duration::from_hours(1);
const FIRST_SWEEP: Duration = Duration::from_mins(2);

/// Names in one step of a sweep, and the pause after it: at most a few thousand rows go at once.
const NAMES_A_STEP: usize = 20;
const BETWEEN_STEPS: Duration = Duration::from_millis(50);

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

/// The actor of the samples.
pub struct PercentileTracker {
    house: Rc<House>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl PercentileTracker {
    /// An actor for the house's samples.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, alarm: Alarm::default(), _notice: notice }
    }

    /// Sees to it that what has come is handed in soon, and that the digests are looked at when they are due.
    fn arm(&mut self, now: Moment, ctx: &mut Context<Self>) {
        let set = self.alarm.deadline();
        if set.is_some_and(|set| set <= now + TOGETHER) {
            return;
        }
        let (unsaved, next) = {
            let samples = self.house.samples.borrow();
            (samples.is_unsaved(), samples.next())
        };
        // What is due now waits for company, too.
        let soon = now + patience(&self.house);
        let deadline = if unsaved { Some(soon) } else { next.map(|at| at.max(soon)) };
        if set.is_none() || set > deadline || deadline.is_none() {
            let clock = self.house.clock;
            Alarm::set(self, deadline, clock, ctx);
        }
    }

    /// Forgets old digests, name by name in small steps.
    fn sweep(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(SWEEP, Self::sweep);
        if patience(&self.house) > TOGETHER {
            return; // The disk is not well.
        }
        let ledger = self.house.ledger.clone();
        let window = self.house.settings.borrow().breaker.window;
        let now = self.house.now().wall;
        let sweeping = async move {
            let names = ledger.read(Reader::digest_names).await.unwrap_or_default();
            ledger.post(vec![kept::forget_restarts(window, now)]);
            for names in names.chunks(NAMES_A_STEP) {
                ledger.post(names.iter().flat_map(|name| kept::forget(name, now)).collect());
                tokio::time::sleep(BETWEEN_STEPS).await;
            }
        };
        ctx.spawn(sweeping.into_actor(self));
    }
}

/// Hands in what is due; of the digests at most so many.
fn save(house: &House, most: usize) {
    let changes = house.samples.borrow_mut().take_due(most, house.now());
    if !changes.is_empty() {
        house.ledger.post(changes);
    }
}

/// The last figures, before the store is closed.
pub fn save_all(house: &House) {
    let changes = house.samples.borrow_mut().take_all(house.now());
    if !changes.is_empty() {
        house.ledger.post(changes);
    }
    scores::save_all(house);
}

impl Actor for PercentileTracker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // What one that died left unsaved.
        self.arm(self.house.clock.steady(), ctx);
        if self.house.ledger.is_kept() {
            ctx.run_later(FIRST_SWEEP, Self::sweep);
        }
    }
}

impl Alarmed for PercentileTracker {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        save(&self.house, AT_ONCE);
        self.arm(self.house.clock.steady(), ctx);
    }
}

impl Handler<RecordSuccess> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, success: RecordSuccess, ctx: &mut Self::Context) {
        let now = self.house.now();
        let keep = self.house.ledger.is_kept();
        self.house.samples.borrow_mut().succeeded(&success, keep, now);
        self.arm(now.steady, ctx);
    }
}

impl Handler<RecordRequest> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, request: RecordRequest, ctx: &mut Self::Context) {
        let now = self.house.now();
        self.house.samples.borrow_mut().answered(&request, now);
        self.arm(now.steady, ctx);
    }
}

impl Handler<RestartsTaken> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, RestartsTaken { count, at }: RestartsTaken, ctx: &mut Self::Context) {
        if self.house.ledger.is_kept() {
            self.house.samples.borrow_mut().restarted(count, at);
            self.arm(self.house.clock.steady(), ctx);
        }
    }
}

impl Handler<ResizeSamples> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, ResizeSamples(size): ResizeSamples, _: &mut Self::Context) {
        self.house.samples.borrow_mut().resize(size);
    }
}

impl Handler<Introduce> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, Introduce(agents): Introduce, ctx: &mut Self::Context) {
        let now = self.house.now();
        let mut samples = self.house.samples.borrow_mut();
        for (agent, name) in agents {
            samples.introduce(agent, name, now);
        }
        drop(samples);
        self.arm(now.steady, ctx);
    }
}
