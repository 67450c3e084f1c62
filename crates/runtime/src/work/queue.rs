//! The queue: the actor of the dispatcher, through which every start goes.
//!
//! Invariant: whatever the dispatcher answers is carried out in the same turn, in its order.

use std::collections::BTreeMap;
use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::agent::Event as ToAgent;
use werkpilot_core::catch_up::Turn;
use werkpilot_core::dead_letters::DeadLetterDraft;
use werkpilot_core::dispatcher::{Action, Admission, AgentProfile, Dispatcher, Ended, Event, Finished, Request};
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentIndex, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::score::Begin;
use werkpilot_core::settings::QueueSettings;
use werkpilot_core::time::{Clocks, Moment};
use werkpilot_core::timetable::{Due, DueKind};
use werkpilot_core::trigger::Trigger;

use crate::agents::kept::Outcome;
use crate::alarm::{Alarm, Alarmed};
use crate::clock::Clock;
use crate::house::{House, ScheduleLag};
use crate::intake::schedule::ScheduledRunEnded;
use crate::observe::percentiles::{RecordSuccess, RestartsTaken};
use crate::observe::scores::{RunJudged, ServicesChanged};
use crate::supervision::ExitNotice;

/// Decides on a request for an execution.
#[derive(Debug, Message)]
#[rtype(result = "Admission")]
pub struct Admit(pub Request);

/// Decides on several requests and starts only then.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AdmitBatch(pub Vec<Request>);

/// Decides on all that the schedule found due at once.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AdmitDue {
    /// In order.
    pub due: Vec<Due>,
    /// The ids of those by schedule that catch up.
    pub runs: BTreeMap<AgentIndex, RunId>,
}

/// Something happened that the dispatcher has to know.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Tell(pub Event);

/// Several of these, in order.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TellAll(pub Vec<Event>);

/// Takes agents in, or their new definitions.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Define(pub Vec<(AgentIndex, AgentProfile)>);

/// What the last ends of jobs left behind before the orchestrator was restarted.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Remember(pub Vec<(AgentIndex, Outcome)>);

/// Takes agents out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Undefine(pub Vec<AgentIndex>);

/// Ends by a panic, to show in tests and drills that the fleet survives it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// The actor of the dispatcher.
pub struct QueueActor {
    house: Rc<House>,
    alarm: Alarm,
    actions: Vec<Action>,
    /// Automatic restarts that are kept, or on their way to be.
    restarts_told: u64,
    _notice: ExitNotice,
}

