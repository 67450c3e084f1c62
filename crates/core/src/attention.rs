//! What needs somebody's attention now: how bad it is, why, and what to do, the worst first.
//!
//! [`of`] decides; it looks at nothing itself. A root cause comes once: agents that only wait for another one are named with
//! that one. At most [`SHOWN`] items are answered, with the number of all. The rules are in `docs/design/attention.md`.

mod account;
mod agents;
mod letters;
mod roots;
mod system;

use std::cmp::Reverse;

use serde::Serialize;
use utoipa::ToSchema;

use crate::agent::LastWords;
use crate::ids::AgentName;
use crate::time::Timestamp;

pub use account::{
    AgentStanding, BreakerStanding, ClockSet, FleetAccount, MemoryStanding, Paused, QueueStanding, Rejected,
    StoreStanding, SystemStanding, Waits,
};
pub use letters::{LATELY, NewLetters, new_letters};

/// More is not read by anybody at once.
pub const SHOWN: usize = 100;
/// Names of a list in a sentence; more are counted.
const NAMED: usize = 5;
/// Names of those affected that programs get.
const LISTED: usize = 20;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something does not work, and will not by itself.
    Critical,
    /// Somebody should look at it today.
    Warning,
    /// Worth knowing.
    Notice,
}

/// What it is about. Declared in the order in which items of the same severity are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The state is not kept.
    Store,
    /// Parts of the orchestrator are not there.
    Actors,
    /// Memory is short.
    Memory,
    /// Automatic restarts of all agents are used up, or nearly.
    Breaker,
    /// The queue is full, or nearly, or slow.
    Queue,
    /// The disk of the state is full, or nearly.
    Disk,
    /// The schedule is late.
    Schedule,
    /// The event loop is late.
    Lag,
    /// Triggers are paused.
    Paused,
    /// The files have faults, and the old ones are in effect.
    ConfigRejected,
    /// An agent's command is not there.
    Missing,
    /// An agent's breaker is open.
    DisabledByFailure,
    /// An agent failed for good.
    Error,
    /// An agent took too long for good.
    Timeout,
    /// An agent runs, and is not well.
    Unhealthy,
    /// An agent failed, and is tried again.
    BackingOff,
    /// An agent is switched off, and others wait for it.
    Disabled,
    /// An agent is stopped, and others wait for it; or it ended and is left so.
    Stopped,
    /// An agent waits for long.
    Waiting,
    /// A service was not ready in time at the boot.
    BootLate,
    /// Executions failed for good within the last hour.
    DeadLetters,
    /// The wall clock was set.
    Clock,
    /// Keys that do nothing in this version.
    NotEffective,
}

impl Kind {
    /// All of them, in their order.
    pub const ALL: [Self; 23] = [
        Self::Store,
        Self::Actors,
        Self::Memory,
        Self::Breaker,
        Self::Queue,
        Self::Disk,
        Self::Schedule,
        Self::Lag,
        Self::Paused,
        Self::ConfigRejected,
        Self::Missing,
        Self::DisabledByFailure,
        Self::Error,
        Self::Timeout,
        Self::Unhealthy,
        Self::BackingOff,
        Self::Disabled,
        Self::Stopped,
        Self::Waiting,
        Self::BootLate,
        Self::DeadLetters,
        Self::Clock,
        Self::NotEffective,
    ];

    /// The page that shows more of it.
    const fn page(self) -> &'static str {
        match self {
            Self::Store | Self::Disk | Self::Lag | Self::Actors | Self::Clock => "#/events",
            Self::Memory => "#/memory",
            Self::Queue => "#/queue",
            Self::Schedule | Self::Paused => "#/schedule",
            Self::ConfigRejected | Self::NotEffective => "#/settings",
            Self::DeadLetters => "#/dead-letters",
            _ => "#/agents",
        }
    }
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The agent that it is about; null: the orchestrator, or several.
    pub agent: Option<AgentName>,
    /// What is the matter, in a line.
    pub title: String,
    /// Why.
    pub reason: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// What to do about it, with the commands in backquotes.
    pub hint: String,
    /// Where the page shows more.
    pub link: String,
    /// Agents that wait for it, or that it is about: the first 20.
    pub affected: Vec<AgentName>,
    /// How many they are in all.
    pub affected_total: usize,
    /// What its program said before it failed; null for who may not read its log.
    pub last_words: Option<LastWords>,
    /// What goes before others of the same kind: how many it concerns.
    #[serde(skip)]
    weight: usize,
    /// 1 is critical; 3 for what is about no agent.
    #[serde(skip)]
    priority: u8,
}

impl Item {
    fn new(severity: Severity, kind: Kind, title: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            severity,
            kind,
            agent: None,
            title: title.into(),
            reason: reason.into(),
            since: None,
            hint: String::new(),
            link: kind.page().to_owned(),
            affected: Vec::new(),
            affected_total: 0,
            last_words: None,
            weight: 0,
            priority: 3,
        }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    fn about(self, agent: &AgentStanding) -> Self {
        let (link, priority) = (format!("#/agents/{}", agent.name), agent.priority);
        Self { agent: Some(agent.name.clone()), last_words: agent.last_words.clone(), link, priority, ..self }
    }

    /// The agents that it concerns beside the one that it is about.
    fn concerns(self, agents: &[&AgentName]) -> Self {
        let affected = agents.iter().take(LISTED).map(|agent| (*agent).clone()).collect();
        Self { affected, affected_total: agents.len(), weight: agents.len(), ..self }
    }
}

/// What needs attention, the worst first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attention {
    /// At most [`SHOWN`].
    pub items: Vec<Item>,
    /// How many there are in all.
    pub total: usize,
}

/// Decides what needs attention.
pub fn of(fleet: &FleetAccount, now: Timestamp) -> Attention {
    let roots = roots::of(&fleet.agents);
    let mut items = system::items(fleet, now);
    items.extend(agents::items(&fleet.agents, &roots, now));
    items.extend(letters::items(&fleet.letters, &fleet.agents));
    let rank = |item: &Item| (item.severity, item.kind, Reverse(item.weight), item.priority);
    items.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| a.title.cmp(&b.title)));
    let total = items.len();
    items.truncate(SHOWN);
    Attention { items, total }
}

/// `a, b and 3 more`.
fn listed(names: &[&AgentName]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED).map(|name| name.as_str()).collect();
    let text = shown.join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// `1 agent`, `5 agents`.
fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
