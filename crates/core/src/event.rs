//! What happened: one enum of past-tense facts. Log, metrics, history, the event stream and the page all come from it.

mod end;
mod pattern;
mod wording;

use std::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::memory::Usage;
use crate::reason::{Reason, UnhealthyDependency};
use crate::time::{Timestamp, as_ms};
use crate::trigger::Trigger;

pub use end::End;
pub use pattern::{PatternError, TopicPattern};

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

    /// Memory is getting short: who can is to give some back.
    MemoryWarning {
        #[serde(flatten)]
        usage: Usage,
        threshold_percent: u8,
    },
    /// Memory is short: agents of priority 3 are disabled.
    MemoryCritical {
        #[serde(flatten)]
        usage: Usage,
        threshold_percent: u8,
        /// The profile that was kept, if one could be.
        profile: Option<String>,
    },
    /// Memory is no longer short.
    MemoryRecovered {
        #[serde(flatten)]
        usage: Usage,
        threshold_percent: u8,
    },

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
    /// The optimizer's run is over, and its report is kept.
    OptimizationCompleted {
        report: u64,
        by: String,
        proposals: u32,
        applied: u32,
        trials: u32,
        #[serde(rename = "duration_ms", serialize_with = "ms")]
        duration: Duration,
    },
    /// The optimizer's run came to nothing; nothing of it is applied.
    OptimizationFailed { by: String, reason: String },
    /// A proposal about an agent's priority was applied.
    PriorityDecided { agent: AgentName, decision: u64, report: u64, from: u8, to: u8, because: String },
    /// Such a decision was undone: by somebody, or because the registry gives the agent another priority.
    PriorityRestored { agent: AgentName, decision: u64, priority: u8, by: Option<String> },
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
    /// Notifications to a target are being lost; told once, until one goes through again.
    NotificationsDropped { target: String, reason: String },
    /// Notifications to a target go through again.
    NotificationsRecovered {
        target: String,
        #[serde(rename = "after_ms", serialize_with = "ms")]
        after: Duration,
        /// Events that the target never heard of.
        dropped: u64,
    },
    /// There is little room on the disk of the state.
    DiskLow { free_bytes: u64, total_bytes: u64 },
    /// There is room again.
    DiskRecovered { free_bytes: u64, total_bytes: u64 },
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
            Self::MemoryWarning { .. } => "memory.warning",
            Self::MemoryCritical { .. } => "memory.critical",
            Self::MemoryRecovered { .. } => "memory.recovered",
            Self::BreakerOpened { .. } => "breaker.opened",
            Self::BreakerHalfOpen { .. } => "breaker.half_open",
            Self::BreakerClosed { .. } => "breaker.closed",
            Self::BootCompleted { .. } => "boot.completed",
            Self::OptimizationCompleted { .. } => "optimization.completed",
            Self::OptimizationFailed { .. } => "optimization.failed",
            Self::PriorityDecided { .. } => "optimization.applied",
            Self::PriorityRestored { .. } => "optimization.undone",
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
            Self::NotificationsDropped { .. } => "system.notifications.dropped",
            Self::NotificationsRecovered { .. } => "system.notifications.recovered",
            Self::DiskLow { .. } => "system.disk.low",
            Self::DiskRecovered { .. } => "system.disk.recovered",
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
            | Self::PriorityDecided { agent, .. }
            | Self::PriorityRestored { agent, .. }
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
            | Self::MemoryWarning { .. }
            | Self::BreakerOpened { .. }
            | Self::DeadLetterAdded { .. }
            | Self::DeadLetterParked { .. }
            | Self::DeadLetterDiscarded { evicted: true, .. }
            | Self::ClockStepped { .. }
            | Self::DiskLow { .. }
            | Self::OptimizationFailed { .. }
            | Self::NotificationsDropped { .. }
            | Self::BusRequestCircle { .. }
            | Self::BusRequestTooLong { .. }
            | Self::BusConsumerSlow { .. }
            | Self::BusReplyRejected { .. }
            | Self::ExecutionEnded { end: End::Refused | End::Lost | End::Failed | End::TimedOut, .. } => {
                Weight::Warning
            }
            Self::ActorDied { .. }
            | Self::MemoryCritical { .. }
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

impl Weight {
    /// As the settings write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detail => "detail",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
