//! Retention in small steps, so that no commit of others waits long behind it. What is evicted is told, never silent.

use rusqlite::{Connection, params};
use serde::Serialize;
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;

use crate::apply::Applier;
use crate::error::StoreError;
use crate::names::Names;
use crate::row::letter::{LetterRow, LetterState, number};
use crate::row::{self, whole};

/// Rows of a kind that one step takes out: about 5 ms.
pub const STEP: usize = 500;

/// Free pages that one tidying gives back to the disk: 4 MB.
const PAGES: u32 = 1_024;

/// What is to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Executions that ended earlier go.
    pub executions_before: Option<Timestamp>,
    /// So many ended executions per agent stay.
    pub executions_per_agent: Option<u64>,
    /// Events recorded earlier go.
    pub events_before: Option<Timestamp>,
    /// So many events stay.
    pub events: Option<u64>,
    /// Dead letters given up earlier go, unless they are being replayed.
    pub letters_before: Option<Timestamp>,
    /// So many dead letters stay; those being replayed count, and go last.
    pub letters: Option<u64>,
    /// Entries of the audit log written earlier go.
    pub audit_before: Option<Timestamp>,
    /// So many entries of the audit log stay.
    pub audit: Option<u64>,
}

/// What a step took out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Executions.
    pub executions: u64,
    /// Events.
    pub events: u64,
    /// Dead letters, oldest first.
    pub letters: Vec<EvictedLetter>,
    /// Entries of the audit log.
    pub audit: u64,
    /// There is more to do.
    pub more: bool,
}

/// A dead letter that gave way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EvictedLetter {
    /// Which.
    pub id: u64,
    /// Whose.
    pub agent: AgentName,
    /// Its error's signature.
    pub signature: String,
    /// What was being done about it.
    pub state: LetterState,
}

/// One step, as a transaction of its own.
pub(crate) fn step(applier: &mut Applier, retention: &Retention) -> Result<Pruned, StoreError> {
    let pruned = applier.conn.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from).and_then(|()| {
        let pruned = within(applier, retention)?;
        applier.conn.execute_batch("COMMIT")?;
        Ok(pruned)
    });
    if !applier.conn.is_autocommit() {
        let _ = applier.conn.execute_batch("ROLLBACK");
    }
    pruned
}

fn within(applier: &Applier, retention: &Retention) -> Result<Pruned, StoreError> {
    let conn = &applier.conn;
    let executions = executions(conn, retention)?;
    let events = events(conn, retention)?;
    let letters = letters(conn, retention)?;
    if !letters.is_empty() {
        applier.count_evicted(letters.len() as u64)?;
    }
    let audit = audit(conn, retention)?;
    let more = executions >= STEP || events >= STEP || letters.len() >= STEP || audit >= STEP as u64;
    Ok(Pruned { executions: executions as u64, events: events as u64, letters, audit, more })
}

fn executions(conn: &Connection, retention: &Retention) -> Result<usize, StoreError> {
    let mut gone = 0;
    if let Some(before) = retention.executions_before {
        let sql = "DELETE FROM executions WHERE id IN
                   (SELECT id FROM executions WHERE ended_ms < ?1 ORDER BY ended_ms, id LIMIT ?2)";
        gone += conn.prepare_cached(sql)?.execute(params![before.as_millis(), whole(STEP as u64)])?;
    }
    let Some(keep) = retention.executions_per_agent else { return Ok(gone) };
    for agent in agents_of_history(conn)? {
        if gone >= STEP {
            break;
        }
        let sql = "DELETE FROM executions WHERE id IN
                   (SELECT id FROM executions WHERE agent = ?1 AND ended_ms IS NOT NULL
                    ORDER BY ended_ms DESC, id DESC LIMIT ?2 OFFSET ?3)";
        let most = whole((STEP - gone) as u64);
        gone += conn.prepare_cached(sql)?.execute(params![agent, most, whole(keep)])?;
    }
    Ok(gone)
}

/// The agents with ended executions, by one look into the index for each.
fn agents_of_history(conn: &Connection) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT min(agent) FROM executions WHERE agent > ?1 AND ended_ms IS NOT NULL";
    let mut next = conn.prepare_cached(sql)?;
    let mut agents = Vec::new();
    let mut last = 0;
    while let Some(agent) = next.query_row([last], |row| row.get::<_, Option<i64>>(0))? {
        agents.push(agent);
        last = agent;
    }
    Ok(agents)
}

