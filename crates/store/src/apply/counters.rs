//! Numbers that only grow.

use rusqlite::{Connection, OptionalExtension};

use crate::error::RowError;
use crate::row::whole;
use crate::sum;

pub(crate) const TABLE: &str = "counters";
/// The number of the newest event.
pub(crate) const EVENT: &str = "event";
/// The id of the newest dead letter.
pub(crate) const LETTER: &str = "dead_letter";
/// How many dead letters gave way to newer ones.
pub(crate) const EVICTED: &str = "dead_letters_evicted";
/// How often the writer tried whether the disk is back.
pub(crate) const PROBE: &str = "probe";

/// The value of a counter; 0 where it was never raised.
pub(crate) fn value(conn: &Connection, name: &str) -> Result<u64, RowError> {
    let mut statement = conn.prepare_cached("SELECT * FROM counters WHERE name = ?1")?;
    let found = statement.query_row([name], |row| Ok(sum::verify(TABLE, row).map(|()| row.get::<_, i64>(1))));
    let Some(checked) = found.optional()? else { return Ok(0) };
    u64::try_from(checked??).map_err(|_| RowError::Value { table: TABLE, column: "value" })
}

/// Raises a counter to this value; a counter never falls.
pub(crate) fn raise(conn: &Connection, name: &str, to: u64) -> Result<(), RowError> {
    if value(conn, name)? < to {
        let sql = "INSERT OR REPLACE INTO counters VALUES (?1, ?2, ?3)";
        sum::write(conn, sql, TABLE, &[&name, &whole(to)])?;
    }
    Ok(())
}
