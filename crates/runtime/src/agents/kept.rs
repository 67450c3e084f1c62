//! What is kept of each agent, and how it comes back: switch, breaker, backoff, counters, the last health check.
//!
//! Invariant: one agent of a name writes its row, the one that bears the name; what it writes is what its machine says.
//! `enable` and `disable` are on disk before they happen; all else follows within 50 ms, at once where events tell of it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use werkpilot_core::agent::{Kept, KeptInstance, KeptShed, LastWords, Mark, Switch};
use werkpilot_core::breaker::{KeptBreaker, KeptState};
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::settings::Breaker;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Clocks, Timestamp};
use werkpilot_store::row::agent::AgentState;
use werkpilot_store::writer::Health;
use werkpilot_store::{Change, Json};

use crate::directory::Slot;
use crate::house::House;
use crate::observe::health::{Finding, LastCheck};

/// An agent's changes are written together for so long, so that a busy one costs a row per 10 ms, not one per execution.
pub const TOGETHER: Duration = Duration::from_millis(10);

/// While the disk is ill it is looked at so often whether it is well: rows that wait for it would push others out.
pub const ILL: Duration = Duration::from_secs(1);

/// A health check that found what the one before found is written so often at most.
const SAME_HEALTH: Duration = Duration::from_mins(1);

/// What is counted per agent, in all lives of the orchestrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Automatic restarts and retries.
    pub restarts: u64,
    /// Executions that succeeded.
    pub successes: u64,
    /// Executions, or lives of a service, that failed for good.
    pub failures: u64,
}

/// What was written last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Written {
    mark: Mark,
    figures: Figures,
    health: Option<(Timestamp, Finding)>,
    outcome: Option<Status>,
    /// It may not be what is on disk.
    pub stale: bool,
    /// Switches that are on their way to disk: what would be written meanwhile would undo them.
    pub switching: u32,
}

/// When a change is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// With the next commit: people and events are told of it.
    Now,
    /// Soon, with others.
    Soon,
}

/// What is in the column `backoff`.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Backoffs {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instances: Vec<KeptInstance>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
    /// That it was disabled because memory was short.
    #[serde(skip_serializing_if = "Option::is_none")]
    shed: Option<KeptShed>,
    /// What the last end of a job left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    /// What its program said before its last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_words: Option<LastWords>,
    /// Since when there is no agent of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent_since: Option<Timestamp>,
}

/// What the last end of a job left behind, if it is not well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `error`, `timeout` or `missing`.
    pub status: Status,
    /// Why.
    pub error: Option<String>,
}

/// What is in the column `health`.
#[derive(Debug, Serialize, Deserialize)]
struct HealthCheck {
    error: Option<String>,
    /// Rows of old versions say it with `error` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finding: Option<Finding>,
}

/// The row of an agent as it is now.
pub fn row(house: &House, agent: AgentIndex, slot: &Slot) -> AgentState {
    row_of(house, agent, slot, &slot.machine.borrow().kept(house.now()))
}

fn row_of(house: &House, agent: AgentIndex, slot: &Slot, kept: &Kept) -> AgentState {
    let dispatcher = house.dispatcher.borrow();
    let outcome = dispatcher.outcome(agent);
    let outcome = outcome.map(|(status, error)| Outcome { status, error: error.map(str::to_owned) });
    let (instances, missing, last_words) = (kept.instances.clone(), kept.missing, kept.last_words.clone());
    let backoffs = Backoffs { instances, missing, shed: kept.shed, outcome, last_words, absent_since: None };
    let off = matches!(kept.switch, Some(Switch::Off { .. }));
    let open = kept.breaker.state == KeptState::Open;
    AgentState {
        disabled_by: off
            .then_some("operator")
            .or(kept.shed.map(|_| "memory"))
            .or(open.then_some("failure"))
            .map(str::to_owned),
        why: kept.switch.as_ref().map(Json::of),
        stopped: kept.stopped,
        breaker: (kept.breaker != KeptBreaker::default()).then(|| Json::of(&kept.breaker)),
        backoff: (backoffs != Backoffs::default()).then(|| Json::of(&backoffs)),
        restarts: slot.figures.restarts,
        successes: slot.figures.successes,
        failures: slot.figures.failures,
        health_at: slot.last_health_check.as_ref().map(|check| check.at),
        health: slot.last_health_check.as_ref().map(|check| {
            let error = check.reason.as_ref().map(ToString::to_string);
            Json::of(&HealthCheck { error, finding: Some(check.finding) })
        }),
        ..AgentState::new(slot.name.clone(), kept.at)
    }
}

