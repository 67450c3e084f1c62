//! What explains beside the reasons: circumstances, each with its one wording.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::dispatcher::{Before, Holder, Rank};
use crate::ids::{AgentName, RunId};
use crate::memory::Level;
use crate::reason::DependencyProblem;
use crate::status::Status;
use crate::time::{as_ms, human};
use crate::trigger::Trigger;

/// Names in a sentence, before it says how many more there are.
const NAMED: usize = 5;

/// A circumstance.
#[expect(missing_docs, reason = "the fields are named after what they hold; units are in their serialized names")]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "code", rename_all = "snake_case", rename_all_fields = "snake_case")]
pub enum Link {
    /// A service is up.
    Up {
        pids: Vec<i32>,
        #[serde(rename = "up_ms", serialize_with = "ms")]
        up: Duration,
    },
    /// A program of a job runs.
    Executing {
        run: Option<RunId>,
        attempt: u32,
        attempts_allowed: u32,
        #[serde(rename = "running_ms", serialize_with = "ms")]
        running: Duration,
        pid: Option<i32>,
        trigger: Trigger,
    },
    /// What asked for an execution.
    TriggeredBy { trigger: Trigger },
    /// A job that waits for its trigger.
    AwaitsTrigger { triggers: Vec<String> },
    /// It has not run since anybody remembers.
    NeverRan,
    /// How its last execution ended.
    LastRun {
        run: RunId,
        end: String,
        attempts: u32,
        #[serde(rename = "ago_ms", serialize_with = "ms")]
        ago: Duration,
        reason: Option<String>,
    },
    /// It is not ready yet.
    NotReadyYet {
        check: String,
        #[serde(rename = "starting_ms", serialize_with = "ms")]
        starting: Duration,
    },
    /// It has been asked to end.
    AskedToEnd {
        signal: String,
        #[serde(rename = "timeout_ms", serialize_with = "ms")]
        timeout: Duration,
    },
    /// One instance of several.
    Instance { instance: u16, instances: u16, status: Status },
    /// A dependency that is not as it has to be.
    Dependency { dependency: AgentName, reason: DependencyProblem, error: Option<String> },
    /// Who has the workers.
    WorkersHeld { workers: u32, holders: Vec<Holder> },
    /// Its place in the line.
    InLine { ahead: usize, priority: u8, effective_priority: u8, before: Option<Before> },
    /// More executions of it wait.
    MoreWait { executions: usize },
    /// The execution of the same agent that has to end first.
    Previous { holder: Holder },
    /// The attempt before failed.
    AttemptFailed {
        attempt: u32,
        attempts_allowed: u32,
        exit: String,
        #[serde(rename = "ago_ms", serialize_with = "ms")]
        ago: Duration,
    },
    /// The limit of all automatic restarts is used up.
    RestartsOfAll {
        used: u32,
        max_restarts: u32,
        #[serde(rename = "window_ms", serialize_with = "ms")]
        window: Duration,
        agents: Vec<(AgentName, u32)>,
    },
    /// A dead letter of it.
    DeadLetter {
        id: u64,
        run: RunId,
        error: String,
        state: &'static str,
        replay: Option<RunId>,
        #[serde(rename = "ago_ms", serialize_with = "ms")]
        ago: Duration,
    },
    /// It was restarted, or its execution was repeated, lately.
    RestartedLately {
        job: bool,
        restarts: usize,
        #[serde(rename = "window_ms", serialize_with = "ms")]
        window: Duration,
        reasons: Vec<(String, usize)>,
    },
    /// Its breaker was opened, and it is tried.
    OnTrial {
        #[serde(rename = "cooldown_ms", serialize_with = "ms")]
        cooldown: Duration,
    },
    /// How its probe goes.
    Probe { kind: &'static str, target: Option<String>, failures: u32, failures_allowed: u32, error: Option<String> },
    /// How short memory is, and who else is disabled for it.
    Memory { level: Level, percent: f64, recover_percent: u8, others: Vec<AgentName> },
    /// Who can't start, or would not, as it is now.
    Affects { agents: Vec<AgentName> },
    /// Its priority is not the registry's.
    PriorityDecided { decision: u64, report: u64, registry: u8, priority: u8, because: String },
    /// It was run again.
    RunAgain { run: RunId },
    /// How a dependency was then.
    DependencyWas { dependency: String, reason: String, error: Option<String> },
    /// What its agent is doing now.
    AgentNow { status: Status },
    /// Nobody supervises it.
    NoOrchestrator,
    /// It is not in the registry.
    NotInRegistry,
    /// Nobody kept why.
    Unknown,
}

fn ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_ms(*duration))
}

