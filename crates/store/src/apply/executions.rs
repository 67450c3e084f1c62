//! Triggers and executions: `intent` → `started` → one end.

use rusqlite::OptionalExtension;
use werkpilot_core::ids::RunId;

use super::Applier;
use crate::change::{ExecutionEnd, ExecutionStart};
use crate::error::{Conflict, StoreError};
use crate::row::execution::{ExecutionRow, ExecutionState};
use crate::row::run_bytes;
use crate::row::trigger::TriggerRow;

const INSERT: &str = "INSERT INTO executions VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                      ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23) ON CONFLICT (run) DO NOTHING";
/// Names only what may change: indices over the rest are left alone.
const UPDATE: &str = "UPDATE executions SET state = ?4, started_ms = ?9, ended_ms = ?10, attempt = ?11, pid = ?12, \
                      pid_start = ?13, boot_id = ?14, attempts = ?15, waited_us = ?16, duration_us = ?17, exit = ?18, \
                      reason = ?19, why = ?20, peak_bytes = ?21, log = ?22, sum = ?23 WHERE id = ?1";

impl Applier {
    pub(super) fn accept(&mut self, row: &TriggerRow) -> Result<(), StoreError> {
        let known =
            self.conn.prepare_cached("SELECT 1 FROM executions WHERE run = ?1")?.exists([run_bytes(row.run)])?;
        let agent = self.agent(&row.agent)?;
        if known || row.insert(&self.conn, agent)? == 0 {
            return Err(Conflict::RunExists(row.run).into());
        }
        Ok(())
    }

    pub(super) fn insert_execution(&mut self, row: &ExecutionRow) -> Result<(), StoreError> {
        let agent = self.agent(&row.agent)?;
        let newest = match self.newest_execution {
            Some(newest) => newest,
            None => self.conn.query_row("SELECT coalesce(max(id), 0) FROM executions", [], |row| row.get(0))?,
        };
        if row.write(&self.conn, INSERT, newest + 1, agent)? == 0 {
            return Err(Conflict::RunExists(row.run).into());
        }
        self.newest_execution = Some(newest + 1);
        Ok(())
    }

    pub(super) fn start_execution(&mut self, start: &ExecutionStart) -> Result<(), StoreError> {
        let (id, agent, mut row) = self.live(start.run)?;
        row.state = ExecutionState::Started;
        row.started_at = row.started_at.or(Some(start.at));
        row.attempt = start.attempt;
        row.process.clone_from(&start.process);
        if start.log.is_some() {
            row.log.clone_from(&start.log);
        }
        row.write(&self.conn, UPDATE, id, agent)?;
        Ok(())
    }

    pub(super) fn end_execution(&mut self, end: &ExecutionEnd) -> Result<(), StoreError> {
        let (id, agent, mut row) = self.live(end.run)?;
        row.state = ExecutionState::Ended(end.end);
        row.ended_at = Some(end.at);
        row.attempts.clone_from(&end.attempts);
        row.waited = end.waited;
        row.duration = end.duration;
        row.exit.clone_from(&end.exit);
        row.why.clone_from(&end.why);
        row.peak_bytes = end.peak_bytes;
        if end.log.is_some() {
            row.log.clone_from(&end.log);
        }
        row.write(&self.conn, UPDATE, id, agent)?;
        if !end.keep_trigger {
            self.run_sql("DELETE FROM triggers WHERE run = ?1", [run_bytes(end.run)])?;
        }
        Ok(())
    }

    /// An execution without an end, with its id and the number of its agent.
    fn live(&mut self, run: RunId) -> Result<(i64, i64, ExecutionRow), StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT * FROM executions WHERE run = ?1")?;
        let found = statement.query_row([run_bytes(run)], |row| {
            Ok((row.get::<_, i64>(2)?, ExecutionRow::read(row, &self.conn, &mut self.names)))
        });
        let Some((agent, read)) = found.optional()? else { return Err(Conflict::NoSuchRun(run).into()) };
        let (id, row) = read?;
        match row.state {
            ExecutionState::Ended(_) => Err(Conflict::RunEnded(run).into()),
            ExecutionState::Intent | ExecutionState::Started => Ok((id, agent, row)),
        }
    }
}
