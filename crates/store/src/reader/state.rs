//! What a start needs: the state as it was.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;

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

    /// The digests of a name and slot that began from `since` on and before `until`, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn digests(
        &self,
        name: &str,
        slot: &str,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<DigestRow>, StoreError> {
        let sql = "SELECT * FROM digests WHERE name = ?1 AND slot = ?2 AND slot_ms >= ?3 AND slot_ms < ?4
                   ORDER BY slot_ms";
        self.all(sql, params![name, slot, since.as_millis(), until.as_millis()], DigestRow::read)
    }

    /// The newest digest of each name and slot: one look into the index for each.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn newest_digests(&self) -> Result<Vec<DigestRow>, StoreError> {
        let next = "SELECT name, slot FROM digests WHERE (name, slot) > (?1, ?2) ORDER BY name, slot LIMIT 1";
        let newest = "SELECT * FROM digests WHERE name = ?1 AND slot = ?2 ORDER BY slot_ms DESC LIMIT 1";
        let mut next = self.conn.prepare_cached(next)?;
        let (mut name, mut slot) = (String::new(), String::new());
        let mut found = Vec::new();
        while let Some(of) = next.query_row([&name, &slot], |row| Ok((row.get(0)?, row.get(1)?))).optional()? {
            (name, slot) = of;
            found.extend(self.all(newest, [&name, &slot], DigestRow::read)?);
        }
        Ok(found)
    }

    /// Whether there is a digest of this name.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn has_digests(&self, name: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM digests WHERE name = ?1)";
        Ok(self.conn.prepare_cached(sql)?.query_row([name], |row| row.get(0))?)
    }

    /// The names that there are digests of, by one look into the index for each.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn digest_names(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT name FROM digests WHERE name > ?1 ORDER BY name LIMIT 1";
        let mut next = self.conn.prepare_cached(sql)?;
        let mut names: Vec<String> = Vec::new();
        while let Some(name) = next.query_row([names.last().map_or("", String::as_str)], |row| row.get(0)).optional()? {
            names.push(name);
        }
        Ok(names)
    }

    /// The scores of an agent since a day (days since the Unix epoch), oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn scores_of(&self, agent: &AgentName, since_day: i32) -> Result<Vec<ScoreRow>, StoreError> {
        let Some(agent) = self.number(agent.as_str())? else { return Ok(Vec::new()) };
        let sql = "SELECT * FROM scores WHERE agent = ?1 AND day >= ?2 ORDER BY day";
        self.all(sql, params![agent, since_day], ScoreRow::read)
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