impl fmt::Display for Link {
    #[expect(clippy::too_many_lines, reason = "one line of text per circumstance, side by side, reads best")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Up { pids, up } => {
                write!(f, "it has run for {}{}", human(*up), with_pids(pids))
            }
            Self::Executing { run, attempt, attempts_allowed, running, pid, trigger } => {
                match run {
                    Some(run) => write!(f, "execution {run} has run for {}", human(*running))?,
                    None => write!(f, "it has run for {}", human(*running))?,
                }
                if *attempt > 1 {
                    write!(f, " in attempt {attempt} of {attempts_allowed}")?;
                }
                write!(f, "{} ({trigger})", with_pids(pid.as_slice()))
            }
            Self::TriggeredBy { trigger } => write!(f, "it was triggered by {trigger}"),
            Self::AwaitsTrigger { triggers } if triggers.is_empty() => {
                f.write_str("it has no trigger and runs when somebody asks for it")
            }
            Self::AwaitsTrigger { triggers } => write!(f, "it waits for its next trigger ({})", triggers.join(", ")),
            Self::NeverRan => f.write_str("no execution of it is remembered"),
            Self::LastRun { run, end, attempts, ago, reason } => {
                write!(f, "its last execution {run} {} {} ago", ended(end), human(*ago))?;
                match reason {
                    Some(reason) => write!(f, ": {reason}"),
                    None if *attempts > 1 => write!(f, " after {attempts} attempts"),
                    None => Ok(()),
                }
            }
            Self::NotReadyYet { check, starting } => {
                write!(f, "it was started {} ago and is not ready yet: {check}", human(*starting))
            }
            Self::AskedToEnd { signal, timeout } => {
                write!(f, "it was sent {signal} and has {} before SIGKILL", human(*timeout))
            }
            Self::Instance { instance, instances, status } => {
                write!(f, "instance {instance} (of {instances}, counted from 0) is {status}")
            }
            Self::Dependency { dependency, reason, error } => {
                match reason {
                    DependencyProblem::Status(status) => write!(f, "its dependency {dependency} is {status}")?,
                    DependencyProblem::NotStarted => {
                        write!(f, "its dependency {dependency} has not started since the boot")?;
                    }
                    DependencyProblem::NotSucceeded => {
                        write!(f, "its dependency {dependency} has not succeeded since the boot")?;
                    }
                }
                error.iter().try_for_each(|error| write!(f, ": {error}"))
            }
            Self::WorkersHeld { holders, .. } => {
                let all: Vec<String> =
                    holders.iter().map(|holder| format!("{} (for {})", holder.agent, human(holder.running))).collect();
                write!(f, "the workers are held by {}", listed(&all))
            }
            Self::InLine { ahead: 0, priority, effective_priority, .. } => {
                write!(f, "it is the first in line ({})", level(*priority, *effective_priority))
            }
            Self::InLine { ahead, priority, effective_priority, before } => {
                let (count, verb) =
                    if *ahead == 1 { ("1 execution", "is") } else { (&*format!("{ahead} executions"), "are") };
                write!(f, "{count} {verb} ahead of it ({})", level(*priority, *effective_priority))?;
                let Some(Before { run, agent, by, priority, effective_priority }) = before else { return Ok(()) };
                let why = match by {
                    Rank::Priority => "which is more important",
                    Rank::Ageing => "which has waited for long",
                    Rank::Depth => "which has fewer layers of dependencies below it",
                    Rank::Earlier => "which came first",
                };
                let level = level(*priority, *effective_priority);
                write!(f, "; directly ahead is {run} of {agent}, {why} ({level})")
            }
            Self::MoreWait { executions: 1 } => f.write_str("1 more execution of it waits"),
            Self::MoreWait { executions } => write!(f, "{executions} more executions of it wait"),
            Self::Previous { holder } if holder.running.is_zero() => {
                write!(f, "execution {} of it goes first, and waits itself", holder.run)
            }
            Self::Previous { holder } => {
                write!(f, "execution {} of it has run for {}", holder.run, human(holder.running))
            }
            Self::AttemptFailed { attempt, attempts_allowed, exit, ago } => {
                write!(f, "attempt {attempt} of {attempts_allowed} {exit} {} ago", human(*ago))
            }
            Self::RestartsOfAll { used, max_restarts, window, agents } => {
                write!(f, "{used} of {max_restarts} automatic restarts of all agents were within {}", human(*window))?;
                if agents.is_empty() {
                    return Ok(());
                }
                let all: Vec<String> = agents.iter().map(|(agent, count)| format!("{agent} ({count})")).collect();
                write!(f, ", most of them of {}", listed(&all))
            }
            Self::DeadLetter { id, error, state, ago, replay, .. } => {
                write!(f, "dead letter {id} of {} ago is {state}", human(*ago))?;
                replay.iter().try_for_each(|run| write!(f, " as {run}"))?;
                write!(f, ": {error}")
            }
            Self::RestartedLately { job, restarts, window, reasons } => {
                let times = if *restarts == 1 { "once".to_owned() } else { format!("{restarts} times") };
                let what = if *job { "an attempt of it was repeated" } else { "it was restarted" };
                write!(f, "{what} {times} within {}", human(*window))?;
                let all: Vec<String> = reasons
                    .iter()
                    .map(
                        |(reason, count)| {
                            if reasons.len() == 1 { reason.clone() } else { format!("{reason} ({count}×)") }
                        },
                    )
                    .collect();
                if all.is_empty() { Ok(()) } else { write!(f, ": {}", listed(&all)) }
            }
            Self::OnTrial { cooldown } => write!(
                f,
                "its breaker was open for {}: it is on trial, and disabled for longer if it fails again",
                human(*cooldown)
            ),
            Self::Probe { kind, target, failures, failures_allowed, error } => {
                write!(f, "its {kind} probe")?;
                target.iter().try_for_each(|target| write!(f, " of {target}"))?;
                write!(f, " failed {failures} of {failures_allowed} times that make it unhealthy")?;
                error.iter().try_for_each(|error| write!(f, ", last: {error}"))
            }
            Self::Memory { level, percent, recover_percent, others } => {
                write!(f, "memory is {level} at {percent:.0} % now, and has to be under {recover_percent} %")?;
                let names: Vec<String> = others.iter().map(ToString::to_string).collect();
                if names.is_empty() { Ok(()) } else { write!(f, "; disabled as well: {}", listed(&names)) }
            }
            Self::Affects { agents } => {
                let names: Vec<String> = agents.iter().map(ToString::to_string).collect();
                let verb = if agents.len() == 1 { "depends" } else { "depend" };
                write!(f, "{} {verb} on it and can't start", listed(&names))
            }
            Self::PriorityDecided { decision, registry, priority, because, .. } => write!(
                f,
                "the optimizer gave it priority {priority} instead of the registry's {registry} (decision {decision}): {because}"
            ),
            Self::RunAgain { run } => write!(f, "it was run again as {run}"),
            Self::DependencyWas { dependency, reason, error } => {
                write!(f, "its dependency {dependency} was {reason}")?;
                error.iter().try_for_each(|error| write!(f, ": {error}"))
            }
            Self::AgentNow { status } => write!(f, "its agent is {status} now"),
            Self::NoOrchestrator => f.write_str("no orchestrator is running"),
            Self::NotInRegistry => f.write_str("it is not in the registry"),
            Self::Unknown => f.write_str("nobody kept why"),
        }
    }
}

/// The word of an end in a sentence.
pub(super) fn ended(end: &str) -> String {
    match end {
        "succeeded" | "failed" => end.to_owned(),
        "timed_out" => "timed out".to_owned(),
        other => format!("was {other}"),
    }
}

fn with_pids(pids: &[i32]) -> String {
    match pids {
        [] => String::new(),
        [pid] => format!(" with pid {pid}"),
        pids => format!(" with pids {}", pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn level(priority: u8, effective: u8) -> String {
    if priority == effective {
        format!("priority {priority}")
    } else {
        format!("priority {priority}, {effective} after ageing")
    }
}

fn listed(all: &[String]) -> String {
    let text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}
