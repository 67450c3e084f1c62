//! What the health monitor knows: whose readiness is looked for, who is probed and how that went, and whose turn it is in the
//! overall check.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use werkpilot_core::agent::{LONGEST_GRACE, ProcessKey};
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::probes::{Liveness, LivenessVerdict, OverallPlan, ProbePlan, ProbeResult, Verdict};
use werkpilot_core::spec::{AgentSpec, Health};
use werkpilot_core::time::{Moment, Timestamp};

/// Health probes in flight at a time: enough for ten thousand services at a probe a minute, few enough for the machine.
pub const AT_ONCE: usize = 64;
/// Characters of a finding that are kept.
const MAX_FINDING: usize = 300;

/// The last look at an agent's health: by a probe of its own, or by the overall check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// When.
    pub at: Timestamp,
    /// What was found.
    pub finding: Finding,
    /// What is wrong, or why it can't be told.
    pub reason: Option<Box<str>>,
}

/// What a look at an agent's health finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
    /// It can't be told.
    NotCheckable,
}

impl LastCheck {
    fn of_probe(at: Timestamp, result: &Result<(), String>) -> Self {
        match result {
            Ok(()) => Self { at, finding: Finding::Healthy, reason: None },
            Err(why) => Self { at, finding: Finding::Unhealthy, reason: Some(why.as_str().into()) },
        }
    }

    /// By the overall check.
    pub fn of_verdict(at: Timestamp, verdict: &Verdict) -> Self {
        let finding = match verdict {
            Verdict::Healthy => Finding::Healthy,
            Verdict::Unhealthy { .. } => Finding::Unhealthy,
            Verdict::NotCheckable { .. } => Finding::NotCheckable,
        };
        let short = |reason: String| reason.chars().take(MAX_FINDING).collect::<String>().into_boxed_str();
        Self { at, finding, reason: verdict.reason().map(ToString::to_string).map(short) }
    }
}

/// What the last overall check said of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct OverallCheck {
    /// When.
    pub at: Timestamp,
    /// What it said.
    pub verdict: Verdict,
}

/// A process that is probed.
#[derive(Debug)]
pub struct Watched {
    /// What is looked at, and how often.
    pub health: Health,
    /// The definition that the probe's command runs with.
    pub spec: Arc<AgentSpec>,
    /// The verdict so far.
    pub liveness: Liveness,
    /// The last probe.
    pub last: Option<LastProbe>,
}

/// How a probe went.
#[derive(Clone, Debug)]
pub struct LastProbe {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it found.
    pub result: Result<(), String>,
}

/// A probe's command in flight.
#[derive(Debug)]
pub struct RunningCommand {
    /// Whom it probes.
    pub process: ProcessKey,
    /// When it was started.
    pub since: Moment,
    /// Its time is over: what is still to come of it is its end.
    pub judged: bool,
}

/// What the monitor knows. It outlives the actor.
#[derive(Debug)]
pub struct HealthBook {
    pub(super) unready: HashMap<ProcessKey, Arc<AgentSpec>>,
    pub(super) watched: BTreeMap<ProcessKey, Watched>,
    pub(super) plan: ProbePlan,
    pub(super) running: HashMap<u32, RunningCommand>,
    pub(super) last_serial: u32,
    pub(super) overall: OverallPlan,
    pub(super) stopped: bool,
}

pub(super) fn plan_key(process: ProcessKey) -> u64 {
    u64::from(process.agent.0) << 32 | u64::from(process.serial)
}

pub(super) fn from_plan_key(key: u64) -> ProcessKey {
    let low = u32::try_from(key & u64::from(u32::MAX)).expect("32 bits");
    let high = u32::try_from(key >> 32).expect("32 bits");
    ProcessKey { agent: AgentIndex(high), serial: low }
}

impl HealthBook {
    /// Nobody is probed; the overall check begins with the first slice of `interval`.
    pub fn new(interval: Duration, now: Moment) -> Self {
        Self {
            unready: HashMap::new(),
            watched: BTreeMap::new(),
            plan: ProbePlan::new(AT_ONCE),
            running: HashMap::new(),
            last_serial: 0,
            overall: OverallPlan::new(interval, now),
            stopped: false,
        }
    }

    /// How a process is probed, if it is.
    pub fn watched(&self, process: ProcessKey) -> Option<&Watched> {
        self.watched.get(&process)
    }

    /// How many processes are probed.
    pub fn watched_count(&self) -> usize {
        self.watched.len()
    }

    /// How many probes are in flight.
    pub fn in_flight(&self) -> usize {
        self.plan.in_flight()
    }

    /// When the next probe of a process is due, and whether one is in flight.
    pub fn next_probe(&self, process: ProcessKey) -> Option<(Moment, bool)> {
        self.plan.due_at(plan_key(process)).filter(|_| !self.stopped)
    }

    /// When the overall check looks at the agent in this slot, of so many.
    pub fn next_overall(&self, slot: usize, slots: usize) -> Option<Moment> {
        (!self.stopped).then(|| self.overall.next_of(slot, slots))
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let probe = self.plan.next_deadline();
        (!self.stopped).then(|| probe.map_or(self.overall.next_deadline(), |at| at.min(self.overall.next_deadline())))
    }

