//! The state folder of an orchestrator: locked for as long as it runs, with what tells its tools where to find it.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use werkpilot_core::time::Timestamp;
use werkpilot_store::{LockError, StateLock};

const ADDRESS: &str = "address";

/// A state folder that is ours for as long as this lives.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: StateLock,
}

/// The folder of what concerns the bus.
const BUS: &str = "bus";
/// How operators' tools reach the bus.
const OPERATOR: &str = "operator.json";

impl StateDir {
    /// Makes the folder, for its owner only, if it is not there, and locks it.
    ///
    /// # Errors
    /// [`LockError`]; another orchestrator is named, and not waited for.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let lock = StateLock::take(path, now())?;
        let path = path.canonicalize().map_err(|source| LockError::Io { path: path.to_owned(), source })?;
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
}
