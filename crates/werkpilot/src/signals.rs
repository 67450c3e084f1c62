//! Signals of the process: SIGTERM and SIGINT shut down (the second one ends the patience), SIGHUP reads the files again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use werkpilot_runtime::Handle;

use crate::systemd;

/// Listens for as long as the arbiter lives. Has to be called inside an actix `System`.
pub(crate) fn listen(handle: Handle) -> std::io::Result<()> {
    let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hangup = signal(SignalKind::hangup())?;
    actix_rt::spawn(forward(term, int, hangup, handle));
    Ok(())
}

async fn forward(mut term: Signal, mut int: Signal, mut hangup: Signal, handle: Handle) {
    loop {
        tokio::select! {
            Some(()) = term.recv() => shut_down(&handle, "SIGTERM"),
            Some(()) = int.recv() => shut_down(&handle, "SIGINT"),
            Some(()) = hangup.recv() => {
                let handle = handle.clone();
                // What went wrong is in the log and in an event already.
                actix_rt::spawn(async move { handle.reload("SIGHUP", false).await });
            }
            else => return,
        }
    }
}

fn shut_down(handle: &Handle, signal: &str) {
    systemd::notify("STOPPING=1");
    handle.shut_down(signal);
}
