//! Reports of the optimizer and what was decided by them.

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::ids::AgentName;
use werkpilot_core::optimizer::{Decision, Report, ReportSummary};
use werkpilot_core::time::Timestamp;

use super::{Columns, Json, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const REPORTS: &str = "reports";
pub(crate) const DECISIONS: &str = "decisions";

/// A report. Written once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportRow {
    /// Counts from 1.
    pub id: u64,
    /// When its run began.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// How many proposals it has.
    pub proposals: u32,
    /// How many of them were applied.
    pub applied: u32,
    /// The whole of it.
    pub data: Json,
}

impl ReportRow {
    /// The row of a report; `None`: a dry run, which is not kept.
    pub fn of(report: &Report) -> Option<Self> {
        let counted = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Self {
            id: report.id?,
            at: report.at,
            by: report.by.clone(),
            proposals: counted(report.findings.proposals.len()),
            applied: counted(report.applied.len()),
            data: Json::of(report),
        })
    }

    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(REPORTS, row, conn, names)?;
        Ok(Self {
            id: columns.unsigned("id")?,
            at: columns.time()?,
            by: columns.get()?,
            proposals: columns.unsigned("proposals")?,
            applied: columns.unsigned("applied")?,
            data: columns.json()?,
        })
    }

    pub(crate) fn insert(&self, conn: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT INTO reports VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING";
        let columns: [&dyn rusqlite::ToSql; 6] =
            [&whole(self.id), &self.at.as_millis(), &self.by, &self.proposals, &self.applied, &self.data];
        sum::write(conn, sql, REPORTS, &columns)
    }
}

impl From<&ReportRow> for ReportSummary {
    fn from(row: &ReportRow) -> Self {
        Self { id: row.id, at: row.at, by: row.by.clone(), proposals: row.proposals, applied: row.applied }
    }
}

/// A decision. Written as a whole; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DecisionRow {
    /// Counts from 1.
    pub id: u64,
    /// Whose priority.
    pub agent: AgentName,
    /// When it was made, or became what it is.
    pub updated_at: Timestamp,
    /// The whole of it.
    pub data: Json,
}

impl From<&Decision> for DecisionRow {
    fn from(decision: &Decision) -> Self {
        Self {
            id: decision.id,
            agent: decision.agent.clone(),
            updated_at: decision.changed_at.unwrap_or(decision.at),
            data: Json::of(decision),
        }
    }
}

impl DecisionRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(DECISIONS, row, conn, names)?;
        Ok(Self {
            id: columns.unsigned("id")?,
            agent: columns.agent()?,
            updated_at: columns.time()?,
            data: columns.json()?,
        })
    }

    pub(crate) fn put(&self, conn: &Connection, agent: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO decisions VALUES (?1, ?2, ?3, ?4, ?5)";
        sum::write(conn, sql, DECISIONS, &[&whole(self.id), &agent, &self.updated_at.as_millis(), &self.data])
    }
}
