//! History: executions that ended, newest first; and those that have not.

use rusqlite::params;
use serde::{Deserialize, Serialize};
use werkpilot_core::event::End;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Page, Reader, contains};
use crate::error::{RowError, StoreError};
use crate::row::execution::{ExecutionRow, ExecutionState};
use crate::row::run_bytes;

/// Which executions of the history; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Of this agent.
    pub agent: Option<AgentName>,
    /// With one of these ends; empty: any.
    pub ends: Vec<End>,
    /// Ended then or later.
    pub since: Option<Timestamp>,
    /// Ended before.
    pub until: Option<Timestamp>,
    /// Asked for by this kind of trigger (`schedule`, `manual` …).
    pub trigger: Option<String>,
    /// With this text in run id, reason or exit, whatever its case.
    pub text: Option<String>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Where the page before ended.
    pub after: Option<HistoryCursor>,
}

/// A place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryCursor {
    /// The end of the last execution of the page before, in ms since the epoch.
    pub ended_ms: i64,
    /// Its number.
    pub id: i64,
}

/// The newest first, each by the index that fits. `INDEXED BY`: a query that would not use it is an error, not a slow
/// answer.
const ALL: &str = "SELECT * FROM executions INDEXED BY executions_ended
    WHERE ended_ms IS NOT NULL AND ended_ms >= ?1 AND (ended_ms, id) < (?2, ?3) ORDER BY ended_ms DESC, id DESC";
const OTHER: &str = "SELECT * FROM executions INDEXED BY executions_other
    WHERE state > 2 AND ended_ms >= ?1 AND (ended_ms, id) < (?2, ?3) ORDER BY ended_ms DESC, id DESC";
const AGENT: &str = "SELECT * FROM executions INDEXED BY executions_agent
    WHERE ended_ms IS NOT NULL AND ended_ms >= ?1 AND (ended_ms, id) < (?2, ?3) AND agent = ?4
    ORDER BY ended_ms DESC, id DESC";
const AGENT_OTHER: &str = "SELECT * FROM executions INDEXED BY executions_agent_other
    WHERE state > 2 AND ended_ms >= ?1 AND (ended_ms, id) < (?2, ?3) AND agent = ?4
    ORDER BY ended_ms DESC, id DESC";

impl HistoryFilter {
    /// Whether an execution is one of them.
    pub fn fits(&self, row: &ExecutionRow) -> bool {
        let ExecutionState::Ended(end) = row.state else { return false };
        let Some(ended) = row.ended_at else { return false };
        self.agent.as_ref().is_none_or(|agent| *agent == row.agent)
            && (self.ends.is_empty() || self.ends.contains(&end))
            && self.since.is_none_or(|since| ended >= since)
            && self.until.is_none_or(|until| ended < until)
            && self.trigger.as_ref().is_none_or(|kind| row.trigger.kind() == kind)
            && self.text.as_ref().is_none_or(|text| mentions(row, &text.to_lowercase()))
    }
}

fn mentions(row: &ExecutionRow, lower: &str) -> bool {
    row.why.as_ref().is_some_and(|why| contains(&why.text, lower))
        || row.exit.as_ref().is_some_and(|exit| contains(&exit.to_string(), lower))
        || row.run.to_string().contains(lower)
}

impl Reader {
    /// A page of the history, newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written.
    pub fn history(&self, filter: &HistoryFilter) -> Result<Page<ExecutionRow, HistoryCursor>, StoreError> {
        let since = filter.since.map_or(i64::MIN, Timestamp::as_millis);
        // (ended, id) < (until, MIN) is ended < until.
        let until = filter.until.map_or((i64::MAX, i64::MAX), |until| (until.as_millis(), i64::MIN));
        let after = filter.after.map_or((i64::MAX, i64::MAX), |after| (after.ended_ms, after.id));
        let (ended, id) = until.min(after);
        let other = !filter.ends.is_empty() && !filter.ends.contains(&End::Succeeded);
        let (sql, agent) = match &filter.agent {
            None => (if other { OTHER } else { ALL }, None),
            Some(agent) => {
                let Some(number) = self.number(agent.as_str())? else {
                    return Ok(Page { rows: Vec::new(), next: None });
                };
                (if other { AGENT_OTHER } else { AGENT }, Some(number))
            }
        };
        let page = |params: &[&dyn rusqlite::ToSql]| {
            self.page(
                sql,
                params,
                filter.limit,
                |row, conn, names| {
                    let (id, execution) = ExecutionRow::read(row, conn, names)?;
                    Ok((id, checked(execution, filter)?))
                },
                |_, (id, row)| Ok(HistoryCursor { ended_ms: row.ended_at.map_or(0, Timestamp::as_millis), id: *id }),
                |(_, row)| filter.fits(row),
            )
        };
        let page = match agent {
            None => page(params![since, ended, id]),
            Some(agent) => page(params![since, ended, id, agent]),
        }?;
        Ok(Page { rows: page.rows.into_iter().map(|(_, row)| row).collect(), next: page.next })
    }

    /// One execution.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it is not what was written.
    pub fn execution(&self, run: RunId) -> Result<Option<ExecutionRow>, StoreError> {
        let sql = "SELECT * FROM executions WHERE run = ?1";
        Ok(self.all(sql, [run_bytes(run)], |row, conn, names| Ok(ExecutionRow::read(row, conn, names)?.1))?.pop())
    }

    /// The last execution of each agent that ended.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written.
    pub fn last_ends(&self) -> Result<Vec<ExecutionRow>, StoreError> {
        let sql = "SELECT * FROM executions INDEXED BY executions_agent WHERE agent = ?1 AND ended_ms IS NOT NULL
                   ORDER BY ended_ms DESC, id DESC LIMIT 1";
        let mut next = self.conn.prepare_cached(
            "SELECT min(agent) FROM executions INDEXED BY executions_agent WHERE agent > ?1 AND ended_ms IS NOT NULL",
        )?;
        let (mut last, mut found) = (0_i64, Vec::new());
        // From agent to agent by one look into the index each, however many executions lie between.
        while let Some(agent) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
            found.extend(self.all(sql, [agent], |row, conn, names| Ok(ExecutionRow::read(row, conn, names)?.1))?);
            last = agent;
        }
        Ok(found)
    }

    /// All executions without an end, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written.
    pub fn live(&self) -> Result<Vec<ExecutionRow>, StoreError> {
        let sql = "SELECT * FROM executions INDEXED BY executions_live WHERE ended_ms IS NULL ORDER BY id";
        self.all(sql, [], |row, conn, names| Ok(ExecutionRow::read(row, conn, names)?.1))
    }
}

/// What an index led to must be what it was asked for: else the index is damaged.
fn checked(row: ExecutionRow, filter: &HistoryFilter) -> Result<ExecutionRow, RowError> {
    if filter.agent.as_ref().is_some_and(|agent| *agent != row.agent) || row.ended_at.is_none() {
        return Err(RowError::Value { table: "executions", column: "place in its index" });
    }
    Ok(row)
}
