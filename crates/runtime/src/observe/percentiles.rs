//! The percentile tracker: how long successful executions take, per agent, and how long they wait, of all agents.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::percentiles::{DigestRing, SampleWindow, Summary};
use werkpilot_core::time::{Moment, as_ms};

use crate::house::House;
use crate::supervision::ExitNotice;

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

/// Keeps so many samples per agent from now on.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResizeSamples(pub u16);

/// The book of samples.
#[derive(Debug)]
pub struct Samples {
    size: u16,
    durations: Vec<Option<Box<SampleWindow>>>,
    waiting: DigestRing,
    requests: BTreeMap<AgentIndex, DigestRing>,
}

impl Samples {
    /// An empty book that keeps so many samples per agent.
    pub fn new(size: u16) -> Self {
        Self { size, durations: Vec::new(), waiting: DigestRing::minutes(), requests: BTreeMap::new() }
    }

    /// Durations of an agent's successful executions; `None` if there was none.
    pub fn of(&self, agent: AgentIndex) -> Option<Summary> {
        self.durations.get(agent.slot())?.as_ref().map(|window| window.summary())
    }

    /// Latencies of an agent's answers on the bus in the last hour; `None` if it never answered.
    pub fn requests(&self, agent: AgentIndex, now: Moment) -> Option<Summary> {
        self.requests.get(&agent).map(|ring| ring.merged(Duration::from_hours(1), now))
    }

    /// Waiting times of the last hour.
    pub fn waiting(&self, now: Moment) -> Summary {
        self.waiting.merged(Duration::from_hours(1), now)
    }
}

/// The actor of the samples.
pub struct PercentileTracker {
    house: Rc<House>,
    _notice: ExitNotice,
}

impl PercentileTracker {
    /// An actor for the house's samples.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, _notice: notice }
    }
}

impl Actor for PercentileTracker {
    type Context = Context<Self>;
}

impl Handler<RecordSuccess> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, success: RecordSuccess, _: &mut Self::Context) {
        let now = self.house.clock.steady();
        let mut samples = self.house.samples.borrow_mut();
        let size = samples.size;
        if samples.durations.len() <= success.agent.slot() {
            samples.durations.resize_with(success.agent.slot() + 1, || None);
        }
        let window = samples.durations[success.agent.slot()].get_or_insert_with(|| Box::new(SampleWindow::new(size)));
        window.push(success.duration);
        samples.waiting.push(as_ms(success.waited), now);
    }
}

impl Handler<RecordRequest> for PercentileTracker {
    type Result = ();
    fn handle(&mut self, request: RecordRequest, _: &mut Self::Context) {
        let now = self.house.clock.steady();
        let mut samples = self.house.samples.borrow_mut();
        let ring = samples.requests.entry(request.agent).or_insert_with(DigestRing::minutes);
        ring.push(as_ms(request.latency), now);
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
