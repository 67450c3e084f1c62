//! Where the notify sockets of agents are.
//!
//! Agents of other users have to reach them, and the state folder is for its owner only. So: `$RUNTIME_DIRECTORY` under
//! systemd; `/run/werkpilot-<hash of the state folder>` for root; else, where all agents are of the same user, a folder in
//! the state folder.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Which folder it is. The process host makes it.
pub(crate) fn of(state_dir: &Path) -> PathBuf {
    choose(state_dir, std::env::var_os("RUNTIME_DIRECTORY").as_deref(), rustix::process::geteuid().is_root())
}

/// Removes a folder outside of the state folder, if it is empty.
pub(crate) fn tidy(state_dir: &Path, runtime_dir: &Path) {
    if !runtime_dir.starts_with(state_dir) {
        let _ = std::fs::remove_dir(runtime_dir);
    }
}

fn choose(state_dir: &Path, systemd: Option<&OsStr>, root: bool) -> PathBuf {
    // Several folders are separated by colons (systemd.exec(5), RuntimeDirectory=); ours is the first.
    let systemd = systemd.and_then(|folders| folders.to_str()?.split(':').next().filter(|it| !it.is_empty()));
    match systemd {
        Some(folder) => Path::new(folder).join("notify"),
        None if root => {
            let hash = werkpilot_core::timetable::seed_of(&state_dir.to_string_lossy());
            PathBuf::from(format!("/run/werkpilot-{hash:016x}"))
        }
        None => state_dir.join("run/notify"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_other_users_can_reach_it() {
        let state = Path::new("/srv/state");
        assert_eq!(choose(state, Some(OsStr::new("/run/pilot:/run/b")), true), Path::new("/run/pilot/notify"));
        assert!(choose(state, None, true).starts_with("/run"));
        assert_ne!(choose(state, None, true), choose(Path::new("/srv/other"), None, true));
        assert_eq!(choose(state, Some(OsStr::new("")), false), Path::new("/srv/state/run/notify"));
    }
}
