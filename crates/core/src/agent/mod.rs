//! The life of one agent: its programs, what happens when they end, and whether the agent takes part at all.
//!
//! Invariants: a process that was launched is waited for until it has ended; while the orchestrator drains nothing is
//! restarted; a service's instance has at most one process; what the agent shows (gate, status) is announced in the
//! same step in which it changes.
//!
//! The agent asks the dispatcher for every start and gets a grant; the dispatcher knows nothing of processes.

mod job;
mod service;

use std::sync::Arc;
use std::time::Duration;

use crate::backoff::Dice;
use crate::breaker::{AgentBreaker, BreakerAction, BreakerEvent, BreakerState};
use crate::dead_letters::Attempt;
use crate::dispatcher::{Ended, Event as ToDispatcher, Gate, Grant};
use crate::event::Event as Fact;
use crate::exit::{Exit, SpawnFailure};
use crate::ids::{AgentIndex, RunId};
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::settings::Breaker;
use crate::spec::{AgentSpec, Kind, StopPolicy};
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};

use job::Jobs;
use service::Service;

/// A process of an agent, unique while the orchestrator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Whose.
    pub agent: AgentIndex,
    /// Which, counted from 1.
    pub serial: u32,
}

/// How a process ended, as the operating system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEnd {
    /// `Clean`, `Code` or `Signal`.
    pub exit: Exit,
    /// From start to the end of the leader.
    pub lived: Duration,
    /// Whether SIGKILL was needed.
    pub forced: bool,
    /// Peak memory in bytes.
    pub peak_rss_bytes: u64,
    /// Last lines of its output.
    pub log_tail: Vec<String>,
}

/// What a person, the API or the department asks of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take part again; a service starts.
    Start {
        /// Whether unhealthy dependencies are overridden.
        force: bool,
    },
    /// End what runs and take no triggers until `Start`.
    Stop,
    /// End what runs and start it again.
    Restart,
    /// Take part again after `Disable` or a breaker.
    Enable,
    /// Take part in nothing.
    Disable,
    /// Clear breakers before a manual execution.
    PrepareManualRun,
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Its boot layer is reached.
    Boot,
    /// The dispatcher lets it start a program.
    Granted(Grant),
    /// An execution is to be ended.
    CancelRun {
        /// Which.
        key: RunKey,
        /// Why.
        reason: Reason,
    },
    /// A launched process runs.
    Started {
        /// Which.
        process: ProcessKey,
        /// Its pid.
        pid: i32,
    },
    /// A launched process could not be started.
    SpawnFailed {
        /// Which.
        process: ProcessKey,
        /// Why.
        failure: SpawnFailure,
    },
    /// A process said, or was found, to be ready.
    Ready {
        /// Which.
        process: ProcessKey,
    },
    /// A process hangs, or its probes fail.
    Unhealthy {
        /// Which.
        process: ProcessKey,
        /// Why.
        reason: Reason,
    },
    /// Its probes pass again.
    HealthyAgain {
        /// Which.
        process: ProcessKey,
    },
    /// A process has ended, and its tree with it.
    Exited {
        /// Which.
        process: ProcessKey,
        /// How.
        end: ProcessEnd,
    },
    /// Another service of its department was restarted.
    GroupRestart {
        /// The reason to show.
        reason: Reason,
    },
    /// The registry defines it anew.
    Redefine(Arc<AgentSpec>),
    /// The thresholds changed.
    Configure(Breaker),
    /// The registry has it no more.
    Remove,
    /// The orchestrator goes down: nothing is restarted from now on.
    Drain,
    /// Its service is to stop (shutdown, step 3).
    StopService,
    /// Everything is to end (shutdown, step 4).
    Terminate,
    /// [`Agent::next_deadline`] is over.
    DeadlineReached,
}

