//! What is counted while a fleet runs in virtual time, from the answers of the dispatcher alone.
//!
//! Invariant: every trigger that was decided on is counted exactly once: as an execution with an end, as one that was
//! skipped, refused or cancelled before it started, or as one that is left at the end.

use std::collections::{BTreeMap, HashMap};
use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use super::timeline::Timeline;
use super::{Fleet, Plan};
use crate::dispatcher::{Action, Finished};
use crate::event::{End, Event as Fact};
use crate::exit::Exit;
use crate::ids::{AgentIndex, AgentName};
use crate::reason::Reason;
use crate::time::{Clocks, Moment, Timestamp};
use crate::timetable::Due;

/// The most crowded seconds that are told one by one.
pub(super) const COLLISIONS: usize = 100;

const HOUR_MS: i64 = 3_600_000;

/// What is counted of one agent.
#[derive(Debug, Default)]
pub(super) struct OfAgent {
    /// Executions that got a worker.
    pub runs: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Those of them that took too long.
    pub timed_out: u64,
    /// Ends of executions, those that never started included.
    pub ends: BTreeMap<&'static str, u64>,
    /// Of those that never started, why.
    pub not_run: Vec<NotRunCount>,
    pub busy: Duration,
    /// Milliseconds until a worker was free, of every start.
    pub waits: Vec<u32>,
    pub left_running: u64,
    pub left_waiting: u64,
}

/// Executions that never started for one reason.
#[derive(Debug)]
pub(super) struct NotRunCount {
    kind: (End, Discriminant<Reason>),
    pub end: End,
    pub reason: Reason,
    pub first: Timestamp,
    pub count: u64,
}

/// What is counted of one hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OfHour {
    /// Busy workers × time, in nanoseconds.
    pub busy: u64,
    /// How much of the hour is simulated.
    pub covered: u64,
    pub starts: u64,
    pub most_waiting: u32,
}

/// A second in which more came due than there are workers.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    pub second: i64,
    pub agents: Vec<AgentIndex>,
}

#[derive(Debug)]
pub(super) struct Account<'a> {
    pub agents: Vec<OfAgent>,
    slots: &'a HashMap<AgentName, AgentIndex>,
    begin: Clocks,
    workers: usize,
    /// By whole hours since the Unix epoch.
    pub hours: BTreeMap<i64, OfHour>,
    crowd: Crowd,
    pub crowds: Vec<Crowd>,
    pub crowded_seconds: u64,
    pub most_waiting: (u32, Timestamp),
    pub timeline: Option<Timeline>,
    pub cut_off_at: Option<Timestamp>,
    steps: u64,
    /// How long the one waited that is about to start.
    waited: Duration,
}

impl<'a> Account<'a> {
    pub fn new(plan: &Plan, fleet: &'a Fleet, only: Option<AgentIndex>) -> Self {
        let agents = plan.members.iter().map(|_| OfAgent::default()).collect();
        let whose = only.map(|agent| plan.members[agent.slot()].spec.name.clone());
        Self {
            agents,
            slots: &fleet.slots,
            begin: Clocks { steady: super::first_moment(plan.begin), wall: plan.from },
            workers: usize::try_from(plan.workers.max(1)).unwrap_or(usize::MAX),
            hours: BTreeMap::new(),
            crowd: Crowd { second: i64::MIN, agents: Vec::new() },
            crowds: Vec::new(),
            crowded_seconds: 0,
            most_waiting: (0, plan.from),
            timeline: (plan.timeline > 0).then(|| Timeline::new(plan.timeline, whose)),
            cut_off_at: None,
            steps: 0,
            waited: Duration::ZERO,
        }
    }

    /// Starts and ends so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Not everything was simulated, only what is before.
    pub const fn cut_off(&mut self, at: Timestamp) {
        self.cut_off_at = Some(at);
    }

    /// Nothing follows.
    pub fn close(&mut self, now: Timestamp) {
        self.end_of_second();
        self.crowds.sort_by(|one, other| (other.agents.len(), one.second).cmp(&(one.agents.len(), other.second)));
        self.crowds.truncate(COLLISIONS);
        if let Some(timeline) = &mut self.timeline {
            timeline.close(now);
        }
    }

    // ---- the schedule ----

    /// These came due together. Jitter counts: what it keeps apart does not collide.
    pub fn due(&mut self, due: &[Due], now: Timestamp) {
        if now.as_secs() != self.crowd.second {
            self.end_of_second();
            self.crowd.second = now.as_secs();
        }
        self.crowd.agents.extend(due.iter().map(|due| due.agent));
    }

