//! What can go wrong, and what to do about it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::ErrorCode;
use werkpilot_core::ids::RunId;

use crate::lock::LockError;

/// Why a store could not be opened. Texts complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the state folder, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file was made by a newer version.
    #[error(
        "open {}: it has schema {found}, and this version knows up to {known}; install the version that wrote it, or \
         restore a backup from before the upgrade with `werkpilot state restore FILE`",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("open {}: it is no database of Werkpilot (application id {found:#x}); give another state folder", path.display())]
    NotOurs {
        /// Which file.
        path: PathBuf,
        /// What its header says.
        found: i64,
    },
    /// The file is damaged.
    #[error(
        "open {}: it is damaged ({what}); `werkpilot state check` tells how far, `werkpilot state restore FILE` brings \
         back a backup",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The schema could not be brought up to date; the file is as it was.
    #[error("bring {} up to date; it is as it was", path.display())]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<rusqlite_migration::Error>,
    },
    /// The disk or the file system does not play along.
    #[error("open {}", path.display())]
    Sqlite {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A folder or thread could not be made.
    #[error("prepare {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// Sorts an error of SQLite at start: damage is told apart from everything else.
    pub(crate) fn of(path: &std::path::Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { path, what: source.to_string() }
            }
            _ => Self::Sqlite { path, source },
        }
    }
}

/// Why something was not kept, or could not be read. Texts complete "failed to …".
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or failing; nothing of the batch is kept. Heals by itself.
    #[error("keep it on disk: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: Arc<str>,
    },
    /// It does not fit what is there; nothing of the batch is kept.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// So much waited for the disk that this was thrown away.
    #[error("keep it until the disk is back: too much waits already")]
    Dropped,
    /// The writer's thread is gone before this was on disk; whether it is kept is not known.
    #[error("hear from the writer of the store whether it is on disk")]
    WriterGone,
    /// A row is not what was written.
    #[error("read the state: it is damaged ({what}); see `werkpilot state check`")]
    Damaged {
        /// What was found.
        what: Arc<str>,
    },
    /// SQLite refused; a bug, or another program changed the file.
    #[error("use the state")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

/// A change that does not fit what is there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// There is an execution or accepted trigger of this id already.
    #[error("take in execution {0} a second time")]
    RunExists(RunId),
    /// There is no execution of this id.
    #[error("change execution {0}: it is not known")]
    NoSuchRun(RunId),
    /// The execution has its end already.
    #[error("change execution {0}: it has ended")]
    RunEnded(RunId),
    /// There is no dead letter of this id.
    #[error("change dead letter {0}: it is not there any more")]
    NoSuchLetter(u64),
    /// The dead letter is being replayed.
    #[error("change dead letter {letter}: it is being replayed as {run}")]
    Replaying {
        /// The letter.
        letter: u64,
        /// Its replay.
        run: RunId,
    },
    /// The dead letter was parked or replayed, and this is only for open ones.
    #[error("change dead letter {letter}: it is {state}")]
    LetterState {
        /// The letter.
        letter: u64,
        /// The word of its state.
        state: &'static str,
    },
    /// There is a report of this id already.
    #[error("take in report {0} a second time")]
    ReportExists(u64),
    /// A dead letter of this id was there before.
    #[error("take in dead letter {0} a second time")]
    LetterExists(u64),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged { what: error.to_string().into() }
            }
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::NoLargeFileSupport
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::PermissionDenied,
            ) => Self::Unavailable { reason: error.to_string().into() },
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// Why a row could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    /// It is not what was written.
    #[error("a row of {table} does not match its checksum")]
    Sum {
        /// Of which table.
        table: &'static str,
    },
    /// The checksum is right, but the value is none of ours.
    #[error("a row of {table} has a {column} that means nothing")]
    Value {
        /// Of which table.
        table: &'static str,
        /// In which column.
        column: &'static str,
    },
    /// SQLite could not read it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        match error {
            RowError::Sqlite(
                source @ (rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::Utf8Error(..)),
            ) => Self::Damaged { what: source.to_string().into() },
            RowError::Sqlite(source) => source.into(),
            other => Self::Damaged { what: other.to_string().into() },
        }
    }
}
