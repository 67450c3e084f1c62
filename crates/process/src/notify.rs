//! The notify socket of a program: `sd_notify(3)`, as much of it as Werkpilot understands.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use werkpilot_core::ids::RunId;

use crate::launch::ProcessKey;

/// What fits into the path of a Unix socket, without the terminating NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

/// The longest status that is kept, in characters.
const MAX_STATUS: usize = 256;

/// Bytes of a datagram that are looked at.
pub(crate) const MAX_DATAGRAM: usize = 4096;

/// One assignment of a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Ready,
    Stopping,
    Status(String),
    /// Alive.
    Watchdog,
    /// "Treat me as if I had not been" (`WATCHDOG=trigger`).
    Trigger,
}

/// The assignments of a datagram that we know, in order.
pub(crate) fn parse(datagram: &[u8]) -> impl Iterator<Item = Notice> + '_ {
    datagram.split(|byte| *byte == b'\n').filter_map(|line| match line {
        b"READY=1" => Some(Notice::Ready),
        b"STOPPING=1" => Some(Notice::Stopping),
        b"WATCHDOG=1" => Some(Notice::Watchdog),
        b"WATCHDOG=trigger" => Some(Notice::Trigger),
        _ => {
            let text = String::from_utf8_lossy(line.strip_prefix(b"STATUS=")?);
            Some(Notice::Status(text.chars().filter(|c| !c.is_control()).take(MAX_STATUS).collect()))
        }
    })
}

/// A bound socket; its file goes with it.
pub(crate) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Binds a socket in `dir` that programs of any user may write to, if they are told its name: the run id in it
    /// cannot be guessed, and the folder cannot be listed.
    pub fn bind(dir: &Path, run: RunId, key: ProcessKey) -> io::Result<Self> {
        let path = dir.join(file_name(run, key));
        let socket = UnixDatagram::bind(&path)?;
        let bound = Self { socket, path };
        bound.socket.set_nonblocking(true)?;
        std::fs::set_permissions(&bound.path, std::fs::Permissions::from_mode(0o666))?;
        Ok(bound)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn socket(&self) -> &UnixDatagram {
        &self.socket
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn file_name(run: RunId, key: ProcessKey) -> String {
    format!("{run}.{key}")
}

/// The folder for sockets: `wanted`, or a new one with a short name in the system's folder for temporary files if a
/// socket's path would be too long there. The second value is whether it is such a one.
pub(crate) fn make_dir(wanted: &Path) -> io::Result<(PathBuf, bool)> {
    let longest = file_name(RunId::from_parts(0, 0), ProcessKey(u64::MAX)).len() + 1;
    let access = std::fs::Permissions::from_mode(0o711);
    let absolute = std::path::absolute(wanted)?;
    if absolute.as_os_str().len() + longest <= MAX_SOCKET_PATH {
        std::fs::create_dir_all(&absolute)?;
        std::fs::set_permissions(&absolute, access)?;
        remove_stale(&absolute)?;
        return Ok((absolute, false));
    }
    // Nobody else can be there first: creating fails if the name exists.
    for attempt in 0..100 {
        let short = PathBuf::from(format!("/tmp/werkpilot-{}-{attempt}", std::process::id()));
        match std::fs::create_dir(&short) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made?;
                std::fs::set_permissions(&short, access)?;
                return Ok((short, true));
            }
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes the sockets of an orchestrator that crashed.
fn remove_stale(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)?.flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.split_once('.')).map(|(run, _)| run);
        if run.is_some_and(|run| run.parse::<RunId>().is_ok()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn assignments_are_read_in_order_and_the_unknown_is_left_out() {
        let datagram = b"READY=1\nMAINPID=4\nSTATUS=all \x1bwell\t\nWATCHDOG=1\n\nSTOPPING=1\nWATCHDOG=trigger";
        let expected =
            [Notice::Ready, Notice::Status("all well".to_owned()), Notice::Watchdog, Notice::Stopping, Notice::Trigger];
        assert_eq!(parse(datagram).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_status_is_cut_at_its_bound() {
        let datagram = format!("STATUS={}", "ä".repeat(1_000));
        assert_eq!(parse(datagram.as_bytes()).next(), Some(Notice::Status("ä".repeat(MAX_STATUS))));
    }

    #[test]
    fn a_long_folder_is_replaced_by_a_short_one() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("x".repeat(90));
        let (path, temporary) = make_dir(&deep).unwrap();
        assert!(temporary && path.as_os_str().len() < 50);
        let socket = NotifySocket::bind(&path, RunId::from_parts(1, 1), ProcessKey(1)).unwrap();
        let file = socket.path().to_owned();
        assert!(file.exists());
        drop(socket);
        assert!(!file.exists());
        std::fs::remove_dir(path).unwrap();
    }

    #[test]
    fn sockets_of_a_crashed_orchestrator_are_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let socket = NotifySocket::bind(dir.path(), RunId::from_parts(1, 1), ProcessKey(1)).unwrap();
        let left = socket.path().to_owned();
        std::mem::forget(socket);
        std::fs::write(dir.path().join("processes"), "").unwrap();
        assert_eq!(make_dir(dir.path()).unwrap(), (dir.path().to_owned(), false));
        assert!(!left.exists() && dir.path().join("processes").exists());
    }

    proptest! {
        #[test]
        fn garbage_is_ignored(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes).for_each(drop);
        }
    }
}
