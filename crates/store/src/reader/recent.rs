//! How the last executions ended, without anything else of them: for the strips and the throughput of the first page.

use rusqlite::params;
use werkpilot_core::event::End;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;

use super::Reader;
use crate::error::{RowError, StoreError};
use crate::row::execution::ExecutionState;

/// How an execution ended, and when.
pub type EndedAt = (End, Timestamp);

const AGENT: &str = "SELECT state, ended_ms FROM executions INDEXED BY executions_agent
                     WHERE agent = ?1 AND ended_ms IS NOT NULL ORDER BY ended_ms DESC, id DESC LIMIT ?2";

impl Reader {
    /// The last `limit` ends of each agent that has any, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written.
    pub fn recent_ends(&self, limit: u32) -> Result<Vec<(AgentName, Vec<EndedAt>)>, StoreError> {
        let mut next = self.conn.prepare_cached(
            "SELECT min(agent) FROM executions INDEXED BY executions_agent WHERE agent > ?1 AND ended_ms IS NOT NULL",
        )?;
        let (mut last, mut found) = (0_i64, Vec::new());
        while let Some(agent) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
            last = agent;
            let name = self.names.borrow_mut().agent(&self.conn, agent)?;
            let ends =
                self.all(AGENT, params![agent, limit], |row, _, _| ended(row.get("state")?, row.get("ended_ms")?))?;
            found.push((name, ends));
        }
        Ok(found)
    }

    /// How many executions ended in each way from `since` on and before `until`, by the minute.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written.
    pub fn ends_by_minute(&self, since: Timestamp, until: Timestamp) -> Result<Vec<(End, Timestamp, u32)>, StoreError> {
        let sql = "SELECT state, ended_ms / 60000 * 60000 AS minute, count(*) AS times
                   FROM executions INDEXED BY executions_ended WHERE ended_ms >= ?1 AND ended_ms < ?2
                   GROUP BY minute, state ORDER BY minute";
        self.all(sql, [since.as_millis(), until.as_millis()], |row, _, _| {
            let (end, at) = ended(row.get("state")?, row.get("minute")?)?;
            Ok((end, at, row.get("times")?))
        })
    }
}

fn ended(state: i64, at: i64) -> Result<EndedAt, RowError> {
    match ExecutionState::from_number(state) {
        Some(ExecutionState::Ended(end)) => Ok((end, Timestamp::from_millis(at))),
        _ => Err(RowError::Value { table: "executions", column: "state" }),
    }
}
