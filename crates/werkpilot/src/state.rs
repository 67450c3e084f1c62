//! The state folder and its lock: two orchestrators never share one.
//!
//! The lock is an advisory one (flock(2)) on `<state>/lock`, so it ends with the process that holds it, however that
//! ends. The text in the file is for people and for `werkpilot down --wait`.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use werkpilot_core::time::Timestamp;

const LOCK: &str = "lock";
const ADDRESS: &str = "address";

/// Why a state folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It could not be made.
    #[error("make the state folder {}", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It could not be locked or written to.
    #[error("write to the state folder {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another orchestrator has it.
    #[error("take the state folder {}: an orchestrator{} uses it", path.display(), holder.as_ref().map(Holder::in_brackets).unwrap_or_default())]
    InUse {
        /// Which.
        path: PathBuf,
        /// Who, unless it has not written that down yet.
        holder: Option<Holder>,
    },
}

/// The orchestrator that has a state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// When it was started, RFC 3339 in UTC.
    pub since: String,
}

impl Holder {
    fn in_brackets(&self) -> String {
        format!(" (pid {}, since {})", self.pid, self.since)
    }

    /// What the lock file of a state folder says; `None` if there is none. Nobody may hold the lock any more.
    pub fn of(state_dir: &Path) -> Option<Self> {
        Self::parse(&std::fs::read_to_string(state_dir.join(LOCK)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let (pid, since) = text.trim_end().strip_prefix("pid ")?.split_once(" since ")?;
        Some(Self { pid: pid.parse().ok()?, since: since.to_owned() })
    }
}

/// A state folder that is ours for as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Holds the lock.
    _lock: File,
}

/// The folder of what concerns the bus.
const BUS: &str = "bus";
/// How operators' tools reach the bus.
const OPERATOR: &str = "operator.json";

impl StateDir {
    /// Makes the folder, for its owner only, if it is not there, and locks it.
    ///
    /// # Errors
    /// [`StateError`]; another orchestrator is named, and not waited for.
    pub fn take(path: &Path) -> Result<Self, StateError> {
        let created = || -> io::Result<PathBuf> {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
            path.canonicalize()
        };
        let path = created().map_err(|source| StateError::Create { path: path.to_owned(), source })?;
        let broken = |source| StateError::Write { path: path.clone(), source };
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(file);
        let lock = lock.as_mut().map_err(|error| broken(io::Error::new(error.kind(), error.to_string())))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = lock.read_to_string(&mut text).ok().and_then(|_| Holder::parse(&text));
                return Err(StateError::InUse { path, holder });
            }
            Err(TryLockError::Error(source)) => return Err(broken(source)),
        }
        let mut lock = lock.try_clone().map_err(broken)?;
        let text = format!("pid {} since {}\n", std::process::id(), now());
        lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(text.as_bytes())).map_err(broken)?;
        // What a crashed one left would send people to the wrong place.
        let _ = std::fs::remove_file(path.join(ADDRESS));
        Ok(Self { path, _lock: lock })
    }

    /// The folder, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down where HTTP is served, for tools that start with port 0.
    pub(crate) fn write_address(&self, url: &str) -> io::Result<()> {
        // Whoever waits for the file must not find half of it.
        let new = self.path.join(format!("{ADDRESS}.new"));
        std::fs::write(&new, format!("{url}\n"))?;
        std::fs::rename(new, self.path.join(ADDRESS))
    }
}

impl StateDir {
    /// Writes down how operators' tools reach the bus; readable by the owner only.
    pub(crate) fn write_operator(&self, access: &impl serde::Serialize) -> io::Result<()> {
        let folder = self.path.join(BUS);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let new = folder.join("operator.json.new");
        // Whatever mode an older one had.
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(access)?)?;
        std::fs::rename(new, folder.join(OPERATOR))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.path.join(BUS).join(OPERATOR));
        let _ = std::fs::remove_file(self.path.join(ADDRESS));
    }
}

/// Where the orchestrator of a state folder serves HTTP, as it wrote it down.
pub fn address_of(state_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(state_dir.join(ADDRESS)).ok()?;
    Some(text.trim_end().to_owned())
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_state_folder_is_made_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(&dir.path().join("state")).unwrap();
        assert_eq!(state.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn the_second_one_is_told_who_the_first_one_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::take(dir.path()).unwrap();
        let error = StateDir::take(dir.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("(pid {}, since 2", std::process::id())), "{error}");
        drop(first);
        StateDir::take(dir.path()).unwrap();
    }

    #[test]
    fn the_address_goes_with_the_orchestrator() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::take(dir.path()).unwrap();
        state.write_address("http://127.0.0.1:3001/").unwrap();
        assert_eq!(address_of(dir.path()).as_deref(), Some("http://127.0.0.1:3001/"));
        drop(state);
        assert_eq!(address_of(dir.path()), None);
    }

    #[test]
    fn a_lock_file_that_says_nothing_names_nobody() {
        assert_eq!(Holder::parse(""), None);
        assert_eq!(Holder::parse("pid x since y\n"), None);
        assert_eq!(Holder::parse("pid 7 since y\n"), Some(Holder { pid: 7, since: "y".to_owned() }));
    }
}
