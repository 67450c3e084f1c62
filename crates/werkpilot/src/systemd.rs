//! What a service manager is told, by `sd_notify(3)`: nothing if nobody asked for it.

use std::env::var;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use werkpilot_runtime::Handle;

/// Sends a state such as `READY=1` to the socket that `$NOTIFY_SOCKET` names. Without one, or if nobody listens, it is
/// as if nothing had been said: a manager that wants to hear notices the silence itself.
pub(crate) fn notify(state: &str) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())
        && let Err(error) = send(&socket, state)
    {
        log::debug!("failed to send {state} to the service manager: {error}");
    }
}

/// Tells the service manager that the actors answer, as often as it wants to hear it; if they do not, it ends us after
/// its `WatchdogSec=`. Nothing is spawned if it does not ask. Has to be called inside an actix `System`.
pub(crate) fn start_watchdog(handle: &Handle) {
    let (wanted, meant_for) = (var("WATCHDOG_USEC").ok(), var("WATCHDOG_PID").ok());
    let Some(interval) = watchdog_interval(wanted.as_deref(), meant_for.as_deref(), std::process::id()) else { return };
    let handle = handle.clone();
    actix::spawn(async move {
        loop {
            if handle.consult(|_| ()).await.is_ok() {
                notify("WATCHDOG=1");
            }
            tokio::time::sleep(interval).await;
        }
    });
}

/// Half of what the manager waits for, as `sd_watchdog_enabled(3)` recommends.
fn watchdog_interval(usec: Option<&str>, meant_for: Option<&str>, own_pid: u32) -> Option<Duration> {
    if meant_for.is_some_and(|pid| pid.parse() != Ok(own_pid)) {
        return None;
    }
    let usec = usec?.parse::<u64>().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec) / 2)
}

fn send(socket: &OsStr, state: &str) -> std::io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_arrives_as_a_datagram() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut buffer = [0; 32];
        let read = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..read], b"READY=1");
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_only_by_the_process_that_is_meant() {
        let half = Some(Duration::from_secs(15));
        assert_eq!(watchdog_interval(Some("30000000"), None, 7), half);
        assert_eq!(watchdog_interval(Some("30000000"), Some("7"), 7), half);
        assert_eq!(watchdog_interval(Some("30000000"), Some("8"), 7), None);
        for nothing in [None, Some("0"), Some("soon"), Some("")] {
            assert_eq!(watchdog_interval(nothing, None, 7), None);
        }
    }
}
