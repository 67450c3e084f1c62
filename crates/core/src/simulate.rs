//! What will happen: the schedule, the queue and the workers of a fleet in virtual time.
//!
//! Nothing is decided here. The timetable, the dispatcher and the agents' machines of the running orchestrator decide; a
//! small loop carries their mail and lets the time pass. What stands in for the world is the programs: each attempt takes
//! one of the durations that its agent took before, and fails as often as its attempts failed before.
//!
//! The same plan gives the same answer: nothing but its seed is random. Never reads a clock.
//!
//! ```text
//!  Timetable ──due──▶ Dispatcher ──grant──▶ Agent ──launch──▶ Programs (history)
//!                         ▲  ▲                │  ▲               │
//!                         │  └─retry, ended───┘  └────exited─────┘
//!                         └─ every answer ──▶ Account ──▶ Simulation
//! ```

mod account;
mod attention;
mod programs;
mod report;
#[cfg(test)]
mod tests;
mod timeline;
mod world;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::agent::Kept;
use crate::boot::BootMember;
use crate::dispatcher::AgentProfile;
use crate::graph::{Graph, GraphFault, GraphMember};
use crate::ids::{AgentIndex, AgentName};
use crate::schedule::ScheduleError;
use crate::settings::{Breaker, QueueSettings};
use crate::spec::{AgentSpec, Condition};
use crate::status::Status;
use crate::suggest;
use crate::time::{Moment, Timestamp, human};
use crate::timetable::Entry;

pub use attention::{Attention, Concern};
pub use report::{
    Collision, Collisions, DurationSource, Ends, Forecast, Hour, Missed, NotRun, Peak, Simulation, Totals, Waits,
};
pub use timeline::{Planned, Timeline};

/// The longest span: a month.
pub const LONGEST: Duration = Duration::from_hours(31 * 24);

/// How long an attempt is assumed to take where nothing is known.
pub const ASSUMED: Duration = Duration::from_secs(1);

/// Steps of a simulation (ends and starts of executions) at most, unless the plan says otherwise: some ten seconds.
pub const STEPS: u64 = 2_000_000;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The fleet.
    pub members: Vec<Member>,
    /// `[queue]`
    pub queue: QueueSettings,
    /// `[breaker]`
    pub breaker: Breaker,
    /// Executions at a time.
    pub workers: u32,
    /// The first instant that is simulated.
    pub from: Timestamp,
    /// The first one that is not any more.
    pub to: Timestamp,
    /// Whether the orchestrator starts or runs at `from`.
    pub begin: Begin,
    /// Decides what programs do.
    pub seed: u64,
    /// How long an attempt takes where nothing is known.
    pub assumed: Duration,
    /// So many executions are told one by one; 0: none.
    pub timeline: usize,
    /// Only this agent is told of; the whole fleet is simulated.
    pub only: Option<AgentName>,
    /// It is cut off after so many ends and starts of executions.
    pub steps: u64,
}

impl Plan {
    /// A plan for a fleet that is started at `from`, with the default thresholds.
    pub fn new(members: Vec<Member>, workers: u32, from: Timestamp, to: Timestamp) -> Self {
        Self {
            members,
            queue: QueueSettings::default(),
            breaker: Breaker::default(),
            workers,
            from,
            to,
            begin: Begin::Boot,
            seed: 1,
            assumed: ASSUMED,
            timeline: 0,
            only: None,
            steps: STEPS,
        }
    }
}

/// How a simulation begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The orchestrator is started: jobs with `startup` run, intervals count from here.
    Boot,
    /// It runs already, since so long ago: intervals count from then.
    Running(Duration),
}

/// An agent, and what is known of it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its definition.
    pub spec: Arc<AgentSpec>,
    /// How its executions went.
    pub history: History,
    /// How it was left: its switch and its breaker.
    pub kept: Option<Kept>,
    /// The status and the error that the last end of a job left behind, if it was not well.
    pub outcome: Option<(Status, Option<String>)>,
    /// Dependencies that have done already what is asked of them (`started`, `succeeded`).
    pub met: Vec<AgentName>,
}

impl Member {
    /// An agent of which nothing is known.
    pub fn new(spec: impl Into<Arc<AgentSpec>>) -> Self {
        Self { spec: spec.into(), history: History::default(), kept: None, outcome: None, met: Vec::new() }
    }
}

/// How an agent's executions went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Of the last successful executions.
    pub durations: Vec<Duration>,
    /// Attempts in all.
    pub attempts: u64,
    /// Those of them that failed.
    pub failed: u64,
}

