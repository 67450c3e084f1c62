//! The optimizer: looks back every night, or when asked, at how the fleet did, and keeps a report of it.
//!
//! Invariant: a run changes nothing but what is in the one batch of its report and its decisions. A run that is cut off,
//! by kill -9, by a shutdown or by the death of this actor, applied nothing or all of it. Two runs at once there are not.
//!
//! ```text
//!  alarm, Optimize ─▶ snapshot ─▶ reader's thread: history, core::optimizer::examine
//!                                      └─▶ care ─▶ batch: report + decisions ─▶ disk ─▶ priorities, trials, event
//! ```

mod book;
mod care;
mod history;
mod run;

use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::optimizer::{Decision, Report, UndoRefusal};
use werkpilot_core::schedule::Schedule;
use werkpilot_core::spec::Priority;
use werkpilot_core::time::Timestamp;
use werkpilot_core::timetable::{DueKind, Entry, Timer};
use werkpilot_store::{Change, StoreError};

use crate::agents::supervisor::SettleGraph;
use crate::alarm::{Alarm, Alarmed};
use crate::clock::Clock;
use crate::house::{House, HousePhase};
use crate::state::ReadError;
use crate::supervision::ExitNotice;

pub use book::OptimizerBook;

/// Who asks for the run of the night.
const NIGHT: &str = "schedule";

/// The one entry of the optimizer's own timetable.
const ENTRY: AgentIndex = AgentIndex(0);

/// Looks back, once.
#[derive(Debug, Message)]
#[rtype(result = "Result<Report, OptimizeError>")]
pub struct Optimize {
    /// Nothing is kept, applied or tidied.
    pub dry_run: bool,
    /// Who asks.
    pub by: String,
}

/// Undoes a decision; on disk first.
#[derive(Debug, Message)]
#[rtype(result = "Result<Decision, OptimizeError>")]
pub struct UndoDecision {
    /// Which.
    pub id: u64,
    /// Who asks.
    pub by: String,
}

/// The settings may say another time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ScheduleOptimizer;

/// The registry may give agents other priorities than those that decisions were made for.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ReviewDecisions;

/// Ends by a panic, to show in tests and drills that the fleet survives it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// Why there is no report, or nothing was undone.
#[derive(Debug, thiserror::Error)]
pub enum OptimizeError {
    /// One run at a time.
    #[error("the optimizer is at it already, since {since}, asked for by {by}; its report follows")]
    Running {
        /// Who asked for that run.
        by: String,
        /// Since when.
        since: Timestamp,
    },
    /// Not now.
    #[error("the orchestrator is shutting down; nothing was applied")]
    ShuttingDown,
    /// The decision can't be undone.
    #[error(transparent)]
    Refused(#[from] UndoRefusal),
    /// What was can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not on disk, so it is not in effect either.
    #[error(transparent)]
    NotKept(#[from] StoreError),
}

/// The actor of the optimizer.
pub struct Optimizer {
    house: Rc<House>,
    alarm: Alarm,
    _notice: ExitNotice,
}

impl Optimizer {
    /// An actor for the house's book of decisions.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self { house, alarm: Alarm::default(), _notice: notice }
    }

    /// Takes the time of the night from the settings, if it is another one.
    fn schedule(&mut self, ctx: &mut Context<Self>) {
        let wanted = self.house.settings.borrow().optimizer.clone();
        let now = self.house.now();
        let mut book = self.house.optimizer.borrow_mut();
        match Schedule::parse(&wanted.schedule, &wanted.timezone) {
            Ok(schedule) => {
                let entry = Entry { timer: Timer::Schedule(schedule), jitter: std::time::Duration::ZERO, seed: 0 };
                book.timetable.insert(ENTRY, entry, now);
            }
            Err(error) => {
                log::error!("[optimizer] schedule can't be read, though it was checked before: {error}");
                book.timetable.remove_kind(ENTRY, DueKind::Schedule);
            }
        }
        drop(book);
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let clock = self.house.clock;
        let at = self.house.optimizer.borrow().timetable.next_deadline(clock.now_to_the_millisecond());
        Alarm::set(self, at, clock, ctx);
    }

    /// The run of the night: nobody waits for its answer.
    fn night(&self, ctx: &mut Context<Self>) {
        let run = run::run(self.house.clone(), false, NIGHT.to_owned());
        ctx.spawn(run.into_actor(self).map(|result, this, _| {
            if let Err(error) = result {
                this.house.emit(Event::OptimizationFailed { by: NIGHT.to_owned(), reason: told(&error) });
            }
        }));
    }
}

/// The whole of an error in a line.
fn told(error: &OptimizeError) -> String {
    match error {
        OptimizeError::NotKept(_) | OptimizeError::Read(_) => format!("failed to {error}"),
        other => other.to_string(),
    }
}

async fn undo(house: Rc<House>, id: u64, by: String) -> Result<Decision, OptimizeError> {
    if let Some((by, since)) = house.optimizer.borrow().running() {
        return Err(OptimizeError::Running { by, since });
    }
    let undone = house.optimizer.borrow().decisions.undone(id, &by, Clock::wall())?;
    house.ledger.kept(vec![Change::PutDecision(Box::new((&undone).into()))]).await?;
    // Somebody else may have undone it meanwhile, or the registry has.
    house.optimizer.borrow().decisions.undone(id, &by, Clock::wall())?;
    restore(&house, vec![undone.clone()]);
    Ok(undone)
}

/// What has become of decisions, which is on disk or on its way: takes it in and tells of it.
fn restore(house: &House, decisions: Vec<Decision>) {
    for decision in decisions {
        let (agent, id, by) = (decision.agent.clone(), decision.id, decision.changed_by.clone());
        let stood = house.optimizer.borrow().decisions.get(id).is_some_and(Decision::stands);
        house.optimizer.borrow_mut().decisions.put(decision);
        if let (true, Some(priority)) = (stood, priority_now(house, agent.as_str())) {
            house.emit(Event::PriorityRestored { agent, decision: id, priority: priority.number(), by });
        }
    }
    house.posts.supervisor.tell(SettleGraph);
}

/// The priority in effect of an agent that is there.
fn priority_now(house: &House, agent: &str) -> Option<Priority> {
    let directory = house.directory.borrow();
    let spec = &directory.get(directory.find(agent)?)?.spec;
    Some(house.priority_of(spec))
}

impl Actor for Optimizer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // The run of one that died went with it; nothing of it is applied, or all of it is on disk.
        self.house.optimizer.borrow_mut().set_running(None);
        self.schedule(ctx);
    }
}

