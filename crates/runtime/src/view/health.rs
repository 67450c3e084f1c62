//! Health: of the orchestrator itself, and of one agent with its probes and what will happen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::agent::InstanceView;
use werkpilot_core::breaker::BreakerState;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::probes::Verdict;
use werkpilot_core::reason::{Reason, UnhealthyDependency};
use werkpilot_core::spec::{Health, Probe, RestartPolicy, ServiceSpec};
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Moment, Timestamp, as_ms, human};
use werkpilot_core::vitals::{DiskSpace, LATE_LOOP, LATE_SCHEDULE, Part, PartReport, PartState, Trouble};

use super::agents::HealthCheck;
use super::system::{StoreView, phase_word, statuses, store};
use crate::directory::Slot;
use crate::house::{House, HousePhase};
use crate::observe::health::{OverallCheck, verdict};

/// The health of the orchestrator itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthView {
    /// `booting`, `running` or `shutting_down`.
    pub phase: &'static str,
    /// Whether the boot is over and no shutdown has begun.
    pub ready: bool,
    /// Whether no part that matters fails.
    pub healthy: bool,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Every part, with what is wrong with it.
    pub parts: Vec<PartReport>,
    /// System actors that are not there at this moment.
    pub missing_actors: Vec<&'static str>,
    /// How late the event loop is.
    pub event_loop: LoopView,
    /// Room on the disk of the state; null if it is not known.
    pub disk: Option<DiskSpace>,
    /// Executions of the schedule's last batch, and how late it was.
    pub schedule: Option<ScheduleView>,
    /// When the overall check looked at some agents last.
    pub last_overall_check: Option<Timestamp>,
    /// Agents by status.
    pub statuses: BTreeMap<&'static str, u32>,
    /// The state on disk.
    pub store: StoreView,
}

impl HealthView {
    /// The parts because of which it is not ready.
    pub fn unready_because(&self) -> Vec<&PartReport> {
        self.failing(Part::is_needed_to_be_ready)
    }

    /// The parts because of which it is not healthy.
    pub fn unhealthy_because(&self) -> Vec<&PartReport> {
        self.failing(Part::is_needed_to_be_healthy)
    }

    fn failing(&self, matters: impl Fn(Part) -> bool) -> Vec<&PartReport> {
        self.parts.iter().filter(|part| part.state == PartState::Failing && matters(part.part)).collect()
    }
}

/// How late the event loop is; null until it is measured.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoopView {
    /// Now.
    pub lag_ms: Option<f64>,
    /// At worst within the last minute.
    pub worst_lag_ms: Option<f64>,
}

/// The last batch of the schedule.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleView {
    /// Executions in it.
    pub executions: u32,
    /// From the time that they were scheduled for until they were in the queue.
    pub lag_ms: f64,
}

/// The health of the orchestrator itself.
pub fn health(house: &House) -> HealthView {
    let now = house.now();
    let (missing_actors, store) = (missing_actors(house), store(house));
    let (dispatcher, directory, vitals) = (house.dispatcher.borrow(), house.directory.borrow(), house.vitals.borrow());
    let lag = vitals.lag_now(now.steady);
    let missing = (!missing_actors.is_empty()).then(|| Trouble::ActorsMissing { actors: missing_actors.clone() });
    let not_kept = (!store.is_well())
        .then(|| Trouble::NotKept { reason: store.reason.clone().unwrap_or_else(|| store.state.to_owned()) });
    let late_loop = lag.filter(|lag| *lag >= LATE_LOOP).map(|lag| Trouble::LoopLate { lag });
    let parts = vec![
        PartReport::unless(Part::Phase, trouble_of_phase(house)),
        PartReport::unless(Part::Actors, missing),
        PartReport::unless(Part::EventLoop, late_loop),
        PartReport::unless(Part::Store, not_kept),
        PartReport::of_disk(vitals.disk.as_ref()),
        PartReport::unless(Part::Schedule, late_schedule(house, now)),
    ];
    let mut view = HealthView {
        phase: phase_word(house),
        ready: false,
        healthy: false,
        uptime_seconds: now.steady.since(Moment::ZERO).as_secs_f64(),
        parts,
        missing_actors,
        event_loop: LoopView { lag_ms: lag.map(as_ms), worst_lag_ms: vitals.worst_lag(now.steady).map(as_ms) },
        disk: vitals.disk.clone().and_then(Result::ok),
        schedule: house
            .schedule_lag
            .get()
            .map(|batch| ScheduleView { executions: batch.entries, lag_ms: as_ms(batch.lag) }),
        last_overall_check: vitals.last_overall_check,
        statuses: statuses(directory.iter().map(|(index, _)| dispatcher.status(index))),
        store,
    };
    (view.ready, view.healthy) = (view.unready_because().is_empty(), view.unhealthy_because().is_empty());
    view
}

