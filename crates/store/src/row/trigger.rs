//! A trigger that was accepted durably: it is run, whatever happens in between.

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;

use super::{Columns, Json, millis, run_bytes, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "triggers";

/// An accepted trigger. It is there until its execution has an end, or until it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TriggerRow {
    /// The execution that it becomes.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// What asked.
    pub trigger: Trigger,
    /// The dead letter that it replays, if it does.
    pub origin: Option<u64>,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// What the program gets on stdin.
    pub payload: Option<Vec<u8>>,
    /// What else is known of why.
    pub cause: Option<Json>,
}

impl TriggerRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        Ok(Self {
            run: columns.run("run")?,
            agent: columns.agent()?,
            trigger: columns.typed("trigger")?,
            origin: columns.maybe("origin")?,
            scheduled_for: columns.maybe_time()?,
            accepted_at: columns.time()?,
            payload: columns.get()?,
            cause: columns.maybe_json()?,
        })
    }

    pub(crate) fn insert(&self, conn: &Connection, agent: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO triggers VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING";
        let columns: [&dyn rusqlite::ToSql; 8] = [
            &run_bytes(self.run),
            &agent,
            &Json::of(&self.trigger),
            &self.origin.map(whole),
            &millis(self.scheduled_for),
            &self.accepted_at.as_millis(),
            &self.payload,
            &self.cause,
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}
