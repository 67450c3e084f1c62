//! The root of the supervision tree: starts the system actors and the departments' supervisors, starts them again when
//! they die, takes agents in and out, and answers questions about the house.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use werkpilot_core::agent::{Agent, Event as ToAgent};
use werkpilot_core::dispatcher::{AgentProfile, Event as ToDispatcher, Gate};
use werkpilot_core::event::Event;
use werkpilot_core::graph::Graph;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::spec::AgentSpec;

use crate::agents::boot::{BeginBoot, BootActor, StartNewcomers};
use crate::agents::department::{DepartmentSupervisor, Dismiss, Employ};
use crate::agents::kept;
use crate::agents::reload::Reloader;
use crate::agents::shutdown::{BeginShutdown, ShutdownActor};
use crate::bus::link::{BusLink, FleetChanged};
use crate::house::{House, HousePhase};
use crate::intake::schedule::ScheduleActor;
use crate::observe::dead_letters::DeadLetters;
use crate::observe::events::EventLog;
use crate::observe::health::HealthMonitor;
use crate::observe::memory::MemoryMonitor;
use crate::observe::notifications::Notifier;
use crate::observe::optimizer::{Optimizer, ReviewDecisions};
use crate::observe::percentiles::{Introduce, PercentileTracker};
use crate::observe::scores::{IntroduceScores, ScoreKeeper};
use crate::observe::vitals::VitalsMonitor;
use crate::post::Post;
use crate::state::archivist::Archivist;
use crate::supervision::{ActorGone, ExitNotice, Intensity};
use crate::work::queue::{Define, QueueActor, Remember, TellAll, Undefine};

/// Takes agents in: their slots, machines and actors.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AddAgents {
    /// Their definitions.
    pub specs: Vec<Arc<AgentSpec>>,
    /// Whether they are started at once; else the boot does it, layer by layer.
    pub start: bool,
}

/// Ends agents and takes them out once their last process has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct RetireAgents(pub Vec<AgentIndex>);

/// The last process of a leaving agent has ended.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AgentLeft(pub AgentIndex);

/// Works out depths, layers and priorities anew.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct SettleGraph;

/// Begins the boot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Boot;

/// Answers a question about the house. The closure only reads.
pub struct Consult<T>(pub Box<dyn FnOnce(&House) -> T + Send>);

/// A question about the house panicked. The panic hook has written down where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuestionPanicked;

impl<T: Send + 'static> Message for Consult<T> {
    type Result = Result<T, QuestionPanicked>;
}

/// Starts an actor that tells the root of its end.
type StartChild = Box<dyn Fn(&Rc<House>, ExitNotice)>;

/// One child: how it is started.
struct Child {
    name: String,
    start: StartChild,
    deaths: Intensity,
}

/// The root supervisor.
pub struct Supervisor {
    house: Rc<House>,
    children: Vec<Child>,
    departments: BTreeMap<String, Post<DepartmentSupervisor>>,
}

impl Supervisor {
    /// Starts the root of this house and the system actors: when it returns, all posts are filled.
    pub fn launch(house: Rc<House>) -> Addr<Self> {
        Self::create(|ctx| {
            let mut root = Self { house, children: Vec::new(), departments: BTreeMap::new() };
            root.start_system(ctx);
            root
        })
    }

    /// Sinks before sources, so that nobody tells a fact that nobody hears.
    fn start_system(&mut self, ctx: &mut Context<Self>) {
        macro_rules! child {
            ($name:literal, $post:ident, $actor:ident) => {
                self.employ(
                    $name.to_owned(),
                    Box::new(|house, notice| house.posts.$post.fill($actor::new(house.clone(), notice).start())),
                    ctx,
                );
            };
        }
        child!("event log", events, EventLog);
        child!("notifier", notifier, Notifier);
        child!("archivist", archivist, Archivist);
        child!("dead letters", dead_letters, DeadLetters);
        child!("percentile tracker", percentiles, PercentileTracker);
        child!("score keeper", scores, ScoreKeeper);
        child!("memory monitor", memory, MemoryMonitor);
        child!("health monitor", health, HealthMonitor);
        child!("vitals", vitals, VitalsMonitor);
        child!("optimizer", optimizer, Optimizer);
        child!("shutdown", shutdown, ShutdownActor);
        child!("queue", queue, QueueActor);
        child!("schedule", schedule, ScheduleActor);
        child!("boot", boot, BootActor);
        child!("reload", reload, Reloader);
        if self.house.bus.is_some() {
            child!("bus link", bus_link, BusLink);
        }
    }

