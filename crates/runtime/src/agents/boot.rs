//! The boot: layer by layer, the next one when the services of this one are ready or late.

use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::boot::{Boot, BootAction, BootEvent, BootMember};
use werkpilot_core::dispatcher::{Gate, Request};
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::time::{as_ms, human};
use werkpilot_core::trigger::Trigger;

use crate::alarm::{Alarm, Alarmed};
use crate::house::{House, HousePhase};
use crate::intake::schedule::ScheduleAgents;
use crate::state::{CutOff, triggers};
use crate::supervision::ExitNotice;
use crate::view::BootLayer;
use crate::work::queue::AdmitBatch;

/// Begins the boot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct BeginBoot;

/// A service is ready, or will not become so by itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Settled {
    /// Whose.
    pub agent: AgentIndex,
    /// Whether it is ready.
    pub ready: bool,
}

/// Starts agents that came after the boot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StartNewcomers(pub Vec<AgentIndex>);

/// The actor of the boot.
pub struct BootActor {
    house: Rc<House>,
    boot: Option<Boot>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl BootActor {
    /// An actor that has not begun.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, boot: None, alarm: Alarm::default(), _notice: notice }
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        self.settle();
        let graph = self.house.graph.borrow().clone();
        let directory = self.house.directory.borrow();
        let member = |agent: AgentIndex| BootMember {
            agent,
            waits: directory.get(agent).is_some_and(|slot| {
                let closed = matches!(slot.machine.borrow().gate(), Gate::Closed { .. });
                slot.spec.service().is_some() && !closed
            }),
        };
        let layers = graph.layers().into_iter().map(|layer| layer.into_iter().map(member).collect()).collect();
        let timeout = self.house.settings.borrow().boot.layer_timeout;
        self.boot = Some(Boot::new(layers, timeout, |agent| graph.dependencies(agent)));
        drop(directory);
        self.drive(BootEvent::Begin, ctx);
    }

    fn drive(&mut self, event: BootEvent, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        let Some(boot) = &mut self.boot else { return };
        if self.house.phase.get() == HousePhase::ShuttingDown {
            return;
        }
        let mut actions = Vec::new();
        boot.on(event, now, &mut actions);
        let deadline = boot.next_deadline();
        for action in actions {
            self.perform(action);
        }
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    fn perform(&self, action: BootAction) {
        match action {
            BootAction::StartLayer { layer, members } => {
                log::info!(target: "werkpilot", "Boot layer {layer}: starting {}", self.house.directory.borrow().listed(&members));
                self.start_agents(&members);
            }
            BootAction::LayerReady { layer, took, late } if late.is_empty() => {
                self.layer_is_over(layer, took, &late);
                log::info!(target: "werkpilot", "Boot layer {layer}: ready after {}", human(took));
            }
            BootAction::LayerReady { layer, took, late } => {
                self.layer_is_over(layer, took, &late);
                let (took, late) = (human(took), self.house.directory.borrow().listed(&late));
                log::warn!(target: "werkpilot", "Boot layer {layer}: going on after {took} without {late}, not ready yet");
            }
            BootAction::Completed { took, late, critical_path } => self.completed(took, &late, &critical_path),
        }
    }

    fn start_agents(&self, members: &[AgentIndex]) {
        for agent in members {
            self.house.deliver(*agent, ToAgent::Boot);
        }
        let (mut timed, mut at_once) = (Vec::new(), Vec::new());
        {
            let directory = self.house.directory.borrow();
            for agent in members {
                let Some(job) = directory.get(*agent).and_then(|slot| slot.spec.job().cloned()) else { continue };
                if job.triggers.schedule.is_some() || job.triggers.every.is_some() {
                    timed.push(*agent);
                }
                if job.triggers.startup {
                    at_once.push(*agent);
                }
            }
        }
        if !timed.is_empty() {
            self.house.posts.schedule.tell(ScheduleAgents(timed));
        }
        let request = |agent| Request::new(agent, Trigger::Startup);
        let mut requests: Vec<_> = at_once.into_iter().map(request).collect();
        requests.extend(self.promised(members));
        if !requests.is_empty() {
            self.house.posts.queue.tell(AdmitBatch(requests));
        }
    }

    /// What the last orchestrator promised and could not do any more.
    fn promised(&self, members: &[AgentIndex]) -> Vec<Request> {
        let (mut cut_off, directory) = (self.house.cut_off.borrow_mut(), self.house.directory.borrow());
        let mut requests = Vec::new();
        for agent in members {
            let rows = directory.get(*agent).and_then(|slot| cut_off.triggers.remove(&slot.name));
            requests.extend(rows.into_iter().flatten().map(|row| triggers::request(*agent, row)));
        }
        requests
    }

    /// Ends what the last orchestrator could not.
    fn settle(&self) {
        let (batches, events, letters) = {
            let mut cut_off = self.house.cut_off.borrow_mut();
            let CutOff { batches, events, letters, .. } = &mut *cut_off;
            (std::mem::take(batches), std::mem::take(events), std::mem::take(letters))
        };
        for batch in batches {
            self.house.ledger.record(batch);
        }
        for event in events {
            self.house.emit(event);
        }
        for (draft, end) in letters {
            self.house.keep_letter(draft, end);
        }
    }

    fn completed(&self, took: std::time::Duration, late: &[AgentIndex], critical_path: &[AgentIndex]) {
        self.house.enter(HousePhase::Running);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let event = Event::BootCompleted {
            agents: count(self.house.directory.borrow().len()),
            layers: count(self.house.graph.borrow().layers().len()),
            duration: took,
            late: self.names(late),
            critical_path: self.names(critical_path),
        };
        *self.house.boot_report.borrow_mut() = Some(event.clone());
        self.house.emit(event);
    }

    fn layer_is_over(&self, layer: u32, took: std::time::Duration, late: &[AgentIndex]) {
        let layer = BootLayer { layer, ms: as_ms(took), late: self.names(late) };
        self.house.boot_layers.borrow_mut().push(layer);
    }

    fn names(&self, agents: &[AgentIndex]) -> Vec<AgentName> {
        let directory = self.house.directory.borrow();
        agents.iter().filter_map(|agent| Some(directory.get(*agent)?.name.clone())).collect()
    }
}

impl Actor for BootActor {
    type Context = Context<Self>;
}

impl Alarmed for BootActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.drive(BootEvent::DeadlineReached, ctx);
    }
}

impl Handler<BeginBoot> for BootActor {
    type Result = ();
    fn handle(&mut self, _: BeginBoot, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Handler<Settled> for BootActor {
    type Result = ();
    fn handle(&mut self, Settled { agent, ready }: Settled, ctx: &mut Self::Context) {
        self.drive(if ready { BootEvent::Ready(agent) } else { BootEvent::GaveUp(agent) }, ctx);
    }
}

impl Handler<StartNewcomers> for BootActor {
    type Result = ();
    fn handle(&mut self, StartNewcomers(agents): StartNewcomers, _: &mut Self::Context) {
        self.start_agents(&agents);
    }
}
