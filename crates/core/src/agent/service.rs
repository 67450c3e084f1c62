//! The instances of a service: started, ready, watched, stopped, restarted by policy.

use std::time::Duration;

use super::job::shortage_delay;
use super::{Action, Core, Event, InstanceView, Launch, ProcessEnd, ProcessKey, attempt};
use crate::backoff::{RestartDecision, restart};
use crate::breaker::{BreakerAction, BreakerEvent, BreakerState};
use crate::dead_letters::Attempt;
use crate::dispatcher::{Event as ToDispatcher, Grant};
use crate::event::Event as Fact;
use crate::exit::{Exit, SpawnFailure, SpawnFailureKind};
use crate::ids::RunId;
use crate::reason::Reason;
use crate::spec::{Probe, ReadyCheck, RestartPolicy, ServiceSpec};
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};

/// Lives of an instance that its dead letter tells about: enough to see a pattern, few enough to read.
const LIVES_KEPT: usize = 5;

/// What an instance is doing.
#[derive(Debug)]
enum Phase {
    /// Nothing, and nothing is planned.
    Off { status: Status, reason: Option<Reason> },
    /// Waits for the dispatcher's grant.
    Waiting,
    /// Has a process.
    Alive(Box<Alive>),
    /// Waits before it asks again.
    BackingOff { until: Moment, reason: Reason },
}

/// An instance's process.
#[derive(Debug)]
struct Alive {
    process: ProcessKey,
    run: RunId,
    stage: Stage,
    launched: Moment,
    launched_at: Timestamp,
    then: Option<Then>,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Launching,
    Starting { ready_by: Moment, ready_at: Option<Moment> },
    Ready { steady_at: Moment, steady: bool },
    Unhealthy,
}

/// What happens when a process that we end has ended.
#[derive(Clone, Debug)]
enum Then {
    Off(Reason),
    Restart { reason: Reason, automatic: bool },
    Fail { exit: Exit, reason: Reason, unhealthy: bool },
}

#[derive(Debug)]
struct Instance {
    number: u16,
    phase: Phase,
    /// Automatic restarts in a row: the exponent of the backoff.
    failures: u32,
    shortages: u32,
    force: bool,
    lives: Vec<Attempt>,
    /// To be dropped once it has no process: the registry asks for fewer instances now.
    surplus: bool,
}

impl Instance {
    fn new(number: u16) -> Self {
        let phase = Phase::Off { status: Status::Stopped, reason: None };
        Self { number, phase, failures: 0, shortages: 0, force: false, lives: Vec::new(), surplus: false }
    }

    fn alive(&self) -> Option<&Alive> {
        match &self.phase {
            Phase::Alive(alive) => Some(alive),
            _ => None,
        }
    }

    fn alive_mut(&mut self) -> Option<&mut Alive> {
        match &mut self.phase {
            Phase::Alive(alive) => Some(alive),
            _ => None,
        }
    }

    fn status(&self) -> Status {
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

    fn request_start(&mut self, core: &Core, automatic: bool, out: &mut Vec<Action>) {
        self.phase = Phase::Waiting;
        let (agent, instance, force) = (core.index, self.number, self.force);
        out.push(Action::Dispatcher(ToDispatcher::StartService { agent, instance, automatic, force }));
    }

    /// Ends its process, or its plans if it has none.
    fn stop(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        match &mut self.phase {
            Phase::Off { .. } => {}
            Phase::Alive(alive) => {
                if alive.then.is_none() {
                    end_process(core, alive, out);
                }
                alive.then = Some(Then::Off(reason.clone()));
            }
            Phase::Waiting | Phase::BackingOff { .. } => {
                let (agent, instance) = (core.index, self.number);
                out.push(Action::Dispatcher(ToDispatcher::WithdrawService { agent, instance }));
                self.phase = Phase::Off { status: Status::Stopped, reason: Some(reason.clone()) };
            }
        }
    }

    fn keep_life(&mut self, life: Attempt) {
        if self.lives.len() == LIVES_KEPT {
            self.lives.remove(0);
        }
        self.lives.push(life);
    }
}

/// Sends the stop signal, unless the process does not run yet: then [`Event::Started`] does it.
fn end_process(core: &Core, alive: &Alive, out: &mut Vec<Action>) {
    if alive.stage != Stage::Launching {
        out.push(Action::Unwatch { process: alive.process });
        out.push(Action::StopProcess { process: alive.process, policy: core.spec.stop });
    }
}

/// All instances.
#[derive(Debug)]
pub(super) struct Service {
    instances: Vec<Instance>,
    settled: bool,
}

impl Service {
    pub fn new(instances: u16) -> Self {
        Self { instances: (0..instances.max(1)).map(Instance::new).collect(), settled: false }
    }

