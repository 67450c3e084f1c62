//! What happened: one enum of past-tense facts. Log, metrics, history, the event stream and the page all come from it.

use std::fmt;
use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::reason::{Reason, UnhealthyDependency, list_unhealthy};
use crate::time::{Timestamp, as_ms, human};
use crate::trigger::Trigger;

/// How an execution ended; exactly one per execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its program ended with a code of success.
    Succeeded,
    /// All attempts failed.
    Failed,
    /// The last attempt took too long.
    TimedOut,
    /// It was not started, and that is as intended.
    Skipped,
    /// It was not accepted.
    Refused,
    /// Somebody, or a newer execution, ended it.
    Cancelled,
    /// Cut off by shutdown or crash.
    Interrupted,
    /// Nobody can say.
    Lost,
}

impl End {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A fact with its place in the sequence of all facts since the start. As JSON it is `seq`, `time`, `type` (the topic)
/// and `data`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// 1, 2, 3 …
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// What happened.
    pub event: Event,
}

impl Serialize for Recorded {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut record = serializer.serialize_struct("Recorded", 4)?;
        record.serialize_field("seq", &self.seq)?;
        record.serialize_field("time", &self.time)?;
        record.serialize_field("type", self.event.topic())?;
        record.serialize_field("data", &self.event)?;
        record.end()
    }
}

/// What happened. Serialised alone it is the fact's data, without its topic.
#[expect(missing_docs, reason = "the fields are named after what they hold; units are in their serialized names")]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Event {
    /// A program was started.
    AgentStarted { agent: AgentName, instance: u16, run: RunId, attempt: u32, pid: i32 },
    /// A service's instance is ready.
    AgentReady {
        agent: AgentName,
        instance: u16,
        #[serde(rename = "after_ms", serialize_with = "ms")]
        after: Duration,
    },
    /// A service's instance, or a job's triggers, were stopped on purpose.
    AgentStopped { agent: AgentName, instance: u16, exit: Option<Exit>, forced: bool, reason: Reason },
    /// An attempt of a job, or a service's instance, failed.
    AgentFailed { agent: AgentName, instance: u16, run: RunId, attempt: u32, exit: Exit },
    /// It will be started again.
    AgentRestarting {
        agent: AgentName,
        instance: u16,
        /// How many restarts or retries in a row, this one included.
        count: u32,
        #[serde(rename = "delay_ms", serialize_with = "ms")]
        delay: Duration,
        reason: Reason,
    },
    /// A trigger led to nothing, as intended.
    AgentSkipped { agent: AgentName, run: RunId, trigger: Trigger, reason: Reason },
    /// An execution was skipped because of its dependencies.
    DependenciesUnhealthy {
        agent: AgentName,
        #[serde(rename = "unhealthyDeps")]
        unhealthy_deps: Vec<UnhealthyDependency>,
    },
    /// It takes part in nothing any more.
    AgentDisabled { agent: AgentName, reason: Reason },
    /// It takes part again.
    AgentEnabled { agent: AgentName, reason: Reason },
    /// Its probes changed their mind.
    HealthChanged { agent: AgentName, instance: u16, healthy: bool, reason: Option<Reason> },

    /// An execution was accepted.
    ExecutionQueued { agent: AgentName, run: RunId, trigger: Trigger, scheduled_for: Option<Timestamp> },
    /// An attempt got its worker.
    ExecutionStarted {
        agent: AgentName,
        run: RunId,
        attempt: u32,
        #[serde(rename = "waited_ms", serialize_with = "ms")]
        waited: Duration,
    },
    /// An execution ended; the topic is `execution.` and the end.
    ExecutionEnded {
        agent: AgentName,
        run: RunId,
        end: End,
        trigger: Trigger,
        attempts: u32,
        /// Of the last attempt, until its program ended.
        #[serde(rename = "duration_ms", serialize_with = "maybe_ms")]
        duration: Option<Duration>,
        /// Time spent waiting for a worker, of the last attempt.
        #[serde(rename = "waited_ms", serialize_with = "ms")]
        waited: Duration,
        exit: Option<Exit>,
        reason: Option<Reason>,
    },

    /// A dead letter was taken in.
    DeadLetterAdded { id: u64, agent: AgentName, error: String, signature: String },
    /// A dead letter was run again.
    DeadLetterReplayed { id: u64, agent: AgentName, run: RunId },
    /// The payload of a dead letter killed its agent so often that it is replayed on explicit demand only.
    DeadLetterParked { id: u64, agent: AgentName, kills: u32 },
    /// A dead letter was thrown away: by somebody, or by its bound.
    DeadLetterDiscarded { id: u64, agent: AgentName, evicted: bool },

    /// A breaker opened; without an agent it is the global one.
    BreakerOpened {
        agent: Option<AgentName>,
        reason: Reason,
        #[serde(rename = "cooldown_ms", serialize_with = "maybe_ms")]
        cooldown: Option<Duration>,
    },
    /// A breaker lets one trial through.
    BreakerHalfOpen { agent: AgentName },
    /// A breaker closed.
    BreakerClosed { agent: Option<AgentName>, reason: Reason },

    /// All layers were started.
    BootCompleted {
        agents: u32,
        layers: u32,
        #[serde(rename = "duration_ms", serialize_with = "ms")]
        duration: Duration,
        /// Services that were not ready in time.
        late: Vec<AgentName>,
        /// The chain of agents that the boot waited for longest, first one first.
        critical_path: Vec<AgentName>,
    },
    /// The orchestrator goes down.
    ShutdownStarted { reason: String },
    /// New files took effect.
    ConfigReloaded { added: Vec<AgentName>, removed: Vec<AgentName>, changed: Vec<AgentName>, settings: Vec<String> },
    /// New files were refused; the old ones stay in effect.
    ConfigRejected { faults: u32, first: String },
    /// Triggers of all agents were paused or resumed.
    TriggersPaused { paused: bool, by: String },
    /// An actor of the orchestrator died and was started again, or given up.
    ActorDied { actor: String, message: String, restarted: bool },
    /// A request on the bus was given up, and those who wait for each other are a circle: each asks the next, the last
    /// one the first.
    BusRequestCircle { agents: Vec<AgentName> },
    /// A chain of requests on the bus was too long.
    BusRequestTooLong { from: String, agent: AgentName },
    /// A client of the bus did not read what was meant for it, and was cut off.
    BusConsumerSlow { who: String, backlog_bytes: u64 },
    /// Somebody answered what another agent was asked.
    BusReplyRejected { who: String, asked: AgentName },
    /// The disk does not take the state: what has to be durable is refused, the rest goes on.
    StoreDegraded { reason: String },
    /// The disk takes the state again.
    StoreRecovered {
        #[serde(rename = "after_ms", serialize_with = "ms")]
        after: Duration,
        /// What had to be durable and was refused meanwhile.
        refused: u64,
        /// Facts that could wait, and waited in vain.
        dropped: u64,
    },
    /// The writer of the state died and was started again.
    StoreRestarted { reason: String },
    /// The wall clock was set.
    ClockStepped { seconds: f64, misfired: u32 },
    /// While nothing ran, scheduled times of an agent went by, and `catch_up` has it that they are looked at.
    ScheduleMissed {
        agent: AgentName,
        /// How many of them are made up for now.
        runs: u32,
        /// How many are not, by the policy or the bound.
        left_out: u64,
        /// The first and the last one that is made up for.
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        /// Why none is made up for, or no more.
        reason: Option<Reason>,
    },
}

