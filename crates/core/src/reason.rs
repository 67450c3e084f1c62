//! Why something was decided. One type and one wording for the log, the events, the history, the page and
//! `werkpilot why`.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::status::Status;
use crate::time::human;

/// The cause of a decision about an agent or an execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Another execution of the same agent is live, and its `overlap` does not let a second one in.
    Overlap {
        /// The live one.
        running: RunId,
    },
    /// `overlap = "queue_one"`, and one waits already.
    AlreadyWaiting {
        /// The waiting one.
        waiting: RunId,
    },
    /// A newer trigger took its place (`overlap = "cancel_previous"`).
    Superseded {
        /// The newer execution.
        by: RunId,
    },
    /// Dependencies are not as they have to be.
    UnhealthyDependencies {
        /// Every one of them.
        dependencies: Vec<UnhealthyDependency>,
    },
    /// All triggers are paused for maintenance.
    Paused,
    /// The agent was stopped by an operator.
    StoppedByOperator,
    /// The agent is switched off.
    Disabled {
        /// Which of the disabled states.
        status: Status,
        /// What brought it there.
        why: String,
    },
    /// The agent's trial after its breaker's cooldown is in progress; nothing else runs until it ends.
    TrialInProgress {
        /// The trial.
        run: RunId,
    },
    /// The queue is full.
    QueueFull {
        /// How many may wait.
        capacity: u32,
    },
    /// There is no such agent.
    UnknownAgent,
    /// The agent was taken out of the registry.
    Removed,
    /// The registry changed the agent.
    ConfigChanged,
    /// The orchestrator is going down.
    ShuttingDown,
    /// The orchestrator itself ended, without a shutdown, while it ran.
    OrchestratorEnded,
    /// Somebody asked for it.
    ByOperator {
        /// Who, as far as it is known.
        by: String,
    },
    /// Every worker is busy.
    WaitingForWorker {
        /// How many there are.
        workers: u32,
    },
    /// An earlier execution of the same agent has to end first.
    WaitingForPrevious,
    /// It is not its boot layer's turn yet.
    WaitingForLayer {
        /// Its layer.
        layer: u32,
    },
    /// So many automatic restarts have happened that the next has to wait (global breaker).
    WaitingForRestartRoom {
        /// The limit.
        max_restarts: u32,
        /// Its window.
        #[serde(serialize_with = "ms", rename = "window_ms")]
        #[schema(value_type = f64)]
        window: Duration,
    },
    /// Automatic restarts have room again (global breaker).
    RestartRoomAgain,
    /// The delay before the next attempt is not over.
    BackingOff {
        /// The delay.
        #[serde(serialize_with = "ms", rename = "delay_ms")]
        #[schema(value_type = f64)]
        delay: Duration,
        /// Why there has to be another attempt.
        #[schema(no_recursion)]
        cause: Box<Reason>,
    },
    /// It ended.
    Exited {
        /// How.
        exit: Exit,
    },
    /// It was not ready in time.
    NotReady {
        /// The time it had.
        #[serde(serialize_with = "ms", rename = "timeout_ms")]
        #[schema(value_type = f64)]
        timeout: Duration,
    },
    /// It took longer than its `timeout`.
    TimedOut {
        /// The time it had.
        #[serde(serialize_with = "ms", rename = "timeout_ms")]
        #[schema(value_type = f64)]
        timeout: Duration,
    },
    /// Its probes failed.
    ProbesFailed {
        /// In a row.
        failures: u32,
        /// What the last one said.
        last: String,
    },
    /// It did not send `WATCHDOG=1` in time.
    WatchdogExpired,
    /// It wrote nothing for so long.
    Silent {
        /// Its `max_silence`.
        #[serde(serialize_with = "ms", rename = "max_silence_ms")]
        #[schema(value_type = f64)]
        max_silence: Duration,
    },
    /// It should be up and is not.
    NotUp {
        /// What it is instead.
        status: Status,
    },
    /// Its last execution did not end well.
    LastEnd {
        /// `error`, `timeout` or `missing`.
        status: Status,
        /// The last error.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Memory was short, and others are more important.
    MemoryPressure {
        /// How much was used, percent.
        percent: u16,
        /// `critical_percent`.
        #[serde(rename = "threshold_percent")]
        threshold: u8,
        /// What it used itself.
        used_bytes: u64,
    },
    /// Memory is no longer short.
    MemoryRecovered {
        /// How much is used, percent.
        percent: u16,
        /// `recover_percent`.
        #[serde(rename = "threshold_percent")]
        threshold: u8,
    },
    /// Its process tree used more than its `memory_max` in two checks in a row.
    MemoryLimit {
        /// What it used.
        used_bytes: u64,
        /// What it may use.
        limit_bytes: u64,
    },
    /// All attempts failed.
    RetriesExhausted {
        /// How many there were.
        attempts: u32,
        /// How the last one ended.
        last: Exit,
    },
    /// Its restart policy does not start it again.
    NotRestarted {
        /// How it ended.
        exit: Exit,
    },
    /// It was restarted more often than its breaker allows.
    TooManyRestarts {
        /// How often.
        restarts: u32,
        /// Within which window.
        #[serde(serialize_with = "ms", rename = "window_ms")]
        #[schema(value_type = f64)]
        window: Duration,
    },
    /// So many executions in a row became dead letters.
    TooManyDeadLetters {
        /// How many.
        count: u32,
    },
    /// The breaker's cooldown is over: one trial.
    HalfOpen,
    /// The optimizer lets it try once before the breaker's cooldown is over.
    EarlyTrial,
    /// The trial after the cooldown went well.
    TrialSucceeded,
    /// The trial after the cooldown failed.
    TrialFailed,
    /// It is a service: services are started, only jobs are run.
    NotAJob {
        /// The service.
        agent: AgentName,
    },
    /// Its command is not there, not executable or of a bad format.
    CommandMissing {
        /// What the operating system said; completes "failed to …".
        message: String,
    },
    /// Restarted with another agent of its department (`strategy`).
    GroupRestart {
        /// The agent that was restarted first.
        agent: AgentName,
    },
    /// The registry says `enabled = false`.
    DisabledInRegistry,
    /// The actor that ran it died.
    ActorDied {
        /// What the panic said.
        message: String,
    },
}

