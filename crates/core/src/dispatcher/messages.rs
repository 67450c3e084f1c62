//! What the dispatcher is asked and told, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use super::entry::Gate;
use crate::dead_letters::{Attempt, DeadLetterDraft};
use crate::event::{End, Event as Fact};
use crate::exit::Exit;
use crate::ids::{AgentIndex, AgentName, RunId};
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::settings::{Breaker, QueueSettings};
use crate::status::Status;
use crate::time::Timestamp;
use crate::timetable::{Due, DueKind};
use crate::trigger::Trigger;

/// A request for an execution of a job.
#[derive(Clone, Debug)]
pub struct Request {
    /// Whose.
    pub agent: AgentIndex,
    /// What asks.
    pub trigger: Trigger,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What the program gets on stdin.
    pub payload: Option<Arc<[u8]>>,
    /// Its id, where it was accepted and kept before.
    pub run: Option<RunId>,
    /// Whether it waits where its agent's `overlap` would skip it or end others, as what a person asks for does.
    pub waits: bool,
}

impl Request {
    /// A request of which no more is known than who and why.
    pub const fn new(agent: AgentIndex, trigger: Trigger) -> Self {
        Self { agent, trigger, scheduled_for: None, payload: None, run: None, waits: false }
    }
}

impl From<Due> for Request {
    /// The request of an agent that is due.
    fn from(due: Due) -> Self {
        let trigger = match due.trigger {
            DueKind::Schedule => Trigger::Schedule,
            DueKind::Every => Trigger::Every,
        };
        Self { scheduled_for: Some(due.scheduled_for), ..Self::new(due.agent, trigger) }
    }
}

/// The answer to a [`Request`]. The execution has an id in any case, and an end in the two latter ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It waits, or has been started already.
    Accepted(RunId),
    /// Not started, as intended.
    Skipped(RunId, Reason),
    /// Not accepted.
    Refused(RunId, Reason),
}

/// What the dispatcher is told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A service's instance wants to start. `automatic` starts count against the global breaker.
    StartService {
        /// Whose.
        agent: AgentIndex,
        /// Which instance.
        instance: u16,
        /// Whether it is a restart of our own.
        automatic: bool,
        /// Whether unhealthy dependencies are overridden.
        force: bool,
    },
    /// A service's instance does not want to start any more.
    WithdrawService {
        /// Whose.
        agent: AgentIndex,
        /// Which instance.
        instance: u16,
    },
    /// An attempt failed, and there is to be another one.
    Retry {
        /// Which execution.
        key: RunKey,
        /// After this delay.
        delay: Duration,
        /// Whether it counts as an attempt and against the global breaker; not so when the machine was short of something.
        counted: bool,
        /// The attempt that failed.
        attempt: Option<Attempt>,
        /// Why.
        reason: Reason,
    },
    /// The last attempt ended.
    Ended(Box<Ended>),
    /// The agent opened or closed itself for executions.
    SetGate {
        /// Whose.
        agent: AgentIndex,
        /// The new state.
        gate: Gate,
    },
    /// The agent's program was spawned for the first time: `condition = "started"` holds from now on.
    FirstStarted {
        /// Whose.
        agent: AgentIndex,
    },
    /// The status of a service changed.
    ServiceStatus {
        /// Whose.
        agent: AgentIndex,
        /// The worst of its instances.
        status: Status,
        /// Its last error, as a dependency's payload carries it.
        error: Option<String>,
    },
    /// A service was given up: its dead letter.
    ServiceGaveUp {
        /// Whose.
        agent: AgentIndex,
        /// Which life of it.
        run: RunId,
        /// Why.
        reason: Reason,
        /// How it ended.
        exit: Exit,
        /// The last lives.
        attempts: Vec<Attempt>,
        /// Its last lines.
        log_tail: Vec<String>,
    },
    /// Somebody cancels one execution.
    CancelRun {
        /// Which.
        run: RunId,
        /// Who.
        by: String,
    },
    /// All triggers but explicit ones are paused, or resumed.
    SetPaused(bool),
    /// Nothing is started any more; what waits is cancelled.
    ShutDown,
    /// Thresholds changed.
    Configure {
        /// `[queue]`
        queue: QueueSettings,
        /// `[breaker]`
        breaker: Breaker,
        /// Number of workers, "auto" resolved.
        workers: u32,
    },
    /// [`super::Dispatcher::next_deadline`] is over.
    DeadlineReached,
}

/// How an execution's last attempt ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Which execution.
    pub key: RunKey,
    /// Its end.
    pub end: End,
    /// The attempt, if it was started.
    pub attempt: Option<Attempt>,
    /// How its program ended.
    pub exit: Option<Exit>,
    /// Why, unless it succeeded.
    pub reason: Option<Reason>,
    /// Whether it is kept as a dead letter.
    pub dead_letter: bool,
    /// Last lines of its output.
    pub log_tail: Vec<String>,
    /// Peak memory of its program in bytes.
    pub peak_rss_bytes: u64,
}

/// All that is worth keeping of an execution that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// What asked for it.
    pub trigger: Trigger,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its end.
    pub end: End,
    /// Whether it ever got a worker.
    pub started: bool,
    /// Every attempt, first one first.
    pub attempts: Vec<Attempt>,
    /// Time spent waiting for a worker, of the last attempt.
    pub waited: Duration,
    /// How the last attempt's program ended.
    pub exit: Option<Exit>,
    /// Why it ended as it did, unless it succeeded.
    pub reason: Option<Reason>,
    /// The most bytes that an attempt took.
    pub peak_rss_bytes: Option<u64>,
}

/// The right to start a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The execution's handle; for a service the handle is free again already.
    pub key: RunKey,
    /// Its id.
    pub run: RunId,
    /// Whose.
    pub agent: AgentIndex,
    /// Which instance, for a service.
    pub instance: Option<u16>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// What asked for it.
    pub trigger: Trigger,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// What the program gets on stdin.
    pub payload: Option<Arc<[u8]>>,
}

/// What the dispatcher answers.
#[derive(Clone, Debug)]
#[must_use]
pub enum Action {
    /// Start a program.
    Start(Grant),
    /// End a running execution; it answers with [`Event::Ended`].
    Cancel {
        /// Whose.
        agent: AgentIndex,
        /// Which.
        key: RunKey,
        /// Why.
        reason: Reason,
    },
    /// Keep the end of an execution; what is told of it comes next.
    Keep(Box<Finished>),
    /// Tell everybody.
    Emit(Fact),
    /// Keep a dead letter.
    DeadLetter(Box<DeadLetterDraft>),
    /// A successful execution's times.
    Sample {
        /// Whose.
        agent: AgentIndex,
        /// Of the successful attempt.
        duration: Duration,
        /// For a worker.
        waited: Duration,
    },
}
