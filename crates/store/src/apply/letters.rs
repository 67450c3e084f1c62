//! Dead letters: taken in once, replayed by one at a time, thrown away by somebody or by their bound.

use rusqlite::{OptionalExtension, params};
use werkpilot_core::dead_letters::{LetterRefusal, Standing, Step};
use werkpilot_core::time::Timestamp;

use super::{Applier, EVICTED, LETTER, raise, value};
use crate::change::LetterAction;
use crate::error::{Conflict, StoreError};
use crate::row::letter::LetterRow;
use crate::row::whole;

const INSERT: &str = "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
                      ?15, ?16, ?17) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE dead_letters SET payload = ?9, state = ?11, replay_run = ?12, waits_for = ?13, replays = ?14, \
                      kills = ?15, updated_ms = ?16, sum = ?17 WHERE id = ?1";

impl Applier {
    pub(super) fn add_letter(&mut self, row: &LetterRow) -> Result<(), StoreError> {
        if row.id <= value(&self.conn, LETTER)? {
            return Err(Conflict::LetterExists(row.id).into());
        }
        self.write_letter(INSERT, row)?;
        raise(&self.conn, LETTER, row.id)?;
        Ok(())
    }

    pub(super) fn act_on_letter(&mut self, id: u64, action: &LetterAction, at: Timestamp) -> Result<(), StoreError> {
        let mut row = self.letter(id)?;
        let step = match action {
            LetterAction::Take(step) => step,
            LetterAction::Edit(_) => &Step::Edit,
            LetterAction::Evict => {
                self.delete_letter(id)?;
                return self.count_evicted(1);
            }
        };
        let next = row.standing().after(id, step).map_err(|refusal| conflict(&row, &refusal))?;
        if *step == Step::Discard {
            return self.delete_letter(id);
        }
        let Some(next) = next else { return Ok(()) };
        if let LetterAction::Edit(payload) = action {
            row.payload.clone_from(payload);
        }
        row.stand(Standing { updated_at: at, ..next });
        self.write_letter(UPDATE, &row)
    }

    fn delete_letter(&self, id: u64) -> Result<(), StoreError> {
        self.run_sql("DELETE FROM dead_letters WHERE id = ?1", params![whole(id)])
    }

    pub(crate) fn count_evicted(&self, more: u64) -> Result<(), StoreError> {
        raise(&self.conn, EVICTED, value(&self.conn, EVICTED)? + more)?;
        Ok(())
    }

    fn letter(&mut self, id: u64) -> Result<LetterRow, StoreError> {
        let mut statement = self.conn.prepare_cached("SELECT * FROM dead_letters WHERE id = ?1")?;
        let found = statement.query_row([whole(id)], |row| Ok(LetterRow::read(row, &self.conn, &mut self.names)));
        Ok(found.optional()?.ok_or(Conflict::NoSuchLetter(id))??)
    }

    fn write_letter(&mut self, sql: &'static str, row: &LetterRow) -> Result<(), StoreError> {
        let agent = self.agent(&row.agent)?;
        let waits_for = row.waits_for.as_ref().map(|agent| self.agent(agent)).transpose()?;
        row.write(&self.conn, sql, agent, waits_for)?;
        Ok(())
    }
}

/// What core's table refuses, as the store tells it.
const fn conflict(row: &LetterRow, refusal: &LetterRefusal) -> Conflict {
    match refusal {
        LetterRefusal::Replaying { letter, run } => Conflict::Replaying { letter: *letter, run: *run },
        _ => Conflict::LetterState { letter: row.id, state: row.state.as_str() },
    }
}