impl Alarmed for Optimizer {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        let mut due = Vec::new();
        let mut book = self.house.optimizer.borrow_mut();
        // A step of the clock is told by the schedule of the agents.
        let _ = book.timetable.take_due(self.house.now(), &mut due);
        book.timetable.reschedule(1);
        drop(book);
        if !due.is_empty() && self.house.phase.get() == HousePhase::Running {
            self.night(ctx);
        }
        self.arm(ctx);
    }
}

impl Handler<Optimize> for Optimizer {
    type Result = ResponseActFuture<Self, Result<Report, OptimizeError>>;
    fn handle(&mut self, Optimize { dry_run, by }: Optimize, _: &mut Self::Context) -> Self::Result {
        Box::pin(run::run(self.house.clone(), dry_run, by).into_actor(self))
    }
}

impl Handler<UndoDecision> for Optimizer {
    type Result = ResponseActFuture<Self, Result<Decision, OptimizeError>>;
    fn handle(&mut self, UndoDecision { id, by }: UndoDecision, _: &mut Self::Context) -> Self::Result {
        Box::pin(undo(self.house.clone(), id, by).into_actor(self))
    }
}

impl Handler<ScheduleOptimizer> for Optimizer {
    type Result = ();
    fn handle(&mut self, _: ScheduleOptimizer, ctx: &mut Self::Context) {
        self.schedule(ctx);
    }
}

impl Handler<ReviewDecisions> for Optimizer {
    type Result = ();
    fn handle(&mut self, _: ReviewDecisions, _: &mut Self::Context) {
        review(&self.house);
    }
}

/// Ends decisions that were made for another priority than the registry gives now.
fn review(house: &House) {
    let registry = |agent: &werkpilot_core::ids::AgentName| {
        let directory = house.directory.borrow();
        Some(directory.get(directory.find(agent.as_str())?)?.spec.priority)
    };
    let over = house.optimizer.borrow().decisions.superseded(registry, Clock::wall());
    if over.is_empty() {
        return;
    }
    // Should it not be kept, the next start finds the same.
    house.ledger.post(over.iter().map(|decision| Change::PutDecision(Box::new(decision.into()))).collect());
    restore(house, over);
}

impl Handler<Crash> for Optimizer {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the optimizer");
    }
}
