//! The dead-letter desk: takes in what failed for good, keeps the last ones, and replays them on demand.
//!
//! Invariant: what anybody is told of a letter is on disk before. Nothing is done about a letter by two at a time.

mod desk;
mod keeping;
mod replaying;
mod resuming;
mod sets;
mod tray;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::dead_letters::{Pace, PlanEvent, Step};
use werkpilot_core::event::{End, Event};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::time::{Moment, Timestamp};
use werkpilot_store::{Change, LetterAction};

use crate::alarm::{Alarm, Alarmed};
use crate::clock::Clock;
use crate::house::House;
use crate::supervision::ExitNotice;

use desk::change;
use tray::Incoming;

pub use desk::{Desk, DeskError, ReplaySet, ReplaySetView, Wish, Work};

/// What the disk would not take is offered again so often; the store finds out itself when the disk is back.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks at the age of the oldest letter, at most: the wall clock may be set.
const AGE_LOOK: Duration = Duration::from_mins(10);

/// Deals with all that came since the last time.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct LookInTray;

/// The replay of a letter ended.
#[derive(Debug)]
pub struct ReplayEnded {
    /// Of which letter.
    pub letter: u64,
    /// As which execution.
    pub run: RunId,
    /// Its end.
    pub end: End,
    /// How its last program ended.
    pub exit: Option<Exit>,
    /// It was the shutdown that was in its way.
    pub by_shutdown: bool,
}

impl ReplayEnded {
    /// What the end of an execution says of a replay, if it was one.
    pub fn of(event: &Event) -> Option<Self> {
        let Event::ExecutionEnded { run, end, trigger, exit, reason, .. } = event else { return None };
        let by_shutdown = matches!(reason, Some(Reason::ShuttingDown));
        Some(Self { letter: trigger.dead_letter()?, run: *run, end: *end, exit: exit.clone(), by_shutdown })
    }
}

/// Replays a letter; answers the new execution once it is accepted and on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<RunId, DeskError>")]
pub struct ReplayLetter {
    /// Which.
    pub id: u64,
    /// Also if it is parked or was replayed.
    pub force: bool,
    /// The id of the execution, where it was chosen before.
    pub run: Option<RunId>,
}

/// Replays these letters in order, at a pace. Answers at once; it goes on by itself.
#[derive(Debug, Message)]
#[rtype(result = "ReplaySetView")]
pub struct ReplayLetters {
    /// Which, in this order.
    pub ids: Vec<u64>,
    /// How fast, and for how long.
    pub pace: Pace,
    /// Also those that are parked or were replayed.
    pub force: bool,
    /// Who wants it.
    pub by: String,
    /// What tells this wish from others, where whoever wishes may ask twice.
    pub key: Option<RunId>,
}

/// Begins no more of a set. Answers how far it came; `None`: it is not known.
#[derive(Debug, Message)]
#[rtype(result = "Option<ReplaySetView>")]
pub struct CancelReplay(pub u64);

/// Replays these letters once this agent is healthy.
#[derive(Debug, Message)]
#[rtype(result = "Result<Handled, DeskError>")]
pub struct AwaitHealth {
    /// Which.
    pub ids: Vec<u64>,
    /// Whose health; `None`: they wait no more.
    pub agent: Option<AgentName>,
}

/// Gives a letter another payload.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), DeskError>")]
pub struct EditLetter {
    /// Which.
    pub id: u64,
    /// What its replay gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

/// Throws dead letters away.
#[derive(Debug, Message)]
#[rtype(result = "Result<Handled, DeskError>")]
pub struct DiscardLetters {
    /// Which.
    pub ids: Vec<u64>,
    /// Where the first one can't be, nothing is done, and that is told; else it is passed over.
    pub strict: bool,
}

/// Keeps so many from now on, and looks at their age.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ResizeDesk(pub u32);

/// Ends by a panic, to show in tests and drills that nothing is lost by it.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Crash;

/// Of how many letters something was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Handled {
    /// So many.
    pub done: u64,
    /// So many could not be: they are being replayed, say.
    pub passed_over: u64,
}

/// The actor of the dead-letter desk.
pub struct DeadLetters {
    house: Rc<House>,
    alarm: Alarm,
    /// Letters that somebody is doing something about, and whose disk has not answered yet.
    busy: BTreeSet<u64>,
    /// Replays of the one before that are on their way to the queue: each goes once, however often it is found on disk.
    resuming: BTreeSet<RunId>,
    /// When what the disk would not take is offered again.
    again_at: Option<Moment>,
    /// When the waiting letters are looked at.
    health_at: Option<Moment>,
    _notice: ExitNotice,
}

