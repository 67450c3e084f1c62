//! Dead letters: taken in once, replayed by one at a time, thrown away by somebody or by their bound.

use rusqlite::{OptionalExtension, params};
use werkpilot_core::time::Timestamp;

use super::{Applier, EVICTED, LETTER, raise, value};
use crate::change::LetterAction;
use crate::error::{Conflict, StoreError};
use crate::row::letter::{LetterRow, LetterState};
use crate::row::whole;

const INSERT: &str = "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, \
                      ?15, ?16, ?17) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE dead_letters SET payload = ?9, state = ?11, replay_run = ?12, waits_for = ?13, replays = ?14, \
                      kills = ?15, updated_ms = ?16, sum = ?17 WHERE id = ?1";

/// What an action makes of a letter.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Changed,
    Unchanged,
    Gone,
}

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
        match act(&mut row, action)? {
            Fate::Unchanged => Ok(()),
            Fate::Changed => {
                row.updated_at = at;
                self.write_letter(UPDATE, &row)
            }
            Fate::Gone => {
                self.run_sql("DELETE FROM dead_letters WHERE id = ?1", params![whole(id)])?;
                if *action == LetterAction::Evict {
                    self.count_evicted(1)?;
                }
                Ok(())
            }
        }
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

/// The table of what may be done about a letter in which state.
fn act(row: &mut LetterRow, action: &LetterAction) -> Result<Fate, Conflict> {
    use LetterState::{Open, Parked, Replayed, Replaying, Waiting};
    let wrong = Conflict::LetterState { letter: row.id, state: row.state.as_str() };
    let being_replayed = row.replay_run.map(|run| Conflict::Replaying { letter: row.id, run });
    match (row.state, action) {
        (_, LetterAction::Evict) => return Ok(Fate::Gone),
        (Replaying, LetterAction::EndReplay { run, succeeded, killed, park_after }) if row.replay_run == Some(*run) => {
            row.kills += u32::from(*killed);
            row.state = match (succeeded, row.kills >= *park_after && *killed) {
                (true, _) => Replayed,
                (false, true) => Parked,
                (false, false) => Open,
            };
        }
        // The end of a replay may be told twice, or late.
        (_, LetterAction::EndReplay { .. }) => return Ok(Fate::Unchanged),
        (Replaying, _) => return Err(being_replayed.unwrap_or(wrong)),
        (Open | Waiting, LetterAction::BeginReplay { run, .. })
        | (Parked | Replayed, LetterAction::BeginReplay { run, force: true }) => {
            row.state = Replaying;
            row.replay_run = Some(*run);
            row.waits_for = None;
            row.replays += 1;
        }
        (Open | Waiting, LetterAction::Await(agent)) => {
            row.state = Waiting;
            row.waits_for = Some(agent.clone());
        }
        (Waiting, LetterAction::StopWaiting) => {
            row.state = Open;
            row.waits_for = None;
        }
        (_, LetterAction::Edit(payload)) => {
            row.payload.clone_from(payload);
            // Another payload has not killed anybody yet.
            row.kills = 0;
            if row.state == Parked {
                row.state = Open;
            }
        }
        (_, LetterAction::Park) => {
            row.state = Parked;
            row.waits_for = None;
        }
        (_, LetterAction::Discard) => return Ok(Fate::Gone),
        (
            Open | Parked | Replayed,
            LetterAction::BeginReplay { .. } | LetterAction::Await(_) | LetterAction::StopWaiting,
        ) => return Err(wrong),
    }
    Ok(Fate::Changed)
}
