//! What must always hold, told apart from how it is done: a second, slower account of the fleet, built only from what
//! the machines were told and what they answered.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use werkpilot_core::agent::{Launch, ProcessKey};
use werkpilot_core::dispatcher::{Action, AgentProfile, Dispatcher, Event, Gate, Grant};
use werkpilot_core::event::{End, Event as Fact};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::queue::RunKey;
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::{Condition, OnUnhealthyDependency, Overlap};
use werkpilot_core::status::Status;
use werkpilot_core::time::Moment;

use crate::fleet::name_of;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    Waits,
    Runs,
    BacksOff(Moment),
    Ended(End),
}

#[derive(Debug)]
struct Run {
    agent: AgentIndex,
    at: Where,
    started: bool,
    forced: bool,
    automatic: bool,
    /// The how-manieth execution it is.
    order: usize,
}

/// What the dispatcher was told of an agent.
#[derive(Debug, Default)]
struct Standing {
    profile: Option<AgentProfile>,
    gate: Gate,
    status: Option<Status>,
    outcome: Option<Status>,
    ever_started: bool,
    ever_succeeded: bool,
}

#[derive(Debug, Default)]
pub struct Model {
    runs: HashMap<RunId, Run>,
    live: BTreeSet<RunId>,
    keys: HashMap<RunKey, RunId>,
    standings: Vec<Standing>,
    /// Starts of services that wait: whether they are automatic and forced.
    wanted: BTreeMap<(AgentIndex, u16), (bool, bool)>,
    processes: BTreeMap<ProcessKey, RunId>,
    /// Agents of which a program was really spawned.
    spawned: BTreeSet<AgentIndex>,
    automatic: Vec<Moment>,
    pub limits: Limits,
    shutting_down: bool,
    pub ends: BTreeMap<&'static str, u64>,
    pub parked: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub workers: u32,
    pub capacity: u32,
    pub max_restarts: u32,
    pub window: Duration,
}

fn index_of(name: &AgentName) -> AgentIndex {
    AgentIndex(name.as_str().trim_start_matches("agent-").parse().unwrap())
}

impl Model {
    pub fn new(agents: usize, limits: Limits) -> Self {
        let standings = (0..agents).map(|_| Standing::default()).collect();
        Self { standings, limits, ..Self::default() }
    }

    // ---- what the dispatcher is told ----

    pub fn defined(&mut self, agent: AgentIndex, profile: AgentProfile) {
        self.standings[agent.slot()].profile = Some(profile);
    }

    pub fn removed(&mut self, agent: AgentIndex) {
        self.standings[agent.slot()] = Standing::default();
        self.wanted.retain(|(of, _), _| *of != agent);
    }

    pub fn told(&mut self, event: &Event, now: Moment) {
        match event {
            Event::StartService { agent, instance, automatic, force }
                if !self.shutting_down && self.standings[agent.slot()].profile.is_some() =>
            {
                self.wanted.insert((*agent, *instance), (*automatic, *force));
            }
            Event::WithdrawService { agent, instance } => {
                self.wanted.remove(&(*agent, *instance));
            }
            Event::Retry { key, delay, counted, .. } => {
                if let Some(id) = self.keys.remove(key) {
                    let run = self.runs.get_mut(&id).unwrap();
                    run.at = Where::BacksOff(now + *delay);
                    run.automatic = *counted;
                }
            }
            Event::Ended(ended) => {
                if let Some(id) = self.keys.remove(&ended.key) {
                    self.runs.get_mut(&id).unwrap().at = Where::Waits;
                }
            }
            Event::SetGate { agent, gate } => {
                let standing = &mut self.standings[agent.slot()];
                if standing.profile.is_some() {
                    standing.gate = gate.clone();
                    if *gate == Gate::Open && standing.outcome == Some(Status::Missing) {
                        standing.outcome = None;
                    }
                    if matches!(gate, Gate::Closed { .. }) {
                        self.wanted.retain(|(of, _), _| of != agent);
                    }
                }
            }
            Event::FirstStarted { agent } => {
                let standing = &mut self.standings[agent.slot()];
                assert!(self.spawned.contains(agent), "{} is said to have started", name_of(agent.slot()));
                standing.ever_started |= standing.profile.is_some();
            }
            Event::ServiceStatus { agent, status, .. } => {
                let standing = &mut self.standings[agent.slot()];
                if standing.profile.is_some() {
                    standing.status = Some(*status);
                    standing.ever_started |= *status == Status::Running;
                    standing.ever_succeeded |= *status == Status::Running;
                }
            }
            Event::ShutDown => {
                self.shutting_down = true;
                self.wanted.clear();
            }
            Event::Configure { queue, breaker, workers } => {
                self.limits = Limits {
                    workers: *workers,
                    capacity: queue.capacity,
                    max_restarts: breaker.max_restarts,
                    window: breaker.window,
                };
            }
            _ => {}
        }
    }

