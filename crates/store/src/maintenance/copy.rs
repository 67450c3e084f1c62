//! Copies of the database, made and put back so that there is a whole one at each moment.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use werkpilot_core::time::Timestamp;

use super::check::{CheckReport, check_file};
use crate::error::OpenError;
use crate::lock::{LockError, StateLock};
use crate::{FILE, schema};

/// Why a copy was not made or put back. Texts complete "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The orchestrator runs; it has to be stopped for this.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database, or the backup, cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy, or the backup, is not whole.
    #[error("use {}: it is damaged ({})", path.display(), report.problems.first().map_or("", String::as_str))]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found.
        report: Box<CheckReport>,
    },
    /// There is such a file already.
    #[error("write {}: it is there already", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// SQLite could not copy.
    #[error("copy {}", path.display())]
    Copy {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The disk or the file system does not play along.
    #[error("write {}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What tidying brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// Size of the file before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Copies the database into a new file, checks the copy, and has it on disk before its name is there. An orchestrator may
/// run meanwhile and is not held up; the copy is what was committed when it began.
///
/// # Errors
/// [`MaintenanceError`]; there is no file of this name then.
pub fn backup(state_dir: &Path, to: &Path) -> Result<CheckReport, MaintenanceError> {
    if to.exists() {
        return Err(MaintenanceError::Exists { path: to.to_owned() });
    }
    let from = state_dir.join(FILE);
    let partial = beside(to, ".partial");
    let _ = fs::remove_file(&partial);
    let made = copied(&from, &partial, to);
    if made.is_err() {
        let _ = fs::remove_file(&partial);
    }
    made
}

fn copied(from: &Path, partial: &Path, to: &Path) -> Result<CheckReport, MaintenanceError> {
    let failed = |source| MaintenanceError::Copy { path: from.to_owned(), source };
    let conn = schema::open_for_reading(from).map_err(|error| OpenError::of(from, error))?;
    schema::recognise(&conn, from)?;
    // Reading only, but for the new file.
    conn.pragma_update(None, "query_only", false).map_err(failed)?;
    conn.execute("VACUUM INTO ?1", [partial.to_string_lossy()]).map_err(failed)?;
    let report = checked(partial)?;
    let broken = |source| MaintenanceError::Io { path: to.to_owned(), source };
    File::open(partial).and_then(|file| file.sync_all()).map_err(broken)?;
    fs::rename(partial, to).and_then(|()| sync_folder(to)).map_err(broken)?;
    Ok(report)
}

/// Puts a backup in the place of the database. The old one is kept beside it; answers where. Refused while an
/// orchestrator has the folder.
///
/// # Errors
/// [`MaintenanceError`]; the database is as it was then.
pub fn restore(state_dir: &Path, from: &Path, now: Timestamp) -> Result<Option<PathBuf>, MaintenanceError> {
    let _lock = StateLock::take(state_dir, now)?;
    checked(from)?;
    let place = state_dir.join(FILE);
    let new = beside(&place, ".restoring");
    let broken = |source| MaintenanceError::Io { path: place.clone(), source };
    fs::copy(from, &new).map_err(broken)?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(broken)?;
    let old = beside(&place, &format!(".before-restore-{}", now.as_millis()));
    let kept = place.exists();
    if kept {
        // A second name, so that there is a database at each moment; then its log, which is none of the new one's.
        fs::hard_link(&place, &old).map_err(broken)?;
    }
    if beside(&place, "-wal").exists() {
        fs::rename(beside(&place, "-wal"), beside(&old, "-wal")).map_err(broken)?;
    }
    fs::rename(&new, &place).and_then(|()| sync_folder(&place)).map_err(broken)?;
    let _ = fs::remove_file(beside(&place, "-shm"));
    Ok(kept.then_some(old))
}

/// Rewrites the database without its gaps. Refused while an orchestrator has the folder; that one tidies by itself.
///
/// # Errors
/// [`MaintenanceError`]; the database is as it was then.
pub fn vacuum(state_dir: &Path, now: Timestamp) -> Result<Vacuumed, MaintenanceError> {
    let _lock = StateLock::take(state_dir, now)?;
    let path = state_dir.join(FILE);
    let size = || fs::metadata(&path).map_or(0, |metadata| metadata.len());
    let conn = schema::open_for_writing(&path)?;
    let bytes_before = size();
    let rewritten = conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    rewritten.map_err(|source| MaintenanceError::Copy { path: path.clone(), source })?;
    drop(conn);
    Ok(Vacuumed { bytes_before, bytes_after: size() })
}

fn checked(path: &Path) -> Result<CheckReport, MaintenanceError> {
    let report = check_file(path)?;
    if report.problems.is_empty() {
        return Ok(report);
    }
    Err(MaintenanceError::Damaged { path: path.to_owned(), report: Box::new(report) })
}

/// The path with something appended to its name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Has a file's name on disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
