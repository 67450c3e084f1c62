//! Figures that outlive a restart: samples of durations, digests, scores.

use std::time::Duration;

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;

use super::{Columns, Json};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const DIGESTS: &str = "digests";
pub(crate) const SCORES: &str = "scores";

/// The last durations of an agent's successful executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSamples {
    /// Whose.
    pub agent: AgentName,
    /// All samples there ever were.
    pub count: u64,
    /// The last ones, at most 1,000, oldest first. Kept to the microsecond below 35 min 47 s, above to the millisecond.
    pub durations: Vec<Duration>,
}

/// The digest of one slot of time. Written as a whole; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestRow {
    /// What of: `waiting`, `request:agent-sales`.
    pub name: String,
    /// `minute`, `hour` or `day`.
    pub slot: String,
    /// When the slot began.
    pub slot_at: Timestamp,
    /// The digest, as its owner writes it.
    pub data: Vec<u8>,
}

impl DigestRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(DIGESTS, row, conn, names)?;
        Ok(Self { name: columns.get()?, slot: columns.get()?, slot_at: columns.time()?, data: columns.get()? })
    }

    pub(crate) fn put(&self, conn: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO digests VALUES (?1, ?2, ?3, ?4, ?5)";
        sum::write(conn, sql, DIGESTS, &[&self.name, &self.slot, &self.slot_at.as_millis(), &self.data])
    }
}

/// The score of an agent on one day. Written as a whole; the last one counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreRow {
    /// Whose.
    pub agent: AgentName,
    /// Days since the Unix epoch.
    pub day: i32,
    /// 0 to 100; `None` without data.
    pub score: Option<f64>,
    /// Its parts.
    pub parts: Json,
}

impl ScoreRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(SCORES, row, conn, names)?;
        Ok(Self {
            agent: columns.agent()?,
            day: columns.unsigned("day")?,
            score: columns.get()?,
            parts: columns.json()?,
        })
    }

    pub(crate) fn put(&self, conn: &Connection, agent: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO scores VALUES (?1, ?2, ?3, ?4, ?5)";
        sum::write(conn, sql, SCORES, &[&agent, &self.day, &self.score, &self.parts])
    }
}
