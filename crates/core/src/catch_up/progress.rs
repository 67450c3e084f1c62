//! How far the schedule of one agent is.

use std::collections::{BTreeMap, VecDeque};

use super::MOST;
use crate::ids::RunId;
use crate::spec::CatchUp;
use crate::time::Timestamp;
use crate::timetable::WRONG_CLOCK;

/// A missed time whose turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The time that it was scheduled for.
    pub scheduled_for: Timestamp,
    /// The id of its execution.
    pub run: RunId,
}

/// What becomes of a time that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Handed {
    /// It goes to the queue under this id.
    Now(RunId),
    /// It goes to the queue under any id: by the wall clock it has been here before.
    Again,
    /// It waits behind what is being made up for.
    Behind,
}

/// Where catching up is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    /// It is not known yet what was missed.
    Looking,
    /// This one is in the queue, or runs.
    Busy(Timestamp),
    /// All is made up for.
    Done,
}

/// How far the schedule of one agent is: what was handed over, what of it has no end yet, what waits.
///
/// | while it | and the policy is | a time that is due |
/// |---|---|---|
/// | catches up | `all`, and fewer than [`MOST`] wait | waits behind the missed ones |
/// | catches up | `all`, and more wait; or `latest` | goes to the queue, by the agent's `overlap` |
/// | has caught up | any | goes to the queue, by the agent's `overlap` |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    policy: CatchUp,
    phase: Phase,
    /// Up to here everything was handed over, or passed over.
    handed: Timestamp,
    /// The latest time that was ever handed over: ids of later ones are new.
    furthest: Timestamp,
    /// Times that were handed over or wait, and have no end.
    open: BTreeMap<Timestamp, RunId>,
    waiting: VecDeque<Turn>,
}

impl Progress {
    /// A schedule that begins here: nothing before was missed.
    pub fn afresh(policy: CatchUp, here: Timestamp) -> Self {
        let (open, waiting) = (BTreeMap::new(), VecDeque::new());
        Self { policy, phase: Phase::Done, handed: here, furthest: here, open, waiting }
    }

    /// A schedule that goes on from where it was; [`found`](Self::found) tells what it missed until `here`.
    pub fn looking(policy: CatchUp, position: Timestamp, here: Timestamp) -> Self {
        let handed = if position.since(here) > WRONG_CLOCK { here } else { here.max(position) };
        Self { phase: Phase::Looking, furthest: here.max(position), ..Self::afresh(policy, handed) }
    }

    /// Up to here nothing needs to be looked at any more. `None` while it is not known what was missed.
    pub fn position(&self) -> Option<Timestamp> {
        let before = |time: &Timestamp| Timestamp::from_millis(time.as_millis() - 1);
        let end = self.open.first_key_value().map_or(self.handed, |(first, _)| before(first).min(self.handed));
        (self.phase != Phase::Looking).then_some(end)
    }

    /// The policy may change at any time, for what comes.
    pub fn set_policy(&mut self, policy: CatchUp) {
        self.policy = policy;
    }

    /// How many times wait to be made up for.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The id of a time that was handed over and has not ended.
    pub fn run_of(&self, scheduled_for: Timestamp) -> Option<RunId> {
        self.open.get(&scheduled_for).copied()
    }

    /// Executions that were handed to the queue and whose end was not told.
    pub fn in_queue(&self) -> impl Iterator<Item = Turn> + '_ {
        let waits = |time: &Timestamp| self.waiting.iter().any(|turn| turn.scheduled_for == *time);
        let open = self.open.iter().map(|(time, run)| Turn { scheduled_for: *time, run: *run });
        open.filter(move |turn| !waits(&turn.scheduled_for))
    }

    /// A time is due; what came until `here` meanwhile counts as one with it.
    pub fn hand_over(&mut self, turn: Turn, here: Timestamp) -> Handed {
        let time = turn.scheduled_for;
        // A clock that was wrong and was put right: it goes on from here.
        let wrong = self.handed.since(time) > WRONG_CLOCK;
        self.handed = if wrong { here } else { self.handed.max(here) };
        if time <= self.furthest {
            return Handed::Again;
        }
        self.furthest = time;
        self.open.insert(time, turn.run);
        let catching_up = self.phase != Phase::Done && self.policy == CatchUp::All;
        if catching_up && self.waiting.len() < MOST {
            self.waiting.push_back(turn);
            return Handed::Behind;
        }
        Handed::Now(turn.run)
    }

    /// The wall clock was set forward to `here`: what it jumped over is not made up for, now or later.
    pub fn pass_over(&mut self, here: Timestamp) {
        self.handed = self.handed.max(here);
    }

    /// What was missed, in order, is known; answers whose turn it is.
    pub fn found(&mut self, missed: impl IntoIterator<Item = Turn>) -> Option<Turn> {
        if self.phase != Phase::Looking {
            return None;
        }
        let mut missed: VecDeque<Turn> = missed.into_iter().collect();
        self.open.extend(missed.iter().map(|turn| (turn.scheduled_for, turn.run)));
        missed.append(&mut self.waiting);
        self.waiting = missed;
        self.next()
    }

    /// An execution ended for good. Answers whose turn it is now. What is told twice, or is another one's, changes
    /// nothing.
    pub fn ended(&mut self, turn: Turn) -> Option<Turn> {
        if self.run_of(turn.scheduled_for) != Some(turn.run) {
            return None;
        }
        self.open.remove(&turn.scheduled_for);
        if self.phase == Phase::Busy(turn.scheduled_for) { self.next() } else { None }
    }

    /// Whoever has the turn and all that wait have it no more: they are not to be run. How many they were.
    pub fn give_up(&mut self) -> usize {
        let turn = match self.phase {
            Phase::Busy(time) => Some(time),
            Phase::Looking | Phase::Done => None,
        };
        let times: Vec<_> = turn.into_iter().chain(self.waiting.drain(..).map(|turn| turn.scheduled_for)).collect();
        for time in &times {
            self.open.remove(time);
        }
        self.phase = Phase::Done;
        times.len()
    }

    fn next(&mut self) -> Option<Turn> {
        let turn = self.waiting.pop_front();
        self.phase = turn.map_or(Phase::Done, |turn| Phase::Busy(turn.scheduled_for));
        turn
    }
}