/// What a row says of an agent's machine, and what the agent's last end left behind.
pub fn of_row(state: &AgentState) -> (Kept, Option<Outcome>) {
    let backoffs: Backoffs = read(&state.agent, "backoff", state.backoff.as_ref());
    let kept = Kept {
        at: state.updated_at,
        switch: state.why.as_ref().and_then(|why| why.read().ok()),
        stopped: state.stopped,
        shed: backoffs.shed,
        breaker: read(&state.agent, "breaker", state.breaker.as_ref()),
        instances: backoffs.instances,
        missing: backoffs.missing,
        last_words: backoffs.last_words,
    };
    (kept, backoffs.outcome)
}

/// Makes an agent as it was; before its boot. What its last end left behind is the dispatcher's to know.
pub fn restore(slot: &mut Slot, state: Option<&AgentState>, breaker: &Breaker, now: Clocks) -> Option<Outcome> {
    let mut outcome = None;
    if let Some(state) = state {
        let backoffs: Backoffs = read(&slot.name, "backoff", state.backoff.as_ref());
        let (kept, left_behind) = of_row(state);
        outcome = left_behind;
        slot.machine.borrow_mut().restore(&kept, breaker, now);
        let AgentState { restarts, successes, failures, .. } = *state;
        slot.figures = Figures { restarts, successes, failures };
        slot.last_health_check = state.health_at.zip(state.health.as_ref()).map(|(at, health)| {
            let check = health.read::<HealthCheck>().unwrap_or(HealthCheck { error: None, finding: None });
            let told = if check.error.is_none() { Finding::Healthy } else { Finding::Unhealthy };
            LastCheck { at, finding: check.finding.unwrap_or(told), reason: check.error.map(String::into_boxed_str) }
        });
        slot.written.stale = backoffs.absent_since.is_some();
    }
    slot.written =
        Written { stale: slot.written.stale, ..written(slot, outcome.as_ref().map(|outcome| outcome.status)) };
    outcome
}

fn read<T: serde::de::DeserializeOwned + Default>(agent: &AgentName, what: &str, json: Option<&Json>) -> T {
    let read = json.map_or_else(|| Ok(T::default()), Json::read);
    read.unwrap_or_else(|error| {
        log::warn!("failed to read the kept {what} of {agent}, which starts afresh: {error}");
        T::default()
    })
}

fn written(slot: &Slot, outcome: Option<Status>) -> Written {
    let health = slot.last_health_check.as_ref().map(|check| (check.at, check.finding));
    Written { mark: slot.machine.borrow().mark(), figures: slot.figures, health, outcome, ..Written::default() }
}

/// Whether an agent's row is to be written, and when.
pub fn due(house: &House, agent: AgentIndex) -> Option<Due> {
    let directory = house.directory.borrow();
    let slot = directory.get(agent)?;
    let bears_its_name = directory.find(slot.name.as_str()) == Some(agent);
    if !house.ledger.is_kept() || !bears_its_name || slot.written.switching > 0 {
        return None;
    }
    let outcome = house.dispatcher.borrow().outcome(agent).map(|(status, _)| status);
    let (was, is) = (slot.written, written(slot, outcome));
    if was.stale || was.mark.switches != is.mark.switches {
        return Some(Due::Now);
    }
    let other_health = match (was.health, is.health) {
        (Some((then, before)), Some((at, after))) => before != after || at.since(then) >= SAME_HEALTH,
        (before, after) => before.is_some() != after.is_some(),
    };
    let other = was.mark != is.mark || was.figures != is.figures || was.outcome != is.outcome;
    (other || other_health).then_some(Due::Soon)
}

/// How long to wait before a row is written.
pub fn patience(house: &House) -> Duration {
    if matches!(house.ledger.health(), Health::Degraded { .. }) { ILL } else { TOGETHER }
}

/// Writes an agent's row.
pub fn write(house: &House, agent: AgentIndex, due: Due) {
    let batch = {
        let mut directory = house.directory.borrow_mut();
        let Some(slot) = directory.get_mut(agent) else { return };
        let outcome = house.dispatcher.borrow().outcome(agent).map(|(status, _)| status);
        slot.written = written(slot, outcome);
        vec![Change::PutAgent(Box::new(row(house, agent, slot)))]
    };
    let ledger = house.ledger.clone();
    if due == Due::Soon {
        return ledger.post(batch);
    }
    // What the disk refuses now waits until it is well.
    let again = batch.clone();
    let other = ledger.clone();
    ledger.keep(batch, move |kept| {
        if kept.is_err() {
            other.post(again);
        }
    });
}

/// Writes the row of an agent whose probe had a result, if that is due. Its own actor does the rest.
pub fn health_checked(house: &House, agent: AgentIndex) {
    if due(house, agent).is_some() && patience(house) == TOGETHER {
        write(house, agent, Due::Soon);
    }
}