    fn employ(&mut self, name: String, start: StartChild, ctx: &mut Context<Self>) {
        let notice = ExitNotice::new(ctx.address().recipient(), self.children.len());
        start(&self.house, notice);
        self.children.push(Child { name, start, deaths: Intensity::default() });
    }

    fn start_again(&mut self, child: usize, ctx: &mut Context<Self>) {
        let notice = ExitNotice::new(ctx.address().recipient(), child);
        (self.children[child].start)(&self.house, notice);
    }

    /// The supervisor of a department; there is one from the first agent on.
    fn department(&mut self, name: &str, ctx: &mut Context<Self>) -> Post<DepartmentSupervisor> {
        if let Some(post) = self.departments.get(name) {
            return post.clone();
        }
        let post = Post::vacant();
        self.departments.insert(name.to_owned(), post.clone());
        let (of_child, name) = (post.clone(), name.to_owned());
        let start = move |house: &Rc<House>, notice: ExitNotice| {
            let actor = DepartmentSupervisor::new(house.clone(), name.clone(), of_child.clone(), notice);
            of_child.fill(actor.start());
        };
        let name = format!("department {}", self.departments.len());
        self.employ(name, Box::new(start), ctx);
        post
    }

    fn add(&mut self, specs: Vec<Arc<AgentSpec>>, start: bool, ctx: &mut Context<Self>) {
        let (breaker, now) = (self.house.settings.borrow().breaker.clone(), self.house.now());
        let mut added = Vec::with_capacity(specs.len());
        let (mut names, mut outcomes) = (Vec::with_capacity(specs.len()), Vec::new());
        for spec in specs {
            let mut directory = self.house.directory.borrow_mut();
            let index = directory.next_index();
            let machine = Agent::new(index, spec.clone(), &breaker, self.house.next_seed());
            directory.insert(index, spec.clone(), machine);
            let state = self.house.absent.borrow_mut().take(&spec.name);
            if let Some(slot) = directory.get_mut(index) {
                let outcome = kept::restore(slot, state.as_ref(), &breaker, now);
                outcomes.extend(outcome.map(|outcome| (index, outcome)));
            }
            drop(directory);
            added.push((index, spec.department.clone()));
            names.push((index, spec.name.clone()));
        }
        self.house.posts.percentiles.tell(Introduce(names.clone()));
        self.house.posts.scores.tell(IntroduceScores(names));
        if !start {
            let keep = self.house.settings.borrow().history.keep;
            let changes = self.house.absent.borrow_mut().tidy(keep, now.wall);
            if !changes.is_empty() {
                self.house.ledger.post(changes);
            }
        }
        settle_graph(&self.house);
        self.close_gates(added.iter().map(|(index, _)| *index));
        if !outcomes.is_empty() {
            self.house.posts.queue.tell(Remember(outcomes));
        }
        self.house.posts.bus_link.tell(FleetChanged);
        // A new definition may have a new priority.
        self.house.posts.optimizer.tell(ReviewDecisions);
        for (index, department) in &added {
            self.department(department, ctx).tell(Employ(*index));
        }
        if start {
            // Only now: who starts them finds them in the directory.
            self.house.posts.boot.tell(StartNewcomers(added.into_iter().map(|(index, _)| index).collect()));
        }
    }

    /// Tells the queue right after their definition which newcomers take no executions, or only a trial: their own word of it comes
    /// only with their first event, and the boot's first triggers may come before.
    fn close_gates(&self, newcomers: impl Iterator<Item = AgentIndex>) {
        let directory = self.house.directory.borrow();
        let closed = newcomers.filter_map(|agent| {
            let gate = directory.get(agent)?.machine.borrow().gate();
            (gate != Gate::Open).then_some(ToDispatcher::SetGate { agent, gate })
        });
        let closed: Vec<_> = closed.collect();
        if !closed.is_empty() {
            self.house.posts.queue.tell(TellAll(closed));
        }
    }

    fn retire(&self, agents: Vec<AgentIndex>) {
        for agent in &agents {
            let mut directory = self.house.directory.borrow_mut();
            let Some(slot) = directory.get(*agent) else { continue };
            let (name, department) = (slot.name.clone(), slot.spec.department.clone());
            let now = self.house.now();
            let state = kept::row(&self.house, *agent, slot);
            self.house.ledger.post(vec![self.house.absent.borrow_mut().insert(state, now.wall)]);
            directory.release_name(&name);
            drop(directory);
            if let Some(department) = self.departments.get(&department) {
                department.tell(Dismiss(*agent));
            }
            self.house.deliver(*agent, ToAgent::Remove);
        }
        self.house.posts.queue.tell(Undefine(agents));
        self.house.posts.bus_link.tell(FleetChanged);
    }
}

