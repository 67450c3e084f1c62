//! What an agent's state is beyond its processes, and how far its schedule is.

use rusqlite::{Connection, Row};
use serde::Serialize;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;

use super::{Columns, Json, millis, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const AGENTS: &str = "agents";
pub(crate) const SCHEDULES: &str = "schedules";

/// The durable state of an agent. Written as a whole; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentState {
    /// Whose.
    pub agent: AgentName,
    /// When it changed.
    pub updated_at: Timestamp,
    /// `operator`, `failure`, `memory`: what switched it off; `None` while it is on.
    pub disabled_by: Option<String>,
    /// The reason of that.
    pub why: Option<Json>,
    /// Whether an operator stopped it.
    pub stopped: bool,
    /// Its breaker, as its owner writes it.
    pub breaker: Option<Json>,
    /// Its backoff, as its owner writes it.
    pub backoff: Option<Json>,
    /// Automatic restarts and retries.
    pub restarts: u64,
    /// Executions that succeeded.
    pub successes: u64,
    /// Executions that failed for good.
    pub failures: u64,
    /// When its probe last had a result.
    pub health_at: Option<Timestamp>,
    /// That result.
    pub health: Option<Json>,
}

impl AgentState {
    /// The state of an agent of which nothing is known.
    pub const fn new(agent: AgentName, updated_at: Timestamp) -> Self {
        Self {
            agent,
            updated_at,
            disabled_by: None,
            why: None,
            stopped: false,
            breaker: None,
            backoff: None,
            restarts: 0,
            successes: 0,
            failures: 0,
            health_at: None,
            health: None,
        }
    }

    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(AGENTS, row, conn, names)?;
        Ok(Self {
            agent: columns.agent()?,
            updated_at: columns.time()?,
            disabled_by: columns.get()?,
            why: columns.maybe_json()?,
            stopped: columns.get()?,
            breaker: columns.maybe_json()?,
            backoff: columns.maybe_json()?,
            restarts: columns.unsigned("restarts")?,
            successes: columns.unsigned("successes")?,
            failures: columns.unsigned("failures")?,
            health_at: columns.maybe_time()?,
            health: columns.maybe_json()?,
        })
    }

    pub(crate) fn put(&self, conn: &Connection, agent: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO agents VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
        let columns: [&dyn rusqlite::ToSql; 12] = [
            &agent,
            &self.updated_at.as_millis(),
            &self.disabled_by,
            &self.why,
            &i64::from(self.stopped),
            &self.breaker,
            &self.backoff,
            &whole(self.restarts),
            &whole(self.successes),
            &whole(self.failures),
            &millis(self.health_at),
            &self.health,
        ];
        sum::write(conn, sql, AGENTS, &columns)
    }
}

/// Up to where an agent's schedule was handed over. Written as a whole; the last one counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchedulePosition {
    /// Whose.
    pub agent: AgentName,
    /// `schedule` or `every`.
    pub kind: String,
    /// The last time that was handed over; what is after it is due.
    pub position: Timestamp,
    /// The schedule that this is the position of (expression and zone): one that was changed since starts afresh.
    pub definition: String,
    /// When this was written.
    pub updated_at: Timestamp,
}

impl SchedulePosition {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(SCHEDULES, row, conn, names)?;
        Ok(Self {
            agent: columns.agent()?,
            kind: columns.get()?,
            position: columns.time()?,
            definition: columns.get()?,
            updated_at: columns.time()?,
        })
    }

    pub(crate) fn put(&self, conn: &Connection, agent: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO schedules VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let columns: [&dyn rusqlite::ToSql; 5] =
            [&agent, &self.kind, &self.position.as_millis(), &self.definition, &self.updated_at.as_millis()];
        sum::write(conn, sql, SCHEDULES, &columns)
    }
}
