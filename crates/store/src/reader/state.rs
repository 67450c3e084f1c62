//! What a start needs: the state as it was.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Reader;
use crate::apply::{self, EVENT, EVICTED, LETTER};
use crate::error::StoreError;
use crate::row::agent::{AgentState, SchedulePosition};
use crate::row::figures::{AgentSamples, DigestRow, ScoreRow};
use crate::row::trigger::TriggerRow;

/// How much there is. Counted, not estimated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Executions without an end.
    pub live: u64,
    /// Executions with and without an end.
    pub executions: u64,
    /// Events.
    pub events: u64,
    /// Durable triggers whose execution has no end.
    pub triggers: u64,
    /// Dead letters that are kept.
    pub letters: u64,
}

impl Reader {
    /// The durable state of all agents.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written; the same for all below.
    pub fn agents(&self) -> Result<Vec<AgentState>, StoreError> {
        self.all("SELECT * FROM agents ORDER BY agent", [], AgentState::read)
    }

    /// The positions of all schedules.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn schedules(&self) -> Result<Vec<SchedulePosition>, StoreError> {
        self.all("SELECT * FROM schedules ORDER BY agent, kind", [], SchedulePosition::read)
    }

    /// Accepted triggers whose execution has no end yet, in the order in which they were accepted.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn triggers(&self) -> Result<Vec<TriggerRow>, StoreError> {
        self.all("SELECT * FROM triggers ORDER BY accepted_ms, run", [], TriggerRow::read)
    }

    /// The last durations of all agents.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn samples(&self) -> Result<Vec<AgentSamples>, StoreError> {
        let mut chunks: BTreeMap<i64, Vec<(u64, Vec<u32>)>> = BTreeMap::new();
        for (agent, first, samples) in self.all("SELECT * FROM samples", [], |row, _, _| apply::chunk(row))? {
            chunks.entry(agent).or_default().push((first, samples));
        }
        let mut names = self.names.borrow_mut();
        let windows = chunks.into_iter().map(|(agent, chunks)| {
            let (count, durations) = apply::window(chunks);
            Ok(AgentSamples { agent: names.agent(&self.conn, agent)?, count, durations })
        });
        windows.collect()
    }

    /// The digests of a name prefix, oldest first; an empty prefix is all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn digests(&self, prefix: &str) -> Result<Vec<DigestRow>, StoreError> {
        let mut rows = self.all("SELECT * FROM digests ORDER BY name, slot, slot_ms", [], DigestRow::read)?;
        rows.retain(|row| row.name.starts_with(prefix));
        Ok(rows)
    }

    /// The scores since a day (days since the Unix epoch), by agent and day.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn scores(&self, since_day: i32) -> Result<Vec<ScoreRow>, StoreError> {
        self.all("SELECT * FROM scores WHERE day >= ?1 ORDER BY agent, day", [since_day], ScoreRow::read)
    }

    /// The number of the newest event there ever was; the next one is one more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn newest_event(&self) -> Result<u64, StoreError> {
        Ok(apply::value(&self.conn, EVENT)?)
    }

    /// The id of the newest dead letter there ever was; the next one is one more.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn newest_letter(&self) -> Result<u64, StoreError> {
        Ok(apply::value(&self.conn, LETTER)?)
    }

    /// How many dead letters gave way to newer ones or to their age.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn evicted_letters(&self) -> Result<u64, StoreError> {
        Ok(apply::value(&self.conn, EVICTED)?)
    }

    /// How much there is. Walks indices: some ten milliseconds with a million executions.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let count = |sql: &str| -> Result<u64, StoreError> {
            let rows: i64 = self.conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            Ok(rows.unsigned_abs())
        };
        Ok(Counts {
            live: count("SELECT count(*) FROM executions WHERE ended_ms IS NULL")?,
            executions: count("SELECT count(*) FROM executions")?,
            events: count("SELECT count(*) FROM events")?,
            triggers: count("SELECT count(*) FROM triggers")?,
            letters: count("SELECT count(*) FROM dead_letters")?,
        })
    }
}