pub(super) fn missing_actors(house: &House) -> Vec<&'static str> {
    let posts = &house.posts;
    let actors = [
        ("event log", posts.events.addr().is_some()),
        ("archivist", posts.archivist.addr().is_some()),
        ("notifier", posts.notifier.addr().is_some()),
        ("dead letters", posts.dead_letters.addr().is_some()),
        ("percentile tracker", posts.percentiles.addr().is_some()),
        ("score keeper", posts.scores.addr().is_some()),
        ("memory monitor", posts.memory.addr().is_some()),
        ("health monitor", posts.health.addr().is_some()),
        ("vitals", posts.vitals.addr().is_some()),
        ("scores", posts.scores.addr().is_some()),
        ("notifier", posts.notifier.addr().is_some()),
        ("optimizer", posts.optimizer.addr().is_some()),
        ("queue", posts.queue.addr().is_some()),
        ("schedule", posts.schedule.addr().is_some()),
        ("bus link", house.bus.is_none() || posts.bus_link.addr().is_some()),
        ("bus", house.bus.as_ref().is_none_or(|side| side.bus.post().addr().is_some())),
    ];
    actors.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect()
}

fn trouble_of_phase(house: &House) -> Option<Trouble> {
    match house.phase.get() {
        HousePhase::ShuttingDown => Some(Trouble::ShuttingDown),
        // Only once who reads the events finds the end of the boot there.
        HousePhase::Running if house.events.borrow().counts().contains_key("boot.completed") => None,
        HousePhase::Running | HousePhase::Booting => Some(Trouble::Booting),
    }
}

/// The schedule hands over what is due within milliseconds; nothing is due any more once it goes down.
pub(super) fn late_schedule(house: &House, now: Clocks) -> Option<Trouble> {
    if house.phase.get() == HousePhase::ShuttingDown {
        return None;
    }
    let due = house.timetable.borrow().next_deadline(now)?;
    let lag = now.steady.since(due);
    (lag >= LATE_SCHEDULE).then_some(Trouble::ScheduleLate { lag })
}

/// The health of one agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentHealth {
    /// Its name.
    pub agent: AgentName,
    /// `job` or `service`.
    pub kind: &'static str,
    /// Its status.
    pub status: Status,
    /// Whether it is well as those that depend on it see it.
    pub healthy: bool,
    /// What an overall check would say now.
    pub now: VerdictView,
    /// The last look at it, by a probe of its own or by the overall check.
    pub last_health_check: Option<HealthCheck>,
    /// What the last overall check said; null before the first one since the start.
    pub last_overall_check: Option<OverallView>,
    /// When the next overall check looks at it.
    pub next_overall_check: Option<Timestamp>,
    /// Since when it is unhealthy, if a process of it is.
    pub unhealthy_since: Option<Timestamp>,
    /// What is watched, for each instance that runs.
    pub probes: Vec<ProbeView>,
    /// What will happen by itself.
    pub outlook: Vec<Outlook>,
    /// Dependencies that are not as they have to be now.
    pub unhealthy_dependencies: Vec<UnhealthyDependency>,
}

/// A verdict with its reasons as sentences beside their codes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictView {
    /// `healthy`, `unhealthy` or `not_checkable`.
    pub verdict: &'static str,
    /// What is wrong, or why it can't be told.
    pub reasons: Vec<Reason>,
    /// The same for people.
    pub text: Option<String>,
}

