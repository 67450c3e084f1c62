//! The schedule: one timer for all agents. What is due goes to the queue as one batch, and only then the next times
//! are looked for, in pieces. What was missed while nothing ran goes there one by one.

mod catching_up;

use std::rc::Rc;

use actix::prelude::*;
use werkpilot_core::catch_up::Turn;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::time::Moment;
use werkpilot_core::timetable::{ClockStep, DueKind, Entry, Timer};

use werkpilot_process::PreciseTimer;

use crate::house::House;
use crate::supervision::ExitNotice;
use crate::work::queue::AdmitDue;

/// Entries whose next time is looked for before other actors get their turn: about half a millisecond.
const PIECE: usize = 1_024;

/// Takes the timers of these agents in, or their new ones.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ScheduleAgents(pub Vec<AgentIndex>);

/// Takes the timers of these agents out.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct UnscheduleAgents(pub Vec<AgentIndex>);

/// Takes all timers out for good (shutdown, step 1).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct StopSchedule;

/// The execution of a scheduled time has its end.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ScheduledRunEnded {
    /// Whose.
    pub agent: AgentIndex,
    /// Which time, under which id.
    pub turn: Turn,
}

/// The actor of the timetable.
pub struct ScheduleActor {
    house: Rc<House>,
    alarm: SpawnHandle,
    timer: Option<Rc<PreciseTimer>>,
    stopped: bool,
    mustered: Moment,
    missing: Vec<(AgentIndex, Turn)>,
    _notice: ExitNotice,
}

impl ScheduleActor {
    /// An actor for the house's timetable.
    pub fn new(house: Rc<House>, notice: ExitNotice) -> Self {
        Self {
            house,
            alarm: SpawnHandle::default(),
            timer: PreciseTimer::new().ok().map(Rc::new),
            stopped: false,
            mustered: Moment::ZERO,
            missing: Vec::new(),
            _notice: notice,
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.stopped {
            return;
        }
        let now = self.house.now();
        let mut due = Vec::new();
        let sweep = self.house.timetable.borrow_mut().take_due(now, &mut due);
        let any = !due.is_empty();
        self.muster(now.steady);
        let runs = self.hand_over(&mut due, sweep.step, now);
        if let Some(seconds) = stepped_by(sweep.step) {
            let misfired = u32::try_from(sweep.misfired.len()).unwrap_or(u32::MAX);
            self.house.emit(Event::ClockStepped { seconds, misfired });
        }
        if !due.is_empty() {
            self.house.posts.queue.tell(AdmitDue { due, runs });
        }
        if any {
            self.reschedule_later(ctx);
        } else {
            self.arm(ctx);
        }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        ctx.cancel_future(self.alarm);
        let now = self.house.clock.now_to_the_millisecond();
        let Some(at) = self.house.timetable.borrow().next_deadline(now) else { return };
        let delay = at.since(self.house.clock.steady());
        let Some(timer) = self.timer.clone() else {
            self.alarm = ctx.run_later(delay, Self::look);
            return;
        };
        let sleep = async move { timer.sleep(delay).await };
        self.alarm = ctx.spawn(sleep.into_actor(self).map(move |slept, this, ctx| {
            if let Err(error) = slept {
                log::warn!("the schedule's timer failed, a coarser one takes over: {error}");
                this.timer = None;
                this.arm(ctx);
            } else {
                this.look(ctx);
            }
        }));
    }

    /// Looks for the next times of some of what was handed over. Whoever else is ready, the queue first of all, has
    /// its turn before: a message to oneself would be handled at once.
    fn reschedule_later(&self, ctx: &mut Context<Self>) {
        ctx.spawn(tokio::task::yield_now().into_actor(self).map(|(), this, ctx| {
            if this.house.timetable.borrow_mut().reschedule(PIECE) {
                this.reschedule_later(ctx);
            } else {
                this.arm(ctx);
            }
        }));
    }
}

fn stepped_by(step: ClockStep) -> Option<f64> {
    match step {
        ClockStep::None => None,
        ClockStep::Forward(by) => Some(by.as_secs_f64()),
        ClockStep::Backward(by) | ClockStep::Correction(by) => Some(-by.as_secs_f64()),
    }
}

/// The timers of an agent: by schedule, by interval, or both.
pub fn timers(spec: &AgentSpec) -> Vec<Entry> {
    Entry::all_of(spec).unwrap_or_else(|error| {
        log::error!("the schedule of {} can't be read, though it was checked before: {error}", spec.name);
        Vec::new()
    })
}

impl Actor for ScheduleActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let searches = self.house.positions.borrow().searches();
        self.search(searches, ctx);
        self.look(ctx);
    }
}

impl Handler<ScheduleAgents> for ScheduleActor {
    type Result = ();
    fn handle(&mut self, ScheduleAgents(agents): ScheduleAgents, ctx: &mut Self::Context) {
        if self.stopped {
            return;
        }
        let now = self.house.now();
        let house = self.house.clone();
        let directory = house.directory.borrow();
        let mut searches = Vec::new();
        for agent in agents {
            let Some(slot) = directory.get(agent) else { continue };
            let entries = timers(&slot.spec);
            searches.extend(self.follow(agent, &slot.spec, &entries, now));
            let mut timetable = house.timetable.borrow_mut();
            for kind in [DueKind::Schedule, DueKind::Every] {
                let kept = entries.iter().any(|entry| {
                    matches!(
                        (&entry.timer, kind),
                        (Timer::Schedule(_), DueKind::Schedule) | (Timer::Every(_), DueKind::Every)
                    )
                });
                if !kept {
                    timetable.remove_kind(agent, kind);
                }
            }
            for entry in entries {
                timetable.insert(agent, entry, now);
            }
        }
        self.search(searches, ctx);
        self.arm(ctx);
    }
}

impl Handler<UnscheduleAgents> for ScheduleActor {
    type Result = ();
    fn handle(&mut self, UnscheduleAgents(agents): UnscheduleAgents, ctx: &mut Self::Context) {
        let now = self.house.now();
        for agent in agents {
            self.house.timetable.borrow_mut().remove(agent);
            self.keep(self.house.positions.borrow_mut().unfollow(agent, now.wall));
        }
        self.arm(ctx);
    }
}

impl Handler<StopSchedule> for ScheduleActor {
    type Result = ();
    fn handle(&mut self, _: StopSchedule, ctx: &mut Self::Context) {
        self.stopped = true;
        ctx.cancel_future(self.alarm);
    }
}

impl Handler<ScheduledRunEnded> for ScheduleActor {
    type Result = ();
    fn handle(&mut self, ScheduledRunEnded { agent, turn }: ScheduledRunEnded, _: &mut Self::Context) {
        let next = self.house.positions.borrow_mut().ended(agent, turn, self.house.now().wall);
        self.go_on(agent, next);
    }
}
