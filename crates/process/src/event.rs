//! What comes out of a [`crate::Host`]: facts about launched processes.

use std::time::Duration;

use werkpilot_core::exit::{Exit, SpawnFailure};
use werkpilot_core::signal::Signal;

use crate::launch::ProcessKey;

/// Something happened to a launched process.
///
/// The last event of a key is one of `SpawnFailed` and `Exited`; `Started` comes before all others but `SpawnFailed`.
#[derive(Clone, Debug, PartialEq)]
pub enum ProcessEvent {
    /// The program runs: `execve` succeeded.
    Started {
        /// Which process.
        key: ProcessKey,
        /// Its process id, which is also that of its session and group.
        pid: i32,
    },
    /// The program could not be started, or was stopped before it was.
    SpawnFailed {
        /// Which process.
        key: ProcessKey,
        /// Why, naming the file.
        failure: SpawnFailure,
    },
    /// `READY=1` came, or a line of output matched the spec's pattern. At most once.
    Ready {
        /// Which process.
        key: ProcessKey,
    },
    /// `STATUS=` came: at most 256 characters without control characters.
    Status {
        /// Which process.
        key: ProcessKey,
        /// What it says about itself.
        text: String,
    },
    /// `STOPPING=1` came.
    Stopping {
        /// Which process.
        key: ProcessKey,
    },
    /// `WATCHDOG=1` did not come for one interval; again after each further interval. The count begins with `READY=1`
    /// where readiness is by notify, else with the start.
    WatchdogExpired {
        /// Which process.
        key: ProcessKey,
    },
    /// `WATCHDOG=1` came again after [`ProcessEvent::WatchdogExpired`].
    WatchdogAgain {
        /// Which process.
        key: ProcessKey,
    },
    /// No output for `max_silence`; again after each further such time.
    Silent {
        /// Which process.
        key: ProcessKey,
    },
    /// Output came again after [`ProcessEvent::Silent`].
    OutputAgain {
        /// Which process.
        key: ProcessKey,
    },
    /// The program and all that it left behind are gone.
    Exited {
        /// Which process.
        key: ProcessKey,
        /// How it ended and what it used.
        report: Box<ExitReport>,
    },
}

impl ProcessEvent {
    /// Which process it is about.
    pub fn key(&self) -> ProcessKey {
        match self {
            Self::Started { key, .. }
            | Self::SpawnFailed { key, .. }
            | Self::Ready { key }
            | Self::Status { key, .. }
            | Self::Stopping { key }
            | Self::WatchdogExpired { key }
            | Self::WatchdogAgain { key }
            | Self::Silent { key }
            | Self::OutputAgain { key }
            | Self::Exited { key, .. } => *key,
        }
    }

    /// Whether this is the last event of its key.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::SpawnFailed { .. } | Self::Exited { .. })
    }
}

/// How the leader ended, as wait(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitStatus {
    /// It called exit with this code.
    Code(i32),
    /// This signal ended it.
    Signal(Signal),
}

impl WaitStatus {
    /// Decodes the status word of wait(2).
    pub(crate) fn from_raw(raw: i32) -> Self {
        if libc::WIFSIGNALED(raw) {
            Self::Signal(Signal(libc::WTERMSIG(raw)))
        } else {
            Self::Code(libc::WEXITSTATUS(raw))
        }
    }

    /// As an [`Exit`], when nothing but the status is known of why it ended.
    pub fn exit(self) -> Exit {
        match self {
            Self::Code(0) => Exit::Clean,
            Self::Code(code) => Exit::Code(code),
            Self::Signal(signal) => Exit::Signal(signal),
        }
    }
}

/// What is known of a process after its end.
#[derive(Clone, Debug, PartialEq)]
pub struct ExitReport {
    /// How the leader ended.
    pub status: WaitStatus,
    /// The largest resident memory of the leader or of a descendant that it waited for, in bytes. `None` where the
    /// kernel's figure is no larger than the orchestrator's own: `execve` carries the caller's peak over to the child.
    pub peak_rss_bytes: Option<u64>,
    /// CPU time, user and system, of the leader and the descendants that it waited for.
    pub cpu: Duration,
    /// From the start until the leader ended.
    pub lived: Duration,
    /// Whether SIGKILL was needed, for the leader or for what it left behind.
    pub forced: bool,
    /// How many daemonised descendants were ended after the leader.
    pub strays_ended: u32,
    /// The last lines of its log, at most 20 and 4 KiB, if [`crate::Launch::tail_on_failure`] asked for them and the
    /// exit was not 0.
    pub log_tail: Vec<String>,
    /// Under the same condition its last line on stderr, or if it wrote nothing there, on stdout: 240 characters of it.
    pub last_words: Option<String>,
    /// The beginning of stdout, if [`crate::Launch::capture_stdout_max`] asked for it.
    pub stdout: Option<Vec<u8>>,
    /// Whether stdout was longer than what was kept.
    pub stdout_truncated: bool,
}
