//! One agent's actor: feeds its machine and carries out what that answers.
//!
//! Invariant: the machine is borrowed only while it decides; it outlives this actor, and so do its processes.

use std::cell::RefCell;
use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::agent::{Action, Agent, Command, Event, ProcessEnd, ProcessKey};
use werkpilot_core::dispatcher::{Ended, Event as ToDispatcher};
use werkpilot_core::event::Event as Fact;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::reason::Reason;
use werkpilot_core::time::{Clocks, Moment};

use crate::agents::boot::Settled;
use crate::agents::department::{DepartmentSupervisor, MemberRestarting};
use crate::agents::shutdown::{AgentEnded, EndedByForce};
use crate::agents::supervisor::AgentLeft;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::LiveProcess;
use crate::house::{House, HousePhase};
use crate::observe::prober::{Unwatch, WatchHealth, WatchReadiness};
use crate::post::Post;
use crate::supervision::ExitNotice;
use crate::work::queue::{Tell, TellAll};

/// Something happened that the agent has to know.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Deliver(pub Event);

/// Carries out a command of an operator. The text says what happens now.
#[derive(Debug, Message)]
#[rtype(result = "Result<String, Reason>")]
pub struct Order {
    /// What is asked.
    pub command: Command,
    /// By whom.
    pub by: String,
}

/// Ends by a panic, to show in tests and drills that the agent's program survives it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// The actor of one agent.
pub struct AgentActor {
    house: Rc<House>,
    index: AgentIndex,
    machine: Rc<RefCell<Agent>>,
    department: Post<DepartmentSupervisor>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl AgentActor {
    /// An actor for the agent in this slot.
    pub fn new(
        house: Rc<House>,
        index: AgentIndex,
        machine: Rc<RefCell<Agent>>,
        department: Post<DepartmentSupervisor>,
        notice: ExitNotice,
    ) -> Self {
        Self { house, index, machine, department, alarm: Alarm::default(), _notice: notice }
    }

    /// The one path from an event to its effects; every handler is one call.
    fn drive<R>(
        &mut self,
        ctx: &mut Context<Self>,
        decide: impl FnOnce(&mut Agent, Clocks, &mut Vec<Action>) -> R,
    ) -> R {
        let now = self.house.now();
        let mut actions = Vec::new();
        let (answer, deadline) = {
            let mut machine = self.machine.borrow_mut();
            let answer = decide(&mut machine, now, &mut actions);
            (answer, machine.next_deadline())
        };
        self.perform(actions);
        self.arm(deadline, ctx);
        answer
    }

    fn perform(&self, actions: Vec<Action>) {
        // What goes to the dispatcher goes in one message, so that it sees this turn as a whole.
        let mut to_queue = Vec::new();
        for action in actions {
            match action {
                Action::Dispatcher(event) => to_queue.push(event),
                other => self.perform_one(other),
            }
        }
        match to_queue.len() {
            0 => {}
            1 => self.house.posts.queue.tell(Tell(to_queue.remove(0))),
            _ => self.house.posts.queue.tell(TellAll(to_queue)),
        }
    }

    fn perform_one(&self, action: Action) {
        let posts = &self.house.posts;
        match action {
            Action::Dispatcher(_) => {}
            Action::Launch(launch) => {
                if let Some(slot) = self.house.directory.borrow_mut().get_mut(self.index) {
                    let (key, since) = (launch.process, self.house.now().wall);
                    slot.processes.push(LiveProcess {
                        key,
                        run: launch.run,
                        attempt: launch.attempt,
                        pid: None,
                        since,
                        said: None,
                    });
                }
                self.house.hands.launch(launch);
            }
            Action::StopProcess { process, policy } => self.house.hands.stop(process, policy),
            Action::WatchReadiness { process } => posts.prober.tell(WatchReadiness { process }),
            Action::WatchHealth { process } => posts.prober.tell(WatchHealth { process }),
            Action::Unwatch { process } => posts.prober.tell(Unwatch { process }),
            Action::Emit(event) => {
                if is_automatic_restart(&event)
                    && let Some(slot) = self.house.directory.borrow_mut().get_mut(self.index)
                {
                    slot.restarts += 1;
                }
                if matches!(event, Fact::AgentStopped { forced: true, .. })
                    && self.house.phase.get() == HousePhase::ShuttingDown
                {
                    posts.shutdown.tell(EndedByForce(self.index));
                }
                self.house.emit(event);
            }
            Action::GroupMemberRestarting => self.department.tell(MemberRestarting(self.index)),
            Action::BootSettled { ready } => posts.boot.tell(Settled { agent: self.index, ready }),
            Action::AllEnded => {
                posts.shutdown.tell(AgentEnded(self.index));
                posts.supervisor.tell(AgentLeft(self.index));
            }
        }
    }

    fn arm(&mut self, deadline: Option<Moment>, ctx: &mut Context<Self>) {
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    /// After a death of this actor the end of a process, or a grant, may have been lost with its mailbox.
    fn reconcile(&mut self, ctx: &mut Context<Self>) {
        let granted: Vec<_> = {
            let (dispatcher, machine) = (self.house.dispatcher.borrow(), self.machine.borrow());
            let mine = dispatcher.running_keys().into_iter().filter(|(agent, _)| *agent == self.index);
            mine.map(|(_, key)| key).filter(|key| !machine.holds(*key)).collect()
        };
        for key in granted {
            self.house.posts.queue.tell(Tell(ToDispatcher::Ended(Box::new(Ended::lost(key)))));
        }
        let known: Vec<ProcessKey> = {
            let directory = self.house.directory.borrow();
            directory.get(self.index).map(|slot| slot.processes.iter().map(|p| p.key).collect()).unwrap_or_default()
        };
        let lost: Vec<ProcessKey> = self.machine.borrow().processes();
        for process in lost.into_iter().filter(|process| !known.contains(process)) {
            let end = ProcessEnd {
                exit: Exit::Panicked("the report of its end was lost with its actor".to_owned()),
                lived: std::time::Duration::ZERO,
                forced: false,
                peak_rss_bytes: 0,
                log_tail: Vec::new(),
            };
            self.drive(ctx, |agent, now, out| agent.on(Event::Exited { process, end }, now, out));
        }
        let deadline = self.machine.borrow().next_deadline();
        self.arm(deadline, ctx);
    }
}

/// What a person or the registry asks for is no automatic restart, though it is told in the same way.
fn is_automatic_restart(event: &Fact) -> bool {
    let Fact::AgentRestarting { reason, .. } = event else { return false };
    !matches!(reason, Reason::ByOperator { .. } | Reason::ConfigChanged)
}

impl Actor for AgentActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.reconcile(ctx);
    }
}

impl Alarmed for AgentActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.drive(ctx, |agent, now, out| agent.on(Event::DeadlineReached, now, out));
    }
}

impl Handler<Deliver> for AgentActor {
    type Result = ();
    fn handle(&mut self, Deliver(event): Deliver, ctx: &mut Self::Context) {
        self.drive(ctx, |agent, now, out| agent.on(event, now, out));
    }
}

impl Handler<Order> for AgentActor {
    type Result = Result<String, Reason>;
    fn handle(&mut self, order: Order, ctx: &mut Self::Context) -> Self::Result {
        self.drive(ctx, |agent, now, out| agent.command(&order.command, &order.by, now, out))
    }
}

impl Handler<Crash> for AgentActor {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of an agent");
    }
}
