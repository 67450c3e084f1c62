//! Carries changes out on the writer's connection, inside of a transaction that the writer opens and closes.

mod access;
mod counters;
mod executions;
mod letters;
mod optimizer;
mod samples;

use std::time::Duration;

use rusqlite::{Connection, params};
use werkpilot_core::ids::AgentName;

use crate::change::Change;
use crate::error::{RowError, StoreError};
use crate::names::Names;
use crate::row::run_bytes;
use samples::SampleCache;

pub(crate) use counters::{EVENT, EVICTED, LETTER, PROBE, raise, value};
pub(crate) use samples::{chunk, window};

/// The hands of the writer.
#[derive(Debug)]
pub(crate) struct Applier {
    pub(crate) conn: Connection,
    names: Names,
    samples: SampleCache,
    /// The id of the newest execution; `None`: not known.
    newest_execution: Option<i64>,
    newest_event: u64,
    /// Samples of the batch at hand: they join the others once it is sure to stay.
    of_batch: Vec<(i64, Duration)>,
}

impl Applier {
    pub(crate) fn new(conn: Connection) -> Self {
        let (names, samples) = (Names::default(), SampleCache::default());
        Self { conn, names, samples, newest_execution: None, newest_event: 0, of_batch: Vec::new() }
    }

    /// Carries out a batch, whole or not at all; inside is whether it fits what is there.
    ///
    /// A conflict is found before its change writes anything. So a batch in which only the first change can have one needs no
    /// savepoint, which costs a copy of each page that it touches. What else may go wrong (a damaged row) is an error of the
    /// whole transaction then, which has to be repeated with `careful`.
    ///
    /// # Errors
    /// The disk is not well, or see above: the whole transaction is lost.
    pub(crate) fn apply_batch(
        &mut self,
        batch: &[Change],
        careful: bool,
    ) -> Result<Result<(), StoreError>, StoreError> {
        let savepoint = careful || batch.iter().skip(1).any(Change::can_conflict);
        if savepoint {
            self.conn.prepare_cached("SAVEPOINT batch")?.raw_execute()?;
        }
        let applied = batch.iter().try_for_each(|change| self.apply(change));
        if let Err(error) = &applied {
            self.of_batch.clear();
            // A full disk may have taken the transaction back already, savepoint and all.
            let lost = matches!(error, StoreError::Unavailable { .. }) || self.conn.is_autocommit();
            if lost || !(savepoint || matches!(error, StoreError::Conflict(_))) {
                return Err(error.clone());
            }
            if savepoint {
                self.conn.execute_batch("ROLLBACK TO batch")?;
                self.names.forget();
                self.newest_execution = None;
            }
        }
        if savepoint {
            self.conn.prepare_cached("RELEASE batch")?.raw_execute()?;
        }
        for (agent, duration) in self.of_batch.drain(..) {
            self.samples.push(&self.conn, agent, duration)?;
        }
        Ok(applied)
    }

    fn apply(&mut self, change: &Change) -> Result<(), StoreError> {
        match change {
            Change::AcceptTrigger(row) => self.accept(row),
            Change::DropTrigger(run) => self.run_sql("DELETE FROM triggers WHERE run = ?1", params![run_bytes(*run)]),
            Change::InsertExecution(row) => self.insert_execution(row),
            Change::StartExecution(start) => self.start_execution(start),
            Change::EndExecution(end) => self.end_execution(end),
            Change::PutAgent(state) => {
                let agent = self.agent(&state.agent)?;
                state.put(&self.conn, agent)?;
                Ok(())
            }
            Change::PutSchedule(position) => {
                let agent = self.agent(&position.agent)?;
                position.put(&self.conn, agent)?;
                Ok(())
            }
            Change::ForgetAgent(agent) => self.forget_agent(agent),
            Change::AddEvent(row) => {
                let topic = self.names.number(&self.conn, &row.topic)?;
                let agent =
                    row.agent.as_ref().map(|agent| self.names.number(&self.conn, agent.as_str())).transpose()?;
                row.insert(&self.conn, topic, agent)?;
                self.newest_event = self.newest_event.max(row.seq);
                Ok(())
            }
            Change::AddSample { agent, duration } => {
                let agent = self.agent(agent)?;
                self.of_batch.push((agent, *duration));
                Ok(())
            }
            Change::PutDigest(row) => {
                row.put(&self.conn)?;
                Ok(())
            }
            Change::DropDigests { name, slot, before } => self.run_sql(
                "DELETE FROM digests WHERE name = ?1 AND slot = ?2 AND slot_ms < ?3",
                params![name, slot, before.as_millis()],
            ),
            Change::PutScore(row) => {
                let agent = self.agent(&row.agent)?;
                row.put(&self.conn, agent)?;
                Ok(())
            }
            Change::AddAudit(entry) => self.add_audit(entry),
            Change::PutToken(row) => self.put_token(row),
            Change::PutKey(row) => self.put_key(row),
            Change::DropKey(key) => self.drop_key(*key),
            Change::AddReport(row) => self.add_report(row),
            Change::PutDecision(row) => self.put_decision(row),
            Change::DropScores { agent, before_day } => {
                let Some(agent) = self.names.find(&self.conn, agent.as_str())? else { return Ok(()) };
                self.run_sql("DELETE FROM scores WHERE agent = ?1 AND day < ?2", params![agent, before_day])
            }
            Change::AddLetter(row) => self.add_letter(row),
            Change::Letter { id, action, at } => self.act_on_letter(*id, action, *at),
        }
    }

    /// Writes what was only collected so far. The last step before each commit.
    pub(crate) fn settle(&mut self) -> Result<(), StoreError> {
        if self.newest_event > 0 {
            raise(&self.conn, EVENT, self.newest_event)?;
            self.newest_event = 0;
        }
        self.samples.write(&self.conn)?;
        Ok(())
    }

    /// Forgets what is only remembered: the whole transaction was taken back.
    pub(crate) fn forget(&mut self) {
        self.names.forget();
        self.samples = SampleCache::default();
        self.newest_execution = None;
        self.newest_event = 0;
        self.of_batch.clear();
    }

    fn agent(&mut self, agent: &AgentName) -> Result<i64, RowError> {
        self.names.number(&self.conn, agent.as_str())
    }

    fn forget_agent(&mut self, agent: &AgentName) -> Result<(), StoreError> {
        let Some(id) = self.names.find(&self.conn, agent.as_str())? else { return Ok(()) };
        self.run_sql("DELETE FROM agents WHERE agent = ?1", params![id])?;
        self.run_sql("DELETE FROM schedules WHERE agent = ?1", params![id])?;
        self.run_sql("DELETE FROM scores WHERE agent = ?1", params![id])?;
        self.samples.forget(id);
        self.run_sql("DELETE FROM samples WHERE agent = ?1", params![id])
    }

    fn run_sql(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        self.conn.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }
}