impl History {
    /// From what is counted of an agent: every execution that ended had a last attempt, and every retry had a failed one
    /// before it.
    pub fn counted(durations: Vec<Duration>, successes: u64, failures: u64, retries: u64) -> Self {
        let failed = failures.saturating_add(retries);
        Self { durations, attempts: failed.saturating_add(successes), failed }
    }
}

/// Why nothing can be simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The span has no length.
    #[error("simulate from {from} to {to}: the end has to be after the begin")]
    Backwards {
        /// The begin.
        from: Timestamp,
        /// The end.
        to: Timestamp,
    },
    /// The span is too long.
    #[error("simulate {}: at most {} are simulated at once", human(*.0), human(LONGEST))]
    TooLong(Duration),
    /// The agent that is to be told of is not in the fleet.
    #[error("there is no agent {name}{}", .suggestion.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    UnknownAgent {
        /// What was asked for.
        name: AgentName,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// The agents are no graph to boot by.
    #[error(transparent)]
    Graph(#[from] GraphFault),
    /// A schedule can't be read.
    #[error("read the schedule of {agent}")]
    Schedule {
        /// Whose.
        agent: AgentName,
        /// Why.
        #[source]
        source: ScheduleError,
    },
}

/// The fleet as the machines take it, by slot.
#[derive(Debug)]
struct Fleet {
    profiles: Vec<AgentProfile>,
    timers: Vec<Vec<Entry>>,
    layers: Vec<Vec<BootMember>>,
    slots: HashMap<AgentName, AgentIndex>,
}

/// Lets a fleet run in virtual time.
///
/// # Errors
/// [`SimulateError`]: the plan is none.
pub fn simulate(plan: &Plan) -> Result<Simulation, SimulateError> {
    if plan.to <= plan.from {
        return Err(SimulateError::Backwards { from: plan.from, to: plan.to });
    }
    let span = plan.to.since(plan.from);
    if span > LONGEST {
        return Err(SimulateError::TooLong(span));
    }
    let fleet = fleet(plan)?;
    let only = plan.only.as_ref().map(|name| find(plan, &fleet, name)).transpose()?;
    let account = world::World::new(plan, &fleet, only).run();
    Ok(report::report(plan, account, only))
}

fn find(plan: &Plan, fleet: &Fleet, name: &AgentName) -> Result<AgentIndex, SimulateError> {
    fleet.slots.get(name).copied().ok_or_else(|| {
        let names = plan.members.iter().map(|member| member.spec.name.as_str());
        let suggestion = suggest::closest(name.as_str(), names).map(ToOwned::to_owned);
        SimulateError::UnknownAgent { name: name.clone(), suggestion }
    })
}

fn fleet(plan: &Plan) -> Result<Fleet, SimulateError> {
    let specs = || plan.members.iter().map(|member| &member.spec);
    let members: Vec<GraphMember> = specs()
        .map(|spec| {
            let dependencies = spec.dependencies.iter().map(|dependency| dependency.agent.clone()).collect();
            (spec.name.clone(), dependencies, spec.layer)
        })
        .collect();
    let graph = Graph::new(&members)?;
    let slots: HashMap<AgentName, AgentIndex> =
        specs().enumerate().map(|(slot, spec)| (spec.name.clone(), AgentIndex::from(slot))).collect();
    let find = |name: &str| slots.get(name).copied();
    let profile = |(slot, member): (usize, &Member)| {
        let mut profile = AgentProfile::of(&member.spec, graph.depth(AgentIndex::from(slot)), find);
        let met: Vec<_> = member.met.iter().filter_map(|name| find(name.as_str())).collect();
        profile.dependencies.retain(|(agent, condition)| *condition == Condition::Healthy || !met.contains(agent));
        profile
    };
    let profiles = plan.members.iter().enumerate().map(profile).collect();
    let timers = specs()
        .map(|spec| Entry::all_of(spec).map_err(|source| SimulateError::Schedule { agent: spec.name.clone(), source }));
    // Services count as ready, so that no layer waits.
    let layers = graph.layers().into_iter();
    let layers = layers.map(|layer| layer.into_iter().map(|agent| BootMember { agent, waits: false }).collect());
    Ok(Fleet { profiles, timers: timers.collect::<Result<_, _>>()?, layers: layers.collect(), slots })
}

/// The moment on the steady clock at which the simulation begins.
fn first_moment(begin: Begin) -> Moment {
    match begin {
        Begin::Boot => Moment::ZERO,
        Begin::Running(uptime) => Moment::ZERO + uptime,
    }
}
