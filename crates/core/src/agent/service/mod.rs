//! The instances of a service: started, ready, watched, stopped, restarted by policy.

mod ending;
mod health;
mod instance;

use std::hash::{Hash, Hasher};
use std::time::Duration;

use super::{Action, Core, Event, InstanceView, KeptInstance, KeptWait, Launch, ProcessKey};
use crate::breaker::{BreakerEvent, BreakerState};
use crate::dispatcher::Grant;
use crate::event::Event as Fact;
use crate::exit::Exit;
use crate::reason::Reason;
use crate::spec::{ReadyCheck, ServiceSpec};
use crate::status::Status;
use crate::time::{Clocks, Moment};

pub use health::LONGEST_GRACE;
use instance::{Alive, Instance, Phase, Stage, Then, end_process};

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
        (status, self.instances.iter().find_map(Instance::error))
    }

    /// The instance with the most automatic restarts in a row, if there were any, and how its last life ended.
    pub fn restarted_in_a_row(&self) -> Option<(u32, Option<&Exit>)> {
        let worst = self.instances.iter().max_by_key(|instance| instance.failures)?;
        let exit = worst.lives.last().map(|life| &life.exit);
        (worst.failures > 0).then_some((worst.failures, exit))
    }

    pub fn view(&self) -> Vec<InstanceView> {
        self.instances.iter().map(Instance::view).collect()
    }

    pub fn next_deadline(&self, core: &Core) -> Option<Moment> {
        self.instances.iter().filter_map(|instance| instance.next_deadline(core)).min()
    }

    pub fn on(&mut self, core: &mut Core, event: Event, now: Clocks, out: &mut Vec<Action>) {
        match event {
            Event::Granted(grant) => self.granted(core, &grant, now, out),
            Event::Started { process, pid } => self.started(core, process, pid, now, out),
            Event::SpawnFailed { process, failure } => self.spawn_failed(core, process, &failure, now, out),
            Event::Ready { process } => self.said_ready(core, process, now, out),
            Event::Unhealthy { process, reason } => self.unhealthy(core, process, reason, now, out),
            Event::HealthyAgain { process, sign } => self.healthy_again(core, process, sign, now, out),
            Event::Exited { process, end } => self.exited(core, process, end, now, out),
            Event::OverMemoryLimit { process, used_bytes, limit_bytes } => {
                self.over_limit(core, process, Reason::MemoryLimit { used_bytes, limit_bytes }, out);
            }
            Event::GroupRestart { reason } => self.restart_all(core, &reason, true, out),
            Event::StopService => {
                core.draining = true;
                self.stop_all(core, &Reason::ShuttingDown, out);
            }
            // A service's starts are not executions of the queue; the rest is the agent's.
            _ => {}
        }
    }

    /// Its instances start, but for those that back off since before a restart: these keep their delay.
    pub fn boot(&mut self, core: &Core, out: &mut Vec<Action>) {
        let trial = matches!(core.breaker.state(), BreakerState::HalfOpen { .. });
        let mut held_back = !core.takes_part();
        for instance in self.instances.iter_mut().filter(|_| core.takes_part()) {
            match instance.phase {
                Phase::Off { .. } => instance.request_start(core, trial, out),
                _ => held_back = true,
            }
        }
        if held_back {
            self.settle(out);
        }
    }

    pub fn restore(&mut self, kept: &[KeptInstance], passed: Duration, now: Moment) {
        for kept in kept {
            let wanted = |instance: &&mut Instance| instance.number == kept.instance;
            if let Some(instance) = self.instances.iter_mut().find(wanted) {
                instance.failures = kept.restarts_in_a_row;
                if let Some(KeptWait { left_ms, exit, counted }) = kept.wait.clone() {
                    let until = now + Duration::from_millis(left_ms).saturating_sub(passed);
                    instance.phase = Phase::BackingOff { until, reason: Reason::Exited { exit }, counted };
                }
            }
        }
    }

    pub fn kept(&self, now: Moment) -> Vec<KeptInstance> {
        let kept = self.instances.iter().filter(|instance| !instance.surplus).map(|instance| KeptInstance {
            instance: instance.number,
            restarts_in_a_row: instance.failures,
            wait: instance
                .backing_off()
                .map(|(until, reason, counted)| KeptWait::new(until.since(now), reason, counted)),
        });
        kept.filter(|kept| kept.restarts_in_a_row > 0 || kept.wait.is_some()).collect()
    }

    pub fn mark(&self, hasher: &mut impl Hasher) {
        for instance in &self.instances {
            (instance.failures, instance.backing_off().map(|(until, ..)| until)).hash(hasher);
        }
    }

    /// Asks for a start of every instance that has no process and no plan of its own.
    pub fn start_all(&mut self, core: &Core, automatic: bool, force: bool, out: &mut Vec<Action>) {
        let reason = if automatic { Reason::HalfOpen } else { Reason::ByOperator { by: "start".to_owned() } };
        self.start_all_because(core, &reason, automatic, force, out);
    }

    /// The same; `reason` is for those that are being ended, and come back afterwards.
    pub fn start_all_because(
        &mut self,
        core: &Core,
        reason: &Reason,
        automatic: bool,
        force: bool,
        out: &mut Vec<Action>,
    ) {
        if !core.takes_part() {
            return;
        }
        for instance in &mut self.instances {
            instance.force = force;
            match &mut instance.phase {
                Phase::Off { .. } | Phase::BackingOff { .. } => instance.request_start(core, automatic, out),
                // A person's start is not held back by the limit of automatic ones.
                Phase::Waiting if force || !automatic => instance.request_start(core, automatic, out),
                // It is being ended: it comes back afterwards.
                Phase::Alive(alive) if matches!(alive.then, Some(Then::Off(_))) => {
                    alive.then = Some(Then::Restart { reason: reason.clone(), automatic });
                }
                Phase::Waiting | Phase::Alive(_) => {}
            }
        }
    }

    pub fn stop_all(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        for instance in &mut self.instances {
            instance.stop(core, reason, out);
        }
        self.drop_surplus();
        self.settle(out);
    }

    pub fn drop_plans(&mut self, core: &Core, reason: &Reason, out: &mut Vec<Action>) {
        for instance in &mut self.instances {
            instance.drop_plans(core, reason, out);
        }
        self.drop_surplus();
    }

    /// Ends every process, to start it again. Automatic is the restart of a group: it does not overrule a stop or a
    /// failure that is in progress, and leaves down what is down.
    pub fn restart_all(&mut self, core: &Core, reason: &Reason, automatic: bool, out: &mut Vec<Action>) {
        if !core.takes_part() {
            return;
        }
        for instance in &mut self.instances {
            match &mut instance.phase {
                Phase::Alive(alive) if alive.then.is_none() => {
                    end_process(core, alive, out);
                    alive.then = Some(Then::Restart { reason: reason.clone(), automatic });
                    let (agent, instance, delay) = (core.spec.name.clone(), instance.number, Duration::ZERO);
                    let reason = reason.clone();
                    out.push(Action::Emit(Fact::AgentRestarting { agent, instance, count: 0, delay, reason }));
                }
                Phase::Alive(alive) if !automatic => {
                    alive.then = Some(Then::Restart { reason: reason.clone(), automatic });
                }
                Phase::Off { .. } | Phase::BackingOff { .. } if !automatic => instance.request_start(core, false, out),
                Phase::Alive(_) | Phase::Off { .. } | Phase::BackingOff { .. } | Phase::Waiting => {}
            }
        }
    }

    /// The registry defines the service anew: instances are added and dropped, and restarted if what runs has `changed`.
    pub fn redefined(&mut self, core: &Core, changed: bool, out: &mut Vec<Action>) {
        let wanted = service_spec(core).instances.max(1);
        for instance in &mut self.instances {
            instance.surplus = instance.number >= wanted;
            if instance.surplus {
                instance.stop(core, &Reason::ConfigChanged, out);
            }
        }
        self.drop_surplus();
        let kept: Vec<u16> = self.instances.iter().map(|instance| instance.number).collect();
        if changed {
            self.restart_all(core, &Reason::ConfigChanged, false, out);
        }
        for number in (0..wanted).filter(|number| !kept.contains(number)) {
            let mut instance = Instance::new(number);
            if core.takes_part() {
                instance.request_start(core, false, out);
            }
            self.instances.push(instance);
        }
        self.instances.sort_unstable_by_key(|instance| instance.number);
    }

    pub fn deadline(&mut self, core: &mut Core, now: Clocks, out: &mut Vec<Action>) {
        for index in 0..self.instances.len() {
            let instance = &mut self.instances[index];
            match &mut instance.phase {
                Phase::BackingOff { until, counted, .. } if *until <= now.steady && core.takes_part() => {
                    let counted = *counted;
                    instance.request_start(core, counted, out);
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
                    Stage::Unhealthy => health::grace_over(core, alive, now.steady, out),
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
            early_ready: false,
            then: None,
            illness: None,
        }));
        out.push(Action::Launch(Launch {
            process,
            run: grant.run,
            attempt: instance.failures.saturating_add(1),
            instance: instance.number,
            spec: core.spec.clone(),
            trigger: None,
            queued_at: None,
            scheduled_for: None,
            payload: None,
        }));
    }

    fn started(&mut self, core: &mut Core, process: ProcessKey, pid: i32, now: Clocks, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        let instance = &mut self.instances[index];
        let (number, attempt) = (instance.number, instance.failures.saturating_add(1));
        instance.shortage.is_over();
        instance.force = false;
        let Some(alive) = instance.alive_mut() else { return };
        if alive.stage != Stage::Launching {
            return; // Said twice.
        }
        core.spawned(out);
        let spec = service_spec(core);
        alive.launched = now.steady;
        alive.launched_at = now.wall;
        let (agent, run) = (core.spec.name.clone(), alive.run);
        out.push(Action::Emit(Fact::AgentStarted { agent, instance: number, run, attempt, pid }));
        let ready_at = match &spec.ready.check {
            _ if alive.early_ready => Some(now.steady),
            ReadyCheck::After(after) => Some(now.steady + *after),
            ReadyCheck::Http(_) | ReadyCheck::Tcp(_) | ReadyCheck::Bus => {
                if alive.then.is_none() {
                    out.push(Action::WatchReadiness { process });
                }
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

    fn said_ready(&mut self, core: &mut Core, process: ProcessKey, now: Clocks, out: &mut Vec<Action>) {
        let Some(index) = self.find(process) else { return };
        match self.instances[index].alive_mut() {
            Some(alive) if alive.stage == Stage::Launching => alive.early_ready = true,
            _ => self.ready(core, index, now, out),
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
        if spec.health.as_ref().is_some_and(|health| health.probe.is_asked()) {
            out.push(Action::WatchHealth { process });
        }
        self.settle_if_all_run(out);
    }

    fn settle_if_all_run(&mut self, out: &mut Vec<Action>) {
        if !self.settled && self.instances.iter().all(|instance| instance.status() == Status::Running) {
            self.settled = true;
            out.push(Action::BootSettled { ready: true });
        }
    }

    /// Whatever its policy is, it may not use so much; what follows its end is the policy's.
    fn over_limit(&mut self, core: &Core, process: ProcessKey, reason: Reason, out: &mut Vec<Action>) {
        let Some(alive) = self.find(process).and_then(|index| self.instances[index].alive_mut()) else { return };
        if alive.then.is_none() && alive.stage != Stage::Launching {
            end_process(core, alive, out);
            alive.then = Some(Then::Fail { exit: Exit::MemoryLimit, reason, unhealthy: false });
        }
    }

    /// The boot need not wait for it any longer.
    pub fn settle(&mut self, out: &mut Vec<Action>) {
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