fn ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(crate::time::as_ms(*duration))
}

/// A dependency that is not as it has to be, as `agent.dependencies.unhealthy` carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct UnhealthyDependency {
    /// The dependency.
    pub dep: AgentName,
    /// What is wrong.
    pub reason: DependencyProblem,
    /// Its last error, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is wrong with a dependency: its status, or that it has not done yet what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependencyProblem {
    /// It is in this status.
    Status(Status),
    /// It has not started since boot (`condition = "started"`).
    NotStarted,
    /// It has not succeeded since boot (`condition = "succeeded"`).
    NotSucceeded,
}

impl DependencyProblem {
    /// The word that logs and events use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status(status) => status.as_str(),
            Self::NotStarted => "not_started",
            Self::NotSucceeded => "not_succeeded",
        }
    }
}

impl Serialize for DependencyProblem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// `120 MiB`, `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    match bytes as f64 / MIB {
        mib if mib >= 1_024.0 => format!("{:.1} GiB", mib / 1_024.0),
        mib if mib >= 10.0 => format!("{mib:.0} MiB"),
        mib => format!("{mib:.1} MiB"),
    }
}

/// `agent-analytics (error), agent-db (disabled_by_memory)`
pub fn list_unhealthy(dependencies: &[UnhealthyDependency]) -> String {
    let items: Vec<String> = dependencies.iter().map(|d| format!("{} ({})", d.dep, d.reason.as_str())).collect();
    items.join(", ")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overlap { running } => write!(f, "execution {running} is still live and overlap is \"skip\""),
            Self::AlreadyWaiting { waiting } => {
                write!(f, "execution {waiting} waits already and overlap is \"queue_one\"")
            }
            Self::Superseded { by } => write!(f, "the newer execution {by} took its place"),
            Self::UnhealthyDependencies { dependencies } => {
                write!(f, "unhealthy dependencies: {}", list_unhealthy(dependencies))
            }
            Self::Paused => f.write_str("all triggers are paused (resume them with `werkpilot resume`)"),
            Self::StoppedByOperator => f.write_str("stopped by an operator (start it with `werkpilot start`)"),
            Self::Disabled { status, why } => write!(f, "{status}: {why}"),
            Self::TrialInProgress { run } => write!(f, "its trial {run} after the breaker's cooldown is in progress"),
            Self::QueueFull { capacity } => write!(f, "the queue is full ({capacity} waiting; [queue] capacity)"),
            Self::UnknownAgent => f.write_str("there is no such agent"),
            Self::Removed => f.write_str("taken out of the registry"),
            Self::ConfigChanged => f.write_str("the registry changed it"),
            Self::ShuttingDown => f.write_str("the orchestrator is shutting down"),
            Self::OrchestratorEnded => f.write_str("the orchestrator ended without a shutdown while it ran"),
            Self::ByOperator { by } => write!(f, "asked for by {by}"),
            Self::WaitingForWorker { workers: 1 } => f.write_str("the only worker is busy"),
            Self::WaitingForWorker { workers } => write!(f, "all {workers} workers are busy"),
            Self::WaitingForPrevious => f.write_str("an earlier execution of the same agent has to end first"),
            Self::WaitingForLayer { layer } => write!(f, "boot has not reached its layer {layer} yet"),
            Self::WaitingForRestartRoom { max_restarts, window } => {
                write!(
                    f,
                    "{max_restarts} automatic restarts within {} used up ([breaker] max_restarts)",
                    human(*window)
                )
            }
            Self::RestartRoomAgain => f.write_str("there is room for automatic restarts again"),
            Self::BackingOff { delay, cause } => write!(f, "waits {} before the next attempt: {cause}", human(*delay)),
            Self::Exited { exit } => exit.fmt(f),
            Self::NotReady { timeout } => write!(f, "not ready within {}", human(*timeout)),
            Self::TimedOut { timeout } => write!(f, "took longer than its timeout of {}", human(*timeout)),
            Self::ProbesFailed { failures, last } => write!(f, "{failures} probes in a row failed: {last}"),
            Self::WatchdogExpired => f.write_str("did not send WATCHDOG=1 in time"),
            Self::Silent { max_silence } => write!(f, "wrote nothing for {}", human(*max_silence)),
            Self::NotUp { status } => write!(f, "it is {status}"),
            Self::LastEnd { status, error: Some(error) } => write!(f, "its last execution ended as {status}: {error}"),
            Self::LastEnd { status, .. } => write!(f, "its last execution ended as {status}"),
            Self::MemoryPressure { percent, threshold, used_bytes } => write!(
                f,
                "memory is short: {percent} % is used ([memory] critical_percent = {threshold}), {} of it by this agent",
                bytes(*used_bytes)
            ),
            Self::MemoryRecovered { percent, threshold } => {
                write!(f, "memory is no longer short: {percent} % is used ([memory] recover_percent = {threshold})")
            }
            Self::MemoryLimit { used_bytes, limit_bytes } => {
                write!(f, "used {} of memory, and memory_max is {}", bytes(*used_bytes), bytes(*limit_bytes))
            }
            Self::RetriesExhausted { attempts: 1, last } => write!(f, "the only attempt failed: {last}"),
            Self::RetriesExhausted { attempts, last } => {
                write!(f, "all {attempts} attempts failed, the last one {last}")
            }
            Self::NotRestarted { exit } => write!(f, "{exit}, and its restart policy leaves it so"),
            Self::TooManyRestarts { restarts, window } => write!(f, "{restarts} restarts within {}", human(*window)),
            Self::TooManyDeadLetters { count } => write!(f, "{count} dead letters in a row"),
            Self::HalfOpen => f.write_str("the breaker's cooldown is over: one trial"),
            Self::EarlyTrial => f.write_str("the optimizer's run: one trial before the breaker's cooldown is over"),
            Self::TrialSucceeded => f.write_str("the trial after the cooldown went well"),
            Self::TrialFailed => f.write_str("the trial after the cooldown failed"),
            Self::NotAJob { agent } => write!(f, "{agent} is a service; start it with `werkpilot start {agent}`"),
            Self::CommandMissing { message } => write!(f, "failed to {message}"),
            Self::GroupRestart { agent } => write!(f, "restarted together with {agent}"),
            Self::DisabledInRegistry => f.write_str("enabled = false in the registry"),
            Self::ActorDied { message } => write!(f, "its actor died: {message}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_code_for_programs_and_a_sentence_for_people() {
        let reason = Reason::UnhealthyDependencies {
            dependencies: vec![UnhealthyDependency {
                dep: AgentName::new("agent-analytics").unwrap(),
                reason: DependencyProblem::Status(Status::Error),
                error: None,
            }],
        };
        assert_eq!(reason.to_string(), "unhealthy dependencies: agent-analytics (error)");
        let json = serde_json::to_value(&reason).unwrap();
        assert_eq!(json["code"], "unhealthy_dependencies");
        assert_eq!(json["dependencies"][0]["reason"], "error");
    }
}