/// What an agent answers.
#[derive(Clone, Debug)]
#[must_use]
pub enum Action {
    /// Start a process.
    Launch(Launch),
    /// Stop signal to its group, and after the time-out SIGKILL.
    StopProcess {
        /// Which.
        process: ProcessKey,
        /// How.
        policy: StopPolicy,
    },
    /// Tell the dispatcher.
    Dispatcher(ToDispatcher),
    /// Look for its readiness by probing.
    WatchReadiness {
        /// Whose.
        process: ProcessKey,
    },
    /// Probe its health.
    WatchHealth {
        /// Whose.
        process: ProcessKey,
    },
    /// Probe it no more.
    Unwatch {
        /// Whom.
        process: ProcessKey,
    },
    /// Tell everybody.
    Emit(Fact),
    /// One of its instances is being restarted after it ended: its department may restart others.
    GroupMemberRestarting,
    /// A service is ready or will not become so by itself: the boot need not wait for it.
    BootSettled {
        /// Whether it is ready.
        ready: bool,
    },
    /// No process of it is alive, and none will be started (while draining or after removal).
    AllEnded,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The process's key.
    pub process: ProcessKey,
    /// The execution, or the life of a service.
    pub run: RunId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Which instance of a service; 0 for a job.
    pub instance: u16,
    /// What is run.
    pub spec: Arc<AgentSpec>,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What it gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

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
    /// Why its breaker opened last.
    opened: Option<Reason>,
    stopped: bool,
    draining: bool,
    removed: bool,
    booted: bool,
}

impl Core {
    fn next_process(&mut self) -> ProcessKey {
        self.last_serial += 1;
        ProcessKey { agent: self.index, serial: self.last_serial }
    }

