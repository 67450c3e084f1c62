//! Keys of requests that are done once, however often they are made.

use rusqlite::{Connection, Row, ToSql};
use werkpilot_core::digest::Digest;
use werkpilot_core::idempotency::{Answer, Remembered};

use super::{Columns, run_bytes};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "idempotency";

/// A key with what is remembered of it. Written as a whole; the last one of a key counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// The key.
    pub key: Digest,
    /// What is remembered.
    pub remembered: Remembered,
}

impl KeyRow {
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<Self, RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        let _: i64 = columns.get()?;
        let key = columns.digest()?;
        let (at, request, run) = (columns.time()?, columns.digest()?, columns.run("run")?);
        let (status, body): (Option<u16>, Option<String>) = (columns.maybe("status")?, columns.get()?);
        let answer = status.zip(body).map(|(status, body)| Answer { status, body });
        Ok(Self { key, remembered: Remembered { at, request, run, answer } })
    }

    pub(crate) fn put(&self, conn: &Connection, id: i64) -> rusqlite::Result<usize> {
        let sql = "INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let Remembered { at, request, run, answer } = &self.remembered;
        let columns: [&dyn ToSql; 7] = [
            &id,
            self.key.as_bytes(),
            &at.as_millis(),
            request.as_bytes(),
            &run_bytes(*run),
            &answer.as_ref().map(|answer| answer.status),
            &answer.as_ref().map(|answer| answer.body.as_str()),
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}