impl QueueActor {
    /// An actor for the house's dispatcher.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        let restarts_told = house.dispatcher.borrow().restarts_taken();
        Self { house, alarm: Alarm::default(), actions: Vec::new(), restarts_told, _notice: notice }
    }

    /// The one path from an event to its effects.
    fn drive<R>(
        &mut self,
        ctx: &mut Context<Self>,
        decide: impl FnOnce(&mut Dispatcher, Clocks, &mut Vec<Action>) -> R,
    ) -> R {
        let now = self.house.now();
        let mut actions = std::mem::take(&mut self.actions);
        let (answer, deadline) = {
            let mut dispatcher = self.house.dispatcher.borrow_mut();
            let answer = decide(&mut dispatcher, now, &mut actions);
            (answer, dispatcher.next_deadline(now.steady))
        };
        let taken = self.house.dispatcher.borrow().restarts_taken();
        if taken != self.restarts_told {
            let count = taken - std::mem::replace(&mut self.restarts_told, taken);
            self.house.posts.percentiles.tell(RestartsTaken { count, at: now.wall });
        }
        self.perform_all(&mut actions);
        self.actions = actions;
        self.arm(deadline, ctx);
        answer
    }

    /// A dead letter comes just before the end of its execution, and both are kept together or not at all.
    fn perform_all(&self, actions: &mut Vec<Action>) {
        let keep = |draft, end| self.house.keep_letter(draft, end);
        let mut letter: Option<Box<DeadLetterDraft>> = None;
        for action in actions.drain(..) {
            match action {
                Action::DeadLetter(draft) => {
                    if let Some(draft) = letter.replace(draft) {
                        keep(draft, Vec::new());
                    }
                }
                Action::Keep(finished) => {
                    self.tell_schedule(&finished);
                    self.tell_scores(&finished);
                    let own = letter.take_if(|letter| letter.run == finished.run);
                    let changes = self.house.executions.end(*finished);
                    match own {
                        Some(draft) => keep(draft, changes),
                        None => self.house.executions.record(changes),
                    }
                }
                other => self.perform(other),
            }
        }
        if let Some(draft) = letter {
            keep(draft, Vec::new());
        }
    }

    /// The schedule keeps how far agents are that catch up. What was only in the way of a shutdown has not been run: it is
    /// caught up with after the next start.
    fn tell_schedule(&self, finished: &Finished) {
        let Some(scheduled_for) = finished.scheduled_for.filter(|_| finished.trigger == Trigger::Schedule) else {
            return;
        };
        let positions = self.house.positions.borrow();
        if positions.is_empty() || !finished.started && matches!(finished.reason, Some(Reason::ShuttingDown)) {
            return;
        }
        let turn = Turn { scheduled_for, run: finished.run };
        let agent = self.house.directory.borrow().find(finished.agent.as_str());
        if let Some(agent) = agent.filter(|agent| positions.waits_for(*agent, turn)) {
            self.house.posts.schedule.tell(ScheduledRunEnded { agent, turn });
        }
    }

    /// What the score of its agent is made of.
    fn tell_scores(&self, finished: &Finished) {
        let Some(agent) = self.house.directory.borrow().find(finished.agent.as_str()) else { return };
        let is_due = matches!(finished.trigger, Trigger::Schedule | Trigger::Every);
        let scheduled = finished.scheduled_for.filter(|_| is_due).and_then(|due| match finished.attempts.first() {
            Some(first) => Some(Begin::Late(first.started_at.since(due))),
            None => (finished.end == End::Refused).then_some(Begin::Never),
        });
        self.house.posts.scores.tell(RunJudged { agent, end: finished.end, scheduled });
    }

    /// Services whose status was changed by this count their time by it.
    fn tell_of_services(&self, agents: Vec<AgentIndex>) {
        if !agents.is_empty() {
            self.house.posts.scores.tell(ServicesChanged(agents));
        }
    }

    fn perform(&self, action: Action) {
        match action {
            Action::Start(grant) => self.house.deliver(grant.agent, ToAgent::Granted(grant)),
            Action::Cancel { agent, key, reason } => self.house.deliver(agent, ToAgent::CancelRun { key, reason }),
            Action::Emit(event) => self.house.emit(event),
            Action::Sample { agent, duration, waited } => {
                self.house.posts.percentiles.tell(RecordSuccess { agent, duration, waited });
            }
            Action::DeadLetter(_) | Action::Keep(_) => unreachable!("performed together"),
        }
    }

    fn arm(&mut self, deadline: Option<Moment>, ctx: &mut Context<Self>) {
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    /// After a death of this actor reports about executions may be lost: those that no agent knows are.
    fn reconcile(&mut self, ctx: &mut Context<Self>) {
        let orphans: Vec<Event> = {
            let directory = self.house.directory.borrow();
            let running = self.house.dispatcher.borrow().running_keys();
            let unknown = running
                .into_iter()
                .filter(|(agent, key)| directory.get(*agent).is_none_or(|slot| !slot.machine.borrow().holds(*key)));
            unknown.map(|(_, key)| Event::Ended(Box::new(Ended::lost(key)))).collect()
        };
        for event in orphans {
            self.drive(ctx, |dispatcher, now, out| dispatcher.on(event, now, out));
        }
        let deadline = self.house.dispatcher.borrow_mut().next_deadline(self.house.clock.steady());
        self.arm(deadline, ctx);
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.reconcile(ctx);
    }
}

impl Alarmed for QueueActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.drive(ctx, |dispatcher, now, out| dispatcher.on(Event::DeadlineReached, now, out));
    }
}

