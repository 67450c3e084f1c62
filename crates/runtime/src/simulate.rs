//! What will happen: plans for `werkpilot_core::simulate`, from the house or from what is on disk.
//!
//! One simulation at a time, on a thread of its own: neither the actors nor the web server wait for it.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use utoipa::IntoParams;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::settings::Settings;
use werkpilot_core::simulate::{ASSUMED, Begin, History, Member, Plan, STEPS, SimulateError, Simulation, simulate};
use werkpilot_core::spec::{AgentSpec, Condition, Registry};
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::agent::AgentState;
use werkpilot_store::row::figures::AgentSamples;
use werkpilot_store::{Reader, StoreError};

use crate::agents::kept;
use crate::directory::Slot;
use crate::handle::{ControlError, Handle};
use crate::house::House;
use crate::post::Unavailable;
use crate::state::ReadError;
use crate::work::queue::effective_workers;

/// Executions that are told one by one at most.
const MOST_TOLD: usize = 10_000;

/// Of a simulation in the orchestrator's process: a few seconds of one core.
const STEPS_ONLINE: u64 = STEPS / 2;

/// One at a time is enough for people, and more would take cores from the fleet.
static ONE_AT_A_TIME: Semaphore = Semaphore::const_new(1);

/// What is asked of a simulation. What is not said is as it is, and the span the next 24 hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SimulateQuery {
    /// The first instant.
    pub from: Option<Timestamp>,
    /// The first one that is not meant any more.
    pub to: Option<Timestamp>,
    /// Another number of workers.
    #[param(minimum = 1, maximum = 10_000)]
    pub workers: Option<u32>,
    /// Another number gives other durations.
    pub seed: Option<u64>,
    /// How long an attempt takes where nothing is known, in milliseconds.
    pub assume_ms: Option<u64>,
    /// Only this agent is told of.
    pub agent: Option<AgentName>,
    /// So many executions are told one by one.
    #[param(maximum = 10_000)]
    pub timeline: Option<usize>,
}

impl SimulateQuery {
    fn plan(self, members: Vec<Member>, settings: &Settings, now: Timestamp) -> Plan {
        let from = self.from.unwrap_or(now);
        let to = self.to.unwrap_or(from + Duration::from_hours(24));
        let workers = self.workers.unwrap_or_else(|| effective_workers(&settings.queue));
        let plan = Plan::new(members, workers, from, to);
        Plan {
            queue: settings.queue.clone(),
            breaker: settings.breaker.clone(),
            seed: self.seed.unwrap_or(plan.seed),
            assumed: self.assume_ms.map_or(ASSUMED, Duration::from_millis),
            timeline: self.timeline.unwrap_or(0).min(MOST_TOLD),
            only: self.agent,
            ..plan
        }
    }
}

/// The plan of a registry that is started at the begin; `reader`: what is known of its agents.
///
/// # Errors
/// [`StoreError`]: that can't be read.
pub fn plan_of_registry(
    query: SimulateQuery,
    registry: &Registry,
    settings: &Settings,
    reader: Option<&Reader>,
    now: Timestamp,
) -> Result<Plan, StoreError> {
    let (samples, states) = match reader {
        Some(reader) => (reader.samples()?, reader.agents()?),
        None => (Vec::new(), Vec::new()),
    };
    let mut durations = durations(samples);
    let mut states: HashMap<AgentName, AgentState> =
        states.into_iter().map(|state| (state.agent.clone(), state)).collect();
    let members = registry.agents.iter().map(|spec| {
        let durations = durations.remove(&spec.name).unwrap_or_default();
        let Some(state) = states.remove(&spec.name) else {
            let history = History { durations, ..History::default() };
            return Member { history, ..Member::new(spec.clone()) };
        };
        let (kept, outcome) = kept::of_row(&state);
        Member {
            history: history(spec, durations, state.successes, state.failures, state.restarts),
            kept: Some(kept),
            outcome: outcome.map(|outcome| (outcome.status, outcome.error)),
            ..Member::new(spec.clone())
        }
    });
    Ok(query.plan(members.collect(), settings, now))
}

