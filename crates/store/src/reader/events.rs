//! Events by their numbers.

use werkpilot_core::event::{Recorded, TopicPattern};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Page, Reader};
use crate::error::{RowError, StoreError};
use crate::row::event::{self, EventRow, TABLE};
use crate::row::{run_bytes, whole};

/// Which events; the default is all, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those with a higher number.
    pub after: u64,
    /// Only those with a lower number.
    pub before: Option<u64>,
    /// About one of these agents; empty: about any or none.
    pub agents: Vec<AgentName>,
    /// About this execution.
    pub run: Option<RunId>,
    /// Of one of these topics; empty: of any.
    pub topics: Vec<TopicPattern>,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
    /// The newest first, else the oldest.
    pub newest_first: bool,
    /// At most so many (1 to 1,000).
    pub limit: usize,
}

impl EventFilter {
    /// Whether an event is one of them.
    pub fn fits(&self, row: &EventRow) -> bool {
        row.seq > self.after && self.before.is_none_or(|before| row.seq < before) && self.matches(row)
    }

    /// The same for one that has just been recorded.
    pub fn hears(&self, recorded: &Recorded) -> bool {
        let event = &recorded.event;
        recorded.seq > self.after
            && self.before.is_none_or(|before| recorded.seq < before)
            && self.is_about(event.agent(), event.topic())
            && (self.run.is_none() || self.run == event::run(event))
            && self.is_within(recorded.time)
    }

    /// Whether agent and topic fit.
    pub fn is_about(&self, agent: Option<&AgentName>, topic: &str) -> bool {
        (self.agents.is_empty() || agent.is_some_and(|agent| self.agents.contains(agent)))
            && (self.topics.is_empty() || self.topics.iter().any(|pattern| pattern.matches(topic)))
    }

    fn is_within(&self, time: Timestamp) -> bool {
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    fn matches(&self, row: &EventRow) -> bool {
        self.is_about(row.agent.as_ref(), &row.topic)
            && (self.run.is_none() || self.run == row.run)
            && self.is_within(row.at)
    }
}

impl Reader {
    /// A page of events; the cursor is the number of the last one looked at, for `after`, or for `before` where the
    /// newest come first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written.
    pub fn events(&self, filter: &EventFilter) -> Result<Page<EventRow, u64>, StoreError> {
        let after = filter.after.max(match filter.since {
            Some(since) => self.last_event_before(since)?,
            None => 0,
        });
        let (after, before) = (whole(after), filter.before.map_or(i64::MAX, whole));
        let page = |narrowed: &str, key: Option<&dyn rusqlite::ToSql>| {
            let order = if filter.newest_first { " DESC" } else { "" };
            let sql = format!("SELECT * FROM events {narrowed} seq > ?1 AND seq < ?2 ORDER BY seq{order}");
            let mut params: Vec<&dyn rusqlite::ToSql> = vec![&after, &before];
            params.extend(key);
            let fits = |row: &EventRow| filter.matches(row);
            self.page(&sql, &params[..], filter.limit, EventRow::read, |_, row| Ok(row.seq), fits)
        };
        let none = Ok(Page { rows: Vec::new(), next: None });
        // The narrowest index first; the rest is looked at row by row.
        if let Some(run) = filter.run {
            return page("INDEXED BY events_run WHERE run = ?3 AND", Some(&run_bytes(run)));
        }
        if let [agent] = &filter.agents[..] {
            let Some(agent) = self.number(agent.as_str())? else { return none };
            return page("INDEXED BY events_agent WHERE agent = ?3 AND", Some(&agent));
        }
        if let [Some(topic)] = &filter.topics.iter().map(TopicPattern::exact).collect::<Vec<_>>()[..] {
            let Some(topic) = self.number(topic)? else { return none };
            return page("INDEXED BY events_topic WHERE topic = ?3 AND", Some(&topic));
        }
        page("WHERE", None)
    }

    /// The number of the last event before a time, by halving: numbers go with time but for steps of the clock.
    fn last_event_before(&self, time: Timestamp) -> Result<u64, StoreError> {
        let ends = "SELECT ifnull(min(seq), 1), ifnull(max(seq), 0) FROM events";
        let (mut low, mut high): (i64, i64) =
            self.conn.prepare_cached(ends)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut probe =
            self.conn.prepare_cached("SELECT seq, at_ms FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
        while low <= high {
            let middle = low + (high - low) / 2;
            let (seq, at): (i64, i64) = probe.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if at < time.as_millis() {
                low = seq + 1;
            } else {
                high = middle - 1;
            }
        }
        Ok(low.saturating_sub(1).unsigned_abs())
    }

    /// The number of the oldest event that is kept.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn oldest_event(&self) -> Result<Option<u64>, StoreError> {
        let oldest: Option<i64> =
            self.conn.prepare_cached("SELECT min(seq) FROM events")?.query_row([], |row| row.get(0))?;
        Ok(oldest.map(i64::unsigned_abs))
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
