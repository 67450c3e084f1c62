//! Reports of the optimizer and its decisions. A file of the first schema, which only a start brings up to date, has none.

use rusqlite::params;

use super::Reader;
use crate::error::StoreError;
use crate::row::optimizer::{DecisionRow, ReportRow};
use crate::row::whole;

impl Reader {
    /// Reports before this one, newest first, at most so many.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written; the same for all below.
    pub fn reports(&self, before: Option<u64>, limit: usize) -> Result<Vec<ReportRow>, StoreError> {
        if !self.has_optimizer()? {
            return Ok(Vec::new());
        }
        let (before, limit) = (before.map_or(i64::MAX, whole), whole(limit.min(super::PAGE) as u64));
        let sql = "SELECT * FROM reports WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        self.all(sql, params![before, limit], ReportRow::read)
    }

    /// One report.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn report(&self, id: u64) -> Result<Option<ReportRow>, StoreError> {
        if !self.has_optimizer()? {
            return Ok(None);
        }
        Ok(self.all("SELECT * FROM reports WHERE id = ?1", [whole(id)], ReportRow::read)?.pop())
    }

    /// All decisions that are kept, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn decisions(&self) -> Result<Vec<DecisionRow>, StoreError> {
        if !self.has_optimizer()? {
            return Ok(Vec::new());
        }
        self.all("SELECT * FROM decisions ORDER BY id", [], DecisionRow::read)
    }

    /// Bytes of the file, and those of them that nothing needs.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn size(&self) -> Result<(u64, u64), StoreError> {
        let number = |pragma| self.conn.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        let page = number("page_size")?;
        let bytes = |pages: i64| pages.saturating_mul(page).unsigned_abs();
        Ok((bytes(number("page_count")?), bytes(number("freelist_count")?)))
    }

    fn has_optimizer(&self) -> Result<bool, StoreError> {
        let version: i64 = self.conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(version >= 2)
    }
}
