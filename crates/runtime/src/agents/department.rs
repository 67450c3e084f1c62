//! A department's supervisor: starts the actors of its agents, starts them again when they die, and restarts its
//! services together where its strategy says so.

use std::collections::BTreeMap;
use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::agent::Event;
use werkpilot_core::dispatcher::{Event as ToDispatcher, Gate};
use werkpilot_core::event::Event as Fact;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::Strategy;
use werkpilot_core::status::Status;
use werkpilot_core::strategy::affected;

use crate::agents::agent::AgentActor;
use crate::house::House;
use crate::post::Post;
use crate::supervision::{ActorGone, ExitNotice, Intensity};
use crate::work::queue::Tell;

/// Starts the actor of this agent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Employ(pub AgentIndex);

/// This agent is leaving: its actor's end is no death.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Dismiss(pub AgentIndex);

/// A service of the department is being restarted because it ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct MemberRestarting(pub AgentIndex);

/// The supervisor of one department.
pub struct DepartmentSupervisor {
    house: Rc<House>,
    name: String,
    post: Post<Self>,
    deaths: BTreeMap<AgentIndex, Intensity>,
    _notice: ExitNotice,
}

impl DepartmentSupervisor {
    /// The supervisor of this department.
    pub fn new(house: Rc<House>, name: String, post: Post<Self>, notice: ExitNotice) -> Self {
        Self { house, name, post, deaths: BTreeMap::new(), _notice: notice }
    }

    fn members(&self) -> Vec<AgentIndex> {
        let directory = self.house.directory.borrow();
        directory.iter().filter(|(_, slot)| slot.spec.department == self.name).map(|(index, _)| index).collect()
    }

    fn employ(&self, index: AgentIndex, ctx: &mut Context<Self>) {
        let machine = match self.house.directory.borrow().get(index) {
            Some(slot) => slot.machine.clone(),
            None => return,
        };
        let notice = ExitNotice::new(ctx.address().recipient(), index.slot());
        let addr = AgentActor::new(self.house.clone(), index, machine, self.post.clone(), notice).start();
        self.house.directory.borrow_mut().connect(index, addr);
    }

    /// Its actor dies again and again: nothing is started for it any more, what runs is left alone.
    fn give_up(&self, agent: AgentIndex) {
        let (status, message) = (Status::DisabledByFailure, "it died too often".to_owned());
        let reason = Reason::Disabled { status, why: Reason::ActorDied { message }.to_string() };
        let gate = Gate::Closed { status, reason };
        self.house.posts.queue.tell(Tell(ToDispatcher::SetGate { agent, gate }));
    }

    fn strategy(&self) -> Strategy {
        self.house.strategies.borrow().get(&self.name).copied().unwrap_or_default()
    }
}

impl Actor for DepartmentSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A successor of a supervisor that died finds its agents at work and employs those that are not.
        self.post.fill(ctx.address());
        for index in self.members() {
            let vacant = self.house.directory.borrow().addr(index).is_none();
            if vacant {
                self.employ(index, ctx);
            }
        }
    }
}

impl Handler<Employ> for DepartmentSupervisor {
    type Result = ();
    fn handle(&mut self, Employ(index): Employ, ctx: &mut Self::Context) {
        let vacant = self.house.directory.borrow().addr(index).is_none();
        if vacant {
            self.employ(index, ctx);
        }
    }
}

impl Handler<Dismiss> for DepartmentSupervisor {
    type Result = ();
    fn handle(&mut self, Dismiss(index): Dismiss, _: &mut Self::Context) {
        self.deaths.remove(&index);
    }
}

impl Handler<MemberRestarting> for DepartmentSupervisor {
    type Result = ();
    fn handle(&mut self, MemberRestarting(restarted): MemberRestarting, _: &mut Self::Context) {
        let strategy = self.strategy();
        if strategy == Strategy::OneForOne {
            return;
        }
        let (services, agent) = {
            let directory = self.house.directory.borrow();
            let of_department =
                |index: &AgentIndex| directory.get(*index).is_some_and(|slot| slot.spec.service().is_some());
            let services: Vec<_> = self.members().into_iter().filter(of_department).collect();
            let Some(slot) = directory.get(restarted) else { return };
            (services, slot.name.clone())
        };
        let graph = self.house.graph.borrow().clone();
        for other in affected(strategy, restarted, &services, &graph) {
            self.house.deliver(other, Event::GroupRestart { reason: Reason::GroupRestart { agent: agent.clone() } });
        }
    }
}

impl Handler<ActorGone> for DepartmentSupervisor {
    type Result = ();
    fn handle(&mut self, gone: ActorGone, ctx: &mut Self::Context) {
        let index = AgentIndex::from(gone.child);
        let Some(message) = gone.panicked else { return };
        let Some(name) = self.house.directory.borrow().get(index).map(|slot| slot.name.to_string()) else { return };
        let delay = self.deaths.entry(index).or_default().on_death(self.house.clock.steady());
        self.house.emit(Fact::ActorDied { actor: format!("agent {name}"), message, restarted: delay.is_some() });
        match delay {
            Some(delay) if delay.is_zero() => self.employ(index, ctx),
            Some(delay) => {
                ctx.run_later(delay, move |this, ctx| this.employ(index, ctx));
            }
            None => self.give_up(index),
        }
    }
}