    /// Whether something may be started on its own account.
    fn takes_part(&self) -> bool {
        self.disabled.is_none() && !self.stopped && !self.draining && !self.removed && self.booted
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
                self.opened = Some(reason.clone());
                let opened =
                    Fact::BreakerOpened { agent: Some(agent.clone()), reason: reason.clone(), cooldown: Some(*cooldown) };
                out.push(Action::Emit(opened));
                out.push(Action::Emit(Fact::AgentDisabled { agent, reason: reason.clone() }));
            }
            BreakerAction::HalfOpened => {
                out.push(Action::Emit(Fact::BreakerHalfOpen { agent: agent.clone() }));
                out.push(Action::Emit(Fact::AgentEnabled { agent, reason: Reason::HalfOpen }));
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
            let why = self.opened.as_ref().map(ToString::to_string).unwrap_or_default();
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
            opened: None,
            stopped: false,
            draining: false,
            removed: false,
            booted: false,
        };
        Self { core, body, shown: (Gate::Open, Status::Stopped, None) }
    }

    /// Its definition; a running program may still follow the one before.
    pub fn spec(&self) -> &Arc<AgentSpec> {
        &self.core.spec
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
        body.into_iter().chain(self.core.breaker.next_deadline()).min()
    }

    /// The views of a service's instances; empty for a job.
    pub fn instances(&self) -> Vec<InstanceView> {
        match &self.body {
            Body::Job(_) => Vec::new(),
            Body::Service(service) => service.view(),
        }
    }

    /// What its own breaker does, for `why`: until when it is open.
    pub fn breaker_state(&self) -> BreakerState {
        self.core.breaker.state()
    }

    /// The one place where state changes; [`Agent::command`] is the same for what expects an answer.
    pub fn on(&mut self, event: Event, now: Clocks, out: &mut Vec<Action>) {
        let had_processes = self.has_processes();
        match event {
            Event::Boot => self.boot(now, out),
            Event::Drain => self.core.draining = true,
            Event::Redefine(spec) => self.redefine(spec, now, out),
            Event::Configure(breaker) => self.core.breaker.configure(&breaker),
            Event::Remove => {
                self.core.removed = true;
                self.end_everything(&Reason::Removed, now, out);
            }
            Event::Terminate => {
                self.core.draining = true;
                self.end_everything(&Reason::ShuttingDown, now, out);
            }
            Event::DeadlineReached => self.deadline(now, out),
            other => match &mut self.body {
                Body::Job(jobs) => jobs.on(&mut self.core, other, now, out),
                Body::Service(service) => service.on(&mut self.core, other, now, out),
            },
        }
        self.announce(out);
        let leaving = self.core.draining || self.core.removed;
        if leaving && had_processes && !self.has_processes() {
            out.push(Action::AllEnded);
        }
    }

    /// Carries out a command of an operator or says why not. The text says what happens now.
    ///
    /// # Errors
    /// The reason for which the agent can't do it in its present state.
    pub fn command(&mut self, command: &Command, by: &str, now: Clocks, out: &mut Vec<Action>) -> Result<String, Reason> {
        let answer = self.carry_out(command, by, now, out);
        self.announce(out);
        answer
    }

    fn has_processes(&self) -> bool {
        match &self.body {
            Body::Job(jobs) => jobs.any_process(),
            Body::Service(service) => service.any_process(),
        }
    }

    fn boot(&mut self, now: Clocks, out: &mut Vec<Action>) {
        if std::mem::replace(&mut self.core.booted, true) {
            return;
        }
        if let Body::Service(service) = &mut self.body {
            service.start_all(&self.core, false, false, now, out);
            if !self.core.takes_part() {
                out.push(Action::BootSettled { ready: false });
            }
        }
    }

    fn deadline(&mut self, now: Clocks, out: &mut Vec<Action>) {
        if self.core.breaker.next_deadline().is_some_and(|at| at <= now.steady) {
            let action = self.core.breaker(BreakerEvent::DeadlineReached, now.steady, out);
            if let (BreakerAction::HalfOpened, Body::Service(service)) = (action, &mut self.body) {
                service.start_all(&self.core, true, false, now, out);
            }
        }
        match &mut self.body {
            Body::Job(jobs) => jobs.deadline(&self.core, now, out),
            Body::Service(service) => service.deadline(&mut self.core, now, out),
        }
    }

    fn redefine(&mut self, spec: Arc<AgentSpec>, now: Clocks, out: &mut Vec<Action>) {
        let was_enabled = self.core.spec.enabled;
        let (enabled, name) = (spec.enabled, spec.name.clone());
        self.core.spec = spec;
        if was_enabled && !enabled {
            self.core.disabled = Some((Status::Disabled, Reason::DisabledInRegistry));
            out.push(Action::Emit(Fact::AgentDisabled { agent: name, reason: Reason::DisabledInRegistry }));
        } else if enabled && matches!(self.core.disabled, Some((_, Reason::DisabledInRegistry))) {
            self.core.disabled = None;
            out.push(Action::Emit(Fact::AgentEnabled { agent: name, reason: Reason::ConfigChanged }));
        }
        if let Body::Service(service) = &mut self.body {
            if self.core.disabled.is_some() {
                service.stop_all(&self.core, &Reason::DisabledInRegistry, out);
            } else {
                service.redefined(&self.core, now, out);
            }
        }
    }

    fn end_everything(&mut self, reason: &Reason, now: Clocks, out: &mut Vec<Action>) {
        match &mut self.body {
            Body::Job(jobs) => jobs.end_all(&self.core, reason, out),
            Body::Service(service) => service.stop_all(&self.core, reason, out),
        }
        let _ = now;
        if !self.has_processes() {
            out.push(Action::AllEnded);
        }
    }

    fn carry_out(&mut self, command: &Command, by: &str, now: Clocks, out: &mut Vec<Action>) -> Result<String, Reason> {
        if self.core.draining {
            return Err(Reason::ShuttingDown);
        }
        if self.core.removed {
            return Err(Reason::Removed);
        }
        let name = self.core.spec.name.clone();
        let asked = Reason::ByOperator { by: by.to_owned() };
        match command {
            Command::Start { force } => {
                self.clear_what_an_operator_may(now, out)?;
                self.core.stopped = false;
                match &mut self.body {
                    Body::Service(service) if service.all_alive() => Ok(format!("{name} runs already")),
                    Body::Service(service) => {
                        service.start_all(&self.core, false, *force, now, out);
                        Ok(format!("{name} is being started"))
                    }
                    Body::Job(_) => {
                        Ok(format!("{name} takes triggers again; run it at once with `werkpilot run {name}`"))
                    }
                }
            }
            Command::Stop => {
                let again = std::mem::replace(&mut self.core.stopped, true);
                match &mut self.body {
                    Body::Job(jobs) => jobs.end_all(&self.core, &asked, out),
                    Body::Service(service) => service.stop_all(&self.core, &asked, out),
                }
                Ok(if again { format!("{name} was stopped already") } else { format!("{name} is being stopped") })
            }
            Command::Restart => {
                self.clear_what_an_operator_may(now, out)?;
                self.core.stopped = false;
                match &mut self.body {
                    Body::Service(service) => service.restart_all(&self.core, &asked, false, now, out),
                    Body::Job(jobs) => jobs.end_all(&self.core, &asked, out),
                }
                Ok(format!("{name} is being restarted"))
            }
            Command::Enable => {
                let was = self.core.gate();
                self.core.disabled = None;
                let _ = self.core.breaker(BreakerEvent::Reset, now.steady, out);
                if !matches!(was, Gate::Closed { status, .. } if status.is_disabled()) {
                    return Ok(format!("{name} was enabled already"));
                }
                out.push(Action::Emit(Fact::AgentEnabled { agent: name.clone(), reason: asked }));
                if let Body::Service(service) = &mut self.body {
                    service.start_all(&self.core, false, false, now, out);
                }
                Ok(format!("{name} is enabled"))
            }
            Command::Disable => {
                if matches!(self.core.disabled, Some((Status::Disabled, _))) {
                    return Ok(format!("{name} was disabled already"));
                }
                self.core.disabled = Some((Status::Disabled, asked.clone()));
                out.push(Action::Emit(Fact::AgentDisabled { agent: name.clone(), reason: asked.clone() }));
                if let Body::Service(service) = &mut self.body {
                    service.stop_all(&self.core, &asked, out);
                }
                Ok(format!("{name} is disabled"))
            }
            Command::PrepareManualRun => {
                if matches!(self.body, Body::Service(_)) {
                    return Ok(format!("{name} is a service"));
                }
                self.clear_what_an_operator_may(now, out)?;
                Ok(String::new())
            }
        }
    }

    /// A manual start clears breakers and disabled-by states; what was switched off on purpose stays so.
    fn clear_what_an_operator_may(&mut self, now: Clocks, out: &mut Vec<Action>) -> Result<(), Reason> {
        if let Some((Status::Disabled, reason)) = &self.core.disabled {
            let why = format!("{reason}; switch it on with `werkpilot enable {}`", self.core.spec.name);
            return Err(Reason::Disabled { status: Status::Disabled, why });
        }
        self.core.disabled = None;
        let _ = self.core.breaker(BreakerEvent::Reset, now.steady, out);
        Ok(())
    }

    fn announce(&mut self, out: &mut Vec<Action>) {
        let agent = self.core.index;
        let gate = self.core.gate();
        if gate != self.shown.0 {
            self.shown.0 = gate.clone();
            out.push(Action::Dispatcher(ToDispatcher::SetGate { agent, gate }));
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

/// One instance of a service, as pages and `why` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// Its number, from 0.
    pub instance: u16,
    /// Its own status.
    pub status: Status,
    /// Its process.
    pub process: Option<ProcessKey>,
    /// The id of this life.
    pub run: Option<RunId>,
    /// Since when it is in this state, where that means something.
    pub since: Option<Moment>,
    /// Automatic restarts in a row.
    pub restarts: u32,
    /// Why it is not running, or is being stopped.
    pub reason: Option<Reason>,
    /// When it is tried again.
    pub next_attempt: Option<Moment>,
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
