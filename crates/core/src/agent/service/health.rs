//! What happens to an instance whose health is bad: it is marked, has a grace in which it may recover, and is ended then.
//!
//! The grace is one more interval of what was watched, at most [`LONGEST_GRACE`], and up to half as much again, by chance:
//! so that many that suffer from one cause are not restarted in the same moment.

use std::time::Duration;

use super::super::{Action, Core, ProcessKey, Sign};
use super::instance::{Alive, Illness, Instance, Stage, Then, end_process};
use super::{Service, service_spec};
use crate::event::Event as Fact;
use crate::exit::Exit;
use crate::reason::Reason;
use crate::spec::{RestartPolicy, ServiceSpec};
use crate::time::{Clocks, Moment};

/// The longest grace, without its spread: a program that hangs is of no use to anybody, and a pause of the garbage
/// collector or a full disk cache is over by then.
pub const LONGEST_GRACE: Duration = Duration::from_secs(10);

impl Service {
    pub(super) fn unhealthy(
        &mut self,
        core: &mut Core,
        process: ProcessKey,
        reason: Reason,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self.find(process) else { return };
        let (number, unit) = (self.instances[index].number, core.dice.unit());
        let service = service_spec(core);
        let left = service.restart == RestartPolicy::Never;
        let Some(alive) = self.instances[index].alive_mut() else { return };
        if alive.then.is_some() {
            return; // Too late.
        }
        match alive.stage {
            // Of a process that does not run yet.
            Stage::Launching => return,
            // Until it is ready its time-out bounds it; nobody uses it that a grace would serve.
            Stage::Starting { .. } if left => return,
            Stage::Starting { .. } => {
                out.push(changed(core, number, false, Some(reason.clone())));
                fail(core, alive, reason, out);
                return;
            }
            Stage::Unhealthy => {
                if let Some(illness) = &mut alive.illness
                    && !illness.reasons.iter().any(|known| Sign::of(known) == Sign::of(&reason))
                {
                    illness.reasons.push(reason);
                }
                return;
            }
            Stage::Ready { .. } => {}
        }
        out.push(changed(core, number, false, Some(reason.clone())));
        let ends_at = (!left).then(|| now.steady + grace(service, &reason, unit));
        alive.stage = Stage::Unhealthy;
        alive.illness = Some(Box::new(Illness { since: now.wall, reasons: vec![reason], ends_at }));
        if left {
            self.settle(out);
        }
    }

    pub(super) fn healthy_again(
        &mut self,
        core: &Core,
        process: ProcessKey,
        sign: Sign,
        now: Clocks,
        out: &mut Vec<Action>,
    ) {
        let Some(index) = self.find(process) else { return };
        let instance = &mut self.instances[index];
        let number = instance.number;
        let Some(alive) = instance.alive_mut().filter(|alive| alive.then.is_none()) else { return };
        let Some(illness) = &mut alive.illness else { return };
        illness.reasons.retain(|reason| Sign::of(reason) != sign);
        if illness.reasons.is_empty() {
            alive.illness = None;
            alive.stage = Stage::Ready { steady_at: now.steady + service_spec(core).healthy_for, steady: false };
            out.push(changed(core, number, true, None));
            self.settle_if_all_run(out);
        }
    }

    /// Its probes are others than before: those that run are watched by them.
    pub fn watch_anew(&mut self, core: &Core, now: Clocks, out: &mut Vec<Action>) {
        let watched = service_spec(core).health.as_ref().is_some_and(|health| health.probe.is_asked());
        let runs = |instance: &Instance| {
            let alive = instance.alive().filter(|alive| alive.then.is_none())?;
            matches!(alive.stage, Stage::Ready { .. } | Stage::Unhealthy).then_some(alive.process)
        };
        let running: Vec<ProcessKey> = self.instances.iter().filter_map(runs).collect();
        for process in running {
            if watched {
                out.push(Action::WatchHealth { process });
            } else {
                out.push(Action::Unwatch { process });
                self.healthy_again(core, process, Sign::Probes, now, out);
            }
        }
    }
}

/// The process is ended if its grace is over.
pub(super) fn grace_over(core: &Core, alive: &mut Alive, now: Moment, out: &mut Vec<Action>) {
    let over = alive.illness.as_ref().and_then(|illness| illness.ends_at).is_some_and(|at| at <= now);
    if over && let Some(illness) = &alive.illness {
        let reason = illness.reasons[0].clone();
        fail(core, alive, reason, out);
    }
}

fn fail(core: &Core, alive: &mut Alive, reason: Reason, out: &mut Vec<Action>) {
    end_process(core, alive, out);
    let exit = Exit::Unresponsive(reason.to_string());
    alive.then = Some(Then::Fail { exit, reason, unhealthy: true });
}

fn changed(core: &Core, instance: u16, healthy: bool, reason: Option<Reason>) -> Action {
    let agent = core.spec.name.clone();
    Action::Emit(Fact::HealthChanged { agent, instance, healthy, reason })
}

/// How long an instance has to recover. `unit` is between 0 and 1.
fn grace(service: &ServiceSpec, reason: &Reason, unit: f64) -> Duration {
    let interval = match reason {
        Reason::Silent { max_silence } => *max_silence,
        _ => service.health.as_ref().map_or(LONGEST_GRACE, |health| health.interval),
    };
    let grace = interval.min(LONGEST_GRACE);
    grace + grace.mul_f64(unit / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ids::AgentName;
    use crate::spec::{AgentSpec, Health, Probe, Program};

    proptest! {
        #[test]
        fn the_grace_is_one_to_one_and_a_half_intervals_and_never_longer_than_fifteen_seconds(
            interval_ms in 1_u64..3_600_000, unit in 0.0..1.0_f64, silent in any::<bool>(),
        ) {
            let interval = Duration::from_millis(interval_ms);
            let mut spec = AgentSpec::service_named(AgentName::new("a").unwrap(), Program::Shell(String::new()));
            let service = spec.service_mut().unwrap();
            let health = Health { probe: Probe::Bus, interval, timeout: interval, failures: 3 };
            service.health = (!silent).then_some(health);
            let reason = if silent { Reason::Silent { max_silence: interval } } else { Reason::WatchdogExpired };
            let grace = grace(service, &reason, unit);
            let base = interval.min(LONGEST_GRACE);
            prop_assert!(grace >= base && grace <= base + base / 2 && grace <= Duration::from_secs(15));
        }
    }
}
