//! What is known of an agent or an execution: what an explanation is made of.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::Fact;
use crate::agent::{AttemptView, InstanceView, LastWords};
use crate::breaker::BreakerState;
use crate::dispatcher::{Holder, RestartRoom, RunStanding};
use crate::ids::{AgentName, RunId};
use crate::memory::Level;
use crate::optimizer::Decision;
use crate::reason::{Reason, UnhealthyDependency};
use crate::spec::AgentSpec;
use crate::status::Status;
use crate::time::Timestamp;
use crate::trigger::Trigger;

/// What is known of an agent.
#[derive(Clone, Debug)]
pub struct AgentAccount {
    /// Its definition.
    pub spec: Arc<AgentSpec>,
    /// Its status.
    pub status: Status,
    /// Why it takes no executions, if it takes none.
    pub closed: Option<Reason>,
    /// Its boot layer, while that is not reached.
    pub layer: Option<u32>,
    /// Executions that have not ended; starts of a service that wait.
    pub live: Vec<LiveAccount>,
    /// The instances of a service.
    pub instances: Vec<InstanceView>,
    /// Pids of its processes.
    pub pids: Vec<i32>,
    /// How its last execution ended.
    pub last: Option<LastRun>,
    /// Its last error, if its last end was one.
    pub error: Option<String>,
    /// What its program said before its last failure.
    pub last_words: Option<LastWords>,
    /// Dependencies that are not as they have to be.
    pub unhealthy: Vec<DependencyAccount>,
    /// Its own breaker.
    pub breaker: BreakerState,
    /// Its dead letters that nobody has taken care of, newest first.
    pub letters: Vec<LetterAccount>,
    /// Memory, while that matters to it.
    pub memory: Option<MemoryAccount>,
    /// What is asked of it by probes, and how that went.
    pub probes: Vec<ProbeAccount>,
    /// Automatic restarts and retries of the last hour, oldest first.
    pub restarts: Vec<Restart>,
    /// Those that depend on it and can't, or would not, start as it is now.
    pub affected: Vec<AgentName>,
    /// When it is due next.
    pub due: Option<Timestamp>,
    /// Times at which it was due while nothing ran, that it still catches up with.
    pub catching_up: usize,
    /// Whether the triggers of all agents are paused.
    pub paused: bool,
    /// Whether the orchestrator goes down.
    pub shutting_down: bool,
    /// The decision that its priority comes from, if it is not the registry's.
    pub decision: Option<Decision>,
    /// The limit of all automatic restarts.
    pub room: RestartRoom,
    /// Who used it up: agents with their restarts within its window, most first.
    pub room_used_by: Vec<(AgentName, u32)>,
    /// Who has the workers.
    pub holders: Vec<Holder>,
    /// How many workers there are.
    pub workers: u32,
    /// One priority level per so long is gained by waiting; zero: never.
    pub ageing: Duration,
    /// What happened last, oldest first.
    pub facts: Vec<Fact>,
}

/// An execution that has not ended.
#[derive(Clone, Debug)]
pub struct LiveAccount {
    /// Where it stands.
    pub standing: RunStanding,
    /// Its attempt in progress.
    pub attempt: Option<AttemptView>,
    /// The pid of that.
    pub pid: Option<i32>,
}

/// The end of an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct LastRun {
    /// Which.
    pub run: RunId,
    /// The word of its end.
    pub end: String,
    /// When.
    pub at: Timestamp,
    /// How many attempts it had.
    pub attempts: u32,
    /// Why, unless it succeeded.
    pub reason: Option<String>,
}

/// A dependency that is not as it has to be.
#[derive(Clone, Debug)]
pub struct DependencyAccount {
    /// What is wrong.
    pub problem: UnhealthyDependency,
    /// What is known of it; `None`: it is not there, or too far down.
    pub account: Option<Box<AgentAccount>>,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterAccount {
    /// Its number.
    pub id: u64,
    /// Of which execution.
    pub run: RunId,
    /// When it was given up.
    pub at: Timestamp,
    /// What went wrong.
    pub error: String,
    /// The word of what is being done about it.
    pub state: &'static str,
    /// Its last replay.
    pub replay: Option<RunId>,
}

/// Memory of the whole machine, or of the budget.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryAccount {
    /// How short it is.
    pub level: Level,
    /// How much is used, percent of the budget.
    pub percent: f64,
    /// `recover_percent`.
    pub recover_percent: u8,
    /// Who is disabled for it, in the order in which they come back.
    pub shed: Vec<AgentName>,
    /// When it is looked at next; one agent comes back per look.
    pub next_check: Option<Timestamp>,
    /// `[memory] interval`.
    pub interval: Duration,
}

/// One thing that is watched of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeAccount {
    /// The instance.
    pub instance: u16,
    /// `http`, `tcp`, `exec`, `bus` or `notify`.
    pub kind: &'static str,
    /// The URL, the address or the command.
    pub target: Option<String>,
    /// Failures since the last success.
    pub failures: u32,
    /// So many make it unhealthy.
    pub allowed: u32,
    /// What the last one found wrong, and when.
    pub last_error: Option<(Timestamp, String)>,
    /// When the next one is due.
    pub next: Option<Timestamp>,
}

/// An automatic restart or retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// When it was decided.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// An execution that has ended.
#[derive(Clone, Debug)]
pub struct EndedAccount {
    /// Which.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// The word of its end.
    pub end: String,
    /// When.
    pub at: Option<Timestamp>,
    /// What asked for it.
    pub trigger: Trigger,
    /// How many attempts it had.
    pub attempts: u32,
    /// How the last one ended.
    pub exit: Option<String>,
    /// Why, with its code and fields.
    pub reason: Option<(String, Value)>,
    /// What its program said before it failed, while that was its agent's last failure.
    pub last_words: Option<LastWords>,
    /// Its dead letter, if there is one.
    pub letter: Option<LetterAccount>,
    /// The execution that was made in its place.
    pub again: Option<RunId>,
    /// Its agent's status now, and when that is due; `None`: it is not there, or nobody can say.
    pub now: Option<(Status, Option<Timestamp>)>,
    /// What happened, oldest first.
    pub facts: Vec<Fact>,
}
