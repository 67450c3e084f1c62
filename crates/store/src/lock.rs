//! The lock of a state folder: one orchestrator at a time, and the second one is told who the first one is.
//!
//! An advisory lock (flock(2)) on `<state>/lock`, so it ends with the process that holds it, however that ends. The text
//! in the file, `{"pid":…,"since":"…"}`, is for people and for the error message; without the lock it means nothing.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use werkpilot_core::time::Timestamp;

/// The lock's file in the state folder.
const LOCK: &str = "lock";
/// How long a lock is waited for whose holder is gone: a child that it was about to start has the lock, too, until the
/// program is loaded. Less than the second in which a second orchestrator has to give up.
const GONE: Duration = Duration::from_millis(500);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(5);

/// Why a state folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It could not be made, or the lock's file not be written.
    #[error("lock the state folder {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another process has it.
    #[error("take the state folder {}: an orchestrator{} uses it", path.display(), in_brackets(holder.as_ref()))]
    Locked {
        /// Which.
        path: PathBuf,
        /// Who and since when, unless it has not written that down yet.
        holder: Option<Holder>,
    },
}

/// Who has a state folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it took the folder.
    pub since: Timestamp,
}

fn in_brackets(holder: Option<&Holder>) -> String {
    holder.map(|holder| format!(" (pid {}, since {})", holder.pid, holder.since)).unwrap_or_default()
}

impl Holder {
    /// What the lock file of a state folder says; `None` if there is none. It may hold the lock no more.
    pub fn of(state_dir: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(state_dir.join(LOCK)).ok()?)
    }

    /// Whether there is no process of this id any more.
    fn is_gone(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    }

    /// Reads JSON, and what version 0.1 wrote: `pid 7 since 2026-01-01T00:00:00.000Z`.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(holder) = serde_json::from_str(text) {
            return Some(holder);
        }
        let (pid, since) = text.strip_prefix("pid ")?.split_once(" since ")?;
        let since = serde_json::from_value(serde_json::Value::String(since.to_owned())).ok()?;
        Some(Self { pid: pid.parse().ok()?, since })
    }
}

/// A state folder that is ours for as long as this lives.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the folder, for its owner only, if it is not there, and locks it. Waits only for what is left of a holder that
    /// was killed.
    ///
    /// # Errors
    /// [`LockError`]; another holder is named.
    pub fn take(state_dir: &Path, since: Timestamp) -> Result<Self, LockError> {
        let broken = |source| LockError::Io { path: state_dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(broken)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(state_dir.join(LOCK)).map_err(broken)?;
        let patience = Instant::now() + GONE;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(errno) => return Err(broken(errno.into())),
            }
            let mut text = String::new();
            let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
            let holder = read.ok().and_then(|_| Holder::parse(&text));
            if !holder.as_ref().is_some_and(Holder::is_gone) || Instant::now() > patience {
                return Err(LockError::Locked { path: state_dir.to_owned(), holder });
            }
            std::thread::sleep(AGAIN);
        }
        let holder = Holder { pid: std::process::id(), since };
        let text = serde_json::to_string(&holder).map_err(|error| broken(error.into()))? + "\n";
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(broken)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_the_first_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let since = Timestamp::from_millis(1_700_000_000_000);
        let first = StateLock::take(&dir.path().join("state"), since).unwrap();
        let error = StateLock::take(&dir.path().join("state"), since).unwrap_err();
        let expected = format!("(pid {}, since 2023-11-14T22:13:20.000Z) uses it", std::process::id());
        assert!(error.to_string().ends_with(&expected), "{error}");
        let LockError::Locked { holder: Some(holder), .. } = error else { panic!("{error}") };
        assert_eq!(holder, Holder { pid: std::process::id(), since });
        drop(first);
        StateLock::take(&dir.path().join("state"), since).unwrap();
    }

    #[test]
    fn what_is_left_of_a_holder_that_was_killed_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let since = Timestamp::from_millis(1_700_000_000_000);
        let first = StateLock::take(dir.path(), since).unwrap();
        // Beyond the highest pid that Linux gives out (2^22).
        std::fs::write(dir.path().join(LOCK), "pid 4194305 since 2023-11-14T22:13:20.000Z\n").unwrap();
        let second = std::thread::spawn({
            let dir = dir.path().to_owned();
            move || StateLock::take(&dir, since)
        });
        drop(first);
        second.join().unwrap().unwrap();
        let held = StateLock::take(dir.path(), since).unwrap();
        std::fs::write(dir.path().join(LOCK), "pid 4194305 since 2023-11-14T22:13:20.000Z\n").unwrap();
        assert!(matches!(StateLock::take(dir.path(), since), Err(LockError::Locked { .. })), "not for ever");
        drop(held);
    }

    #[test]
    fn the_text_of_the_first_version_is_understood() {
        let since = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(Holder::parse("pid 7 since 2023-11-14T22:13:20.000Z\n"), Some(Holder { pid: 7, since }));
        assert_eq!(Holder::parse(""), None);
        assert_eq!(Holder::parse("pid x since y"), None);
    }
}
