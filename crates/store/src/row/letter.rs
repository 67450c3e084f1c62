//! A dead letter as it is kept.

use std::sync::Arc;

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::dead_letters::{DeadLetter, ExecutionData, Standing};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Columns, Json, run_bytes, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "dead_letters";

pub use werkpilot_core::dead_letters::LetterState;

/// As a state is kept.
pub(crate) const fn number(state: LetterState) -> i64 {
    match state {
        LetterState::Open => 0,
        LetterState::Waiting => 1,
        LetterState::Replaying => 2,
        LetterState::Replayed => 3,
        LetterState::Parked => 4,
    }
}

const fn from_number(number: i64) -> Option<LetterState> {
    Some(match number {
        0 => LetterState::Open,
        1 => LetterState::Waiting,
        2 => LetterState::Replaying,
        3 => LetterState::Replayed,
        4 => LetterState::Parked,
        _ => return None,
    })
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
    /// The letter with its payload, if that is there.
    fn from(letter: &DeadLetter) -> Self {
        let context = ExecutionData { payload: None, ..letter.execution.clone() };
        let standing = &letter.standing;
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
            origin: letter.origin,
            state: standing.state,
            replay_run: standing.replay_run,
            waits_for: standing.waits_for.clone(),
            replays: standing.replays,
            kills: standing.kills,
            updated_at: standing.updated_at,
        }
    }
}

impl LetterRow {
    /// The letter without its payload, as the desk has it in memory.
    ///
    /// # Errors
    /// The circumstances are not what any version wrote.
    pub fn letter(&self) -> Result<DeadLetter, serde_json::Error> {
        Ok(DeadLetter {
            id: self.id,
            agent: self.agent.clone(),
            run: self.run,
            error: self.error.clone(),
            signature: self.signature.clone(),
            timestamp: self.at,
            restart_count: self.restart_count,
            origin: self.origin,
            payload_bytes: self.payload.as_ref().map(|payload| payload.len() as u64),
            standing: self.standing(),
            execution: self.context.read()?,
        })
    }

    pub(crate) fn standing(&self) -> Standing {
        Standing {
            state: self.state,
            replay_run: self.replay_run,
            waits_for: self.waits_for.clone(),
            replays: self.replays,
            kills: self.kills,
            updated_at: self.updated_at,
        }
    }

    /// Says how it stands from now on.
    pub(crate) fn stand(&mut self, standing: Standing) {
        let Standing { state, replay_run, waits_for, replays, kills, updated_at } = standing;
        (self.state, self.replay_run, self.waits_for) = (state, replay_run, waits_for);
        (self.replays, self.kills, self.updated_at) = (replays, kills, updated_at);
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
            state: from_number(columns.get()?).ok_or(RowError::Value { table: TABLE, column: "state" })?,
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
            &number(self.state),
            &self.replay_run.map(run_bytes),
            &waits_for,
            &self.replays,
            &self.kills,
            &self.updated_at.as_millis(),
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}
