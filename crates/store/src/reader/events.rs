//! Events by their numbers.

use rusqlite::params;
use werkpilot_core::ids::{AgentName, RunId};

use super::{Page, Reader};
use crate::error::{RowError, StoreError};
use crate::row::event::{EventRow, TABLE};
use crate::row::{run_bytes, whole};

/// Which events; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those with a higher number.
    pub after: u64,
    /// About this agent.
    pub agent: Option<AgentName>,
    /// About this execution.
    pub run: Option<RunId>,
    /// Of this topic.
    pub topic: Option<String>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
}

impl EventFilter {
    /// Whether an event is one of them.
    pub fn fits(&self, row: &EventRow) -> bool {
        row.seq > self.after && self.matches(row)
    }

    fn matches(&self, row: &EventRow) -> bool {
        (self.agent.is_none() || self.agent == row.agent)
            && (self.run.is_none() || self.run == row.run)
            && self.topic.as_ref().is_none_or(|topic| *topic == row.topic)
    }
}

impl Reader {
    /// A page of events, oldest first; the cursor is the number of the last one looked at, for `after`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written.
    pub fn events(&self, filter: &EventFilter) -> Result<Page<EventRow, u64>, StoreError> {
        let none = || Ok(Page { rows: Vec::new(), next: None });
        let after = whole(filter.after);
        let page = |sql: &str, params: &[&dyn rusqlite::ToSql]| {
            self.page(sql, params, filter.limit, EventRow::read, |_, row| Ok(row.seq), |row| filter.matches(row))
        };
        // The narrowest index first; the rest is looked at row by row.
        if let Some(run) = filter.run {
            let sql = "SELECT * FROM events INDEXED BY events_run WHERE run = ?2 AND seq > ?1 ORDER BY seq";
            return page(sql, params![after, run_bytes(run)]);
        }
        if let Some(agent) = &filter.agent {
            let Some(agent) = self.number(agent.as_str())? else { return none() };
            let sql = "SELECT * FROM events INDEXED BY events_agent WHERE agent = ?2 AND seq > ?1 ORDER BY seq";
            return page(sql, params![after, agent]);
        }
        if let Some(topic) = &filter.topic {
            let Some(topic) = self.number(topic)? else { return none() };
            let sql = "SELECT * FROM events INDEXED BY events_topic WHERE topic = ?2 AND seq > ?1 ORDER BY seq";
            return page(sql, params![after, topic]);
        }
        page("SELECT * FROM events WHERE seq > ?1 ORDER BY seq", params![after])
    }

    /// The last events, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written.
    pub fn last_events(&self, limit: usize) -> Result<Vec<EventRow>, StoreError> {
        let sql = "SELECT * FROM events ORDER BY seq DESC LIMIT ?1";
        let mut rows = self.all(sql, [whole(limit as u64)], EventRow::read)?;
        rows.reverse();
        if rows.windows(2).any(|pair| pair[0].seq >= pair[1].seq) {
            return Err(RowError::Value { table: TABLE, column: "seq" }.into());
        }
        Ok(rows)
    }
}