impl DeadLetters {
    /// An actor for the house's dead letters.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            alarm: Alarm::default(),
            busy: BTreeSet::new(),
            resuming: BTreeSet::new(),
            again_at: None,
            health_at: None,
            _notice: notice,
        }
    }

    /// Does all that is due, and arms the one alarm.
    fn turn(&mut self, ctx: &mut Context<Self>) {
        let now = self.house.clock.steady();
        if self.again_at.is_some_and(|at| at <= now) {
            self.again_at = None;
            self.offer_again();
        }
        self.expire();
        self.look_at_health(now);
        self.drive_sets(ctx);
        let deadline = [self.again_at, self.health_at, self.next_age(), self.next_begin()].into_iter().flatten().min();
        let clock = self.house.clock;
        Alarm::set(self, deadline, clock, ctx);
    }

    /// Deals with all that came.
    fn look_in_tray(&mut self, ctx: &mut Context<Self>) {
        let tray = self.house.dead_letters.borrow().tray.clone();
        let mut settled = false;
        while let Some(incoming) = tray.take() {
            match incoming {
                Incoming::Letter { draft, end } => self.take_in(*draft, end, ctx),
                Incoming::Ended(ended) => self.replay_ended(&ended, ctx),
                Incoming::Settled { work, result } => {
                    settled = true;
                    self.settle(*work, result, ctx);
                }
            }
        }
        if settled {
            self.turn(ctx);
        }
    }

    /// Checks a step for each of these letters, keeps those that may be, and does them.
    fn do_all(&mut self, ids: Vec<u64>, step: Step) -> ResponseActFuture<Self, Result<Handled, DeskError>> {
        let at = Clock::wall();
        let asked = ids.len() as u64;
        let may = |id: &u64| !self.busy.contains(id) && self.house.dead_letters.borrow().check(*id, &step).is_ok();
        let ids: Vec<u64> = ids.into_iter().filter(may).collect();
        let batch = ids.iter().map(|id| change(*id, &step, at)).collect();
        let handled = Handled { done: ids.len() as u64, passed_over: asked - ids.len() as u64 };
        self.keep_and(ids, batch, move |this, ids| {
            for id in ids {
                this.act(id, &step, at);
            }
            if matches!(step, Step::Await(_)) {
                this.health_at = Some(this.house.clock.steady());
            }
            handled
        })
    }

    /// Keeps a batch about letters that nobody else touches meanwhile; then does `done`.
    fn keep_and<T: 'static>(
        &mut self,
        ids: Vec<u64>,
        batch: Vec<Change>,
        done: impl FnOnce(&mut Self, Vec<u64>) -> T + 'static,
    ) -> ResponseActFuture<Self, Result<T, DeskError>> {
        self.busy.extend(&ids);
        let ledger = self.house.ledger.clone();
        let keep = async move { if batch.is_empty() { Ok(()) } else { ledger.kept(batch).await } };
        Box::pin(keep.into_actor(self).map(move |kept, this, ctx| {
            for id in &ids {
                this.busy.remove(id);
            }
            if let Err(wrong) = kept {
                this.reconcile(ids, &wrong, ctx);
                return Err(DeskError::NotKept(wrong));
            }
            let answer = done(this, ids);
            this.turn(ctx);
            Ok(answer)
        }))
    }

    /// Does what is on disk already. Only a letter that gave way meanwhile is not there any more.
    fn act(&self, id: u64, step: &Step, at: Timestamp) {
        let mut desk = self.house.dead_letters.borrow_mut();
        if *step == Step::Discard {
            if let Some(letter) = desk.ring.discard(id) {
                drop(desk);
                self.house.emit(Event::DeadLetterDiscarded { id, agent: letter.agent, evicted: false });
            }
            return;
        }
        let _ = desk.ring.act(id, step, at);
    }

    fn unless_busy(&self, id: u64, step: &Step) -> Result<(), DeskError> {
        if self.busy.contains(&id) {
            return Err(werkpilot_core::dead_letters::LetterRefusal::Busy(id).into());
        }
        self.house.dead_letters.borrow().check(id, step)?;
        Ok(())
    }
}

