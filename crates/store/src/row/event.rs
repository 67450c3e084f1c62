//! An event as it is kept.

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Columns, Json, run_bytes, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "events";

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventRow {
    /// Its number in the sequence of all events.
    pub seq: u64,
    /// When it was recorded.
    #[serde(rename = "time")]
    pub at: Timestamp,
    /// Its topic: `execution.failed`.
    #[serde(rename = "type")]
    pub topic: String,
    /// The agent that it is about, if it is about one.
    pub agent: Option<AgentName>,
    /// The execution that it is about, if it is about one.
    pub run: Option<RunId>,
    /// Its data.
    pub data: Json,
}

impl From<&Recorded> for EventRow {
    fn from(recorded: &Recorded) -> Self {
        Self::with_data(recorded, Json::of(&recorded.event))
    }
}

/// The execution that an event is about.
pub(crate) const fn run(event: &Event) -> Option<RunId> {
    match event {
        Event::AgentStarted { run, .. }
        | Event::AgentFailed { run, .. }
        | Event::AgentSkipped { run, .. }
        | Event::ExecutionQueued { run, .. }
        | Event::ExecutionStarted { run, .. }
        | Event::ExecutionEnded { run, .. }
        | Event::DeadLetterReplayed { run, .. } => Some(*run),
        _ => None,
    }
}

impl EventRow {
    /// The row of an event with other data than its own.
    pub fn with_data(recorded: &Recorded, data: Json) -> Self {
        Self {
            seq: recorded.seq,
            at: recorded.time,
            topic: recorded.event.topic().to_owned(),
            agent: recorded.event.agent().cloned(),
            run: run(&recorded.event),
            data,
        }
    }

    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        Ok(Self {
            seq: columns.unsigned("seq")?,
            at: columns.time()?,
            topic: columns.topic()?,
            agent: columns.maybe_agent()?,
            run: columns.maybe_run("run")?,
            data: columns.json()?,
        })
    }

    /// The same event a second time, after a retry, is no fault.
    pub(crate) fn insert(&self, conn: &Connection, topic: i64, agent: Option<i64>) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let columns: [&dyn rusqlite::ToSql; 6] =
            [&whole(self.seq), &self.at.as_millis(), &topic, &agent, &self.run.map(run_bytes), &self.data];
        sum::write(conn, sql, TABLE, &columns)
    }
}
