//! The life of one agent: its programs, what happens when they end, and whether the agent takes part at all.
//!
//! Invariants: a process that was launched is waited for until it has ended; while the orchestrator drains nothing is
//! restarted; a service's instance has at most one process; what the agent shows (gate, status) is announced in the
//! same step in which it changes.
//!
//! The agent asks the dispatcher for every start and gets a grant; the dispatcher knows nothing of processes.

mod command;
mod job;
mod kept;
mod messages;
mod service;
mod shed;
mod shortage;
mod words;

use std::sync::Arc;
use std::time::Duration;

pub use kept::{Kept, KeptInstance, KeptShed, KeptWait, Mark, Switch};
pub use messages::{
    Action, AttemptView, Command, Event, IllnessView, InstanceView, Launch, ProcessEnd, ProcessKey, Sign,
};
pub use service::LONGEST_GRACE;
pub use words::LastWords;

use crate::backoff::Dice;
use crate::breaker::{AgentBreaker, BreakerAction, BreakerEvent, BreakerState};
use crate::dead_letters::Attempt;
use crate::dispatcher::{Ended, Event as ToDispatcher, Gate};
use crate::event::Event as Fact;
use crate::exit::Exit;
use crate::ids::{AgentIndex, RunId};
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::settings::Breaker;
use crate::spec::{AgentSpec, Health, Kind, OnLost, Priority, Probe, RestartPolicy, StopPolicy};
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};

use job::Jobs;
use service::Service;

/// What the programs of an agent do: by kind.
#[derive(Debug)]
enum Body {
    Job(Jobs),
    Service(Service),
}

/// One agent. See the module.
#[derive(Debug)]
pub struct Agent {
    core: Core,
    body: Body,
    /// What was announced last.
    shown: (Gate, Status, Option<String>),
}

/// What both kinds share.
#[derive(Debug)]
struct Core {
    index: AgentIndex,
    spec: Arc<AgentSpec>,
    breaker: AgentBreaker,
    dice: Dice,
    last_serial: u32,
    disabled: Option<(Status, Reason)>,
    /// Who switched it on though the registry has it off.
    switched_on: Option<String>,
    /// Why its breaker opened last.
    opened: Option<String>,
    stopped: bool,
    draining: bool,
    removed: bool,
    booted: bool,
    /// One of its programs was spawned.
    ever_started: bool,
    /// What its program said before its last failure; nothing after a success.
    last_words: Option<LastWords>,
}

impl Core {
    /// A program of it was spawned: tells so the first time.
    fn spawned(&mut self, out: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.ever_started, true) {
            out.push(Action::Dispatcher(ToDispatcher::FirstStarted { agent: self.index }));
        }
    }

    /// Remembers what a program said before it failed.
    fn heard(&mut self, run: RunId, words: Option<String>, now: Clocks) {
        self.last_words = words.map(|text| LastWords { text, run_id: run, at: now.wall });
    }

    fn next_process(&mut self) -> ProcessKey {
        self.last_serial += 1;
        ProcessKey { agent: self.index, serial: self.last_serial }
    }

    /// Whether it is on its way out: nothing is started any more.
    fn leaves(&self) -> bool {
        self.draining || self.removed
    }

    /// Whether something may be started on its own account.
    fn takes_part(&self) -> bool {
        self.booted && !self.leaves() && !matches!(self.gate(), Gate::Closed { .. })
    }

    fn breaker_open(&self) -> bool {
        matches!(self.breaker.state(), BreakerState::Open { .. })
    }

    /// Feeds the agent's own breaker and tells what it did.
    fn breaker(&mut self, event: BreakerEvent, now: Moment, out: &mut Vec<Action>) -> BreakerAction {
        let action = self.breaker.on(event, now);
        let agent = self.spec.name.clone();
        match &action {
            BreakerAction::None => {}
            BreakerAction::Opened { reason, cooldown } => {
                self.opened = Some(reason.to_string());
                let opened = Fact::BreakerOpened {
                    agent: Some(agent.clone()),
                    reason: reason.clone(),
                    cooldown: Some(*cooldown),
                };
                out.push(Action::Emit(opened));
                out.push(Action::Emit(Fact::AgentDisabled { agent, reason: reason.clone() }));
            }
            BreakerAction::HalfOpened => {
                out.push(Action::Emit(Fact::BreakerHalfOpen { agent: agent.clone() }));
                let early = event == BreakerEvent::Trial;
                let reason = if early { Reason::EarlyTrial } else { Reason::HalfOpen };
                out.push(Action::Emit(Fact::AgentEnabled { agent, reason }));
            }
            BreakerAction::Closed(reason) => {
                out.push(Action::Emit(Fact::BreakerClosed { agent: Some(agent), reason: reason.clone() }));
            }
        }
        action
    }

    fn gate(&self) -> Gate {
        if let Some((status, reason)) = &self.disabled {
            return Gate::Closed { status: *status, reason: reason.clone() };
        }
        if self.breaker_open() {
            let status = Status::DisabledByFailure;
            let why = self.opened.clone().unwrap_or_default();
            return Gate::Closed { status, reason: Reason::Disabled { status, why } };
        }
        if self.stopped {
            return Gate::Closed { status: Status::Stopped, reason: Reason::StoppedByOperator };
        }
        if matches!(self.breaker.state(), BreakerState::HalfOpen { .. }) { Gate::HalfOpen } else { Gate::Open }
    }
}