/// Writes the rows of agents that the overall check has looked at, together.
pub fn checked_overall(house: &House, agents: &[AgentIndex]) {
    if patience(house) != TOGETHER {
        return; // Each writes its own once the disk is well.
    }
    let mut batch = Vec::new();
    for agent in agents {
        if due(house, *agent).is_none() {
            continue;
        }
        let mut directory = house.directory.borrow_mut();
        let Some(slot) = directory.get_mut(*agent) else { continue };
        let outcome = house.dispatcher.borrow().outcome(*agent).map(|(status, _)| status);
        slot.written = written(slot, outcome);
        batch.push(Change::PutAgent(Box::new(row(house, *agent, slot))));
    }
    if !batch.is_empty() {
        house.ledger.post(batch);
    }
}

/// The last words of all agents, before the store is closed.
pub fn write_all(house: &House) {
    let all: Vec<AgentIndex> = house.directory.borrow().iter().map(|(index, _)| index).collect();
    for agent in all {
        if due(house, agent).is_some() {
            write(house, agent, Due::Soon);
        }
    }
}

/// The row of an agent as `enable` or `disable` will leave it.
pub fn switched(house: &House, agent: AgentIndex, on: bool, by: &str) -> Option<Change> {
    let directory = house.directory.borrow();
    let slot = directory.get(agent)?;
    let kept = slot.machine.borrow().kept(house.now()).switched(on, slot.spec.enabled, by);
    Some(Change::PutAgent(Box::new(row_of(house, agent, slot, &kept))))
}

/// States of agents that the registry does not have, or not yet.
#[derive(Debug, Default)]
pub struct Absent(HashMap<AgentName, AgentState>);

impl Absent {
    /// What was left behind, before anybody came.
    pub fn new(states: Vec<AgentState>) -> Self {
        Self(states.into_iter().map(|state| (state.agent.clone(), state)).collect())
    }

    /// The state of an agent that comes.
    pub fn take(&mut self, agent: &AgentName) -> Option<AgentState> {
        self.0.remove(agent)
    }

    /// An agent has gone: what to write. Should it come back, it is as it was.
    pub fn insert(&mut self, mut state: AgentState, now: Timestamp) -> Change {
        // Its programs go, and their backoffs with them.
        state.backoff = Some(Json::of(&Backoffs { absent_since: Some(now), ..Backoffs::default() }));
        self.0.insert(state.agent.clone(), state.clone());
        Change::PutAgent(Box::new(state))
    }

    /// Marks those that have just gone, and forgets those that have been away for longer than `keep`: what to write.
    pub fn tidy(&mut self, keep: Duration, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        self.0.retain(|agent, state| {
            let backoffs: Backoffs = read(agent, "backoff", state.backoff.as_ref());
            let Some(since) = backoffs.absent_since else {
                state.backoff = Some(Json::of(&Backoffs { absent_since: Some(now), ..backoffs }));
                changes.push(Change::PutAgent(Box::new(state.clone())));
                return true;
            };
            let stays = now.since(since) < keep;
            if !stays {
                changes.push(Change::ForgetAgent(agent.clone()));
            }
            stays
        });
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(agent: &str) -> AgentState {
        AgentState { stopped: true, ..AgentState::new(AgentName::new(agent).unwrap(), Timestamp::from_secs(1)) }
    }

    #[test]
    fn health_checks_of_old_versions_are_read() {
        let read = |text: &str| serde_json::from_str::<HealthCheck>(text).unwrap();
        let (well, ill, new) = (
            read("{\"error\":null}"),
            read("{\"error\":\"refused\"}"),
            read("{\"error\":\"off\",\"finding\":\"not_checkable\"}"),
        );
        assert_eq!((well.error, well.finding), (None, None));
        assert_eq!((ill.error.as_deref(), ill.finding), (Some("refused"), None));
        assert_eq!(new.finding, Some(Finding::NotCheckable));
    }

    #[test]
    fn who_is_away_for_long_is_forgotten_and_who_comes_back_is_as_it_was() {
        let day = Duration::from_hours(24);
        let mut absent = Absent::new(vec![state("a"), state("b")]);
        let now = Timestamp::from_secs(100);
        assert!(absent.take(&AgentName::new("b").unwrap()).unwrap().stopped);
        let marked = absent.tidy(day, now);
        let [Change::PutAgent(row)] = &marked[..] else { panic!("{marked:?}") };
        // What is written then is what the next start reads.
        let mut next = Absent::new(vec![row.as_ref().clone()]);
        assert_eq!(next.tidy(day, now + day / 2), []);
        assert_eq!(next.tidy(day, now + day), [Change::ForgetAgent(AgentName::new("a").unwrap())]);
        assert_eq!(next.take(&AgentName::new("a").unwrap()), None);
    }
}
