//! A dead letter as it is kept.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use serde::{Serialize, Serializer};
use werkpilot_core::dead_letters::{DeadLetter, ExecutionData};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Columns, Json, run_bytes, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "dead_letters";

/// What is being done about a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LetterState {
    /// Nothing yet.
    Open,
    /// It is replayed once an agent is healthy again.
    Waiting,
    /// Its replay is queued or running.
    Replaying,
    /// A replay of it succeeded.
    Replayed,
    /// It killed its agent so often that it is replayed only on explicit demand.
    Parked,
}

impl LetterState {
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

    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Open => 0,
            Self::Waiting => 1,
            Self::Replaying => 2,
            Self::Replayed => 3,
            Self::Parked => 4,
        }
    }

    const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Open,
            1 => Self::Waiting,
            2 => Self::Replaying,
            3 => Self::Replayed,
            4 => Self::Parked,
            _ => return None,
        })
    }
}

impl Serialize for LetterState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LetterRow {
    /// Counts from 1, given by who makes it, never used twice.
    pub id: u64,
    /// Whose execution it was.
    pub agent: AgentName,
    /// Which execution.
    pub run: RunId,
    /// When it was given up.
    pub at: Timestamp,
    /// What went wrong, for people.
    pub error: String,
    /// The error with its particulars folded away.
    pub signature: String,
    /// Failed attempts of the execution.
    pub restart_count: u32,
    /// `executionData` without the payload.
    pub context: Json,
    /// What the execution got on stdin.
    #[serde(skip)]
    pub payload: Option<Vec<u8>>,
    /// The dead letter whose replay this is, if it is one.
    pub origin: Option<u64>,
    /// What is being done about it.
    pub state: LetterState,
    /// Its last replay.
    pub replay_run: Option<RunId>,
    /// The agent whose health it waits for.
    pub waits_for: Option<AgentName>,
    /// How often it was replayed.
    pub replays: u32,
    /// How often its payload killed its agent.
    pub kills: u32,
    /// When any of this changed.
    pub updated_at: Timestamp,
}

impl From<&DeadLetter> for LetterRow {
    /// An open letter. `origin` and `kills` are what only the maker knows.
    fn from(letter: &DeadLetter) -> Self {
        let context = ExecutionData { payload: None, ..letter.execution.clone() };
        Self {
            id: letter.id,
            agent: letter.agent.clone(),
            run: letter.run,
            at: letter.timestamp,
            error: letter.error.clone(),
            signature: letter.signature.clone(),
            restart_count: letter.restart_count,
            context: Json::of(&context),
            payload: letter.execution.payload.as_ref().map(|payload: &Arc<[u8]>| payload.to_vec()),
            origin: None,
            state: LetterState::Open,
            replay_run: None,
            waits_for: None,
            replays: 0,
            kills: 0,
            updated_at: letter.timestamp,
        }
    }
}

impl LetterRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        Ok(Self {
            id: columns.unsigned("id")?,
            agent: columns.agent()?,
            run: columns.run("run")?,
            at: columns.time()?,
            error: columns.get()?,
            signature: columns.get()?,
            restart_count: columns.unsigned("restart_count")?,
            context: columns.json()?,
            payload: columns.get()?,
            origin: columns.maybe("origin")?,
            state: LetterState::from_number(columns.get()?).ok_or(RowError::Value { table: TABLE, column: "state" })?,
            replay_run: columns.maybe_run("replay_run")?,
            waits_for: columns.maybe_agent()?,
            replays: columns.unsigned("replays")?,
            kills: columns.unsigned("kills")?,
            updated_at: columns.time()?,
        })
    }

    /// Runs `INSERT` or `UPDATE`, whose parameters are all columns in the table's order.
    pub(crate) fn write(
        &self,
        conn: &Connection,
        sql: &'static str,
        agent: i64,
        waits_for: Option<i64>,
    ) -> rusqlite::Result<usize> {
        let columns: [&dyn rusqlite::ToSql; 16] = [
            &whole(self.id),
            &agent,
            &run_bytes(self.run),
            &self.at.as_millis(),
            &self.error,
            &self.signature,
            &self.restart_count,
            &self.context,
            &self.payload,
            &self.origin.map(whole),
            &self.state.number(),
            &self.replay_run.map(run_bytes),
            &waits_for,
            &self.replays,
            &self.kills,
            &self.updated_at.as_millis(),
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}
