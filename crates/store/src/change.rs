//! What the writer is told to keep.
//!
//! A batch of changes is kept whole or not at all. Changes name rows, never SQL; a change that does not fit what is
//! there is a [`crate::Conflict`] and takes its whole batch back, but no other one of the same commit.

use std::time::Duration;

use werkpilot_core::audit::Entry;
use werkpilot_core::dead_letters::Step;
use werkpilot_core::digest::Digest;
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use crate::row::Json;
use crate::row::agent::{AgentState, SchedulePosition};
use crate::row::event::EventRow;
use crate::row::execution::{ExecutionRow, ProcessMark, Why};
use crate::row::figures::{DigestRow, ScoreRow};
use crate::row::idempotency::KeyRow;
use crate::row::letter::LetterRow;
use crate::row::optimizer::{DecisionRow, ReportRow};
use crate::row::token::TokenRow;
use crate::row::trigger::TriggerRow;

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Takes in a durable trigger. Conflict: its run id is known, as a trigger or as an execution.
    AcceptTrigger(Box<TriggerRow>),
    /// Forgets a durable trigger, if it is there.
    DropTrigger(RunId),
    /// Takes in an execution, with or without an end. Conflict: its run id is known.
    InsertExecution(Box<ExecutionRow>),
    /// An attempt was started. Conflict: the execution is not there or has ended.
    StartExecution(ExecutionStart),
    /// An execution has its end; its durable trigger is done with, unless it is to be kept. Conflict: it is not there or
    /// has ended.
    EndExecution(Box<ExecutionEnd>),
    /// The state of an agent; replaces the one before.
    PutAgent(Box<AgentState>),
    /// The position of a schedule; replaces the one before.
    PutSchedule(SchedulePosition),
    /// Forgets state, positions and samples of an agent that was taken out of the registry. History stays.
    ForgetAgent(AgentName),
    /// Takes in an event.
    AddEvent(Box<EventRow>),
    /// A successful execution took so long.
    AddSample {
        /// Whose.
        agent: AgentName,
        /// How long.
        duration: Duration,
    },
    /// The digest of a slot; replaces the one before.
    PutDigest(Box<DigestRow>),
    /// Forgets digests of this name whose slot began before.
    DropDigests {
        /// What of: `waiting`, `duration:agent-sales`.
        name: String,
        /// `minute`, `hour` or `day`.
        slot: String,
        /// Slots that began earlier go.
        before: Timestamp,
    },
    /// The score of a day; replaces the one before.
    PutScore(Box<ScoreRow>),
    /// Forgets scores of an agent.
    DropScores {
        /// Whose.
        agent: AgentName,
        /// Scores of earlier days (since the Unix epoch) go.
        before_day: i32,
    },
    /// Takes in a report of the optimizer; those beyond the bound go. Conflict: its id was used before.
    AddReport(Box<ReportRow>),
    /// A decision of the optimizer; replaces the one of this id. Those beyond the bound go.
    PutDecision(Box<DecisionRow>),
    /// Takes in an entry of the audit log, as the next one of its chain.
    AddAudit(Box<Entry>),
    /// A token of the API; replaces the one of this id. Of revoked ones, the oldest beyond the bound go.
    PutToken(Box<TokenRow>),
    /// What is remembered of a key of a request; replaces what was. The oldest beyond the bound go.
    PutKey(Box<KeyRow>),
    /// Forgets a key, if it is there.
    DropKey(Digest),
    /// Takes in a dead letter. Conflict: its id was used before.
    AddLetter(Box<LetterRow>),
    /// Something is done about a dead letter.
    Letter {
        /// Which.
        id: u64,
        /// What.
        action: LetterAction,
        /// When.
        at: Timestamp,
    },
}

/// An attempt that was started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionStart {
    /// Of which execution.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// Its number, from 1.
    pub attempt: u32,
    /// Its process, if it is one.
    pub process: Option<ProcessMark>,
    /// Where its output goes.
    pub log: Option<Json>,
}

/// The end of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionEnd {
    /// Which.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// Its end.
    pub end: End,
    /// A JSON array of all attempts.
    pub attempts: Option<Json>,
    /// Time spent waiting for a worker.
    pub waited: Option<Duration>,
    /// Of the last attempt.
    pub duration: Option<Duration>,
    /// How the last attempt's program ended.
    pub exit: Option<Exit>,
    /// Why it ended as it did.
    pub why: Option<Why>,
    /// The most memory that its process tree was seen to use.
    pub peak_bytes: Option<u64>,
    /// Where its output is; `None`: as said at its start.
    pub log: Option<Json>,
    /// Its durable trigger is to be run again after the next start.
    pub keep_trigger: bool,
}

impl ExecutionEnd {
    /// An end of which no more is known.
    pub const fn new(run: RunId, at: Timestamp, end: End) -> Self {
        Self {
            run,
            at,
            end,
            attempts: None,
            waited: None,
            duration: None,
            exit: None,
            why: None,
            peak_bytes: None,
            log: None,
            keep_trigger: false,
        }
    }
}

/// What is done about a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LetterAction {
    /// A step, as core's table has it. Conflict: not in the state that the letter is in.
    Take(Step),
    /// A new payload ([`Step::Edit`] with it). Conflict: it is being replayed.
    Edit(Option<Vec<u8>>),
    /// Gives way to newer ones, whatever its state; counted.
    Evict,
}

impl Change {
    /// Whether this may not fit what is there.
    pub(crate) const fn can_conflict(&self) -> bool {
        matches!(
            self,
            Self::AcceptTrigger(_)
                | Self::InsertExecution(_)
                | Self::StartExecution(_)
                | Self::EndExecution(_)
                | Self::AddReport(_)
                | Self::AddLetter(_)
                | Self::Letter { .. }
        )
    }

    /// Whether this only adds to what happened: nothing else reads or changes it but [`Change::ForgetAgent`], and
    /// [`Change::DropDigests`] and [`Change::DropScores`] what is long past.
    pub(crate) const fn is_fact(&self) -> bool {
        matches!(self, Self::AddEvent(_) | Self::AddSample { .. } | Self::PutDigest(_) | Self::PutScore(_))
    }

    /// The failpoint of this change.
    pub(crate) const fn step(&self) -> Option<&'static str> {
        match self {
            Self::AcceptTrigger(_) => Some("accept"),
            Self::StartExecution(_) => Some("start"),
            Self::EndExecution(_) => Some("finish"),
            Self::AddLetter(_) => Some("dead_letter"),
            Self::AddReport(_) => Some("report"),
            Self::PutKey(_) => Some("key"),
            Self::AddAudit(_) => Some("audit"),
            Self::Letter { action: LetterAction::Take(Step::BeginReplay { .. }), .. } => Some("replay"),
            _ => None,
        }
    }
}