fn events(conn: &Connection, retention: &Retention) -> Result<usize, StoreError> {
    let mut gone = 0;
    if let Some(before) = retention.events_before {
        // Numbers go with time but for steps of the clock: the oldest ones are looked at.
        let sql = "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?2) AND at_ms < ?1";
        gone += conn.prepare_cached(sql)?.execute(params![before.as_millis(), whole(STEP as u64)])?;
    }
    if let Some(keep) = retention.events {
        // Numbers have no gaps to speak of, so that the bound is a number.
        let sql = "DELETE FROM events WHERE seq IN (SELECT seq FROM events ORDER BY seq LIMIT ?2)
                   AND seq <= (SELECT max(seq) FROM events) - ?1";
        let most = STEP.saturating_sub(gone) as u64;
        gone += conn.prepare_cached(sql)?.execute(params![whole(keep), whole(most)])?;
    }
    Ok(gone)
}

fn letters(conn: &Connection, retention: &Retention) -> Result<Vec<EvictedLetter>, StoreError> {
    let mut gone = Vec::new();
    let replaying = number(LetterState::Replaying);
    if let Some(before) = retention.letters_before {
        let sql = "SELECT * FROM dead_letters WHERE at_ms < ?1 AND state <> ?2 ORDER BY at_ms, id LIMIT ?3";
        evict(conn, sql, params![before.as_millis(), replaying, whole(STEP as u64)], &mut gone)?;
    }
    if let Some(keep) = retention.letters {
        let count: i64 = conn.query_row("SELECT count(*) FROM dead_letters", [], |row| row.get(0))?;
        let surplus = count.saturating_sub(whole(keep)).clamp(0, whole(STEP as u64));
        if surplus > 0 {
            let sql = "SELECT * FROM dead_letters WHERE state <> ?1 ORDER BY id LIMIT ?2";
            evict(conn, sql, params![replaying, surplus], &mut gone)?;
        }
    }
    Ok(gone)
}

/// Takes the oldest entries out, and keeps the newest of them as the anchor of the rest: always from the beginning on,
/// whatever a clock that was set says of their age.
fn audit(conn: &Connection, retention: &Retention) -> Result<u64, StoreError> {
    let anchor = row::audit::end(conn, row::audit::ANCHOR)?;
    let head = row::audit::end(conn, row::audit::HEAD)?;
    let surplus = retention.audit.map_or(0, |keep| head.id.saturating_sub(keep));
    let mut last = anchor;
    let mut statement = conn.prepare_cached("SELECT * FROM audit ORDER BY id LIMIT ?1")?;
    let mut rows = statement.query([whole(STEP as u64)])?;
    while let Some(row) = rows.next()? {
        let entry = row::audit::read(row, conn, &mut Names::default())?;
        let is_old = retention.audit_before.is_some_and(|before| entry.entry.time < before);
        if !is_old && entry.id > surplus {
            break;
        }
        last = entry.link();
    }
    drop(rows);
    if last == anchor {
        return Ok(0);
    }
    row::audit::put_end(conn, row::audit::ANCHOR, last)?;
    let gone = conn.prepare_cached("DELETE FROM audit WHERE id <= ?1")?.execute([whole(last.id)])?;
    Ok(gone as u64)
}

fn evict(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
    gone: &mut Vec<EvictedLetter>,
) -> Result<(), StoreError> {
    let mut names = Names::default();
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        let letter = LetterRow::read(row, conn, &mut names)?;
        conn.prepare_cached("DELETE FROM dead_letters WHERE id = ?1")?.execute([whole(letter.id)])?;
        let LetterRow { id, agent, signature, state, .. } = letter;
        gone.push(EvictedLetter { id, agent, signature, state });
    }
    Ok(())
}

/// Tables whose filling decides how something is looked for.
const ANALYZED: [&str; 4] = ["executions", "events", "dead_letters", "digests"];

/// Counts anew how a table is filled; whether there is one of the next number. At most 400 entries of each index are looked
/// at, however large the table is.
pub(crate) fn analyze(conn: &Connection, table: u32) -> Result<bool, StoreError> {
    let at = usize::try_from(table).unwrap_or(usize::MAX);
    if let Some(table) = ANALYZED.get(at) {
        conn.execute_batch(&format!("PRAGMA analysis_limit = 400; ANALYZE {table}"))?;
    }
    Ok(at.saturating_add(1) < ANALYZED.len())
}

/// Gives free pages back, shortens the log, refreshes what the planner knows.
pub(crate) fn tidy(conn: &Connection) -> Result<(), StoreError> {
    conn.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
    // Readers may hold the log; the next time, then.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}
