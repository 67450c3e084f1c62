//! Replaying many dead letters: in order, at a rate, until too many fail.
//!
//! Invariant: letters begin in the order given, each once; never more often than the rate allows, but for what a late timer
//! has to catch up ([`LATE`]); with `stop_after` never more than that many fail, since no more are under way than may
//! still fail.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::time::Moment;

/// Replays under way at a time: more would only fill the queue in front of everybody else.
const UNDER_WAY: usize = 16;
/// What a timer may be late without that the rate suffers; two ticks of a slow kernel.
const LATE: Duration = Duration::from_millis(20);

/// How fast, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// From one begin to the next.
    pub interval: Duration,
    /// So many failures end it; `None`: it goes on to the end.
    pub stop_after: Option<u32>,
}

impl Pace {
    /// Ten a second: a person sees what happens, and a queue does not grow.
    pub const DEFAULT_PER_SECOND: f64 = 10.0;
    /// Beyond, the queue is the limit.
    pub const MOST_PER_SECOND: f64 = 10_000.0;

    /// So many begins a second; `None` for a rate that is none.
    pub fn per_second(rate: f64, stop_after: Option<u32>) -> Option<Self> {
        let good = rate > 0.0 && rate <= Self::MOST_PER_SECOND;
        let interval = Duration::try_from_secs_f64(1.0 / rate).ok().filter(|_| good)?;
        Some(Self { interval, stop_after: stop_after.filter(|stop| *stop > 0) })
    }
}

/// What a plan is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanEvent {
    /// Time may have come.
    DeadlineReached,
    /// The letter was not replayed: it is gone, or somebody else does something about it.
    PassedOver(u64),
    /// The replay of this letter ended.
    Ended {
        /// Which letter.
        letter: u64,
        /// How.
        succeeded: bool,
    },
    /// Somebody wants no more of it. What is under way goes on.
    Cancel,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum PlanAction {
    /// Nothing now.
    None,
    /// Replay this letter, and ask again.
    Replay(u64),
}

/// How far a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PlanState {
    /// Some letters have not had their turn, or are under way.
    Running,
    /// All have had their turn.
    Finished,
    /// Too many failed.
    Stopped,
    /// Somebody cancelled it.
    Cancelled,
}

/// The counts of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Letters in all.
    pub total: u64,
    /// Replays that succeeded.
    pub succeeded: u64,
    /// Replays that failed, or were refused.
    pub failed: u64,
    /// Letters that could not be replayed any more: gone, or in somebody else's hands.
    pub passed_over: u64,
    /// Replays under way.
    pub under_way: u64,
    /// Letters that have not had their turn.
    pub left: u64,
}

/// A plan.
#[derive(Clone, Debug)]
pub struct ReplayPlan {
    pace: Pace,
    waiting: VecDeque<u64>,
    under_way: BTreeSet<u64>,
    /// When the next one may begin.
    next_at: Moment,
    tally: Tally,
    /// Why no more begin, though some wait.
    broken_off: Option<PlanState>,
}

impl ReplayPlan {
    /// A plan for these letters, in this order.
    pub fn new(letters: impl IntoIterator<Item = u64>, pace: Pace, now: Moment) -> Self {
        let waiting: VecDeque<u64> = letters.into_iter().collect();
        let tally = Tally { total: waiting.len() as u64, ..Tally::default() };
        Self { pace, waiting, under_way: BTreeSet::new(), next_at: now, tally, broken_off: None }
    }

    /// The one place where its state changes.
    pub fn on(&mut self, event: PlanEvent, now: Moment) -> PlanAction {
        match event {
            PlanEvent::DeadlineReached => return self.begin(now),
            PlanEvent::PassedOver(letter) => self.tally.passed_over += u64::from(self.under_way.remove(&letter)),
            // The end of a replay that is not ours, or is told twice.
            PlanEvent::Ended { letter, .. } if !self.under_way.remove(&letter) => {}
            PlanEvent::Ended { succeeded: true, .. } => self.tally.succeeded += 1,
            PlanEvent::Ended { .. } => {
                self.tally.failed += 1;
                if self.may_still_fail() == Some(0) && !self.waiting.is_empty() {
                    self.broken_off.get_or_insert(PlanState::Stopped);
                }
            }
            PlanEvent::Cancel => {
                if !self.waiting.is_empty() {
                    self.broken_off.get_or_insert(PlanState::Cancelled);
                }
            }
        }
        PlanAction::None
    }

    /// When it wants to be told [`PlanEvent::DeadlineReached`]; `None`: not before something else happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        self.has_room().then_some(self.next_at)
    }

    /// How far it is.
    pub fn state(&self) -> PlanState {
        let idle = self.waiting.is_empty() && self.under_way.is_empty();
        self.broken_off.unwrap_or(if idle { PlanState::Finished } else { PlanState::Running })
    }

    /// Whether nothing happens any more.
    pub fn is_over(&self) -> bool {
        self.state() != PlanState::Running && self.under_way.is_empty()
    }

    /// Whether a replay of this letter is under way.
    pub fn has_under_way(&self, letter: u64) -> bool {
        self.under_way.contains(&letter)
    }

    /// Its counts.
    pub fn tally(&self) -> Tally {
        Tally { under_way: self.under_way.len() as u64, left: self.waiting.len() as u64, ..self.tally }
    }

    fn begin(&mut self, now: Moment) -> PlanAction {
        if now < self.next_at || !self.has_room() {
            return PlanAction::None;
        }
        let Some(letter) = self.waiting.pop_front() else { return PlanAction::None };
        let in_time = now.since(self.next_at) <= LATE.max(self.pace.interval);
        self.next_at = if in_time { self.next_at } else { now } + self.pace.interval;
        self.under_way.insert(letter);
        PlanAction::Replay(letter)
    }

    /// Whether one more may begin, as far as only time is missing.
    fn has_room(&self) -> bool {
        let most = self.may_still_fail().map_or(UNDER_WAY, |most| UNDER_WAY.min(most as usize));
        self.broken_off.is_none() && !self.waiting.is_empty() && self.under_way.len() < most
    }

    fn may_still_fail(&self) -> Option<u32> {
        let failed = u32::try_from(self.tally.failed).unwrap_or(u32::MAX);
        self.pace.stop_after.map(|stop| stop.saturating_sub(failed))
    }
}
