//! What is being done about a dead letter: the one table of what may be done in which state.
//!
//! Only an open letter is replayed by itself or with many others. A letter is replayed once at a time. A payload that
//! killed its agent [`PARK_AFTER`] times is parked: replayed on explicit demand only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::reason::Reason;
use crate::time::Timestamp;

/// So many replays that killed the agent make a payload poison: once is chance, twice is coincidence.
pub const PARK_AFTER: u32 = 3;

/// What is being done about a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    /// Nothing yet.
    Open,
    /// It is replayed once an agent is healthy.
    Waiting,
    /// Its replay is queued or running.
    Replaying,
    /// A replay of it succeeded.
    Replayed,
    /// It killed its agent so often that it is replayed only on explicit demand.
    Parked,
}

impl LetterState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Open, Self::Waiting, Self::Replaying, Self::Replayed, Self::Parked];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Waiting => "waiting",
            Self::Replaying => "replaying",
            Self::Replayed => "replayed",
            Self::Parked => "parked",
        }
    }

    /// The state of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// How a dead letter stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// What is being done about it.
    pub state: LetterState,
    /// Its last replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_run: Option<RunId>,
    /// The agent whose health it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<AgentName>,
    /// How often it was replayed.
    pub replays: u32,
    /// How often its payload killed its agent.
    pub kills: u32,
    /// When any of this changed.
    pub updated_at: Timestamp,
}

/// What is done about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A replay of it is accepted.
    BeginReplay {
        /// The new execution.
        run: RunId,
        /// Also if it is parked or was replayed with success.
        force: bool,
    },
    /// A replay of it ended. Told twice, late, or of another replay than its last one, it changes nothing.
    EndReplay {
        /// The execution.
        run: RunId,
        /// Whether it succeeded.
        succeeded: bool,
        /// Whether its payload killed its agent ([`Step::kills`]).
        killed: bool,
    },
    /// It is to be replayed once this agent is healthy.
    Await(AgentName),
    /// It is not to be replayed by itself any more.
    StopWaiting,
    /// It has another payload, which has not killed anybody yet.
    Edit,
    /// Somebody throws it away.
    Discard,
}

impl Step {
    /// Whether a replay that ended so killed its agent: a signal, a panic or too much memory did it. A program that says
    /// itself that it failed, by its exit code, or takes too long, can go on failing as long as somebody wants to try.
    pub const fn kills(exit: Option<&Exit>) -> bool {
        matches!(exit, Some(Exit::Signal(_) | Exit::Panicked(_) | Exit::MemoryLimit))
    }
}

/// Why something can't be done about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterRefusal {
    /// There is none of this id.
    #[error("there is no dead letter {0}")]
    Unknown(u64),
    /// It is being replayed.
    #[error("dead letter {letter} is being replayed as {run}")]
    Replaying {
        /// Which.
        letter: u64,
        /// Its replay.
        run: RunId,
    },
    /// Somebody else is changing it at this moment.
    #[error("dead letter {0} is being changed at this moment; try again")]
    Busy(u64),
    /// It is poison.
    #[error("dead letter {letter} is parked: its payload killed its agent {kills} times")]
    Parked {
        /// Which.
        letter: u64,
        /// How often.
        kills: u32,
    },
    /// A replay of it succeeded.
    #[error("dead letter {0} was replayed with success already")]
    Replayed(u64),
    /// The queue did not take its replay.
    #[error("dead letter {letter} can't be replayed now, the queue did not take it: {reason}")]
    NotAdmitted {
        /// Which.
        letter: u64,
        /// Why not.
        reason: Reason,
    },
    /// It does not wait for an agent's health.
    #[error("dead letter {0} does not wait for anybody")]
    NotWaiting(u64),
}

impl Standing {
    /// Nothing was done about it yet.
    pub const fn open(at: Timestamp) -> Self {
        Self { state: LetterState::Open, replay_run: None, waits_for: None, replays: 0, kills: 0, updated_at: at }
    }

    /// How it stands after this step; `None`: as before.
    ///
    /// # Errors
    /// [`LetterRefusal`]: that can't be done now.
    pub fn after(&self, letter: u64, step: &Step) -> Result<Option<Self>, LetterRefusal> {
        use LetterState::{Open, Parked, Replayed, Replaying, Waiting};
        let mut next = self.clone();
        match (self.state, step) {
            (Replaying, Step::EndReplay { run, succeeded, killed }) if self.replay_run == Some(*run) => {
                next.kills += u32::from(*killed);
                next.state = match (succeeded, *killed && next.kills >= PARK_AFTER) {
                    (true, _) => Replayed,
                    (false, true) => Parked,
                    (false, false) => Open,
                };
            }
            // The end of a replay may be told twice, or late.
            (_, Step::EndReplay { .. }) => return Ok(None),
            (Replaying, _) => {
                let busy = LetterRefusal::Busy(letter);
                return Err(self.replay_run.map_or(busy, |run| LetterRefusal::Replaying { letter, run }));
            }
            (Open | Waiting, Step::BeginReplay { run, .. })
            | (Parked | Replayed, Step::BeginReplay { run, force: true }) => {
                next.state = Replaying;
                next.replay_run = Some(*run);
                next.waits_for = None;
                next.replays += 1;
            }
            (Open | Waiting, Step::Await(agent)) => {
                next.state = Waiting;
                next.waits_for = Some(agent.clone());
            }
            (Waiting, Step::StopWaiting) => {
                next.state = Open;
                next.waits_for = None;
            }
            (_, Step::StopWaiting) => return Err(LetterRefusal::NotWaiting(letter)),
            (_, Step::Edit) => {
                next.kills = 0;
                if self.state == Parked {
                    next.state = Open;
                }
            }
            (_, Step::Discard) => return Ok(None),
            (Parked, Step::BeginReplay { .. } | Step::Await(_)) => {
                return Err(LetterRefusal::Parked { letter, kills: self.kills });
            }
            (Replayed, Step::BeginReplay { .. } | Step::Await(_)) => return Err(LetterRefusal::Replayed(letter)),
        }
        Ok(Some(next))
    }
}
