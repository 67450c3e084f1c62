//! Moves what was committed from the log into the file, on a thread and a connection of its own, so that no commit waits
//! for it.
//!
//! A passive checkpoint takes no lock that a writer or reader needs. While commits follow each other closely the log is
//! never wholly moved, and so cannot begin anew: past [`LOG_PAGES`] the writer moves the little that is left itself. A log
//! that begins anew often stays small and is overwritten: a commit that makes the file longer costs the file system a
//! tenth more, and the disk a write of its own journal.

use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;

use rusqlite::Connection;

use crate::error::OpenError;
use crate::schema;

/// Changes between two checkpoints: about 2 MB of log.
const EVERY: usize = 500;

/// Pages of log (4 MB) past which the writer's own commit moves them.
const LOG_PAGES: u32 = 1_000;

/// The handle of the thread.
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    changes: usize,
}

impl Checkpointer {
    /// Starts the thread for the file that `writer` writes.
    pub(super) fn start(writer: &Connection, path: &Path) -> Result<Self, OpenError> {
        let conn = schema::open_for_writing(path)?;
        let configured = writer.pragma_update(None, "wal_autocheckpoint", LOG_PAGES);
        configured.map_err(|error| OpenError::of(path, error))?;
        // One wake-up is enough for all that was committed before it is heard.
        let (wake, woken) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || {
                while woken.recv().is_ok() {
                    if let Err(error) = run(&conn) {
                        // The commits are safe in the log; the next time, then.
                        log::debug!(target: "werkpilot::store", "failed to shorten the log: {error}");
                    }
                }
            })
            .map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        Ok(Self { wake: Some(wake), thread: Some(thread), changes: 0 })
    }

    /// So many changes were committed.
    pub(super) fn committed(&mut self, changes: usize) {
        self.changes += changes;
        if self.changes >= EVERY {
            self.changes = 0;
            if let Some(wake) = &self.wake {
                // Full: it is awake.
                let _ = wake.try_send(());
            }
        }
    }
}

impl Drop for Checkpointer {
    /// Waits for the thread: the connection that is closed last tidies up.
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Moves what no reader needs in the log any more.
pub(super) fn run(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