impl Actor for DeadLetters {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // A burst of failures is taken in at once; each waits for the disk on its own.
        ctx.set_mailbox_capacity(1_024);
        if !self.house.dead_letters.borrow().unkept.is_empty() {
            self.again_at = Some(self.house.clock.steady());
        }
        self.health_at = Some(self.house.clock.steady());
        if std::mem::replace(&mut self.house.dead_letters.borrow_mut().is_open, true) {
            self.forget_begun();
            self.resume(ctx);
        }
        self.trim();
        self.look_in_tray(ctx);
        self.turn(ctx);
    }
}

impl Alarmed for DeadLetters {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.turn(ctx);
    }
}

impl Handler<LookInTray> for DeadLetters {
    type Result = ();
    fn handle(&mut self, _: LookInTray, ctx: &mut Self::Context) {
        self.look_in_tray(ctx);
    }
}

impl Handler<ReplayLetter> for DeadLetters {
    type Result = ResponseActFuture<Self, Result<RunId, DeskError>>;
    fn handle(&mut self, ReplayLetter { id, force, run }: ReplayLetter, _: &mut Self::Context) -> Self::Result {
        self.replay(id, force, run)
    }
}

impl Handler<ReplayLetters> for DeadLetters {
    type Result = MessageResult<ReplayLetters>;
    fn handle(&mut self, message: ReplayLetters, ctx: &mut Self::Context) -> Self::Result {
        let ReplayLetters { ids, pace, force, by, key } = message;
        let view = self.add_set(ids, Wish { pace, force, by, awaited: None, key });
        self.turn(ctx);
        MessageResult(view)
    }
}

impl Handler<CancelReplay> for DeadLetters {
    type Result = MessageResult<CancelReplay>;
    fn handle(&mut self, CancelReplay(id): CancelReplay, ctx: &mut Self::Context) -> Self::Result {
        let now = self.house.clock.steady();
        let view = self.house.dead_letters.borrow_mut().set_mut(id).map(|set| {
            let _ = set.plan.on(PlanEvent::Cancel, now);
            set.view()
        });
        self.turn(ctx);
        MessageResult(view)
    }
}

impl Handler<AwaitHealth> for DeadLetters {
    type Result = ResponseActFuture<Self, Result<Handled, DeskError>>;
    fn handle(&mut self, AwaitHealth { ids, agent }: AwaitHealth, _: &mut Self::Context) -> Self::Result {
        self.health_at = Some(self.house.clock.steady());
        self.do_all(ids, agent.map_or(Step::StopWaiting, Step::Await))
    }
}

impl Handler<EditLetter> for DeadLetters {
    type Result = ResponseActFuture<Self, Result<(), DeskError>>;
    fn handle(&mut self, EditLetter { id, payload }: EditLetter, _: &mut Self::Context) -> Self::Result {
        if let Err(refusal) = self.unless_busy(id, &Step::Edit) {
            return Box::pin(async { Err(refusal) }.into_actor(self));
        }
        let at = Clock::wall();
        let action = LetterAction::Edit(payload.as_ref().map(|payload| payload.to_vec()));
        self.keep_and(vec![id], vec![Change::Letter { id, action, at }], move |this, _| {
            let is_kept = this.house.ledger.is_kept();
            let mut desk = this.house.dead_letters.borrow_mut();
            if let Ok(letter) = desk.ring.act(id, &Step::Edit, at) {
                letter.payload_bytes = payload.as_ref().map(|payload| payload.len() as u64);
                letter.execution.payload = payload.filter(|_| !is_kept);
            }
        })
    }
}

impl Handler<DiscardLetters> for DeadLetters {
    type Result = ResponseActFuture<Self, Result<Handled, DeskError>>;
    fn handle(&mut self, DiscardLetters { ids, strict }: DiscardLetters, _: &mut Self::Context) -> Self::Result {
        if let (Some(&id), true) = (ids.first(), strict)
            && let Err(refusal) = self.unless_busy(id, &Step::Discard)
        {
            return Box::pin(async { Err(refusal) }.into_actor(self));
        }
        self.do_all(ids, Step::Discard)
    }
}

impl Handler<ResizeDesk> for DeadLetters {
    type Result = ();
    fn handle(&mut self, ResizeDesk(capacity): ResizeDesk, ctx: &mut Self::Context) {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let evicted = self.house.dead_letters.borrow_mut().ring.resize(capacity);
        self.evicted(evicted);
        self.turn(ctx);
    }
}

impl Handler<Crash> for DeadLetters {
    type Result = ();
    fn handle(&mut self, _: Crash, _: &mut Self::Context) {
        panic!("crash drill of the dead-letter desk");
    }
}
