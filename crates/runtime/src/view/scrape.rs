//! What a scraper of metrics gets: the overview, and the figures that only it asks for. Numbers and words, no texts.

use std::collections::BTreeMap;
use std::time::Duration;

use werkpilot_core::breaker::BreakerState;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentName;
use werkpilot_core::optimizer::ReportSummary;
use werkpilot_core::time::{Clocks, Timestamp};

use super::health::{self, HealthView, ProbeView};
use super::memory::{MemoryState, memory_state};
use super::system::{Overview, overview};
use super::{BusView, RequestTimes, request_times};
use crate::directory::Slot;
use crate::house::House;
use crate::observe::health::Finding;
use crate::observe::notifications::{NotificationView, notifications};
use crate::observe::stream::StreamFigures;

/// What a scraper of metrics gets.
#[derive(Clone, Debug)]
pub struct Scrape {
    /// When it was made.
    pub at: Timestamp,
    /// The fleet.
    pub overview: Overview,
    /// The orchestrator's own health.
    pub health: HealthView,
    /// The probes as a whole.
    pub probing: ProbingFigures,
    /// Memory and its ladder.
    pub memory: MemoryState,
    /// The optimizer.
    pub optimizer: OptimizerFigures,
    /// The boot; `None` until it is over.
    pub boot: Option<BootFigures>,
    /// The breaker of all agents.
    pub breaker: BreakerFigures,
    /// The desk of the dead letters.
    pub dead_letters: DeskFigures,
    /// The number of the newest event; it goes on after a restart.
    pub newest_event: u64,
    /// Those who look on live.
    pub streams: StreamFigures,
    /// What the overview does not have, per agent, in its order.
    pub agents: Vec<AgentFigures>,
    /// Targets of notifications.
    pub notifications: Vec<NotificationView>,
    /// Latencies of agents that answered requests.
    pub requests: BTreeMap<AgentName, RequestTimes>,
    /// The bus, if it answers.
    pub bus: Option<BusView>,
    /// What HTTP counted of itself; the server fills it in.
    pub http: Option<HttpFigures>,
}

/// What HTTP counted of itself since the start. The words of each list are those of the metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpFigures {
    /// Open connections.
    pub connections: u64,
    /// Handlers that panicked.
    pub panics: u64,
    /// Answers by the first digit of their status, from 1 to 5.
    pub answers: Vec<u64>,
    /// Requests that were refused before a handler saw them, by what was wrong with them.
    pub refused: Vec<u64>,
    /// Connections that were closed, by the reason.
    pub closed: Vec<u64>,
}

/// The probes as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbingFigures {
    /// Processes that are probed.
    pub watched: usize,
    /// Probes in flight.
    pub in_flight: usize,
}

/// What the boot took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootFigures {
    /// Until the last layer was started.
    pub duration: Duration,
    /// Layers.
    pub layers: u32,
    /// Services that were not ready in time.
    pub late: usize,
}

/// The breaker of all agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BreakerFigures {
    /// Restarts and retries within its window.
    pub restarts: u32,
    /// At most so many; 0 is unlimited.
    pub max_restarts: u32,
    /// Its window.
    pub window: Duration,
    /// Restarts and retries ever.
    pub total: u64,
}

/// The desk of the dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeskFigures {
    /// Letters at most.
    pub capacity: usize,
    /// That wait in memory until the disk takes them.
    pub waiting_for_disk: usize,
}

/// The optimizer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptimizerFigures {
    /// Whether a run goes on.
    pub running: bool,
    /// When the next run of the night is.
    pub next_run: Option<Timestamp>,
    /// The newest report that is kept.
    pub newest_report: Option<ReportSummary>,
    /// Decisions in effect.
    pub decisions: usize,
}

/// What the overview does not have of an agent.
#[derive(Clone, Debug)]
pub struct AgentFigures {
    /// Whose.
    pub name: AgentName,
    /// Whether it is well as those that depend on it see it.
    pub healthy: bool,
    /// When it was looked at last, and whether it passed; `None`: that could not be told.
    pub last_check: Option<(Timestamp, Option<bool>)>,
    /// `closed`, `open` or `half_open`.
    pub breaker: &'static str,
    /// Its dead letters that are kept.
    pub dead_letters: u32,
    /// Its probes by kind, all instances taken together.
    pub probes: Vec<ProbeFigures>,
}

/// One kind of probe of an agent, over all of its instances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeFigures {
    /// `http`, `tcp`, `exec`, `bus`, `notify` or `max_silence`.
    pub kind: &'static str,
    /// Whether all instances are well by it.
    pub healthy: bool,
    /// Failures in a row of the worst instance.
    pub failures_in_a_row: u32,
    /// What the last probe took, of the slowest instance.
    pub took_ms: Option<f64>,
}

impl Scrape {
    /// All but the bus, which is asked apart.
    pub fn of(house: &House) -> Self {
        let now = house.now();
        Self {
            at: now.wall,
            overview: overview(house),
            health: health::health(house),
            probing: probing(house),
            memory: memory_state(house),
            optimizer: optimizer(house, now),
            boot: boot(house),
            breaker: breaker(house, now),
            dead_letters: desk(house),
            newest_event: house.events.borrow().newest(),
            streams: house.streams.borrow().figures(),
            agents: agents(house, now),
            notifications: notifications(house),
            requests: request_times(house),
            bus: None,
            http: None,
        }
    }
}