impl Agent {
    /// An agent that has not booted yet. `seed` feeds the spread of its delays.
    pub fn new(index: AgentIndex, spec: Arc<AgentSpec>, breaker: &Breaker, seed: u64) -> Self {
        let disabled = (!spec.enabled).then_some((Status::Disabled, Reason::DisabledInRegistry));
        let body = match &spec.kind {
            Kind::Job(_) => Body::Job(Jobs::default()),
            Kind::Service(service) => Body::Service(Service::new(service.instances)),
        };
        let core = Core {
            index,
            spec,
            breaker: AgentBreaker::new(breaker),
            dice: Dice::new(seed),
            last_serial: 0,
            disabled,
            switched_on: None,
            opened: None,
            stopped: false,
            draining: false,
            removed: false,
            booted: false,
            ever_started: false,
            last_words: None,
        };
        Self { core, body, shown: (Gate::Open, Status::Stopped, None) }
    }

    /// Its definition; a running program may still follow the one before.
    pub fn spec(&self) -> &Arc<AgentSpec> {
        &self.core.spec
    }

    /// Whether its boot layer was reached.
    pub fn is_booted(&self) -> bool {
        self.core.booted
    }

    /// Its live processes.
    pub fn processes(&self) -> Vec<ProcessKey> {
        match &self.body {
            Body::Job(jobs) => jobs.processes(),
            Body::Service(service) => service.processes(),
        }
    }

    /// Whether an attempt of this execution is in progress.
    pub fn holds(&self, key: RunKey) -> bool {
        match &self.body {
            Body::Job(jobs) => jobs.holds(key),
            Body::Service(_) => false,
        }
    }

    /// When [`Event::DeadlineReached`] is wanted.
    pub fn next_deadline(&self) -> Option<Moment> {
        let body = match &self.body {
            Body::Job(jobs) => jobs.next_deadline(),
            Body::Service(service) => service.next_deadline(&self.core),
        };
        let trial = self.core.breaker.next_deadline().filter(|_| !self.core.leaves());
        body.into_iter().chain(trial).min()
    }

    /// Whether it takes executions, as the dispatcher is told with every change. Open, for who was told nothing.
    pub fn gate(&self) -> Gate {
        self.core.gate()
    }

    /// The views of a service's instances; empty for a job.
    pub fn instances(&self) -> Vec<InstanceView> {
        match &self.body {
            Body::Job(_) => Vec::new(),
            Body::Service(service) => service.view(),
        }
    }

    /// Of a service, the instance that was restarted most often since one ran for long enough to be well: how often, and
    /// how its last life ended. Jobs count their attempts elsewhere.
    pub fn restarted_in_a_row(&self) -> Option<(u32, Option<&Exit>)> {
        match &self.body {
            Body::Job(_) => None,
            Body::Service(service) => service.restarted_in_a_row(),
        }
    }