/// Works out depths and layers anew and tells the queue of every agent whose profile changed by it.
pub fn settle_graph(house: &House) {
    let directory = house.directory.borrow();
    let mut members = Vec::new();
    let mut last = 0;
    for (index, slot) in directory.iter() {
        // An agent that is leaving has lost its name: nobody depends on it any more.
        if directory.find(slot.name.as_str()) != Some(index) {
            continue;
        }
        members.resize(index.slot(), None);
        let dependencies = slot.spec.dependencies.iter().map(|dependency| dependency.agent.clone()).collect();
        members.push(Some((slot.name.clone(), dependencies, slot.spec.layer)));
        last = index.slot() + 1;
    }
    members.truncate(last);
    let graph = match Graph::with_gaps(&members) {
        Ok(graph) => Rc::new(graph),
        Err(fault) => {
            log::error!("the dependencies can't be worked out, though they were checked before: {fault}");
            return;
        }
    };
    let profiles: Vec<_> = members
        .iter()
        .enumerate()
        .filter_map(|(slot, member)| {
            member.as_ref()?;
            let index = AgentIndex::from(slot);
            let spec = directory.get(index)?.spec.clone();
            let profile = AgentProfile::of(&spec, graph.depth(index), |name| directory.find(name));
            Some((index, AgentProfile { priority: house.priority_of(&spec), ..profile }))
        })
        .collect();
    let mut layers = vec![0; members.len()];
    for (layer, agents) in (0..).zip(graph.layers()) {
        for agent in agents {
            layers[agent.slot()] = layer;
        }
    }
    drop(directory);
    *house.layers.borrow_mut() = layers;
    *house.graph.borrow_mut() = graph;
    house.posts.queue.tell(Define(profiles));
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        if std::thread::panicking() {
            // Nobody is left to supervise. The next start ends what this one leaves running.
            log::error!("the root supervisor died: giving up (EX_SOFTWARE)");
            System::current().stop_with_code(70);
        }
    }
}

impl Handler<AddAgents> for Supervisor {
    type Result = ();
    fn handle(&mut self, AddAgents { specs, start }: AddAgents, ctx: &mut Self::Context) {
        self.add(specs, start, ctx);
    }
}

impl Handler<RetireAgents> for Supervisor {
    type Result = ();
    fn handle(&mut self, RetireAgents(agents): RetireAgents, _: &mut Self::Context) {
        self.retire(agents);
    }
}

impl Handler<AgentLeft> for Supervisor {
    type Result = ();
    fn handle(&mut self, AgentLeft(agent): AgentLeft, _: &mut Self::Context) {
        if self.house.phase.get() != HousePhase::ShuttingDown {
            self.house.directory.borrow_mut().remove(agent);
        }
    }
}

impl Handler<SettleGraph> for Supervisor {
    type Result = ();
    fn handle(&mut self, _: SettleGraph, _: &mut Self::Context) {
        settle_graph(&self.house);
    }
}

impl Handler<Boot> for Supervisor {
    type Result = ();
    fn handle(&mut self, _: Boot, _: &mut Self::Context) {
        self.house.posts.boot.tell(BeginBoot);
    }
}

impl<T: Send + 'static> Handler<Consult<T>> for Supervisor {
    type Result = MessageResult<Consult<T>>;
    fn handle(&mut self, Consult(question): Consult<T>, _: &mut Self::Context) -> Self::Result {
        // The fleet does not end with its root because somebody asked. A question changes nothing, and what it borrowed is
        // given back as it unwinds.
        let answer = catch_unwind(AssertUnwindSafe(|| question(&self.house)));
        MessageResult(answer.map_err(|_| QuestionPanicked))
    }
}

impl Handler<ActorGone> for Supervisor {
    type Result = ();
    fn handle(&mut self, gone: ActorGone, ctx: &mut Self::Context) {
        let Some(message) = gone.panicked else { return };
        let now = self.house.clock.steady();
        let Some(child) = self.children.get_mut(gone.child) else { return };
        let actor = child.name.clone();
        let Some(delay) = child.deaths.on_death(now) else {
            log::error!("actor {actor} died too often: {message}");
            let reason = format!("actor {actor} can't be kept alive");
            self.house.emit(Event::ActorDied { actor, message, restarted: false });
            self.house.posts.shutdown.tell(BeginShutdown { reason });
            return;
        };
        // At once, so that the event log itself hears of its own death from its successor.
        if delay.is_zero() {
            self.start_again(gone.child, ctx);
        } else {
            ctx.run_later(delay, move |this, ctx| this.start_again(gone.child, ctx));
        }
        self.house.emit(Event::ActorDied { actor, message, restarted: true });
    }
}
