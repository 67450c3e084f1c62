//! The book of the dead-letter desk: the letters, what waits for the disk, and the sets that are being replayed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Deref;

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::dead_letters::{
    DeadLetter, DeadLetterRing, LetterRefusal, LetterState, Pace, PlanState, ReplayPlan, Step, Tally,
};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::letter::LetterRow;
use werkpilot_store::{Change, LetterAction, StoreError};

use super::tray::Tray;
use crate::state::{CutOff, Ledger, ReadError};

/// Sets that are remembered once they are over, for who asks how they went.
const SETS_KEPT: usize = 20;

/// The book of dead letters.
#[derive(Debug)]
pub struct Desk {
    pub(super) ring: DeadLetterRing,
    /// What the disk would not take yet.
    pub(super) unkept: VecDeque<Work>,
    /// Sets that are replayed, and the last ones that were.
    pub(super) sets: Vec<ReplaySet>,
    newest_set: u64,
    /// What came and has not been looked at.
    pub(super) tray: Tray,
    /// An actor was here before.
    pub(super) is_open: bool,
}

/// Reading goes to the letters.
impl Deref for Desk {
    type Target = DeadLetterRing;
    fn deref(&self) -> &DeadLetterRing {
        &self.ring
    }
}

/// What becomes true once it is on disk, and is tried until it is.
#[derive(Clone, Debug)]
pub enum Work {
    /// A letter is there; `end` is kept with it.
    Letter {
        /// The letter, with its payload.
        letter: Box<DeadLetter>,
        /// What is written down of the end of its execution.
        end: Vec<Change>,
    },
    /// The replay of a letter ended.
    EndReplay {
        /// Of which letter.
        letter: u64,
        /// As which execution.
        run: RunId,
        /// How.
        succeeded: bool,
        /// Whether it killed its agent.
        killed: bool,
        /// What is written down of the end of the execution.
        end: Vec<Change>,
    },
}

impl Work {
    /// The batch that is written for it.
    pub(super) fn batch(&self, at: Timestamp) -> Vec<Change> {
        let (mut batch, own) = match self {
            Self::Letter { letter, end } => (end.clone(), Change::AddLetter(Box::new(LetterRow::from(&**letter)))),
            Self::EndReplay { letter, run, succeeded, killed, end } => {
                let step = Step::EndReplay { run: *run, succeeded: *succeeded, killed: *killed };
                (end.clone(), change(*letter, &step, at))
            }
        };
        batch.push(own);
        batch
    }

    /// The rest of the batch, which goes its own way where both together do not fit.
    pub(super) fn take_end(&mut self) -> Vec<Change> {
        match self {
            Self::Letter { end, .. } | Self::EndReplay { end, .. } => std::mem::take(end),
        }
    }
}

/// A step as the store takes it. [`Step::Edit`] brings its payload: see [`LetterAction::Edit`].
pub(super) fn change(id: u64, step: &Step, at: Timestamp) -> Change {
    Change::Letter { id, action: LetterAction::Take(step.clone()), at }
}

/// How a set is to be replayed.
#[derive(Clone, Debug)]
pub struct Wish {
    /// How fast, and for how long.
    pub pace: Pace,
    /// Also those that are parked or were replayed.
    pub force: bool,
    /// Who wants it.
    pub by: String,
    /// Whose health its letters waited for.
    pub awaited: Option<AgentName>,
    /// What tells this wish from others, where whoever wishes may ask twice.
    pub key: Option<RunId>,
}

/// A set of letters that is replayed.
#[derive(Debug)]
pub struct ReplaySet {
    pub(super) id: u64,
    pub(super) plan: ReplayPlan,
    pub(super) wish: Wish,
    pub(super) begun_at: Timestamp,
    /// The letter whose replay is being accepted: the next one begins after it.
    pub(super) beginning: Option<u64>,
}

/// How far the replay of a set is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplaySetView {
    /// Its number, since the start of the orchestrator.
    pub id: u64,
    /// How far it is.
    pub state: PlanState,
    /// Whether nothing happens any more.
    pub over: bool,
    /// Who wanted it.
    pub by: String,
    /// Since when.
    pub begun_at: Timestamp,
    /// Begins a second at most.
    pub per_second: f64,
    /// So many failures stop it.
    pub stop_after: Option<u32>,
    /// The agent whose health it waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_healthy: Option<AgentName>,
    /// Its counts.
    #[serde(flatten)]
    pub tally: Tally,
}