    /// Probes a process from now on; if it is probed already, by its new definition and with the verdict so far.
    pub(super) fn watch(&mut self, process: ProcessKey, spec: Arc<AgentSpec>, now: Moment) {
        let asked = |health: &&Health| health.probe.is_asked();
        let Some(health) = spec.service().and_then(|service| service.health.as_ref()).filter(asked).cloned() else {
            return;
        };
        let (interval, failures) = (health.interval, health.failures);
        let before = self.watched.remove(&process);
        let (mut liveness, last) =
            before.map_or_else(|| (Liveness::new(failures), None), |before| (before.liveness, before.last));
        liveness.configure(failures);
        let key = plan_key(process);
        let sick = liveness.failures_in_a_row() > 0;
        self.watched.insert(process, Watched { health, spec, liveness, last });
        self.plan.insert(key, interval, key, now);
        if sick {
            self.plan.hasten(key, soon(interval), now);
        }
    }

    pub(super) fn unwatch(&mut self, process: ProcessKey) {
        self.unready.remove(&process);
        if self.watched.remove(&process).is_some() {
            self.plan.remove(plan_key(process));
        }
    }

    /// Takes a probe's result; `None`: the process is not probed any more.
    pub(super) fn judge(
        &mut self,
        process: ProcessKey,
        took: Duration,
        at: Timestamp,
        result: Result<(), String>,
    ) -> Option<(LivenessVerdict, LastCheck)> {
        let watched = self.watched.get_mut(&process)?;
        let result = result.map_err(|why| why.chars().take(MAX_FINDING).collect::<String>());
        let verdict = watched.liveness.on(match &result {
            Ok(()) => ProbeResult::Passed,
            Err(why) => ProbeResult::Failed(why.clone()),
        });
        let check = LastCheck::of_probe(at, &result);
        watched.last = Some(LastProbe { at, took, result });
        Some((verdict, check))
    }

    /// A probe is over. Who is unhealthy is looked at again within its grace.
    pub(super) fn finished(&mut self, process: ProcessKey, now: Moment) {
        let key = plan_key(process);
        self.plan.finished(key, now);
        if let Some(watched) = self.watched.get(&process).filter(|watched| !watched.liveness.is_healthy()) {
            self.plan.hasten(key, soon(watched.health.interval), now);
        }
    }
}

/// Twice within the grace.
fn soon(interval: Duration) -> Duration {
    interval.min(LONGEST_GRACE) / 2
}

#[cfg(test)]
mod tests {
    use werkpilot_core::ids::AgentName;
    use werkpilot_core::spec::{Probe, Program};

    use super::*;

    const PROCESS: ProcessKey = ProcessKey { agent: AgentIndex(3), serial: 9 };

    fn spec(interval: u64, failures: u32) -> Arc<AgentSpec> {
        let mut spec = AgentSpec::service_named(AgentName::new("a").unwrap(), Program::Shell("x".to_owned()));
        let (interval, timeout) = (Duration::from_secs(interval), Duration::from_secs(1));
        let health = Health { probe: Probe::Tcp("h:1".to_owned()), interval, timeout, failures };
        spec.service_mut().unwrap().health = Some(health);
        Arc::new(spec)
    }

    fn fail(book: &mut HealthBook, now: Moment) -> LivenessVerdict {
        let at = Timestamp::from_secs(1);
        let (verdict, check) = book.judge(PROCESS, Duration::ZERO, at, Err("refused".repeat(1_000))).unwrap();
        assert_eq!((check.finding, check.reason.unwrap().len()), (Finding::Unhealthy, MAX_FINDING));
        book.finished(PROCESS, now);
        verdict
    }

    #[test]
    fn who_is_unhealthy_is_looked_at_again_soon_and_a_new_definition_keeps_the_verdict() {
        let mut book = HealthBook::new(Duration::from_mins(5), Moment::ZERO);
        book.watch(PROCESS, spec(300, 2), Moment::ZERO);
        let now = Moment::from_secs(1_000);
        assert_eq!(fail(&mut book, now), LivenessVerdict::Unchanged);
        assert!(matches!(fail(&mut book, now), LivenessVerdict::TurnedUnhealthy(_)));
        let (next, in_flight) = book.next_probe(PROCESS).unwrap();
        assert!(next <= now + Duration::from_secs(5) && !in_flight);
        book.watch(PROCESS, spec(60, 7), now);
        let watched = book.watched(PROCESS).unwrap();
        assert!(!watched.liveness.is_healthy() && watched.last.is_some());
        assert_eq!((watched.liveness.failures_allowed(), watched.liveness.failures_in_a_row()), (7, 2));
        assert!(book.next_probe(PROCESS).unwrap().0 <= now + Duration::from_secs(5));
    }

    #[test]
    fn who_is_not_watched_is_not_judged() {
        let mut book = HealthBook::new(Duration::from_mins(5), Moment::ZERO);
        book.watch(PROCESS, spec(300, 2), Moment::ZERO);
        book.unwatch(PROCESS);
        assert!(book.judge(PROCESS, Duration::ZERO, Timestamp::from_secs(1), Ok(())).is_none());
        assert_eq!((book.watched_count(), book.in_flight(), book.next_probe(PROCESS)), (0, 0, None));
        book.stopped = true;
        assert_eq!(book.next_deadline(), None);
    }
}