/// What the last overall check said.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OverallView {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub verdict: VerdictView,
}

/// One thing that is watched of one instance.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProbeView {
    /// The instance, from 0.
    pub instance: u16,
    /// `http`, `tcp`, `exec`, `bus`, `notify` or `max_silence`.
    pub kind: &'static str,
    /// The URL, the address or the command.
    pub target: Option<String>,
    /// How often, or how long at most between two signs.
    pub interval_ms: f64,
    /// How long one probe may take; null where nobody asks.
    pub timeout_ms: Option<f64>,
    /// So many failures in a row make it unhealthy.
    pub failures_allowed: u32,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// Whether it is well by this.
    pub healthy: bool,
    /// How the last probe went.
    pub last: Option<LastProbeView>,
    /// When the next one is due; null where nobody asks, or while one is in flight.
    pub next_at: Option<Timestamp>,
    /// Whether one is in flight.
    pub in_flight: bool,
}

/// How a probe went.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastProbeView {
    /// When it ended.
    pub at: Timestamp,
    /// Whether it passed.
    pub healthy: bool,
    /// How long it took.
    pub took_ms: f64,
    /// What was wrong.
    pub error: Option<String>,
}

/// Something that will happen by itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// `restart`, `start`, `left`, `unhealthy` or `trial`.
    pub what: &'static str,
    /// Of which instance; null: of the agent.
    pub instance: Option<u16>,
    /// When; null: that depends.
    pub at: Option<Timestamp>,
    /// For people.
    pub text: String,
}

impl From<&Verdict> for VerdictView {
    fn from(verdict: &Verdict) -> Self {
        let reasons = match verdict {
            Verdict::Healthy => Vec::new(),
            Verdict::Unhealthy { reasons } => reasons.clone(),
            Verdict::NotCheckable { reason } => vec![reason.clone()],
        };
        let texts: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        Self { verdict: verdict.as_str(), text: (!texts.is_empty()).then(|| texts.join("; ")), reasons }
    }
}

/// The health of one agent.
pub fn agent_health(house: &House, name: &str) -> Option<AgentHealth> {
    let now = house.now();
    let index = house.directory.borrow().find(name)?;
    let verdict = verdict(house, index, command_missing(house, index))?;
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    let slot = directory.get(index)?;
    let instances = slot.machine.borrow().instances();
    let ill_since = instances.iter().filter_map(|instance| Some(instance.illness.as_ref()?.since)).min();
    let next_overall = house.health.borrow().next_overall(index.slot(), directory.slots());
    Some(AgentHealth {
        agent: slot.name.clone(),
        kind: if slot.spec.job().is_some() { "job" } else { "service" },
        status: dispatcher.status(index),
        healthy: dispatcher.problem(index).is_none(),
        now: VerdictView::from(&verdict),
        last_health_check: slot.last_health_check.as_ref().map(HealthCheck::from),
        last_overall_check: slot
            .last_overall
            .as_deref()
            .map(|OverallCheck { at, verdict }| OverallView { at: *at, verdict: VerdictView::from(verdict) }),
        next_overall_check: next_overall.map(|at| now.wall_at(at)),
        unhealthy_since: ill_since,
        probes: instances.iter().flat_map(|instance| probes(house, slot, instance, now)).collect(),
        outlook: outlook(house, slot, &instances, now),
        unhealthy_dependencies: dispatcher.unhealthy_dependencies(index),
    })
}

/// What the last overall check found wrong with its command: the disk is not asked here.
fn command_missing(house: &House, agent: AgentIndex) -> Option<String> {
    let directory = house.directory.borrow();
    let Verdict::Unhealthy { reasons } = &directory.get(agent)?.last_overall.as_ref()?.verdict else { return None };
    reasons.iter().find_map(|reason| match reason {
        Reason::CommandMissing { message } => Some(message.clone()),
        _ => None,
    })
}