/// A service's lives are no executions.
fn history(spec: &AgentSpec, durations: Vec<Duration>, successes: u64, failures: u64, restarts: u64) -> History {
    if spec.job().is_none() {
        return History::default();
    }
    History::counted(durations, successes, failures, restarts)
}

fn durations(samples: Vec<AgentSamples>) -> HashMap<AgentName, Vec<Duration>> {
    samples.into_iter().map(|samples| (samples.agent, samples.durations)).collect()
}

/// The plan of the house, but for what only the disk knows: how long executions took.
fn plan_of_house(house: &House, query: SimulateQuery) -> Plan {
    let now = house.now();
    let directory = house.directory.borrow();
    // One that is leaving has lost its name.
    let stays = |(index, slot): &(AgentIndex, &Slot)| directory.find(slot.name.as_str()) == Some(*index);
    let members = directory.iter().filter(stays).map(|(index, slot)| member(house, index, slot)).collect();
    let plan = query.plan(members, &house.settings.borrow(), now.wall);
    let uptime = now.steady + plan.from.since(now.wall) - now.wall.since(plan.from);
    Plan { begin: Begin::Running(Duration::from_nanos(uptime.as_nanos())), steps: STEPS_ONLINE, ..plan }
}

fn member(house: &House, index: AgentIndex, slot: &Slot) -> Member {
    let dispatcher = house.dispatcher.borrow();
    let unhealthy = dispatcher.unhealthy_dependencies(index);
    let once = slot.spec.dependencies.iter().filter(|dependency| dependency.condition != Condition::Healthy);
    let met = once.filter(|once| !unhealthy.iter().any(|unhealthy| unhealthy.dep == once.agent));
    let outcome = dispatcher.outcome(index);
    let figures = slot.figures;
    Member {
        spec: slot.spec.clone(),
        history: history(&slot.spec, Vec::new(), figures.successes, figures.failures, figures.restarts),
        kept: Some(slot.machine.borrow().kept(house.now())),
        outcome: outcome.map(|(status, error)| (status, error.map(ToOwned::to_owned))),
        met: met.map(|once| once.agent.clone()).collect(),
    }
}

impl Handle {
    /// What will happen, as far as the history tells: the fleet as it is, in virtual time.
    ///
    /// # Errors
    /// [`ControlError::Simulating`]: there is one in progress. [`ControlError::Simulate`]: it can't be done.
    pub async fn simulate(&self, query: SimulateQuery) -> Result<Simulation, ControlError> {
        let place = ONE_AT_A_TIME.try_acquire().map_err(|_| ControlError::Simulating)?;
        let mut plan = self.consult(move |house| plan_of_house(house, query)).await?;
        let mut durations = match self.ledger().read(Reader::samples).await {
            Ok(samples) => durations(samples),
            Err(ReadError::NotKept) => HashMap::new(),
            Err(error) => return Err(error.into()),
        };
        for member in &mut plan.members {
            member.history.durations = durations.remove(&member.spec.name).unwrap_or_default();
        }
        let answer = on_a_thread(plan, place).ok_or(Unavailable::Vacant("simulation"))?;
        Ok(answer.await.map_err(|_| Unavailable::Vacant("simulation"))??)
    }
}

/// Who hangs up does not end it, but the place is taken until it has ended.
fn on_a_thread(
    plan: Plan,
    place: SemaphorePermit<'static>,
) -> Option<oneshot::Receiver<Result<Simulation, SimulateError>>> {
    let (sender, receiver) = oneshot::channel();
    let work = move || {
        let answer = simulate(&plan);
        drop(place);
        // Who asked may have gone.
        let _ = sender.send(answer);
    };
    std::thread::Builder::new().name("simulation".to_owned()).spawn(work).ok().map(|_| receiver)
}