    pub fn processes(&self) -> Vec<ProcessKey> {
        self.instances.iter().filter_map(|instance| Some(instance.alive()?.process)).collect()
    }

    pub fn any_process(&self) -> bool {
        self.instances.iter().any(|instance| instance.alive().is_some())
    }

    /// Whether every instance has a process that is not being ended.
    pub fn all_alive(&self) -> bool {
        self.instances.iter().all(|instance| instance.alive().is_some_and(|alive| alive.then.is_none()))
    }

    /// The worst status of its instances, or the one that the agent as a whole is in, and its last error.
    pub fn status(&self, core: &Core) -> (Status, Option<String>) {
        let worst = self.instances.iter().map(Instance::status).max().unwrap_or(Status::Stopped);
        let status = match &core.disabled {
            Some((status, _)) => *status,
            None if core.breaker_open() => Status::DisabledByFailure,
            None => worst,
        };
        let error = self.instances.iter().find_map(|instance| match &instance.phase {
            Phase::Off { status: Status::Stopped, .. } => None,
            Phase::Off { reason: Some(reason), .. } | Phase::BackingOff { reason, .. } => Some(reason.to_string()),
            Phase::Alive(alive) => match &alive.then {
                Some(Then::Fail { reason, .. }) => Some(reason.to_string()),
                _ => None,
            },
            _ => None,
        });
        (status, error)
    }

    pub fn view(&self) -> Vec<InstanceView> {
        let views = self.instances.iter().map(|instance| {
            let alive = instance.alive();
            let (reason, next_attempt) = match &instance.phase {
                Phase::Off { reason, .. } => (reason.clone(), None),
                Phase::BackingOff { until, reason } => (Some(reason.clone()), Some(*until)),
                Phase::Waiting => (None, None),
                Phase::Alive(alive) => match &alive.then {
                    Some(Then::Off(reason) | Then::Restart { reason, .. } | Then::Fail { reason, .. }) => {
                        (Some(reason.clone()), None)
                    }
                    None => (None, None),
                },
            };
            InstanceView {
                instance: instance.number,
                status: instance.status(),
                process: alive.map(|alive| alive.process),
                run: alive.map(|alive| alive.run),
                since: alive.map(|alive| alive.launched),
                restarts: instance.failures,
                reason,
                next_attempt,
            }
        });
        views.collect()
    }

    pub fn next_deadline(&self, core: &Core) -> Option<Moment> {
        let open = core.breaker_open();
        let of = |instance: &Instance| match &instance.phase {
            Phase::Off { .. } | Phase::Waiting => None,
            Phase::BackingOff { until, .. } => (!open).then_some(*until),
            Phase::Alive(alive) if alive.then.is_some() => None,
            Phase::Alive(alive) => match alive.stage {
                Stage::Launching | Stage::Unhealthy => None,
                Stage::Starting { ready_by, ready_at } => Some(ready_at.map_or(ready_by, |at| at.min(ready_by))),
                Stage::Ready { steady_at, steady } => (!steady).then_some(steady_at),
            },
        };
        self.instances.iter().filter_map(of).min()
    }

    pub fn on(&mut self, core: &mut Core, event: Event, now: Clocks, out: &mut Vec<Action>) {
        match event {
            Event::Granted(grant) => self.granted(core, &grant, now, out),
            Event::Started { process, pid } => self.started(core, process, pid, now, out),
            Event::SpawnFailed { process, failure } => self.spawn_failed(core, process, &failure, now, out),
            Event::Ready { process } => {
                if let Some(index) = self.find(process) {
                    self.ready(core, index, now, out);
                }
            }
            Event::Unhealthy { process, reason } => self.unhealthy(core, process, reason, out),
            Event::HealthyAgain { process } => self.healthy_again(core, process, now, out),
            Event::Exited { process, end } => self.exited(core, process, end, now, out),
            Event::GroupRestart { reason } => self.restart_all(core, &reason, true, now, out),
            Event::StopService => {
                for instance in &mut self.instances {
                    instance.stop(core, &Reason::ShuttingDown, out);
                }
                if !self.any_process() {
                    out.push(Action::AllEnded);
                }
            }
            // A service's starts are not executions of the queue; the rest is the agent's.
            _ => {}
        }
    }