    /// The attempt of this execution that is in progress, if there is one.
    pub fn attempt(&self, run: RunId) -> Option<AttemptView> {
        match &self.body {
            Body::Job(jobs) => jobs.view(run),
            Body::Service(_) => None,
        }
    }

    /// What its program said before its last failure; nothing after a success, or if it said nothing.
    pub fn last_words(&self) -> Option<&LastWords> {
        self.core.last_words.as_ref()
    }

    /// What its own breaker does, for `why`: until when it is open.
    pub fn breaker_state(&self) -> BreakerState {
        self.core.breaker.state()
    }

    /// The one place where state changes; [`Agent::command`] is the same for what expects an answer.
    pub fn on(&mut self, event: Event, now: Clocks, out: &mut Vec<Action>) {
        let begin = out.len();
        let had_processes = self.has_processes();
        let asked_to_leave = matches!(event, Event::Drain | Event::StopService | Event::Terminate | Event::Remove);
        match event {
            Event::Boot => self.boot(out),
            Event::Drain => self.drain(out),
            Event::Redefine(spec) => self.redefine(spec, now, out),
            Event::Configure(breaker) => self.core.breaker.configure(&breaker),
            Event::Remove => {
                self.core.removed = true;
                self.end_everything(&Reason::Removed, out);
            }
            Event::Terminate => {
                self.core.draining = true;
                self.end_everything(&Reason::ShuttingDown, out);
            }
            Event::Trial => self.half_open(BreakerEvent::Trial, now, out),
            Event::DeadlineReached => self.deadline(now, out),
            Event::MemoryIsShort { reason } => self.shed(&reason, out),
            Event::MemoryIsBack { reason } => self.unshed(&reason, out),
            other => match &mut self.body {
                Body::Job(jobs) => jobs.on(&mut self.core, other, now, out),
                Body::Service(service) => service.on(&mut self.core, other, now, out),
            },
        }
        self.announce(begin, out);
        if self.core.leaves() && !self.has_processes() && (had_processes || asked_to_leave) {
            out.push(Action::AllEnded);
        }
    }

    /// Carries out a command of an operator or says why not. The text says what happens now.
    ///
    /// # Errors
    /// The reason for which the agent can't do it in its present state.
    pub fn command(
        &mut self,
        command: &Command,
        by: &str,
        now: Clocks,
        out: &mut Vec<Action>,
    ) -> Result<String, Reason> {
        let begin = out.len();
        let answer = self.carry_out(command, by, now, out);
        self.announce(begin, out);
        answer
    }

    fn has_processes(&self) -> bool {
        match &self.body {
            Body::Job(jobs) => jobs.any_process(),
            Body::Service(service) => service.any_process(),
        }
    }