fn counted(number: u32, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_ms(*duration))
}

#[expect(clippy::ref_option, reason = "serde's serialize_with takes a reference to the field")]
fn maybe_ms<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(as_ms).serialize(serializer)
}

impl Event {
    /// First words of all topics, those of later events included: on the bus only the system may say them.
    pub const FAMILIES: [&'static str; 13] = [
        "agent",
        "execution",
        "dlq",
        "memory",
        "breaker",
        "boot",
        "shutdown",
        "config",
        "optimization",
        "triggers",
        "bus",
        "store",
        "system",
    ];

    /// The topic: its `type` as a `CloudEvent` and its subject on the bus.
    pub const fn topic(&self) -> &'static str {
        match self {
            Self::AgentStarted { .. } => "agent.started",
            Self::AgentReady { .. } => "agent.ready",
            Self::AgentStopped { .. } => "agent.stopped",
            Self::AgentFailed { .. } => "agent.failed",
            Self::AgentRestarting { .. } => "agent.restarting",
            Self::AgentSkipped { .. } => "agent.skipped",
            Self::DependenciesUnhealthy { .. } => "agent.dependencies.unhealthy",
            Self::AgentDisabled { .. } => "agent.disabled",
            Self::AgentEnabled { .. } => "agent.enabled",
            Self::HealthChanged { .. } => "agent.health.changed",
            Self::ExecutionQueued { .. } => "execution.queued",
            Self::ExecutionStarted { .. } => "execution.started",
            Self::ExecutionEnded { end, .. } => match end {
                End::Succeeded => "execution.succeeded",
                End::Failed => "execution.failed",
                End::TimedOut => "execution.timed_out",
                End::Skipped => "execution.skipped",
                End::Refused => "execution.refused",
                End::Cancelled => "execution.cancelled",
                End::Interrupted => "execution.interrupted",
                End::Lost => "execution.lost",
            },
            Self::DeadLetterAdded { .. } => "dlq.added",
            Self::DeadLetterReplayed { .. } => "dlq.replayed",
            Self::DeadLetterParked { .. } => "dlq.parked",
            Self::DeadLetterDiscarded { .. } => "dlq.discarded",
            Self::BreakerOpened { .. } => "breaker.opened",
            Self::BreakerHalfOpen { .. } => "breaker.half_open",
            Self::BreakerClosed { .. } => "breaker.closed",
            Self::BootCompleted { .. } => "boot.completed",
            Self::ShutdownStarted { .. } => "shutdown.started",
            Self::ConfigReloaded { .. } => "config.reloaded",
            Self::ConfigRejected { .. } => "config.rejected",
            Self::TriggersPaused { .. } => "triggers.paused",
            Self::ActorDied { .. } => "system.actor.died",
            Self::BusRequestCircle { .. } => "bus.request.circle",
            Self::BusRequestTooLong { .. } => "bus.request.too_long",
            Self::BusConsumerSlow { .. } => "bus.consumer.slow",
            Self::BusReplyRejected { .. } => "bus.reply.rejected",
            Self::StoreDegraded { .. } => "store.degraded",
            Self::StoreRecovered { .. } => "store.recovered",
            Self::StoreRestarted { .. } => "store.restarted",
            Self::ClockStepped { .. } => "system.clock.stepped",
            Self::ScheduleMissed { .. } => "agent.schedule.missed",
        }
    }

    /// The agent that it is about, if it is about one.
    pub const fn agent(&self) -> Option<&AgentName> {
        match self {
            Self::AgentStarted { agent, .. }
            | Self::AgentReady { agent, .. }
            | Self::AgentStopped { agent, .. }
            | Self::AgentFailed { agent, .. }
            | Self::AgentRestarting { agent, .. }
            | Self::AgentSkipped { agent, .. }
            | Self::DependenciesUnhealthy { agent, .. }
            | Self::AgentDisabled { agent, .. }
            | Self::AgentEnabled { agent, .. }
            | Self::HealthChanged { agent, .. }
            | Self::ExecutionQueued { agent, .. }
            | Self::ExecutionStarted { agent, .. }
            | Self::ExecutionEnded { agent, .. }
            | Self::DeadLetterAdded { agent, .. }
            | Self::DeadLetterReplayed { agent, .. }
            | Self::DeadLetterParked { agent, .. }
            | Self::DeadLetterDiscarded { agent, .. }
            | Self::BreakerHalfOpen { agent }
            | Self::ScheduleMissed { agent, .. } => Some(agent),
            Self::BreakerOpened { agent, .. } | Self::BreakerClosed { agent, .. } => agent.as_ref(),
            _ => None,
        }
    }

    /// How loud it is in the log.
    pub fn weight(&self) -> Weight {
        match self {
            Self::ExecutionQueued { .. }
            | Self::ExecutionStarted { .. }
            | Self::AgentStarted { .. }
            | Self::ExecutionEnded { end: End::Skipped, .. } => Weight::Detail,
            Self::AgentFailed { .. }
            | Self::DependenciesUnhealthy { .. }
            | Self::AgentDisabled { .. }
            | Self::HealthChanged { healthy: false, .. }
            | Self::BreakerOpened { .. }
            | Self::DeadLetterAdded { .. }
            | Self::DeadLetterParked { .. }
            | Self::DeadLetterDiscarded { evicted: true, .. }
            | Self::ClockStepped { .. }
            | Self::BusRequestCircle { .. }
            | Self::BusRequestTooLong { .. }
            | Self::BusConsumerSlow { .. }
            | Self::BusReplyRejected { .. }
            | Self::ExecutionEnded { end: End::Refused | End::Lost | End::Failed | End::TimedOut, .. } => {
                Weight::Warning
            }
            Self::ActorDied { .. }
            | Self::ConfigRejected { .. }
            | Self::StoreDegraded { .. }
            | Self::StoreRestarted { .. } => Weight::Error,
            _ => Weight::Notice,
        }
    }
}

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// For who looks closely.
    Detail,
    /// For everybody.
    Notice,
    /// Somebody should know.
    Warning,
    /// Somebody should act.
    Error,
}

