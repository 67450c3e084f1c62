//! One instance of a service: what it is doing, and what happens when its process has ended.

use super::super::shortage::Shortage;
use super::super::{Action, Core, IllnessView, InstanceView, ProcessKey};
use crate::dead_letters::Attempt;
use crate::dispatcher::Event as ToDispatcher;
use crate::exit::Exit;
use crate::ids::RunId;
use crate::reason::Reason;
use crate::status::Status;
use crate::time::{Moment, Timestamp};

/// Lives of an instance that its dead letter tells about: enough to see a pattern, few enough to read.
const LIVES_KEPT: usize = 5;

/// What an instance is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// Nothing, and nothing is planned.
    Off { status: Status, reason: Option<Reason> },
    /// Waits for the dispatcher's grant.
    Waiting,
    /// Has a process.
    Alive(Box<Alive>),
    /// Waits before it asks again. `counted` starts are automatic restarts; after a shortage they are not.
    BackingOff { until: Moment, reason: Reason, counted: bool },
}

/// An instance's process.
#[derive(Debug)]
pub(super) struct Alive {
    pub process: ProcessKey,
    pub run: RunId,
    pub stage: Stage,
    pub launched: Moment,
    pub launched_at: Timestamp,
    /// It said that it is ready before we heard that it runs.
    pub early_ready: bool,
    pub then: Option<Then>,
    /// What is bad about its health, in stage `Unhealthy`.
    pub illness: Option<Box<Illness>>,
}

/// What is bad about the health of a process.
#[derive(Debug)]
pub(super) struct Illness {
    pub since: Timestamp,
    /// All that is bad: of each sign what was said first. Never empty.
    pub reasons: Vec<Reason>,
    /// When it is ended, unless it recovers.
    pub ends_at: Option<Moment>,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Launching,
    Starting { ready_by: Moment, ready_at: Option<Moment> },
    Ready { steady_at: Moment, steady: bool },
    Unhealthy,
}

/// What happens when a process that we end has ended.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Off(Reason),
    Restart { reason: Reason, automatic: bool },
    Fail { exit: Exit, reason: Reason, unhealthy: bool },
}

#[derive(Debug)]
pub(super) struct Instance {
    pub number: u16,
    pub phase: Phase,
    /// Automatic restarts in a row: the exponent of the backoff.
    pub failures: u32,
    pub shortage: Shortage,
    /// A person overrides unhealthy dependencies, until it runs.
    pub force: bool,
    pub lives: Vec<Attempt>,
    /// The delay that the shutdown cut short: the next orchestrator goes on with it.
    pub cut_short: Option<(Moment, Reason, bool)>,
    /// To be dropped once it has no process: the registry asks for fewer instances now.
    pub surplus: bool,
}

impl Instance {
    pub fn new(number: u16) -> Self {
        let phase = Phase::Off { status: Status::Stopped, reason: None };
        Self {
            number,
            phase,
            failures: 0,
            shortage: Shortage::default(),
            force: false,
            lives: Vec::new(),
            cut_short: None,
            surplus: false,
        }
    }

    pub fn alive(&self) -> Option<&Alive> {
        match &self.phase {
            Phase::Alive(alive) => Some(alive),
            _ => None,
        }
    }

    pub fn alive_mut(&mut self) -> Option<&mut Alive> {
        match &mut self.phase {
            Phase::Alive(alive) => Some(alive),
            _ => None,
        }
    }

