//! Signals of the process: SIGTERM and SIGINT shut down (the second one ends the patience), SIGHUP reads the files again.

use tokio::signal::unix::{Signal, SignalKind, signal};
use werkpilot_runtime::Handle;

use crate::systemd;

/// The signals, caught: they do not end the process any more.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Signal,
}

impl Signals {
    /// Has to be called inside an actix `System`.
    pub fn catch() -> std::io::Result<Self> {
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { term, int, hangup: signal(SignalKind::hangup())? })
    }

    /// Passes on what has come since, and what comes for as long as the arbiter lives.
    pub fn pass_on_to(self, handle: Handle) {
        actix_rt::spawn(pass_on(self, handle));
    }
}

async fn pass_on(mut signals: Signals, handle: Handle) {
    loop {
        tokio::select! {
            Some(()) = signals.term.recv() => shut_down(&handle, "SIGTERM"),
            Some(()) = signals.int.recv() => shut_down(&handle, "SIGINT"),
            Some(()) = signals.hangup.recv() => {
                let handle = handle.clone();
                // What went wrong is in the log and in an event already.
                actix_rt::spawn(async move { handle.reload_by_itself("SIGHUP", "signal", false).await });
            }
            else => return,
        }
    }
}

fn shut_down(handle: &Handle, signal: &str) {
    systemd::notify("STOPPING=1");
    handle.shut_down(signal);
}