    fn end_of_second(&mut self) {
        if self.crowd.agents.len() > self.workers {
            self.crowded_seconds += 1;
            self.crowds.push(self.crowd.clone());
            if self.crowds.len() >= 2 * COLLISIONS {
                // Of equal ones the first stay.
                self.crowds.sort_by_key(|crowd| std::cmp::Reverse(crowd.agents.len()));
                self.crowds.truncate(COLLISIONS);
            }
        }
        self.crowd.agents.clear();
    }

    // ---- the queue ----

    /// So many wait now.
    pub fn waiting(&mut self, waiting: u32, now: Timestamp) {
        if waiting > self.most_waiting.0 {
            self.most_waiting = (waiting, now);
        }
        if waiting > 0 {
            let hour = self.hour(now);
            hour.most_waiting = hour.most_waiting.max(waiting);
        }
    }

    /// What the dispatcher answered.
    pub fn answered(&mut self, action: &Action, now: Timestamp) {
        if let Some(timeline) = &mut self.timeline {
            timeline.answered(action, now);
        }
        match action {
            // Goes just before its grant.
            Action::Emit(Fact::ExecutionStarted { waited, .. }) => self.waited = *waited,
            Action::Start(grant) => {
                self.steps += 1;
                self.hour(now).starts += 1;
                let waited = u32::try_from(self.waited.as_millis()).unwrap_or(u32::MAX);
                let of = &mut self.agents[grant.agent.slot()];
                of.runs += u64::from(grant.attempt == 1);
                of.waits.push(waited);
            }
            Action::Keep(finished) => {
                self.steps += 1;
                self.ended(finished, now);
            }
            Action::Cancel { .. } | Action::Emit(_) | Action::DeadLetter(_) | Action::Sample { .. } => {}
        }
    }

    fn ended(&mut self, finished: &Finished, now: Timestamp) {
        let Some(agent) = self.slots.get(&finished.agent) else { return };
        let of = &mut self.agents[agent.slot()];
        *of.ends.entry(finished.end.as_str()).or_default() += 1;
        let (ended, late) = finished
            .attempts
            .iter()
            .fold((0, 0), |(all, late), attempt| (all + 1, late + u64::from(attempt.exit == Exit::TimedOut)));
        of.attempts += ended;
        of.timed_out += late;
        let Some(reason) = finished.reason.as_ref().filter(|_| !finished.started) else { return };
        let kind = (finished.end, discriminant(reason));
        match of.not_run.iter_mut().find(|count| count.kind == kind) {
            Some(count) => count.count += 1,
            None => of.not_run.push(NotRunCount {
                kind,
                end: finished.end,
                reason: reason.clone(),
                first: finished.scheduled_for.unwrap_or(now),
                count: 1,
            }),
        }
    }

    // ---- programs and workers ----

    /// A program of an agent ran for so long.
    pub fn worked(&mut self, agent: AgentIndex, lived: Duration) {
        self.agents[agent.slot()].busy += lived;
    }

    /// An execution has no end when the simulation ends.
    pub fn left(&mut self, agent: AgentIndex, running: bool) {
        let of = &mut self.agents[agent.slot()];
        *(if running { &mut of.left_running } else { &mut of.left_waiting }) += 1;
    }

    /// So many workers were busy all the time in between.
    pub fn time_passes(&mut self, from: Moment, to: Moment, busy: u32) {
        let (mut at, end) = (from, to);
        while at < end {
            let wall = self.begin.wall_at(at);
            let next_hour = Timestamp::from_millis((wall.as_millis().div_euclid(HOUR_MS) + 1) * HOUR_MS);
            let until =
                (self.begin.steady + next_hour.since(self.begin.wall)).min(end).max(at + Duration::from_nanos(1));
            let passed = until.as_nanos() - at.as_nanos();
            let hour = self.hour(wall);
            hour.covered += passed;
            hour.busy += passed.saturating_mul(u64::from(busy));
            at = until;
        }
    }

    fn hour(&mut self, at: Timestamp) -> &mut OfHour {
        self.hours.entry(at.as_millis().div_euclid(HOUR_MS)).or_default()
    }
}

/// When an hour begins.
pub(super) const fn begin_of(hour: i64) -> Timestamp {
    Timestamp::from_millis(hour * HOUR_MS)
}