    fn boot(&mut self, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.core.booted, true) {
            return;
        }
        if let Body::Service(service) = &mut self.body {
            service.boot(&self.core, out);
        }
    }

    /// What runs may end by itself; what only waits to be started does not start any more.
    fn drain(&mut self, out: &mut Vec<Action>) {
        self.core.draining = true;
        if let Body::Service(service) = &mut self.body {
            service.drop_plans(&self.core, &Reason::ShuttingDown, out);
        }
    }

    fn deadline(&mut self, now: Clocks, out: &mut Vec<Action>) {
        if self.core.breaker.next_deadline().is_some_and(|at| at <= now.steady) {
            self.half_open(BreakerEvent::DeadlineReached, now, out);
        }
        match &mut self.body {
            Body::Job(jobs) => jobs.deadline(now, out),
            Body::Service(service) => service.deadline(&mut self.core, now, out),
        }
    }

    /// One trial, if its breaker is open.
    fn half_open(&mut self, event: BreakerEvent, now: Clocks, out: &mut Vec<Action>) {
        if self.core.leaves() {
            return;
        }
        let action = self.core.breaker(event, now.steady, out);
        if let (BreakerAction::HalfOpened, Body::Service(service)) = (action, &mut self.body) {
            service.start_all(&self.core, true, false, out);
        }
    }

    fn redefine(&mut self, spec: Arc<AgentSpec>, now: Clocks, out: &mut Vec<Action>) {
        let old = std::mem::replace(&mut self.core.spec, spec);
        if old.job().is_some() != self.core.spec.job().is_some() {
            // One of the other kind is another agent: the fleet takes this one out and a new one in.
            self.core.spec = old;
            return;
        }
        let (enabled, agent) = (self.core.spec.enabled, self.core.spec.name.clone());
        let by_registry = matches!(self.core.disabled, Some((_, Reason::DisabledInRegistry)));
        let switched_on = enabled && by_registry;
        if enabled {
            self.core.switched_on = None;
        }
        if switched_on {
            self.core.disabled = None;
            out.push(Action::Emit(Fact::AgentEnabled { agent, reason: Reason::ConfigChanged }));
        } else if old.enabled && !enabled && !matches!(self.core.disabled, Some((Status::Disabled, _))) {
            let reason = Reason::DisabledInRegistry;
            self.core.disabled = Some((Status::Disabled, reason.clone()));
            out.push(Action::Emit(Fact::AgentDisabled { agent, reason }));
        }
        if let Body::Service(service) = &mut self.body {
            if self.core.disabled.is_some() {
                let reason = self.core.disabled.as_ref().map(|(_, reason)| reason.clone());
                service.stop_all(&self.core, &reason.unwrap_or(Reason::DisabledInRegistry), out);
            }
            let changed = switched_on || what_runs(&old) != what_runs(&self.core.spec);
            let watched_otherwise = health_of(&old) != health_of(&self.core.spec);
            service.redefined(&self.core, changed, out);
            if watched_otherwise && !changed {
                service.watch_anew(&self.core, now, out);
            }
        }
    }

    fn end_everything(&mut self, reason: &Reason, out: &mut Vec<Action>) {
        match &mut self.body {
            Body::Job(jobs) => jobs.end_all(reason, out),
            Body::Service(service) => service.stop_all(&self.core, reason, out),
        }
    }

    /// Tells what changed since it was told last. The gate goes before the step's other actions: once it is closed, the
    /// end of an execution must not let the next one in.
    fn announce(&mut self, begin: usize, out: &mut Vec<Action>) {
        let agent = self.core.index;
        let gate = self.core.gate();
        if gate != self.shown.0 {
            self.shown.0 = gate.clone();
            out.insert(begin, Action::Dispatcher(ToDispatcher::SetGate { agent, gate }));
        }
        if let Body::Service(service) = &self.body {
            let (status, error) = service.status(&self.core);
            if status != self.shown.1 || error != self.shown.2 {
                self.shown.1 = status;
                self.shown.2.clone_from(&error);
                out.push(Action::Dispatcher(ToDispatcher::ServiceStatus { agent, status, error }));
            }
        }
    }
}

/// The definition without what a running program does not notice: a service is restarted if the rest differs.
fn what_runs(spec: &AgentSpec) -> AgentSpec {
    let mut same = AgentSpec {
        department: String::new(),
        description: String::new(),
        priority: Priority::Normal,
        layer: None,
        dependencies: Vec::new(),
        success_codes: Vec::new(),
        stop: StopPolicy::default(),
        memory_max: None,
        on_lost: OnLost::DeadLetter,
        orphan_ttl: Duration::ZERO,
        enabled: true,
        ..spec.clone()
    };
    if let Kind::Service(service) = &mut same.kind {
        service.restart = RestartPolicy::Always;
        service.backoff = crate::spec::Backoff::default();
        service.healthy_for = Duration::ZERO;
        service.instances = 1;
        // Probes look from outside; of a watchdog the program knows the interval.
        service.health = service.health.take().filter(|health| health.probe == Probe::Notify);
        if let Some(watchdog) = &mut service.health {
            (watchdog.timeout, watchdog.failures) = (Duration::ZERO, 0);
        }
    }
    same
}

fn health_of(spec: &AgentSpec) -> Option<&Health> {
    spec.service()?.health.as_ref()
}

/// The record of one attempt that has ended.
fn attempt(number: u32, started: Timestamp, lived: Duration, exit: Exit) -> Attempt {
    Attempt { attempt: number, started_at: started, duration: lived, exit }
}

/// Boxes the report of an execution's end.
fn ended(ended: Ended) -> Action {
    Action::Dispatcher(ToDispatcher::Ended(Box::new(ended)))
}

#[cfg(test)]
mod tests;