    /// Asks for a start of every instance that has no process and no plan of its own.
    pub fn start_all(&mut self, core: &Core, automatic: bool, force: bool, now: Clocks, out: &mut Vec<Action>) {
        let _ = now;
        if !core.takes_part() {
            return;
        }
        for instance in &mut self.instances {
            instance.force = force;
            match &mut instance.phase {
                Phase::Off { .. } | Phase::BackingOff { .. } => instance.request_start(core, automatic, out),
                Phase::Waiting if force => instance.request_start(core, automatic, out),
                Phase::Waiting => {}
                // It is being ended: it comes back afterwards.
                Phase::Alive(alive) if matches!(alive.then, Some(Then::Off(_))) => {
                    let reason = Reason::ByOperator { by: "start".to_owned() };
                    alive.then = Some(Then::Restart { reason, automatic });
                }
                Phase::Alive(_) => {}
            }
        }
    }

    pub fn stop_all(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        for instance in &mut self.instances {
            instance.stop(core, reason, out);
        }
    }

    pub fn restart_all(&mut self, core: &Core, reason: &Reason, automatic: bool, now: Clocks, out: &mut Vec<Action>) {
        if !core.takes_part() {
            return;
        }
        for instance in &mut self.instances {
            match &mut instance.phase {
                Phase::Alive(alive) => {
                    let ending = alive.then.is_some();
                    let (agent, number) = (core.spec.name.clone(), instance.number);
                    if !ending {
                        end_process(core, alive, out);
                        let restarting = Fact::AgentRestarting {
                            agent,
                            instance: number,
                            count: 0,
                            delay: Duration::ZERO,
                            reason: reason.clone(),
                        };
                        out.push(Action::Emit(restarting));
                    }
                    // A group restart does not overrule a stop or a failure that is in progress.
                    if !ending || !automatic {
                        alive.then = Some(Then::Restart { reason: reason.clone(), automatic });
                    }
                }
                Phase::Off { .. } | Phase::BackingOff { .. } if !automatic => instance.request_start(core, false, out),
                Phase::Off { .. } | Phase::BackingOff { .. } | Phase::Waiting => {}
            }
        }
        let _ = now;
    }

    /// The registry defines the service anew: instances are added, dropped and restarted.
    pub fn redefined(&mut self, core: &Core, now: Clocks, out: &mut Vec<Action>) {
        let wanted = core.spec.service().map_or(1, |service| service.instances.max(1));
        for instance in &mut self.instances {
            if instance.number >= wanted {
                instance.surplus = true;
                instance.stop(core, &Reason::ConfigChanged, out);
            }
        }
        self.drop_surplus();
        self.restart_all(core, &Reason::ConfigChanged, false, now, out);
        for number in 0..wanted {
            if !self.instances.iter().any(|instance| instance.number == number) {
                self.instances.push(Instance::new(number));
            }
        }
        self.start_all(core, false, false, now, out);
    }

