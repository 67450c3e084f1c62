//! The file with the admin token: made at the first start, for the owner of the state folder only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::secret::{PREFIX, Secret, has_token};

/// Its name in the state folder.
const FILE: &str = "admin.token";

/// The token in the file, which is made if there is none.
pub(crate) fn read_or_make(state_dir: &Path) -> io::Result<Secret> {
    let path = state_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) if has_token(text.trim()) && text.trim().starts_with(PREFIX) => {
            // Whoever copied it here may not have thought of its mode.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            return Ok(Secret::given(text.trim()));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let secret = Secret::new(PREFIX);
    let new = state_dir.join(format!("{FILE}.new"));
    // Whatever mode an older one had.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(format!("{}\n", secret.reveal()).as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(state_dir)?.sync_all()?;
    Ok(secret)
}

/// Takes the file of a revoked token away, so that no other database takes it for good again.
pub(crate) fn remove(state_dir: &Path) {
    if let Err(error) = fs::remove_file(state_dir.join(FILE))
        && error.kind() != io::ErrorKind::NotFound
    {
        log::warn!(target: "werkpilot", "the file of the revoked admin token could not be removed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_is_for_the_owner_only() {
        let state = tempfile::tempdir().unwrap();
        let first = read_or_make(state.path()).unwrap();
        let path = state.path().join("admin.token");
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", first.reveal()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read_or_make(state.path()).unwrap().reveal(), first.reveal());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_removed_file_is_made_anew_with_another_token() {
        let state = tempfile::tempdir().unwrap();
        let first = read_or_make(state.path()).unwrap();
        remove(state.path());
        remove(state.path());
        assert_ne!(read_or_make(state.path()).unwrap().reveal(), first.reveal());
    }

    #[test]
    fn a_file_that_holds_no_token_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("admin.token"), "half").unwrap();
        let secret = read_or_make(state.path()).unwrap();
        assert!(has_token(secret.reveal()));
    }
}
