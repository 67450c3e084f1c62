//! The ends of a service's processes: wanted, or followed by its restart policy and its breaker.

use super::super::{Action, Core, ProcessEnd, ProcessKey, attempt};
use super::instance::{Instance, Phase, Then};
use super::{Service, service_spec};
use std::time::Duration;

use crate::backoff::{RestartDecision, restart};
use crate::breaker::{BreakerAction, BreakerEvent};
use crate::dispatcher::Event as ToDispatcher;
use crate::event::Event as Fact;
use crate::exit::{Exit, SpawnFailure, SpawnFailureKind};
use crate::ids::RunId;
use crate::reason::Reason;
use crate::status::Status;
use crate::time::Clocks;

impl Service {
    pub(super) fn spawn_failed(
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
            _ if !core.takes_part() => instance.phase = Phase::Off { status: Status::Stopped, reason: None },
            SpawnFailureKind::Transient => {
                let delay = instance.shortage.met(now.steady);
                let reason = Reason::Exited { exit };
                out.push(restarting(core, instance, delay, reason.clone()));
                // This start was counted, if it was to be: the next try is the same one.
                instance.phase = Phase::BackingOff { until: now.steady + delay, reason, counted: false };
            }
            SpawnFailureKind::Missing => {
                let reason = Reason::CommandMissing { message: failure.message.clone() };
                out.push(failed(core, instance, run, exit));
                instance.phase = Phase::Off { status: Status::Missing, reason: Some(reason) };
                self.settle(out);
            }
            SpawnFailureKind::Other => {
                instance.keep_life(attempt(
                    instance.failures.saturating_add(1),
                    launched_at,
                    Duration::ZERO,
                    exit.clone(),
                ));
                let reason = Reason::Exited { exit: exit.clone() };
                self.ended_badly(core, index, run, exit, reason, Vec::new(), now, out);
            }
        }
    }

    pub(super) fn exited(
        &mut self,
        core: &mut Core,
        process: ProcessKey,
        end: ProcessEnd,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self.find(process) else { return };
        out.push(Action::Unwatch { process });
        core.spawned(out); // Also if the word of its start comes later than that of its end, or never.
        let instance = &mut self.instances[index];
        let Some(alive) = instance.alive_mut() else { return };
        let (run, then, launched_at) = (alive.run, alive.then.take(), alive.launched_at);
        let number = instance.failures.saturating_add(1);
        match then {
            Some(Then::Off(reason)) => {
                out.push(stopped(core, instance, &end, reason.clone()));
                instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
                self.drop_surplus();
                self.settle(out);
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
                core.heard(run, end.last_words, now);
                instance.keep_life(attempt(number, launched_at, end.lived, exit.clone()));
                self.ended_badly(core, index, run, exit, reason, end.log_tail, now, out);
            }
            None => {
                core.heard(run, end.last_words, now);
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
            out.push(Action::Emit(Fact::AgentStopped {
                agent,
                instance,
                exit: Some(exit.clone()),
                forced: false,
                reason,
            }));
        } else {
            out.push(failed(core, instance, run, exit.clone()));
        }
        if !core.takes_part() {
            instance.phase = Phase::Off { status: Status::Stopped, reason: Some(reason) };
            return;
        }
        let service = service_spec(core);
        let (policy, backoff) = (service.restart, service.backoff);
        match restart(policy, &backoff, instance.failures, &exit, success, core.dice.unit()) {
            RestartDecision::Leave(reason) => {
                let status = if success { Status::Stopped } else { Status::Error };
                instance.phase = Phase::Off { status, reason: Some(reason) };
                self.settle(out);
            }
            RestartDecision::Again { delay } => {
                instance.failures = instance.failures.saturating_add(1);
                let opened = core.breaker(BreakerEvent::Restarted, now.steady, out);
                if let BreakerAction::Opened { reason, .. } = opened {
                    self.given_up(core, index, run, reason, exit, log_tail, out);
                } else {
                    out.push(restarting(core, instance, delay, reason.clone()));
                    if delay.is_zero() {
                        instance.request_start(core, true, out);
                    } else {
                        instance.phase = Phase::BackingOff { until: now.steady + delay, reason, counted: true };
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
        // What is disabled does not run, and the breaker is the agent's: the healthy instances go, too.
        let disabled = Reason::Disabled { status: Status::DisabledByFailure, why: reason.to_string() };
        for other in self.instances.iter_mut().filter(|other| !matches!(other.phase, Phase::Off { .. })) {
            other.stop(core, &disabled, out);
        }
        self.drop_surplus();
        let gave_up = ToDispatcher::ServiceGaveUp { agent, run, reason, exit, attempts, log_tail };
        out.push(Action::Dispatcher(gave_up));
        self.settle(out);
    }
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
