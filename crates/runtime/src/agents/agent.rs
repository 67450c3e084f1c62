//! One agent's actor: feeds its machine and carries out what that answers.
//!
//! Invariant: the machine is borrowed only while it decides; it outlives this actor, and so do its processes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::agent::{Action, Agent, Command, Event, ProcessEnd, ProcessKey};
use werkpilot_core::dispatcher::{Ended, Event as ToDispatcher};
use werkpilot_core::event::{End, Event as Fact};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::reason::Reason;
use werkpilot_core::time::{Clocks, Moment};
use werkpilot_store::StoreError;

use crate::agents::boot::Settled;
use crate::agents::department::{DepartmentSupervisor, MemberRestarting};
use crate::agents::kept::{self, Due, TOGETHER};
use crate::agents::shutdown::{AgentEnded, EndedByForce};
use crate::agents::supervisor::AgentLeft;
use crate::alarm::{Alarm, Alarmed};
use crate::directory::LiveProcess;
use crate::house::{House, HousePhase};
use crate::observe::health::{Unwatch, WatchHealth, WatchReadiness};
use crate::observe::scores::AgentRestarted;
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

/// Enables or disables the agent, once that is on disk. The text says what happens now.
#[derive(Debug, Message)]
#[rtype(result = "Result<String, SwitchError>")]
pub struct Switch {
    /// Whether it is to be enabled.
    pub on: bool,
    /// By whom.
    pub by: String,
}

/// Why an agent could not be enabled or disabled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SwitchError {
    /// It can't in its present state.
    #[error("{0}")]
    Refused(Reason),
    /// It could not be kept; nothing has changed.
    #[error(transparent)]
    NotKept(StoreError),
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
    /// Whether its row is about to be written.
    writing: bool,
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
        Self { house, index, machine, department, alarm: Alarm::default(), writing: false, _notice: notice }
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
        self.keep(ctx);
        self.arm(deadline, ctx);
        answer
    }

    /// Writes what is to outlive the orchestrator, if it has changed.
    fn keep(&mut self, ctx: &mut Context<Self>) {
        let Some(due) = kept::due(&self.house, self.index) else { return };
        let patience = kept::patience(&self.house);
        if due == Due::Now && patience == TOGETHER {
            kept::write(&self.house, self.index, Due::Now);
        }
        // Also afterwards: what the dispatcher makes of it comes later.
        if !std::mem::replace(&mut self.writing, true) {
            Self::write_after(patience, ctx);
        }
    }

    fn write_after(patience: Duration, ctx: &mut Context<Self>) {
        ctx.run_later(patience, |this, ctx| {
            let patience = kept::patience(&this.house);
            let due = kept::due(&this.house, this.index).is_some();
            this.writing = due && patience > TOGETHER;
            if this.writing {
                Self::write_after(patience, ctx);
            } else if due {
                kept::write(&this.house, this.index, Due::Soon);
            }
        });
    }

    fn written(&self, change: impl FnOnce(&mut kept::Written)) {
        if let Some(slot) = self.house.directory.borrow_mut().get_mut(self.index) {
            change(&mut slot.written);
        }
    }

    fn count(&self, count: impl FnOnce(&mut kept::Figures)) {
        if let Some(slot) = self.house.directory.borrow_mut().get_mut(self.index) {
            count(&mut slot.figures);
        }
    }

    fn perform(&self, actions: Vec<Action>) {
        // What goes to the dispatcher goes in one message, so that it sees this turn as a whole.
        let mut to_queue = Vec::new();
        for action in actions {
            match action {
                Action::Dispatcher(event) => {
                    match outcome(&event) {
                        Some(true) => self.count(|figures| figures.successes += 1),
                        Some(false) => self.count(|figures| figures.failures += 1),
                        None => {}
                    }
                    to_queue.push(event);
                }
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
            Action::WatchReadiness { process } => posts.health.tell(WatchReadiness { process }),
            Action::WatchHealth { process } => posts.health.tell(WatchHealth { process }),
            Action::Unwatch { process } => posts.health.tell(Unwatch { process }),
            Action::Emit(event) => {
                if is_automatic_restart(&event) {
                    self.count(|figures| figures.restarts += 1);
                    posts.scores.tell(AgentRestarted(self.index));
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
                lived: Duration::ZERO,
                forced: false,
                peak_rss_bytes: 0,
                log_tail: Vec::new(),
                last_words: None,
            };
            self.drive(ctx, |agent, now, out| agent.on(Event::Exited { process, end }, now, out));
        }
        // What its predecessor had not written, or had begun to.
        let booted = self.machine.borrow().is_booted();
        self.written(|written| (written.stale, written.switching) = (written.stale || booted, 0));
        self.keep(ctx);
        let deadline = self.machine.borrow().next_deadline();
        self.arm(deadline, ctx);
    }
}

/// Whether the end of an execution, or of a service's efforts, is a success; `None`: it says nothing about that.
fn outcome(event: &ToDispatcher) -> Option<bool> {
    match event {
        ToDispatcher::Ended(ended) => match ended.end {
            End::Succeeded => Some(true),
            End::Failed | End::TimedOut | End::Lost => Some(false),
            End::Skipped | End::Refused | End::Cancelled | End::Interrupted => None,
        },
        ToDispatcher::ServiceGaveUp { .. } => Some(false),
        _ => None,
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

impl Handler<Switch> for AgentActor {
    type Result = ResponseActFuture<Self, Result<String, SwitchError>>;
    fn handle(&mut self, Switch { on, by }: Switch, _: &mut Self::Context) -> Self::Result {
        if self.house.phase.get() == HousePhase::ShuttingDown {
            return Box::pin(actix::fut::ready(Err(SwitchError::Refused(Reason::ShuttingDown))));
        }
        let batch = kept::switched(&self.house, self.index, on, &by).into_iter().collect();
        let ledger = self.house.ledger.clone();
        self.written(|written| written.switching += 1);
        let keeping = async move { ledger.kept(batch).await };
        Box::pin(keeping.into_actor(self).map(move |kept, this, ctx| {
            this.written(|written| written.switching = written.switching.saturating_sub(1));
            if let Err(error) = kept {
                this.keep(ctx);
                return Err(SwitchError::NotKept(error));
            }
            this.written(|written| written.stale = true);
            let command = if on { Command::Enable } else { Command::Disable };
            this.drive(ctx, |agent, now, out| agent.command(&command, &by, now, out)).map_err(SwitchError::Refused)
        }))
    }
}

impl Handler<Crash> for AgentActor {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of an agent");
    }
}