impl Handler<Admit> for QueueActor {
    type Result = MessageResult<Admit>;
    fn handle(&mut self, Admit(request): Admit, ctx: &mut Self::Context) -> Self::Result {
        MessageResult(self.drive(ctx, |dispatcher, now, out| dispatcher.admit(request, now, out)))
    }
}

impl Handler<AdmitBatch> for QueueActor {
    type Result = ();
    fn handle(&mut self, AdmitBatch(requests): AdmitBatch, ctx: &mut Self::Context) {
        self.drive(ctx, |dispatcher, now, out| dispatcher.admit_batch(requests, now, out));
    }
}

impl Handler<AdmitDue> for QueueActor {
    type Result = ();
    fn handle(&mut self, AdmitDue { due, runs }: AdmitDue, ctx: &mut Self::Context) {
        let entries = u32::try_from(due.len()).unwrap_or(u32::MAX);
        let last = due.last().map(|due| due.scheduled_for);
        let lag = self.drive(ctx, |dispatcher, now, out| {
            dispatcher.admit_batch(due.into_iter().map(|due| request(due, &runs)), now, out);
            last.map(Clock::wall_since)
        });
        self.house.schedule_lag.set(lag.map(|lag| ScheduleLag { entries, lag }));
    }
}

impl Handler<Tell> for QueueActor {
    type Result = ();
    fn handle(&mut self, Tell(event): Tell, ctx: &mut Self::Context) {
        let changed = status_of(&event).into_iter().collect();
        self.drive(ctx, |dispatcher, now, out| dispatcher.on(event, now, out));
        self.tell_of_services(changed);
    }
}

impl Handler<TellAll> for QueueActor {
    type Result = ();
    fn handle(&mut self, TellAll(events): TellAll, ctx: &mut Self::Context) {
        let changed = events.iter().filter_map(status_of).collect();
        self.drive(ctx, |dispatcher, now, out| {
            for event in events {
                dispatcher.on(event, now, out);
            }
        });
        self.tell_of_services(changed);
    }
}

impl Handler<Crash> for QueueActor {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the queue");
    }
}

impl Handler<Define> for QueueActor {
    type Result = ();
    fn handle(&mut self, Define(agents): Define, ctx: &mut Self::Context) {
        self.drive(ctx, |dispatcher, _, _| {
            for (agent, profile) in agents {
                dispatcher.define(agent, profile);
            }
            dispatcher.expect_all_jobs();
        });
    }
}

impl Handler<Remember> for QueueActor {
    type Result = ();
    fn handle(&mut self, Remember(outcomes): Remember, ctx: &mut Self::Context) {
        self.drive(ctx, |dispatcher, now, _| {
            for (agent, Outcome { status, error }) in outcomes {
                dispatcher.restore_outcome(agent, status, error, now);
            }
        });
    }
}

impl Handler<Undefine> for QueueActor {
    type Result = ();
    fn handle(&mut self, Undefine(agents): Undefine, ctx: &mut Self::Context) {
        self.drive(ctx, |dispatcher, now, out| {
            for agent in &agents {
                dispatcher.remove(*agent, now, out);
            }
        });
        self.tell_of_services(agents);
    }
}

/// Whose status this may change, be it a service.
const fn status_of(event: &Event) -> Option<AgentIndex> {
    match event {
        Event::ServiceStatus { agent, .. } | Event::SetGate { agent, .. } => Some(*agent),
        _ => None,
    }
}

fn request(due: Due, runs: &BTreeMap<AgentIndex, RunId>) -> Request {
    let run = if due.trigger == DueKind::Schedule { runs.get(&due.agent).copied() } else { None };
    Request { run, ..due.into() }
}

/// The number of workers: as configured, else twice the cores, since an execution mostly waits for its program.
pub fn effective_workers(queue: &QueueSettings) -> u32 {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    queue.workers.unwrap_or_else(|| u32::try_from(2 * cores()).unwrap_or(u32::MAX))
}
