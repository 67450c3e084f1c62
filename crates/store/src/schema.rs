//! The schema: connections, migrations, and what is looked at before a file is trusted.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use crate::error::OpenError;

/// "WKPT" in the file's header (`file(1)` and we tell it from other databases).
pub(crate) const APPLICATION_ID: i64 = 0x574B_5054;

/// Schemas so far. A migration, once released, is never edited; the next one is a further line, and leaves all rows with
/// checksums that fit (src/sum.rs).
const STEPS: &[M<'static>] = &[
    M::up(include_str!("migrations/0001_first.sql")),
    M::up(include_str!("migrations/0002_optimizer.sql")),
    M::up(include_str!("migrations/0003_access.sql")),
];

/// The schema that this version makes.
pub(crate) const NEWEST: i64 = 3;

/// How long a connection waits for another one's lock. Only `state vacuum` of another process holds one for long.
const BUSY: Duration = Duration::from_secs(5);

/// Prepared statements kept per connection: there are about 50.
const STATEMENTS: usize = 96;

/// Opens the file for writing, with an empty file made if there is none, and brings it up to date.
///
/// # Errors
/// [`OpenError`]: newer, not ours, damaged, or the disk; the file is as it was then.
pub(crate) fn open_for_writing(path: &Path) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::of(path, error);
    let mut conn = Connection::open(path).map_err(failed)?;
    prepare(&conn).map_err(failed)?;
    recognise(&conn, path)?;
    // Before the first table: pruning gives pages back in small steps.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(failed)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    migrate(&mut conn, path, &Migrations::from_slice(STEPS))?;
    Ok(conn)
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // FULL: in WAL mode, a commit that was acknowledged is on the disk.
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "trusted_schema", false)?;
    // 16 MB at most, taken as needed.
    conn.pragma_update(None, "cache_size", -16_000)
}

/// Opens the file for reading only.
pub(crate) fn open_for_reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    prepare(&conn)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn number(conn: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, pragma, |row| row.get(0))
}

/// Whether the file is ours and not from the future. An empty one is ours.
pub(crate) fn recognise(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::of(path, error);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let found = number(conn, "application_id").map_err(failed)?;
    let version = number(conn, "user_version").map_err(failed)?;
    if found != APPLICATION_ID && (tables > 0 || found != 0) {
        return Err(OpenError::NotOurs { path: path.to_owned(), found });
    }
    if version > NEWEST {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known: NEWEST });
    }
    if version < 0 || (version == 0 && tables > 0) {
        let what = format!("its schema is {version}, but it has {tables} tables and indices");
        return Err(OpenError::Damaged { path: path.to_owned(), what });
    }
    Ok(())
}

/// Each step is a transaction with its number in it: a step cut half way did not happen.
fn migrate(conn: &mut Connection, path: &Path, migrations: &Migrations<'_>) -> Result<(), OpenError> {
    migrations.to_latest(conn).map_err(|source| OpenError::Migrate { path: path.to_owned(), source: Box::new(source) })
}

/// What every database of this schema has in `sqlite_schema`.
fn text_of(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Whether tables and indices are what the migrations make up to the file's schema, which a backup may have kept from an
/// older version; says what is not.
pub(crate) fn compare(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let mut fresh = Connection::open_in_memory()?;
    let version = usize::try_from(number(conn, "user_version")?).unwrap_or(0);
    if Migrations::from_slice(STEPS).to_version(&mut fresh, version).is_err() {
        return Ok(Some("the schema cannot be made".to_owned()));
    }
    let (found, expected) = (text_of(conn)?, text_of(&fresh)?);
    let wrong =
        expected.iter().find(|line| !found.contains(line)).or(found.iter().find(|line| !expected.contains(line)));
    Ok(wrong.map(|line| format!("the schema is not ours at: {}", line.lines().next().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migrations_are_valid() {
        assert_eq!(i64::try_from(STEPS.len()), Ok(NEWEST));
        Migrations::from_slice(STEPS).validate().unwrap();
    }

    #[test]
    fn a_migration_that_fails_half_way_did_not_happen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("werkpilot.db");
        drop(open_for_writing(&path).unwrap());
        let bad = "CREATE TABLE next (a INTEGER) STRICT; DROP TABLE samples; SELECT * FROM nowhere;";
        let mut conn = Connection::open(&path).unwrap();
        let steps: Vec<M<'_>> = STEPS.iter().cloned().chain([M::up(bad)]).collect();
        let error = migrate(&mut conn, &path, &Migrations::from_slice(&steps)).unwrap_err();
        assert!(matches!(error, OpenError::Migrate { .. }), "{error}");
        drop(conn);
        let conn = open_for_writing(&path).unwrap();
        assert_eq!(number(&conn, "user_version").unwrap(), NEWEST);
        assert_eq!(compare(&conn).unwrap(), None);
    }

    #[test]
    fn a_connection_is_durable() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_for_writing(&dir.path().join("werkpilot.db")).unwrap();
        assert_eq!(number(&conn, "synchronous").unwrap(), 2);
        assert_eq!(number(&conn, "auto_vacuum").unwrap(), 2);
        assert_eq!(number(&conn, "application_id").unwrap(), APPLICATION_ID);
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
    }
}
