//! What an agent is told, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use crate::dispatcher::{Event as ToDispatcher, Grant};
use crate::event::Event as Fact;
use crate::exit::{Exit, SpawnFailure};
use crate::ids::{AgentIndex, RunId};
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::settings::Breaker;
use crate::spec::{AgentSpec, StopPolicy};
use crate::status::Status;
use crate::time::{Moment, Timestamp};
use crate::trigger::Trigger;

/// A process of an agent, unique while the orchestrator runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// Whose.
    pub agent: AgentIndex,
    /// Which, counted from 1.
    pub serial: u32,
}

/// A sign of life that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sign {
    /// Its probes.
    Probes,
    /// `WATCHDOG=1`.
    Watchdog,
    /// Its output.
    Output,
}

impl Sign {
    /// What this reason of ill health is about.
    pub const fn of(reason: &Reason) -> Self {
        match reason {
            Reason::WatchdogExpired => Self::Watchdog,
            Reason::Silent { .. } => Self::Output,
            _ => Self::Probes,
        }
    }
}

/// How a process ended, as the operating system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessEnd {
    /// `Clean`, `Code` or `Signal`.
    pub exit: Exit,
    /// From start to the end of the leader.
    pub lived: Duration,
    /// Whether SIGKILL was needed.
    pub forced: bool,
    /// Peak memory in bytes.
    pub peak_rss_bytes: u64,
    /// Last lines of its output.
    pub log_tail: Vec<String>,
    /// The line that says most about a failure, see [`super::LastWords`].
    pub last_words: Option<String>,
}

/// What a person, the API or the department asks of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take part again; a service starts.
    Start {
        /// Whether unhealthy dependencies are overridden.
        force: bool,
    },
    /// End what runs and take no triggers until `Start`.
    Stop,
    /// End what runs and start it again.
    Restart,
    /// Take part again after `Disable` or a breaker.
    Enable,
    /// Take part in nothing.
    Disable,
    /// Clear breakers before a manual execution.
    PrepareManualRun,
}

/// What an agent is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// Its boot layer is reached.
    Boot,
    /// The dispatcher lets it start a program.
    Granted(Grant),
    /// An execution is to be ended.
    CancelRun {
        /// Which.
        key: RunKey,
        /// Why.
        reason: Reason,
    },
    /// A launched process runs.
    Started {
        /// Which.
        process: ProcessKey,
        /// Its pid.
        pid: i32,
    },
    /// A launched process could not be started.
    SpawnFailed {
        /// Which.
        process: ProcessKey,
        /// Why.
        failure: SpawnFailure,
    },
    /// A process said, or was found, to be ready.
    Ready {
        /// Which.
        process: ProcessKey,
    },
    /// A process hangs, or its probes fail. May be said again while it lasts.
    Unhealthy {
        /// Which.
        process: ProcessKey,
        /// Why.
        reason: Reason,
    },
    /// What was bad about a process is well again.
    HealthyAgain {
        /// Which.
        process: ProcessKey,
        /// What.
        sign: Sign,
    },
    /// A process has ended, and its tree with it.
    Exited {
        /// Which.
        process: ProcessKey,
        /// How.
        end: ProcessEnd,
    },
    /// One of its process trees was over `memory_max` for too long.
    OverMemoryLimit {
        /// Which.
        process: ProcessKey,
        /// What it uses.
        used_bytes: u64,
        /// What it may use.
        limit_bytes: u64,
    },
    /// Memory is short: no new executions, and a service is stopped. Running jobs go on.
    MemoryIsShort {
        /// The reason to show.
        reason: Reason,
    },
    /// Memory is no longer short: it takes part again, if that was all that kept it from it.
    MemoryIsBack {
        /// The reason to show.
        reason: Reason,
    },
    /// Another service of its department was restarted.
    GroupRestart {
        /// The reason to show.
        reason: Reason,
    },
    /// The registry defines it anew.
    Redefine(Arc<AgentSpec>),
    /// The thresholds changed.
    Configure(Breaker),
    /// The registry has it no more.
    Remove,
    /// The orchestrator goes down: nothing is restarted from now on.
    Drain,
    /// Its service is to stop (shutdown, step 3).
    StopService,
    /// Everything is to end (shutdown, step 4).
    Terminate,
    /// It is to be tried once though its breaker's cooldown is not over.
    Trial,
    /// [`super::Agent::next_deadline`] is over.
    DeadlineReached,
}

/// What an agent answers.
#[derive(Clone, Debug)]
#[must_use]
pub enum Action {
    /// Start a process.
    Launch(Launch),
    /// Stop signal to its group, and after the time-out SIGKILL.
    StopProcess {
        /// Which.
        process: ProcessKey,
        /// How.
        policy: StopPolicy,
    },
    /// Tell the dispatcher.
    Dispatcher(ToDispatcher),
    /// Look for its readiness by probing.
    WatchReadiness {
        /// Whose.
        process: ProcessKey,
    },
    /// Probe its health.
    WatchHealth {
        /// Whose.
        process: ProcessKey,
    },
    /// Probe it no more.
    Unwatch {
        /// Whom.
        process: ProcessKey,
    },
    /// Tell everybody.
    Emit(Fact),
    /// One of its instances is being restarted after it ended: its department may restart others.
    GroupMemberRestarting,
    /// A service is ready or will not become so by itself: the boot need not wait for it.
    BootSettled {
        /// Whether it is ready.
        ready: bool,
    },
    /// No process of it is alive, and none will be started (while draining or after removal).
    AllEnded,
}

/// What is to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The process's key.
    pub process: ProcessKey,
    /// The execution, or the life of a service.
    pub run: RunId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Which instance of a service; 0 for a job.
    pub instance: u16,
    /// What is run.
    pub spec: Arc<AgentSpec>,
    /// What asked for it, for a job.
    pub trigger: Option<Trigger>,
    /// When it was asked for, for a job.
    pub queued_at: Option<Timestamp>,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What it gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

/// One instance of a service, as pages and `why` show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceView {
    /// Its number, from 0.
    pub instance: u16,
    /// Its own status.
    pub status: Status,
    /// Its process.
    pub process: Option<ProcessKey>,
    /// The id of this life.
    pub run: Option<RunId>,
    /// Since when it is in this state, where that means something.
    pub since: Option<Moment>,
    /// Automatic restarts in a row.
    pub restarts: u32,
    /// Why it is not running, or is being stopped.
    pub reason: Option<Reason>,
    /// When it is tried again.
    pub next_attempt: Option<Moment>,
    /// What is bad about its health, while it runs.
    pub illness: Option<IllnessView>,
}

/// An attempt of a job that is in progress, as `why` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptView {
    /// When its `timeout` is over.
    pub timeout_at: Option<Moment>,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// Why it is being ended, if it is.
    pub ending: Option<Reason>,
}

/// What is bad about the health of an instance that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IllnessView {
    /// Since when.
    pub since: Timestamp,
    /// All that is bad, the first one first.
    pub reasons: Vec<Reason>,
    /// When its process is ended, unless it recovers; `None`: its restart policy leaves it.
    pub ends_at: Option<Moment>,
}