impl fmt::Display for Event {
    #[expect(clippy::too_many_lines, reason = "one line of text per event, side by side, reads best")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AgentStarted { agent, pid, attempt, .. } if *attempt > 1 => {
                write!(f, "Agent \"{agent}\" started (pid {pid}, attempt {attempt})")
            }
            Self::AgentStarted { agent, pid, .. } => write!(f, "Agent \"{agent}\" started (pid {pid})"),
            Self::AgentReady { agent, after, .. } => write!(f, "Agent \"{agent}\" is ready after {}", human(*after)),
            Self::AgentStopped { agent, exit, forced, reason, .. } => {
                write!(f, "Agent \"{agent}\" stopped: {reason}")?;
                if let Some(exit) = exit {
                    write!(f, " ({exit}{})", if *forced { ", by force" } else { "" })?;
                }
                Ok(())
            }
            Self::AgentFailed { agent, attempt, exit, .. } => {
                write!(f, "Agent \"{agent}\" failed (attempt {attempt}): {exit}")
            }
            Self::AgentRestarting { agent, count: 0, reason, .. } => {
                write!(f, "Agent \"{agent}\" is being restarted: {reason}")
            }
            Self::AgentRestarting { agent, count, delay, reason, .. } => {
                write!(f, "Agent \"{agent}\" starts again in {} (number {count}): {reason}", human(*delay))
            }
            Self::AgentSkipped { agent, trigger, reason, .. } => {
                write!(f, "Agent \"{agent}\" skipped ({trigger}): {reason}")
            }
            Self::DependenciesUnhealthy { agent, unhealthy_deps } => {
                write!(f, "Agent \"{agent}\" has unhealthy dependencies: {}", list_unhealthy(unhealthy_deps))
            }
            Self::AgentDisabled { agent, reason } => write!(f, "Agent \"{agent}\" is disabled: {reason}"),
            Self::AgentEnabled { agent, reason } => write!(f, "Agent \"{agent}\" is enabled: {reason}"),
            Self::HealthChanged { agent, healthy: true, .. } => write!(f, "Agent \"{agent}\" is healthy again"),
            Self::HealthChanged { agent, reason, .. } => {
                write!(f, "Agent \"{agent}\" is unhealthy")?;
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::ExecutionQueued { agent, run, trigger, .. } => {
                write!(f, "Execution {run} of \"{agent}\" queued ({trigger})")
            }
            Self::ExecutionStarted { agent, run, attempt, waited } => {
                write!(f, "Execution {run} of \"{agent}\" started (attempt {attempt}, waited {})", human(*waited))
            }
            Self::ExecutionEnded { agent, run, end, attempts, duration, reason, .. } => {
                write!(f, "Execution {run} of \"{agent}\" {end}")?;
                if let Some(duration) = duration {
                    write!(f, " in {}", human(*duration))?;
                }
                if *attempts > 1 {
                    write!(f, " after {attempts} attempts")?;
                }
                reason.iter().try_for_each(|reason| write!(f, ": {reason}"))
            }
            Self::DeadLetterAdded { id, agent, error, .. } => {
                write!(f, "Dead letter {id} of \"{agent}\": {error} (look at it with `werkpilot dlq show {id}`)")
            }
            Self::DeadLetterReplayed { id, agent, run } => {
                write!(f, "Dead letter {id} of \"{agent}\" replayed as {run}")
            }
            Self::DeadLetterParked { id, agent, kills } => {
                write!(f, "Dead letter {id} of \"{agent}\" is parked: its payload killed the agent {kills} times")
            }
            Self::DeadLetterDiscarded { id, agent, evicted: true } => {
                write!(f, "Dead letter {id} of \"{agent}\" gave way ([dead_letters] capacity, max_age)")
            }
            Self::DeadLetterDiscarded { id, agent, .. } => write!(f, "Dead letter {id} of \"{agent}\" discarded"),
            Self::BreakerOpened { agent: Some(agent), reason, cooldown } => {
                write!(f, "Breaker of \"{agent}\" opened: {reason}")?;
                cooldown.iter().try_for_each(|cooldown| write!(f, "; tried again in {}", human(*cooldown)))
            }
            Self::BreakerOpened { reason, .. } => write!(f, "Global breaker opened: {reason}"),
            Self::BreakerHalfOpen { agent } => write!(f, "Breaker of \"{agent}\" is half-open: one trial"),
            Self::BreakerClosed { agent: Some(agent), reason } => write!(f, "Breaker of \"{agent}\" closed: {reason}"),
            Self::BreakerClosed { reason, .. } => write!(f, "Global breaker closed: {reason}"),
            Self::BusRequestCircle { agents } => {
                write!(f, "Agents ask each other in a circle, and one gave up: ")?;
                agents.iter().try_for_each(|agent| write!(f, "{agent} → "))?;
                f.write_str(agents.first().map_or("", AgentName::as_str))
            }
            Self::BusRequestTooLong { from, agent } => {
                write!(f, "A request of \"{from}\" to \"{agent}\" was refused: too many requests in one chain")
            }
            Self::BusConsumerSlow { who, backlog_bytes } => {
                write!(f, "\"{who}\" was cut off from the bus: {backlog_bytes} bytes waited for it")
            }
            Self::BusReplyRejected { who, asked } => {
                write!(f, "\"{who}\" answered what \"{asked}\" was asked; the answer was thrown away")
            }
            Self::BootCompleted { agents, layers, duration, critical_path, .. } => {
                let (agents, layers) = (counted(*agents, "agent"), counted(*layers, "layer"));
                write!(f, "Boot completed: {agents} in {layers} after {}", human(*duration))?;
                if let [first, rest @ ..] = &critical_path[..] {
                    write!(f, "; critical path: {first}")?;
                    rest.iter().try_for_each(|next| write!(f, " → {next}"))?;
                }
                Ok(())
            }
            Self::ShutdownStarted { reason } => write!(f, "Shutdown started: {reason}"),
            Self::ConfigReloaded { added, removed, changed, settings } => write!(
                f,
                "Configuration reloaded: {} added, {} removed, {} changed, {} settings changed",
                added.len(),
                removed.len(),
                changed.len(),
                settings.len()
            ),
            Self::ConfigRejected { faults: 1, first } => {
                write!(f, "Configuration rejected, the old one stays in effect: {first}")
            }
            Self::ConfigRejected { faults, first } => {
                write!(f, "Configuration rejected, the old one stays in effect: {first} (and {} more)", faults - 1)
            }
            Self::TriggersPaused { paused: true, by } => write!(f, "All triggers paused by {by}"),
            Self::TriggersPaused { by, .. } => write!(f, "All triggers resumed by {by}"),
            Self::ActorDied { actor, message, restarted: true } => {
                write!(f, "Actor {actor} died and was started again: {message}")
            }
            Self::ActorDied { actor, message, .. } => write!(f, "Actor {actor} died and was given up: {message}"),
            Self::StoreDegraded { reason } => write!(
                f,
                "The state can't be kept on disk ({reason}): what has to be durable is refused, agents are supervised as before"
            ),
            Self::StoreRecovered { after, refused: 0, dropped: 0 } => {
                write!(f, "The state is kept on disk again after {}; nothing was lost", human(*after))
            }
            Self::StoreRecovered { after, refused, dropped } => write!(
                f,
                "The state is kept on disk again after {}; {refused} refused, {dropped} of the history lost",
                human(*after)
            ),
            Self::StoreRestarted { reason } => write!(f, "The writer of the state was started again: {reason}"),
            Self::ScheduleMissed { agent, left_out, reason: Some(reason), .. } => {
                write!(
                    f,
                    "Agent \"{agent}\" was due while nothing ran, and does not catch up: {left_out} left out: {reason}"
                )
            }
            Self::ScheduleMissed { agent, runs, left_out, from, to, .. } => {
                write!(f, "Agent \"{agent}\" was due while nothing ran: {} to catch up with", counted(*runs, "time"))?;
                match (from, to) {
                    (Some(from), Some(to)) if from != to => write!(f, ", from {from} to {to}")?,
                    (Some(time), _) => write!(f, ", of {time}")?,
                    _ => {}
                }
                if *left_out > 0 { write!(f, "; {left_out} left out") } else { Ok(()) }
            }
            Self::ClockStepped { seconds, misfired: 0 } => write!(f, "The wall clock was set by {seconds:+.1} s"),
            Self::ClockStepped { seconds, misfired } => {
                write!(
                    f,
                    "The wall clock was set by {seconds:+.1} s; {misfired} scheduled times within the step were left out"
                )
            }
        }
    }
}