pub(super) fn probes(house: &House, slot: &Slot, instance: &InstanceView, now: Clocks) -> Vec<ProbeView> {
    let (Some(service), Some(process)) = (slot.spec.service(), instance.process) else { return Vec::new() };
    let ill = |what: &dyn Fn(&Reason) -> bool| {
        instance.illness.as_ref().is_some_and(|illness| illness.reasons.iter().any(what))
    };
    let mut views = Vec::new();
    if let Some(health) = &service.health {
        let book = house.health.borrow();
        let watched = book.watched(process);
        let next = book.next_probe(process);
        let expired = ill(&|reason| matches!(reason, Reason::WatchdogExpired));
        let asked = health.probe.is_asked();
        views.push(ProbeView {
            instance: instance.instance,
            kind: health.probe.as_str(),
            target: target(&health.probe),
            interval_ms: as_ms(health.interval),
            timeout_ms: asked.then(|| as_ms(health.timeout)),
            failures_allowed: if asked { health.failures } else { 1 },
            failures_in_a_row: watched.map_or(0, |watched| watched.liveness.failures_in_a_row()),
            healthy: watched.map_or(!expired, |watched| watched.liveness.is_healthy()),
            last: watched.and_then(|watched| watched.last.as_ref()).map(|last| LastProbeView {
                at: last.at,
                healthy: last.result.is_ok(),
                took_ms: as_ms(last.took),
                error: last.result.clone().err(),
            }),
            next_at: next.filter(|(_, in_flight)| !in_flight).map(|(at, _)| now.wall_at(at)),
            in_flight: next.is_some_and(|(_, in_flight)| in_flight),
        });
    }
    views.extend(service.max_silence.map(|max| silence(instance, max, !ill(&|r| matches!(r, Reason::Silent { .. })))));
    views
}

fn silence(instance: &InstanceView, max_silence: Duration, healthy: bool) -> ProbeView {
    ProbeView {
        instance: instance.instance,
        kind: "max_silence",
        target: None,
        interval_ms: as_ms(max_silence),
        timeout_ms: None,
        failures_allowed: 1,
        failures_in_a_row: 0,
        healthy,
        last: None,
        next_at: None,
        in_flight: false,
    }
}

fn target(probe: &Probe) -> Option<String> {
    match probe {
        Probe::Http(url) => Some(url.clone()),
        Probe::Tcp(address) => Some(address.clone()),
        Probe::Exec(argv) => Some(argv.join(" ")),
        Probe::Bus | Probe::Notify => None,
    }
}

fn outlook(house: &House, slot: &Slot, instances: &[InstanceView], now: Clocks) -> Vec<Outlook> {
    let mut all = Vec::new();
    if let BreakerState::Open { until, .. } = slot.machine.borrow().breaker_state() {
        let at = Some(now.wall_at(until));
        all.push(Outlook {
            what: "trial",
            instance: None,
            at,
            text: "it is tried once, to see whether it works".into(),
        });
    }
    let Some(service) = slot.spec.service() else { return all };
    all.extend(instances.iter().filter_map(|instance| outlook_of(house, service, instance, now)));
    all
}

fn outlook_of(house: &House, service: &ServiceSpec, instance: &InstanceView, now: Clocks) -> Option<Outlook> {
    let told = |what, at: Option<Moment>, text: String| {
        let at = at.map(|at| now.wall_at(at));
        Some(Outlook { what, instance: Some(instance.instance), at, text })
    };
    if let Some(illness) = &instance.illness {
        return match illness.ends_at {
            Some(at) => {
                told("restart", Some(at), "it is ended and started again, unless it recovers before".to_owned())
            }
            None => told("left", None, "it is left as it is (restart = \"never\") until it recovers".to_owned()),
        };
    }
    if let Some(at) = instance.next_attempt {
        return told("start", Some(at), "it is started again, if the limit of all restarts has room".to_owned());
    }
    let book = house.health.borrow();
    let watched = book.watched(instance.process?)?;
    let (failed, Health { failures, interval, .. }) = (watched.liveness.failures_in_a_row(), &watched.health);
    if failed == 0 {
        return None;
    }
    let left = failures.saturating_sub(failed).max(1);
    let then = if service.restart == RestartPolicy::Never { "marked" } else { "restarted after a grace" };
    let text = format!("after {left} more failures, one per {}, it is unhealthy and {then}", human(*interval));
    told("unhealthy", None, text)
}