fn probing(house: &House) -> ProbingFigures {
    let book = house.health.borrow();
    ProbingFigures { watched: book.watched_count(), in_flight: book.in_flight() }
}

fn boot(house: &House) -> Option<BootFigures> {
    match house.boot_report.borrow().as_ref()? {
        Event::BootCompleted { layers, duration, late, .. } => {
            Some(BootFigures { duration: *duration, layers: *layers, late: late.len() })
        }
        _ => None,
    }
}

fn optimizer(house: &House, now: Clocks) -> OptimizerFigures {
    let book = house.optimizer.borrow();
    OptimizerFigures {
        running: book.running().is_some(),
        next_run: book.next_run(now),
        newest_report: book.newest_report.clone(),
        decisions: book.decisions.iter().filter(|decision| decision.stands()).count(),
    }
}

fn breaker(house: &House, now: Clocks) -> BreakerFigures {
    let settings = house.settings.borrow();
    let mut dispatcher = house.dispatcher.borrow_mut();
    BreakerFigures {
        restarts: dispatcher.restarts_within(now.steady, settings.breaker.window),
        max_restarts: settings.breaker.max_restarts,
        window: settings.breaker.window,
        total: dispatcher.restarts_taken(),
    }
}

fn desk(house: &House) -> DeskFigures {
    let desk = house.dead_letters.borrow();
    DeskFigures { capacity: desk.capacity(), waiting_for_disk: desk.waiting_for_disk() }
}

fn agents(house: &House, now: Clocks) -> Vec<AgentFigures> {
    let mut letters: BTreeMap<AgentName, u32> = BTreeMap::new();
    for letter in house.dead_letters.borrow().iter() {
        *letters.entry(letter.agent.clone()).or_default() += 1;
    }
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    let figures = directory.iter().map(|(index, slot)| AgentFigures {
        name: slot.name.clone(),
        healthy: dispatcher.problem(index).is_none(),
        last_check: slot.last_health_check.as_ref().map(|check| (check.at, passed(check.finding))),
        breaker: breaker_word(slot.machine.borrow().breaker_state()),
        dead_letters: letters.get(&slot.name).copied().unwrap_or(0),
        probes: probes(house, slot, now),
    });
    figures.collect()
}

const fn passed(finding: Finding) -> Option<bool> {
    match finding {
        Finding::Healthy => Some(true),
        Finding::Unhealthy => Some(false),
        Finding::NotCheckable => None,
    }
}

const fn breaker_word(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::Open { .. } => "open",
        BreakerState::HalfOpen { .. } => "half_open",
    }
}

fn probes(house: &House, slot: &Slot, now: Clocks) -> Vec<ProbeFigures> {
    let is_watched =
        |service: &werkpilot_core::spec::ServiceSpec| service.health.is_some() || service.max_silence.is_some();
    if !slot.spec.service().is_some_and(is_watched) {
        return Vec::new();
    }
    let instances = slot.machine.borrow().instances();
    merged(instances.iter().flat_map(|instance| health::probes(house, slot, instance, now)))
}

/// The worst of all instances, by kind.
fn merged(views: impl Iterator<Item = ProbeView>) -> Vec<ProbeFigures> {
    let mut all: Vec<ProbeFigures> = Vec::new();
    for view in views {
        let took_ms = view.last.as_ref().map(|last| last.took_ms);
        match all.iter_mut().find(|figures| figures.kind == view.kind) {
            Some(known) => {
                known.healthy &= view.healthy;
                known.failures_in_a_row = known.failures_in_a_row.max(view.failures_in_a_row);
                known.took_ms = [known.took_ms, took_ms].into_iter().flatten().reduce(f64::max);
            }
            None => all.push(ProbeFigures {
                kind: view.kind,
                healthy: view.healthy,
                failures_in_a_row: view.failures_in_a_row,
                took_ms,
            }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::LastProbeView;
    use super::*;

    fn view(kind: &'static str, healthy: bool, failures_in_a_row: u32, took_ms: Option<f64>) -> ProbeView {
        let last = |took_ms| LastProbeView { at: Timestamp::from_millis(0), healthy, took_ms, error: None };
        ProbeView {
            instance: 0,
            kind,
            target: None,
            interval_ms: 1_000.0,
            timeout_ms: None,
            failures_allowed: 3,
            failures_in_a_row,
            healthy,
            last: took_ms.map(last),
            next_at: None,
            in_flight: false,
        }
    }

    #[test]
    fn an_agents_probe_is_as_bad_as_its_worst_instance() {
        let views = [
            view("http", true, 0, Some(3.0)),
            view("max_silence", true, 0, None),
            view("http", false, 4, None),
            view("http", true, 1, Some(2.0)),
        ];
        let figures = merged(views.into_iter());
        assert_eq!(
            figures,
            [
                ProbeFigures { kind: "http", healthy: false, failures_in_a_row: 4, took_ms: Some(3.0) },
                ProbeFigures { kind: "max_silence", healthy: true, failures_in_a_row: 0, took_ms: None },
            ]
        );
    }
}
