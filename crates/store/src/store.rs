//! The open store: the lock, the writer, and the door to readers.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use werkpilot_core::time::Timestamp;

use crate::error::{OpenError, StoreError};
use crate::lock::StateLock;
use crate::maintenance::check;
use crate::reader::Reader;
use crate::schema;
use crate::writer::Writer;

/// The database's file in the state folder.
pub const FILE: &str = "werkpilot.db";

/// The state of one orchestrator, open.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    writer: Writer,
    startup: Duration,
    /// Last, so that it is let go after everything else.
    _lock: Option<StateLock>,
}

impl Store {
    /// Locks the state folder, brings the database up to date, looks at it and starts the writer. Makes what is not
    /// there.
    ///
    /// # Errors
    /// [`OpenError`] says what to do about it.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, OpenError> {
        let lock = StateLock::take(state_dir, now)?;
        Self::opened(state_dir, Some(lock))
    }

    /// The same for a caller that has the folder's lock already and keeps it.
    ///
    /// # Errors
    /// [`OpenError`] says what to do about it.
    pub fn open_locked(state_dir: &Path) -> Result<Self, OpenError> {
        Self::opened(state_dir, None)
    }

    fn opened(state_dir: &Path, lock: Option<StateLock>) -> Result<Self, OpenError> {
        let begun = Instant::now();
        let path = state_dir.join(FILE);
        let conn = schema::open_for_writing(&path)?;
        look_at(&conn, &path)?;
        let writer = Writer::start_on(conn, &path)?;
        Ok(Self { path, writer, startup: begun.elapsed(), _lock: lock })
    }

    /// The handle of the writer.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Starts another writer after the thread of the last one died. Handles of the old one answer that it is gone.
    ///
    /// # Errors
    /// [`OpenError`]: the file cannot be opened any more.
    pub fn restart_writer(&mut self) -> Result<&Writer, OpenError> {
        let conn = schema::open_for_writing(&self.path)?;
        self.writer = Writer::start_on(conn, &self.path)?;
        Ok(&self.writer)
    }

    /// A connection that reads, for one thread at a time.
    ///
    /// # Errors
    /// [`StoreError`]: the file cannot be opened.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Reader::on(&self.path)
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How long opening took.
    pub const fn startup(&self) -> Duration {
        self.startup
    }

    /// Commits what was handed in, ends the writer, and lets the folder go.
    ///
    /// # Errors
    /// The disk did not take all of it, or not in time.
    pub fn close(self, timeout: Duration) -> Result<(), StoreError> {
        self.writer.close(timeout)
    }
}

fn look_at(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    match check::at_start(conn) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => Err(OpenError::Damaged { path: path.to_owned(), what }),
        Err(error) => Err(OpenError::of(path, error)),
    }
}