impl ReplaySet {
    /// As it is shown.
    pub fn view(&self) -> ReplaySetView {
        ReplaySetView {
            id: self.id,
            state: self.plan.state(),
            over: self.plan.is_over(),
            by: self.wish.by.clone(),
            begun_at: self.begun_at,
            per_second: (1.0 / self.wish.pace.interval.as_secs_f64() * 1_000.0).round() / 1_000.0,
            stop_after: self.wish.pace.stop_after,
            when_healthy: self.wish.awaited.clone(),
            tally: self.plan.tally(),
        }
    }
}

/// Why something could not be done about dead letters.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Not in the state that it is in.
    #[error(transparent)]
    Refused(#[from] LetterRefusal),
    /// Its agent is not in the registry any more.
    #[error("there is no agent {0} any more")]
    NoAgent(AgentName),
    /// Services are started, not run.
    #[error("{0} is a service")]
    NotAJob(AgentName),
    /// The disk did not take it; nothing is changed.
    #[error(transparent)]
    NotKept(StoreError),
    /// Its payload can't be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
}

impl Desk {
    /// An empty desk for so many letters.
    pub fn new(capacity: usize) -> Self {
        Self {
            ring: DeadLetterRing::new(capacity),
            unkept: VecDeque::new(),
            sets: Vec::new(),
            newest_set: 0,
            tray: Tray::default(),
            is_open: false,
        }
    }

    /// The desk as the last orchestrator left it. A replay that was cut off has ended, without success; one that never
    /// began is still to come, as what `cut_off` says.
    pub fn restored(mut ring: DeadLetterRing, cut_off: &CutOff, ledger: &Ledger, now: Timestamp) -> Self {
        let promised = cut_off.triggers.values().flatten();
        let to_come: BTreeMap<u64, RunId> =
            promised.filter_map(|trigger| Some((trigger.trigger.dead_letter()?, trigger.run))).collect();
        let replaying = ring.iter().filter(|letter| letter.standing.state == LetterState::Replaying);
        let replaying: Vec<_> = replaying.filter_map(|letter| Some((letter.id, letter.standing.replay_run?))).collect();
        let (mut batch, mut reopened) = (Vec::new(), 0_usize);
        for (id, old) in replaying {
            let new = to_come.get(&id).copied();
            if new == Some(old) {
                continue;
            }
            let ended = Step::EndReplay { run: old, succeeded: false, killed: false };
            let begun = new.map(|run| Step::BeginReplay { run, force: true });
            reopened += usize::from(new.is_none());
            for step in std::iter::once(ended).chain(begun) {
                if ring.act(id, &step, now).is_ok() {
                    batch.push(change(id, &step, now));
                }
            }
        }
        if reopened > 0 {
            log::warn!("replays of dead letters were cut off: {reopened} open again");
        }
        if !batch.is_empty() {
            ledger.record(batch);
        }
        Self { ring, ..Self::new(1) }
    }

    /// The sets that are being replayed, and the last ones that were.
    pub fn sets(&self) -> impl Iterator<Item = &ReplaySet> {
        self.sets.iter()
    }

    /// Letters, and ends of replays, that the disk would not take yet.
    pub fn waiting_for_disk(&self) -> usize {
        self.unkept.len()
    }

    pub(super) fn add_set(&mut self, set: impl FnOnce(u64) -> ReplaySet) -> u64 {
        self.newest_set += 1;
        self.sets.push(set(self.newest_set));
        let over = self.sets.iter().filter(|set| set.plan.is_over()).count();
        if over > SETS_KEPT
            && let Some(oldest) = self.sets.iter().position(|set| set.plan.is_over())
        {
            self.sets.remove(oldest);
        }
        self.newest_set
    }

    pub(super) fn set_mut(&mut self, id: u64) -> Option<&mut ReplaySet> {
        self.sets.iter_mut().find(|set| set.id == id)
    }
}