    /// Until when it backs off, or would if it were not for the shutdown, why, and whether the start that follows counts.
    pub fn backing_off(&self) -> Option<(Moment, &Reason, bool)> {
        match (&self.phase, &self.cut_short) {
            (Phase::BackingOff { until, reason, counted }, _) | (Phase::Off { .. }, Some((until, reason, counted))) => {
                Some((*until, reason, *counted))
            }
            _ => None,
        }
    }

    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Off { status, .. } => *status,
            Phase::Waiting => Status::Queued,
            Phase::BackingOff { .. } => Status::BackingOff,
            Phase::Alive(alive) => match (&alive.then, alive.stage) {
                (Some(Then::Fail { unhealthy: true, .. }), _) | (None, Stage::Unhealthy) => Status::Unhealthy,
                (Some(_), _) => Status::Stopping,
                (None, Stage::Launching | Stage::Starting { .. }) => Status::Starting,
                (None, Stage::Ready { .. }) => Status::Running,
            },
        }
    }

    /// Why it is not running, or is being ended; nothing for one that was stopped on purpose.
    pub fn error(&self) -> Option<String> {
        match &self.phase {
            Phase::Off { status: Status::Stopped, .. } | Phase::Waiting => None,
            Phase::Off { reason, .. } => reason.as_ref().map(ToString::to_string),
            Phase::BackingOff { reason, .. } => Some(reason.to_string()),
            Phase::Alive(alive) => match &alive.then {
                Some(Then::Fail { reason, .. }) => Some(reason.to_string()),
                Some(_) => None,
                None => alive.illness.as_ref().map(|illness| illness.reasons[0].to_string()),
            },
        }
    }

    pub fn view(&self) -> InstanceView {
        let (reason, next_attempt) = match &self.phase {
            Phase::Off { reason, .. } => (reason.clone(), None),
            Phase::BackingOff { until, reason, .. } => (Some(reason.clone()), Some(*until)),
            Phase::Waiting => (None, None),
            Phase::Alive(alive) => {
                let why = alive.then.as_ref().map(|then| match then {
                    Then::Off(reason) | Then::Restart { reason, .. } | Then::Fail { reason, .. } => reason.clone(),
                });
                let ill = alive.illness.as_ref().map(|illness| illness.reasons[0].clone());
                (why.or(ill), None)
            }
        };
        let alive = self.alive();
        InstanceView {
            instance: self.number,
            status: self.status(),
            process: alive.map(|alive| alive.process),
            run: alive.map(|alive| alive.run),
            since: alive.map(|alive| alive.launched),
            restarts: self.failures,
            reason,
            next_attempt,
            illness: alive.and_then(|alive| alive.illness.as_deref()).map(|illness| IllnessView {
                since: illness.since,
                reasons: illness.reasons.clone(),
                ends_at: illness.ends_at,
            }),
        }
    }

    /// When something happens by itself.
    pub fn next_deadline(&self, core: &Core) -> Option<Moment> {
        match &self.phase {
            Phase::Off { .. } | Phase::Waiting => None,
            Phase::BackingOff { until, .. } => core.takes_part().then_some(*until),
            Phase::Alive(alive) if alive.then.is_some() => None,
            Phase::Alive(alive) => match alive.stage {
                Stage::Launching => None,
                Stage::Unhealthy => alive.illness.as_ref()?.ends_at,
                Stage::Starting { ready_by, ready_at } => Some(ready_at.map_or(ready_by, |at| at.min(ready_by))),
                Stage::Ready { steady_at, steady } => (!steady).then_some(steady_at),
            },
        }
    }

    pub fn request_start(&mut self, core: &Core, automatic: bool, out: &mut Vec<Action>) {
        self.phase = Phase::Waiting;
        let (agent, instance, force) = (core.index, self.number, self.force);
        out.push(Action::Dispatcher(ToDispatcher::StartService { agent, instance, automatic, force }));
    }

    /// Ends its process, or its plans if it has none.
    pub fn stop(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        if let Some(alive) = self.alive_mut() {
            if alive.then.is_none() {
                end_process(core, alive, out);
            }
            alive.then = Some(Then::Off(reason.clone()));
        } else {
            self.drop_plans(core, reason, out);
        }
    }

    /// Does not start, if it was to be started.
    pub fn drop_plans(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        match &self.phase {
            Phase::Waiting => {
                let (agent, instance) = (core.index, self.number);
                out.push(Action::Dispatcher(ToDispatcher::WithdrawService { agent, instance }));
            }
            Phase::BackingOff { until, reason, counted } if core.draining => {
                self.cut_short = Some((*until, reason.clone(), *counted));
            }
            Phase::BackingOff { .. } => {}
            Phase::Off { .. } | Phase::Alive(_) => return,
        }
        self.phase = Phase::Off { status: Status::Stopped, reason: Some(reason.clone()) };
    }

    pub fn keep_life(&mut self, life: Attempt) {
        if self.lives.len() == LIVES_KEPT {
            self.lives.remove(0);
        }
        self.lives.push(life);
    }
}

/// Sends the stop signal, unless the process does not run yet: then the event that it does brings it about.
pub(super) fn end_process(core: &Core, alive: &Alive, out: &mut Vec<Action>) {
    if alive.stage != Stage::Launching {
        out.push(Action::Unwatch { process: alive.process });
        out.push(Action::StopProcess { process: alive.process, policy: core.spec.stop });
    }
}
