//! The control socket: where it is, and how it is made so that nobody else can ever connect to it.
//!
//! Invariant: from its first moment on, the socket can be connected to by its owner only: its mode is set between
//! bind(2) and listen(2).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::getuid;

use crate::bind::BindError;

/// The longest path of a socket: `sun_path` has 108 bytes with its terminating zero (unix(7)).
const MAX_PATH: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;
/// Says where the socket is, if it is not in the state folder.
const POINTER: &str = "control.path";

/// Where the control socket of a state folder is: `control.sock` in it, or, where that path were too long for a socket,
/// in a short folder of the user: `$XDG_RUNTIME_DIR/werkpilot`, else `/tmp/werkpilot-<uid>`. A running orchestrator
/// leaves that path in the state folder, for callers with another environment.
pub fn control_socket_path(state_dir: &Path) -> PathBuf {
    let state_dir = absolute(state_dir);
    let in_state_dir = state_dir.join("control.sock");
    if fits(&in_state_dir) {
        return in_state_dir;
    }
    let told = fs::read_to_string(state_dir.join(POINTER)).ok().map(|text| PathBuf::from(text.trim_end()));
    told.filter(|path| path.is_absolute() && fits(path)).unwrap_or_else(|| short_path(&state_dir))
}

/// The same folder has to give the same path, whichever way it is named.
fn absolute(state_dir: &Path) -> PathBuf {
    let absolute = || std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned());
    fs::canonicalize(state_dir).unwrap_or_else(|_| absolute())
}

fn fits(path: &Path) -> bool {
    path.as_os_str().len() <= MAX_PATH
}

fn short_path(state_dir: &Path) -> PathBuf {
    let of_session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let folder = of_session
        .map_or_else(|| PathBuf::from(format!("/tmp/werkpilot-{}", getuid().as_raw())), |dir| dir.join("werkpilot"));
    folder.join(format!("{:016x}.sock", fnv_1a(state_dir.as_os_str().as_encoded_bytes())))
}

/// FNV-1a, 64 bits: short, and the same in every version of this program, unlike the standard library's hashes.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The socket's file; removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A socket that stays behind is replaced by the next start.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the control socket of a state folder and listens on it. The state folder's lock is the caller's business.
pub(crate) fn bind(state_dir: &Path) -> Result<(UnixListener, SocketFile), BindError> {
    let state_dir = absolute(state_dir);
    let in_state_dir = state_dir.join("control.sock");
    let short = !fits(&in_state_dir);
    let path = if short { short_path(&state_dir) } else { in_state_dir };
    let failed = |source: io::Error| BindError::Socket { path: path.clone(), source };
    if short {
        let folder = path.parent().expect("a socket in a folder");
        make_private_folder(folder)?;
        fs::write(state_dir.join(POINTER), path.as_os_str().as_encoded_bytes()).map_err(failed)?;
    }
    clear_the_way(&path)?;
    let listener = listen(&path).map_err(failed)?;
    Ok((listener, SocketFile(path)))
}

fn make_private_folder(folder: &Path) -> Result<(), BindError> {
    let failed = |source| BindError::Socket { path: folder.to_owned(), source };
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Not following links: /tmp is everybody's.
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    let ours = found.is_dir() && found.uid() == getuid().as_raw() && found.mode() & 0o777 == 0o700;
    if ours { Ok(()) } else { Err(BindError::UnsafeFolder { path: folder.to_owned() }) }
}

/// Removes the socket of a dead orchestrator; a live one's is an error.
fn clear_the_way(path: &Path) -> Result<(), BindError> {
    let failed = |source: io::Error| BindError::Socket { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::Occupied { path: path.to_owned() }),
        Ok(_) => {}
    }
    // Not blocking: a live orchestrator that hangs, with a full backlog, answers EAGAIN.
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None);
    let probe = probe.map_err(|error| failed(error.into()))?;
    let address = SocketAddrUnix::new(path).map_err(|error| failed(error.into()))?;
    match rustix::net::connect(&probe, &address) {
        Err(rustix::io::Errno::CONNREFUSED | rustix::io::Errno::NOENT) => {}
        Ok(()) | Err(rustix::io::Errno::AGAIN) => {
            let pid = sockopt::socket_peercred(&probe).ok().map(|peer| peer.pid.as_raw_nonzero().get());
            return Err(BindError::AlreadyRunning { socket: path.to_owned(), pid });
        }
        Err(error) => return Err(failed(error.into())),
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags(), None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(UnixListener::from(socket))
}

fn flags() -> SocketFlags {
    SocketFlags::CLOEXEC | SocketFlags::NONBLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_in_the_state_folder_and_the_owners_alone() {
        let state = tempfile::tempdir().unwrap();
        let (_listener, file) = bind(state.path()).unwrap();
        assert_eq!(file.path(), control_socket_path(state.path()));
        assert_eq!(file.path().file_name().unwrap(), "control.sock");
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        let path = file.path().to_owned();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_long_state_folder_has_its_socket_in_a_short_private_folder() {
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("a-long-name".repeat(12));
        fs::create_dir(&state).unwrap();
        let (_listener, file) = bind(&state).unwrap();
        assert!(fits(file.path()));
        assert_eq!(file.path(), control_socket_path(&state));
        assert_eq!(fs::metadata(file.path().parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_ne!(control_socket_path(&state), control_socket_path(&root.path().join("b-long-name".repeat(12))));
    }

    #[test]
    fn the_socket_of_a_dead_orchestrator_is_replaced() {
        let state = tempfile::tempdir().unwrap();
        let path = control_socket_path(state.path());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let (_listener, file) = bind(state.path()).unwrap();
        assert!(std::os::unix::net::UnixStream::connect(file.path()).is_ok());
    }

    #[test]
    fn the_socket_of_a_live_orchestrator_is_left_alone_and_named() {
        let state = tempfile::tempdir().unwrap();
        let path = control_socket_path(state.path());
        let _live = UnixListener::bind(&path).unwrap();
        let error = bind(state.path()).unwrap_err();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(matches!(&error, BindError::AlreadyRunning { pid: Some(pid), .. } if *pid == own), "{error}");
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn a_file_in_the_way_is_not_removed() {
        let state = tempfile::tempdir().unwrap();
        fs::write(control_socket_path(state.path()), "precious").unwrap();
        assert!(matches!(bind(state.path()), Err(BindError::Occupied { .. })));
        assert_eq!(fs::read_to_string(control_socket_path(state.path())).unwrap(), "precious");
    }
}
