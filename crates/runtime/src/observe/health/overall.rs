//! The overall check of all agents: slice by slice within each interval. The disk is asked on another thread whether the
//! commands of jobs are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use actix::prelude::*;
use werkpilot_core::dispatcher::Gate;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::probes::{JobFacts, Verdict};
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_process::find_command;

use super::HealthMonitor;
use super::book::{Finding, LastCheck, OverallCheck};
use crate::agents::kept;
use crate::clock::Clock;
use crate::house::House;

/// The commands of a slice were looked for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct CommandsLookedFor {
    slots: Range<usize>,
    /// What is wrong with those that are not there.
    missing: BTreeMap<AgentIndex, String>,
}

/// Looks for the commands of these jobs.
fn look_for_commands(jobs: Vec<(AgentIndex, Arc<AgentSpec>)>) -> BTreeMap<AgentIndex, String> {
    let missing = |(agent, spec): (AgentIndex, Arc<AgentSpec>)| Some((agent, find_command(&spec).err()?.message));
    jobs.into_iter().filter_map(missing).collect()
}

/// The verdict on one agent. `command_missing` is what is wrong with a job's command, if it can't be found.
pub fn verdict(house: &House, agent: AgentIndex, command_missing: Option<String>) -> Option<Verdict> {
    let directory = house.directory.borrow();
    let slot = directory.get(agent)?;
    let dispatcher = house.dispatcher.borrow();
    let gate = slot.machine.borrow().gate();
    let closed = match &gate {
        Gate::Closed { status, reason } => Some((*status, reason)),
        Gate::Open | Gate::HalfOpen => None,
    };
    Some(if slot.spec.job().is_some() {
        Verdict::of_job(JobFacts { closed, command_missing, outcome: dispatcher.outcome(agent) })
    } else {
        let instances = slot.machine.borrow().instances();
        let waits = dispatcher.live(agent).into_iter().find_map(|live| live.reason);
        Verdict::of_service(closed, &instances, waits.as_ref())
    })
}

impl HealthMonitor {
    /// Begins the check of the slice that is due, if one is.
    pub(super) fn overall(&mut self, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        let slots = self.house.directory.borrow().slots();
        let Some(due) = self.house.health.borrow_mut().overall.take(slots, now) else { return };
        let jobs: Vec<_> = {
            let directory = self.house.directory.borrow();
            let agents = due.clone().map(AgentIndex::from).filter_map(|agent| Some((agent, directory.get(agent)?)));
            let looked_for = |spec: &AgentSpec| spec.job().is_some() && matches!(spec.program, Program::Command(_));
            agents.filter(|(_, slot)| looked_for(&slot.spec)).map(|(agent, slot)| (agent, slot.spec.clone())).collect()
        };
        // A disk that does not answer holds up one look, not one per slice.
        if jobs.is_empty() || self.looking_for_commands {
            return self.check(due, &BTreeMap::new());
        }
        self.looking_for_commands = true;
        let looking = tokio::task::spawn_blocking(move || look_for_commands(jobs));
        ctx.spawn(looking.into_actor(self).map(move |missing, this, ctx| {
            this.looking_for_commands = false;
            ctx.notify(CommandsLookedFor { slots: due, missing: missing.unwrap_or_default() });
        }));
    }

    fn check(&self, slots: Range<usize>, missing: &BTreeMap<AgentIndex, String>) {
        let at = Clock::wall();
        let agents: Vec<AgentIndex> = slots.map(AgentIndex::from).collect();
        for agent in &agents {
            if let Some(verdict) = verdict(&self.house, *agent, missing.get(agent).cloned()) {
                self.found(*agent, OverallCheck { at, verdict });
            }
        }
        self.house.vitals.borrow_mut().last_overall_check = Some(at);
        kept::checked_overall(&self.house, &agents);
    }

    /// Keeps a verdict, and tells of a job that has changed; of a service its own machine tells.
    fn found(&self, agent: AgentIndex, check: OverallCheck) {
        let mut directory = self.house.directory.borrow_mut();
        let Some(slot) = directory.get_mut(agent) else { return };
        let last = LastCheck::of_verdict(check.at, &check.verdict);
        let before = slot.last_health_check.as_ref().map(|before| before.finding);
        let changed = match (before, last.finding) {
            (Some(Finding::Unhealthy), Finding::Healthy) => Some(true),
            (None | Some(Finding::Healthy | Finding::NotCheckable), Finding::Unhealthy) => Some(false),
            _ => None,
        };
        let (name, is_job) = (slot.name.clone(), slot.spec.job().is_some());
        let reason: Option<Reason> = check.verdict.reason().cloned();
        slot.last_health_check = Some(last);
        slot.last_overall = Some(Box::new(check));
        drop(directory);
        if let Some(healthy) = changed.filter(|_| is_job) {
            let reason = reason.filter(|_| !healthy);
            self.house.emit(Event::HealthChanged { agent: name, instance: 0, healthy, reason });
        }
    }
}

impl Handler<CommandsLookedFor> for HealthMonitor {
    type Result = ();
    fn handle(&mut self, CommandsLookedFor { slots, missing }: CommandsLookedFor, _: &mut Self::Context) {
        self.check(slots, &missing);
    }
}
