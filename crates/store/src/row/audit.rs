//! Entries of the audit log, and the ends of their chain.

use rusqlite::{Connection, OptionalExtension, Row, ToSql};
use werkpilot_core::audit::{Entry, Link, Sealed};

use super::{Columns, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "audit";
pub(crate) const ENDS: &str = "audit_ends";
/// The newest entry that was pruned.
pub(crate) const ANCHOR: &str = "anchor";
/// The newest entry.
pub(crate) const HEAD: &str = "head";

/// An entry as it is kept.
pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Sealed, RowError> {
    let mut columns = Columns::verified(TABLE, row, conn, names)?;
    Ok(Sealed {
        id: columns.unsigned("id")?,
        entry: Entry {
            time: columns.time()?,
            who: columns.get()?,
            way: columns.get()?,
            peer: columns.get()?,
            action: columns.get()?,
            target: columns.get()?,
            before: columns.get()?,
            after: columns.get()?,
            status: columns.maybe("status")?,
            detail: columns.get()?,
        },
        prev: columns.digest()?,
        hash: columns.digest()?,
    })
}

pub(crate) fn insert(conn: &Connection, sealed: &Sealed) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    let Sealed { id, entry, prev, hash } = sealed;
    let columns: [&dyn ToSql; 13] = [
        &whole(*id),
        &entry.time.as_millis(),
        &entry.who,
        &entry.way,
        &entry.peer,
        &entry.action,
        &entry.target,
        &entry.before,
        &entry.after,
        &entry.status,
        &entry.detail,
        prev.as_bytes(),
        hash.as_bytes(),
    ];
    sum::write(conn, sql, TABLE, &columns)
}

/// An end of the chain; the start where nothing was written.
pub(crate) fn end(conn: &Connection, name: &str) -> Result<Link, RowError> {
    let mut statement = conn.prepare_cached("SELECT * FROM audit_ends WHERE name = ?1")?;
    let mut names = Names::default();
    let found = statement.query_row([name], |row| {
        Ok(Columns::verified(ENDS, row, conn, &mut names).and_then(|mut columns| {
            let _: String = columns.get()?;
            Ok(Link { id: columns.unsigned("id")?, hash: columns.digest()? })
        }))
    });
    found.optional()?.unwrap_or(Ok(Link::START))
}

pub(crate) fn put_end(conn: &Connection, name: &str, link: Link) -> rusqlite::Result<usize> {
    let sql = "INSERT OR REPLACE INTO audit_ends VALUES (?1, ?2, ?3, ?4)";
    sum::write(conn, sql, ENDS, &[&name, &whole(link.id), link.hash.as_bytes()])
}