    pub fn deadline(&mut self, core: &mut Core, now: Clocks, out: &mut Vec<Action>) {
        for index in 0..self.instances.len() {
            let instance = &mut self.instances[index];
            match &mut instance.phase {
                Phase::BackingOff { until, .. } if *until <= now.steady && !core.breaker_open() => {
                    if core.takes_part() {
                        instance.request_start(core, true, out);
                    }
                }
                Phase::Alive(alive) if alive.then.is_none() => match alive.stage {
                    Stage::Starting { ready_at: Some(at), .. } if at <= now.steady => self.ready(core, index, now, out),
                    Stage::Starting { ready_by, .. } if ready_by <= now.steady => {
                        let timeout = service_spec(core).ready.timeout;
                        let reason = Reason::NotReady { timeout };
                        end_process(core, alive, out);
                        alive.then = Some(Then::Fail { exit: Exit::TimedOut, reason, unhealthy: false });
                    }
                    Stage::Ready { steady_at, steady: false } if steady_at <= now.steady => {
                        alive.stage = Stage::Ready { steady_at, steady: true };
                        instance.failures = 0;
                        instance.lives.clear();
                        let _ = core.breaker(BreakerEvent::HealthyFor, now.steady, out);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }

    fn find(&self, process: ProcessKey) -> Option<usize> {
        self.instances.iter().position(|instance| instance.alive().is_some_and(|alive| alive.process == process))
    }

    fn granted(&mut self, core: &mut Core, grant: &Grant, now: Clocks, out: &mut Vec<Action>) {
        let wanted = |instance: &&mut Instance| Some(instance.number) == grant.instance;
        let Some(instance) = self.instances.iter_mut().find(wanted) else { return };
        if !matches!(instance.phase, Phase::Waiting) {
            return; // Withdrawn meanwhile.
        }
        if !core.takes_part() {
            instance.phase = Phase::Off { status: Status::Stopped, reason: None };
            return;
        }
        let process = core.next_process();
        instance.phase = Phase::Alive(Box::new(Alive {
            process,
            run: grant.run,
            stage: Stage::Launching,
            launched: now.steady,
            launched_at: now.wall,
            then: None,
        }));
        out.push(Action::Launch(Launch {
            process,
            run: grant.run,
            attempt: instance.failures.saturating_add(1),
            instance: instance.number,
            spec: core.spec.clone(),
            scheduled_for: None,
            payload: None,
        }));
    }

    fn started(&mut self, core: &mut Core, process: ProcessKey, pid: i32, now: Clocks, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        let instance = &mut self.instances[index];
        let (number, attempt) = (instance.number, instance.failures.saturating_add(1));
        instance.shortages = 0;
        let Some(alive) = instance.alive_mut() else { return };
        let spec = service_spec(core);
        alive.launched = now.steady;
        alive.launched_at = now.wall;
        let (agent, run) = (core.spec.name.clone(), alive.run);
        out.push(Action::Emit(Fact::AgentStarted { agent, instance: number, run, attempt, pid }));
        let ready_at = match &spec.ready.check {
            ReadyCheck::After(after) => Some(now.steady + *after),
            // Until the bus is there, a service that would be asked over it is ready as soon as it runs.
            ReadyCheck::Bus => Some(now.steady),
            ReadyCheck::Http(_) | ReadyCheck::Tcp(_) => {
                out.push(Action::WatchReadiness { process });
                None
            }
            ReadyCheck::Notify | ReadyCheck::Log(_) => None,
        };
        // `after` is a time of its own: the time-out must not come before it.
        let ready_by = ready_at.map_or(now.steady + spec.ready.timeout, |at| at.max(now.steady + spec.ready.timeout));
        alive.stage = Stage::Starting { ready_by, ready_at };
        if alive.then.is_some() {
            end_process(core, alive, out);
        } else if ready_at.is_some_and(|at| at <= now.steady) {
            self.ready(core, index, now, out);
        }
    }

    fn ready(&mut self, core: &mut Core, index: usize, now: Clocks, out: &mut Vec<Action>) {
        let instance = &mut self.instances[index];
        let number = instance.number;
        let Some(alive) = instance.alive_mut() else { return };
        if !matches!(alive.stage, Stage::Starting { .. }) || alive.then.is_some() {
            return; // Said twice, or too late.
        }
        let spec = service_spec(core);
        alive.stage = Stage::Ready { steady_at: now.steady + spec.healthy_for, steady: false };
        let after = now.steady.since(alive.launched);
        let process = alive.process;
        out.push(Action::Emit(Fact::AgentReady { agent: core.spec.name.clone(), instance: number, after }));
        let watched = spec.health.as_ref().map(|health| &health.probe);
        if matches!(watched, Some(Probe::Http(_) | Probe::Tcp(_) | Probe::Exec(_))) {
            out.push(Action::WatchHealth { process });
        }
        if !self.settled && self.instances.iter().all(|instance| instance.status() == Status::Running) {
            self.settled = true;
            out.push(Action::BootSettled { ready: true });
        }
    }

    fn unhealthy(&mut self, core: &mut Core, process: ProcessKey, reason: Reason, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        let instance = &mut self.instances[index];
        let number = instance.number;
        let Some(alive) = instance.alive_mut() else { return };
        if alive.then.is_some() || alive.stage == Stage::Unhealthy {
            return;
        }
        let changed = Fact::HealthChanged {
            agent: core.spec.name.clone(),
            instance: number,
            healthy: false,
            reason: Some(reason.clone()),
        };
        out.push(Action::Emit(changed));
        if service_spec(core).restart == RestartPolicy::Never {
            alive.stage = Stage::Unhealthy;
        } else {
            end_process(core, alive, out);
            let exit = Exit::Unresponsive(reason.to_string());
            alive.then = Some(Then::Fail { exit, reason, unhealthy: true });
        }
    }

    fn healthy_again(&mut self, core: &mut Core, process: ProcessKey, now: Clocks, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        let number = self.instances[index].number;
        let Some(alive) = self.instances[index].alive_mut() else { return };
        if alive.stage == Stage::Unhealthy && alive.then.is_none() {
            let healthy_for = service_spec(core).healthy_for;
            alive.stage = Stage::Ready { steady_at: now.steady + healthy_for, steady: false };
            let agent = core.spec.name.clone();
            out.push(Action::Emit(Fact::HealthChanged { agent, instance: number, healthy: true, reason: None }));
        }
    }

    fn spawn_failed(
        &mut self,
        core: &mut Core,
        process: ProcessKey,
        failure: &SpawnFailure,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self.find(process) else { return };
        let exit = Exit::SpawnFailed(failure.clone());
        let instance = &mut self.instances[index];
        let Some(alive) = instance.alive_mut() else { return };
        let (run, then, launched_at) = (alive.run, alive.then.take(), alive.launched_at);
        if let Some(Then::Off(reason)) = then {
            instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
            self.drop_surplus();
            return;
        }
        match failure.kind {
            SpawnFailureKind::Transient => {
                let delay = shortage_delay(instance.shortages);
                instance.shortages += 1;
                let reason = Reason::Exited { exit };
                out.push(restarting(core, instance, delay, reason.clone()));
                instance.phase = Phase::BackingOff { until: now.steady + delay, reason };
            }
            SpawnFailureKind::Missing => {
                let reason = Reason::CommandMissing { message: failure.message.clone() };
                out.push(failed(core, instance, run, exit));
                instance.phase = Phase::Off { status: Status::Missing, reason: Some(reason) };
                self.give_up_booting(out);
            }
            SpawnFailureKind::Other => {
                instance.keep_life(attempt(instance.failures.saturating_add(1), launched_at, Duration::ZERO, exit.clone()));
                let reason = Reason::Exited { exit: exit.clone() };
                self.ended_badly(core, index, run, exit, reason, Vec::new(), now, out);
            }
        }
    }

    fn exited(&mut self, core: &mut Core, process: ProcessKey, end: ProcessEnd, now: Clocks, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        out.push(Action::Unwatch { process });
        let instance = &mut self.instances[index];
        let Some(alive) = instance.alive_mut() else { return };
        let (run, then, launched_at) = (alive.run, alive.then.take(), alive.launched_at);
        let number = instance.failures.saturating_add(1);
        match then {
            Some(Then::Off(reason)) => {
                out.push(stopped(core, instance, &end, reason.clone()));
                instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
                self.drop_surplus();
                self.give_up_booting(out);
            }
            Some(Then::Restart { reason, automatic }) => {
                out.push(stopped(core, instance, &end, reason));
                if core.takes_part() {
                    instance.request_start(core, automatic, out);
                } else {
                    instance.phase = Phase::Off { status: Status::Stopped, reason: None };
                }
            }
            Some(Then::Fail { exit, reason, .. }) => {
                instance.keep_life(attempt(number, launched_at, end.lived, exit.clone()));
                self.ended_badly(core, index, run, exit, reason, end.log_tail, now, out);
            }
            None => {
                let reason = Reason::Exited { exit: end.exit.clone() };
                instance.keep_life(attempt(number, launched_at, end.lived, end.exit.clone()));
                self.ended_badly(core, index, run, end.exit, reason, end.log_tail, now, out);
            }
        }
    }

    /// It ended though nobody wanted it to: the restart policy decides, then its own breaker.
    #[expect(clippy::too_many_arguments, reason = "the facts of one end")]
    fn ended_badly(
        &mut self,
        core: &mut Core,
        index: usize,
        run: RunId,
        exit: Exit,
        reason: Reason,
        log_tail: Vec<String>,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let success = exit.is_success(&core.spec.success_codes);
        let instance = &mut self.instances[index];
        if success {
            let (agent, reason) = (core.spec.name.clone(), reason.clone());
            let instance = instance.number;
            out.push(Action::Emit(Fact::AgentStopped { agent, instance, exit: Some(exit.clone()), forced: false, reason }));
        } else {
            out.push(failed(core, instance, run, exit.clone()));
        }
        if core.draining || core.removed || core.stopped || core.disabled.is_some() {
            instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
            return;
        }
        let service = service_spec(core);
        let (policy, backoff) = (service.restart, service.backoff);
        match restart(policy, &backoff, instance.failures, &exit, success, core.dice.unit()) {
            RestartDecision::Leave(reason) => {
                let status = if success { Status::Stopped } else { Status::Error };
                instance.phase = Phase::Off { status, reason: Some(reason) };
                self.give_up_booting(out);
            }
            RestartDecision::Again { delay } => {
                instance.failures = instance.failures.saturating_add(1);
                let opened = core.breaker(BreakerEvent::Restarted, now.steady, out);
                if let BreakerAction::Opened { reason, .. } = opened {
                    self.given_up(core, index, run, reason, exit, log_tail, out);
                } else if matches!(core.breaker.state(), BreakerState::Open { .. }) {
                    // Another instance opened it: this one waits for the trial, too.
                    instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
                } else {
                    out.push(restarting(core, instance, delay, reason.clone()));
                    if delay.is_zero() {
                        instance.request_start(core, true, out);
                    } else {
                        instance.phase = Phase::BackingOff { until: now.steady + delay, reason };
                    }
                    out.push(Action::GroupMemberRestarting);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the facts of one end")]
    fn given_up(
        &mut self,
        core: &Core,
        index: usize,
        run: RunId,
        reason: Reason,
        exit: Exit,
        log_tail: Vec<String>,
        out: &mut Vec<Action>,
    ) {
        let instance = &mut self.instances[index];
        let (agent, attempts) = (core.index, instance.lives.clone());
        instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason.clone()) };
        for other in &mut self.instances {
            if matches!(other.phase, Phase::Waiting | Phase::BackingOff { .. }) {
                other.stop(core, &reason, out);
            }
        }
        let gave_up = ToDispatcher::ServiceGaveUp { agent, run, reason, exit, attempts, log_tail };
        out.push(Action::Dispatcher(gave_up));
        self.give_up_booting(out);
    }

    fn give_up_booting(&mut self, out: &mut Vec<Action>) {
        if !std::mem::replace(&mut self.settled, true) {
            out.push(Action::BootSettled { ready: false });
        }
    }

    fn drop_surplus(&mut self) {
        self.instances.retain(|instance| !instance.surplus || instance.alive().is_some());
    }
}

fn service_spec(core: &Core) -> &ServiceSpec {
    core.spec.service().expect("the body of a service belongs to a service")
}

fn failed(core: &Core, instance: &Instance, run: RunId, exit: Exit) -> Action {
    let (agent, instance, attempt) = (core.spec.name.clone(), instance.number, instance.failures.saturating_add(1));
    Action::Emit(Fact::AgentFailed { agent, instance, run, attempt, exit })
}

fn stopped(core: &Core, instance: &Instance, end: &ProcessEnd, reason: Reason) -> Action {
    Action::Emit(Fact::AgentStopped {
        agent: core.spec.name.clone(),
        instance: instance.number,
        exit: Some(end.exit.clone()),
        forced: end.forced,
        reason,
    })
}

fn restarting(core: &Core, instance: &Instance, delay: Duration, reason: Reason) -> Action {
    let (agent, count) = (core.spec.name.clone(), instance.failures.max(1));
    Action::Emit(Fact::AgentRestarting { agent, instance: instance.number, count, delay, reason })
}
