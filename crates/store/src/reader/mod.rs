//! Questions to the state, on read-only connections beside the writer. Each sees what was committed when it asked.
//!
//! A list comes in pages. What an index cannot answer (a text, a trigger's kind) is looked for row by row, at most
//! [`EXAMINED`] rows to a page, so that every page comes in milliseconds; one with few rows may still have a next one.

pub(crate) mod access;
mod events;
mod history;
mod letters;
mod optimizer;
mod recent;
mod state;

use std::cell::RefCell;
use std::path::Path;

use rusqlite::{Connection, Params, Row};
use serde::Serialize;

use crate::error::{RowError, StoreError};
use crate::names::Names;

pub use access::{AuditFilter, AuditPage, AuditReport};
pub use events::EventFilter;
pub use history::{HistoryCursor, HistoryFilter};
pub use letters::{LetterFilter, LetterGroup};
pub use recent::EndedAt;
pub use state::Counts;

/// Rows that are looked at for a page: about 10 ms.
pub const EXAMINED: usize = 2_500;
/// Rows of a page at most.
pub const PAGE: usize = 1_000;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<R, C> {
    /// The rows.
    pub rows: Vec<R>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<C>,
}

/// A connection that reads. For one thread at a time.
#[derive(Debug)]
pub struct Reader {
    conn: Connection,
    names: RefCell<Names>,
}

impl Reader {
    /// Opens the database of a state folder for reading, also while an orchestrator uses it.
    ///
    /// # Errors
    /// [`StoreError`]: it is not there, or damaged.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        Self::on(&state_dir.join(crate::FILE))
    }

    pub(crate) fn on(path: &Path) -> Result<Self, StoreError> {
        let conn = crate::schema::open_for_reading(path)?;
        Ok(Self { conn, names: RefCell::default() })
    }

    /// All rows of a query.
    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>, &Connection, &mut Names) -> Result<T, RowError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row, &self.conn, &mut self.names.borrow_mut())?);
        }
        Ok(found)
    }

    /// A page of a query whose rows come in the list's order: those that `fits` accepts, up to `limit`, and the cursor
    /// of the last row looked at, unless the query came to its end.
    fn page<T, C>(
        &self,
        sql: &str,
        params: impl Params,
        limit: usize,
        mut read: impl FnMut(&Row<'_>, &Connection, &mut Names) -> Result<T, RowError>,
        cursor: impl Fn(&Row<'_>, &T) -> rusqlite::Result<C>,
        fits: impl Fn(&T) -> bool,
    ) -> Result<Page<T, C>, StoreError> {
        let limit = limit.clamp(1, PAGE);
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        let mut examined = 0;
        let mut next = None;
        loop {
            let Some(row) = rows.next()? else { return Ok(Page { rows: found, next: None }) };
            // There is one more, so that the page before it has a next one.
            if found.len() == limit || examined == EXAMINED {
                return Ok(Page { rows: found, next });
            }
            let item = read(row, &self.conn, &mut self.names.borrow_mut())?;
            next = Some(cursor(row, &item)?);
            examined += 1;
            if fits(&item) {
                found.push(item);
            }
        }
    }

    /// The number of a name, if it has one.
    fn number(&self, name: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.names.borrow_mut().find(&self.conn, name)?)
    }
}

/// Whether a text contains another one, whatever their case.
fn contains(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}
