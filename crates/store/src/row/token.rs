//! Tokens of the API. Of a secret only its SHA-256 is kept.

use rusqlite::{Connection, Row, ToSql};
use werkpilot_core::role::Role;
use werkpilot_core::time::Timestamp;

use super::{Columns, millis};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "tokens";

/// A token. Written as a whole; the last one of an id counts.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Its public id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of its secret.
    pub hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// When it was used last, to the minute or so.
    pub last_used_at: Option<Timestamp>,
    /// From when on it is good for nothing.
    pub revoked_at: Option<Timestamp>,
}

/// Without the hash: it belongs into no log.
impl std::fmt::Debug for TokenRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenRow")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("role", &self.role)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

impl TokenRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        Ok(Self {
            id: columns.get()?,
            name: columns.get()?,
            role: columns.word("role")?,
            hash: columns.get()?,
            created_at: columns.time()?,
            created_by: columns.get()?,
            last_used_at: columns.maybe_time()?,
            revoked_at: columns.maybe_time()?,
        })
    }

    pub(crate) fn put(&self, conn: &Connection) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let columns: [&dyn ToSql; 8] = [
            &self.id,
            &self.name,
            &self.role.as_str(),
            &self.hash,
            &self.created_at.as_millis(),
            &self.created_by,
            &millis(self.last_used_at),
            &millis(self.revoked_at),
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}