    // ---- what it answers ----

    pub fn answered(&mut self, action: &Action, now: Moment) {
        match action {
            Action::Start(grant) => self.granted(grant, now),
            Action::Cancel { key, .. } => assert!(self.keys.contains_key(key), "only what runs is cancelled"),
            Action::Emit(Fact::ExecutionQueued { agent, run, trigger, .. }) => {
                assert!(!self.shutting_down, "nothing is accepted after the shutdown");
                assert!(self.waiting() < self.limits.capacity as usize, "{agent} was accepted into a full queue");
                let agent = index_of(agent);
                let trial = self.standings[agent.slot()].gate == Gate::HalfOpen;
                let (forced, automatic) = (trigger.is_forced(), trial && !trigger.is_explicit());
                let order = self.runs.len();
                let new = Run { agent, at: Where::Waits, started: false, forced, automatic, order };
                assert!(self.runs.insert(*run, new).is_none(), "each execution is queued once");
                self.live.insert(*run);
            }
            Action::Emit(Fact::ExecutionEnded { agent, run, end, reason, .. }) => {
                let known = self.runs.get(run);
                let accepted = known.is_some();
                if let Some(run) = known {
                    assert_eq!(run.at.ended(), None, "an execution of {agent} ended twice");
                    assert_ne!(run.at, Where::Runs, "an execution of {agent} ended while its program runs");
                } else {
                    assert!(matches!(end, End::Skipped | End::Refused), "{end} without having been queued");
                }
                let agent = index_of(agent);
                let (at, order) = (Where::Ended(*end), self.runs.len());
                let unaccepted = Run { agent, at, started: false, forced: false, automatic: false, order };
                self.runs.entry(*run).or_insert(unaccepted).at = at;
                self.live.remove(run);
                *self.ends.entry(end.as_str()).or_default() += 1;
                let standing = &mut self.standings[agent.slot()];
                if standing.profile.is_some() && accepted {
                    let missing = matches!(reason, Some(Reason::CommandMissing { .. }));
                    match end {
                        End::Succeeded => {
                            standing.outcome = None;
                            standing.ever_succeeded = true;
                            standing.ever_started = true;
                        }
                        End::Failed if missing => standing.outcome = Some(Status::Missing),
                        End::Failed | End::Lost => standing.outcome = Some(Status::Error),
                        End::TimedOut => standing.outcome = Some(Status::Timeout),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn granted(&mut self, grant: &Grant, now: Moment) {
        let agent = grant.agent;
        assert!(!self.shutting_down, "nothing starts after the shutdown");
        let (automatic, forced) = if let Some(instance) = grant.instance {
            let wanted = self.wanted.remove(&(agent, instance));
            wanted.expect("a service starts only if it asks for it")
        } else {
            assert!(self.running() < self.limits.workers as usize, "there is a worker for each job");
            let gate = &self.standings[agent.slot()].gate;
            assert!(!matches!(gate, Gate::Closed { .. }), "a job of {} started while closed", name_of(agent.slot()));
            let serial = self.profile(agent).overlap != Overlap::Allow;
            let others = self.live.iter().filter(|id| **id != grant.run && self.runs[id].agent == agent);
            // More than one were started only if that was allowed then: these go on one after the other.
            let again = self.runs[&grant.run].started;
            let others = others.map(|id| &self.runs[id]);
            let others = others.filter(|other| other.at == Where::Runs || (other.started && !again)).count();
            assert!(!serial || others == 0, "two executions of {} at a time", name_of(agent.slot()));
            self.keys.insert(grant.key, grant.run);
            let run = self.runs.get_mut(&grant.run).expect("only what was queued starts");
            match run.at {
                Where::Waits => {}
                Where::BacksOff(until) => assert!(until <= now, "it backs off until its time"),
                Where::Runs | Where::Ended(_) => panic!("it starts while it waits only"),
            }
            run.at = Where::Runs;
            run.started = true;
            (std::mem::take(&mut run.automatic), run.forced)
        };
        assert!(forced || self.is_well(agent), "{} started with an unhealthy dependency", name_of(agent.slot()));
        if automatic {
            assert!(self.has_room(now), "more automatic starts than allowed");
            self.automatic.push(now);
        }
    }

    // ---- processes ----

    pub fn launched(&mut self, launch: &Launch) {
        let agent = launch.process.agent;
        assert!(!self.processes.values().any(|run| *run == launch.run), "an execution has one program at a time");
        if launch.spec.job().is_some_and(|job| job.overlap != Overlap::Allow) && !self.ever_allowed(agent) {
            let live = self.processes.keys().filter(|process| process.agent == agent).count();
            assert_eq!(live, 0, "{} has two programs", launch.spec.name);
        }
        assert!(self.processes.insert(launch.process, launch.run).is_none(), "a process key is used once");
    }

    fn ever_allowed(&self, agent: AgentIndex) -> bool {
        self.standings[agent.slot()].profile.as_ref().is_none_or(|profile| profile.overlap == Overlap::Allow)
            || self.runs.values().filter(|run| run.agent == agent && run.at == Where::Runs).count() > 1
    }

    pub fn spawned(&mut self, agent: AgentIndex) {
        self.spawned.insert(agent);
    }

    pub fn gone(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
    }

    pub fn processes_of(&self, agent: AgentIndex) -> usize {
        self.processes.keys().filter(|process| process.agent == agent).count()
    }

    // ---- questions ----

    fn profile(&self, agent: AgentIndex) -> &AgentProfile {
        self.standings[agent.slot()].profile.as_ref().expect("only who is in the fleet starts")
    }

    fn problem(&self, agent: AgentIndex, condition: Condition) -> bool {
        let standing = &self.standings[agent.slot()];
        match condition {
            Condition::Started => !standing.ever_started,
            Condition::Succeeded => !standing.ever_succeeded,
            Condition::Healthy => match (&standing.profile, &standing.gate) {
                (None, _) => true,
                (_, Gate::Closed { status, .. }) if status.is_disabled() => true,
                (Some(profile), _) if profile.service => standing.status != Some(Status::Running),
                _ => standing.outcome.is_some(),
            },
        }
    }

    fn is_well(&self, agent: AgentIndex) -> bool {
        !self.profile(agent).dependencies.iter().any(|(on, condition)| self.problem(*on, *condition))
    }

    fn has_room(&self, now: Moment) -> bool {
        let Limits { max_restarts, window, .. } = self.limits;
        let recent = self.automatic.iter().rev().take_while(|at| **at + window > now).count();
        max_restarts == 0 || recent < max_restarts as usize
    }

    fn running(&self) -> usize {
        self.keys.len()
    }

    fn waiting(&self) -> usize {
        self.live.len() - self.running()
    }

    // ---- after every turn of the dispatcher ----

    pub fn check(&mut self, dispatcher: &mut Dispatcher, now: Moment) {
        assert_eq!(dispatcher.waiting() as usize, self.waiting(), "the count of what waits");
        assert_eq!(dispatcher.workers().0 as usize, self.running(), "the count of busy workers");
        if dispatcher.next_deadline(now).is_some_and(|at| at <= now) {
            return; // It has asked to be called at once.
        }
        self.check_that_nothing_startable_waits(now);
    }

    fn check_that_nothing_startable_waits(&mut self, now: Moment) {
        let free = self.running() < self.limits.workers as usize;
        let room = self.has_room(now);
        // Of each agent: how many of its live executions were started, how many run, and which of those that wait was first.
        let mut crowd = vec![(0, 0, usize::MAX); self.standings.len()];
        for run in self.live.iter().map(|id| &self.runs[id]) {
            let (started, running, first) = &mut crowd[run.agent.slot()];
            *started += u32::from(run.started);
            *running += u32::from(run.at == Where::Runs);
            if run.at != Where::Runs {
                *first = run.order.min(*first);
            }
        }
        let mut parked = [("previous", 0), ("dependencies", 0), ("room", 0)];
        for id in &self.live {
            let run = &self.runs[id];
            if run.at == Where::Runs || matches!(run.at, Where::BacksOff(until) if until > now) {
                continue;
            }
            let profile = self.profile(run.agent);
            let name = &profile.name;
            let (started, running, first) = crowd[run.agent.slot()];
            let blocked = profile.overlap != Overlap::Allow && if run.started { running > 0 } else { started > 0 };
            let well = run.forced || self.is_well(run.agent);
            let roomless = run.automatic && !room;
            if blocked {
                parked[0].1 += 1;
            } else if !well {
                parked[1].1 += 1;
                let waits = profile.on_unhealthy == OnUnhealthyDependency::Wait;
                assert!(waits || roomless || !free, "{name} waits for its dependencies, but is to be skipped");
            } else if roomless {
                parked[2].1 += 1;
            }
            // One that waits behind another of the same agent is not to overtake it.
            let first = profile.overlap == Overlap::Allow || run.order == first;
            assert!(!(free && !blocked && well && !roomless && first), "{name} could start and does not");
        }
        for ((agent, instance), (automatic, force)) in &self.wanted {
            let well = *force || self.is_well(*agent);
            assert!(
                !well || (*automatic && !room),
                "{}/{instance} could start and does not",
                self.profile(*agent).name
            );
        }
        for (park, count) in parked.into_iter().filter(|(_, count)| *count > 0) {
            *self.parked.entry(park).or_default() += count;
        }
    }

    // ---- when all mail is delivered ----

    pub fn check_statuses(&self, dispatcher: &Dispatcher, alive: impl Fn(AgentIndex) -> (usize, usize)) {
        for (slot, standing) in self.standings.iter().enumerate() {
            let agent = AgentIndex::from(slot);
            let status = dispatcher.status(agent);
            let Some(profile) = &standing.profile else {
                assert_eq!(status, Status::Missing, "who is not in the registry is missing");
                continue;
            };
            let processes = self.processes_of(agent);
            let name = &profile.name;
            let (known, wanted) = alive(agent);
            assert_eq!(known, processes, "{name} knows of its processes");
            if let Gate::Closed { status: closed, .. } = standing.gate
                && closed.is_disabled()
            {
                assert_eq!(status, closed, "{name} is disabled");
            } else if profile.service {
                assert!(
                    status != Status::Running || processes == wanted,
                    "{name} is {status} with {processes} processes"
                );
                assert!(!status.is_disabled(), "{name} is {status} though its gate is open");
            } else {
                let busy = matches!(status, Status::Running | Status::Stopping);
                assert_eq!(busy, processes > 0, "{name} is {status} with {processes} processes");
            }
        }
    }

    /// After the shutdown.
    pub fn check_the_end(&self) {
        assert!(self.processes.is_empty(), "no program is left behind: {:?}", self.processes);
        let never_ended: Vec<_> = self.live.iter().map(|id| &self.runs[id]).collect();
        assert!(never_ended.is_empty(), "every execution ends: {never_ended:?}");
    }

    pub fn executions(&self) -> u64 {
        self.runs.len() as u64
    }

    pub fn automatic_starts(&self) -> u64 {
        self.automatic.len() as u64
    }
}

impl Where {
    fn ended(self) -> Option<End> {
        match self {
            Self::Ended(end) => Some(end),
            _ => None,
        }
    }
}
