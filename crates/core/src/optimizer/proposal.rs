//! Proposals: what might be better, why, and what to expect of it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::{as_ms, exact};

/// So many proposals of one run at most: more than anybody reads.
pub const MOST_PROPOSALS: usize = 100;

/// Names that are told of a longer list.
pub(super) const NAMED: usize = 10;

/// A change that is proposed, with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// Its number in the report, from 1.
    pub number: u32,
    /// What is proposed.
    #[serde(flatten)]
    pub change: Proposed,
    /// What was seen.
    pub evidence: Argument,
    /// What is to be expected.
    pub effect: Argument,
}

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Proposed {
    /// Another priority, one level away.
    Priority {
        /// Whose.
        agent: AgentName,
        /// In effect now.
        #[serde(with = "super::level")]
        from: Priority,
        /// Better.
        #[serde(with = "super::level")]
        to: Priority,
    },
    /// Another `timeout`.
    Timeout {
        /// Whose.
        agent: AgentName,
        /// In effect now; null: none.
        #[serde(rename = "fromMs", with = "super::maybe_millis")]
        #[schema(value_type = Option<f64>)]
        from: Option<Duration>,
        /// Better.
        #[serde(rename = "toMs", with = "super::millis")]
        #[schema(value_type = f64)]
        to: Duration,
    },
    /// Another number of `[queue] workers`.
    Workers {
        /// In effect now.
        from: u32,
        /// Better.
        to: u32,
    },
    /// A `jitter` for agents that are due in the same seconds.
    Jitter {
        /// Whose; the first of them, by name.
        agents: Vec<AgentName>,
        /// How many more there are.
        more: u32,
        /// The same for each of them: it decides which part of it each agent gets.
        #[serde(rename = "jitterMs", with = "super::millis")]
        #[schema(value_type = f64)]
        jitter: Duration,
    },
}

/// Numbers, and what they say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Argument {
    /// For programs; names end in their unit.
    pub numbers: BTreeMap<String, f64>,
    /// For people.
    pub words: String,
}

impl Argument {
    pub(super) fn new(words: String) -> Self {
        Self { numbers: BTreeMap::new(), words }
    }

    pub(super) fn number(mut self, name: &str, value: f64) -> Self {
        self.numbers.insert(name.to_owned(), rounded(value));
        self
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of a week")]
    pub(super) fn count(self, name: &str, value: usize) -> Self {
        self.number(name, value as f64)
    }

    pub(super) fn span(self, name: &str, value: Duration) -> Self {
        self.number(name, as_ms(value))
    }
}

impl Proposal {
    pub(super) const fn new(change: Proposed, evidence: Argument, effect: Argument) -> Self {
        Self { number: 0, change, evidence, effect }
    }
}

impl fmt::Display for Proposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Priority { agent, from, to } => {
                write!(f, "{agent}: priority {} instead of {}", to.number(), from.number())
            }
            Self::Timeout { agent, from: Some(from), to } => {
                write!(f, "{agent}: timeout \"{}\" instead of \"{}\"", exact(*to), exact(*from))
            }
            Self::Timeout { agent, to, .. } => write!(f, "{agent}: timeout \"{}\"; it has none", exact(*to)),
            Self::Workers { from, to } => write!(f, "[queue] workers = {to} instead of {from}"),
            Self::Jitter { agents, more, jitter } => {
                write!(f, "{}: jitter \"{}\"", listed(agents, *more), exact(*jitter))
            }
        }
    }
}

/// To six places: what comes after is noise, and is not read back as it was written.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// `a, b and 3 more`
pub(super) fn listed(agents: &[AgentName], more: u32) -> String {
    let names: Vec<&str> = agents.iter().map(AgentName::as_str).collect();
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

/// Which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Of priorities.
    Priority,
    /// Of time-outs.
    Timeout,
    /// Of workers.
    Workers,
    /// Of schedules that collide.
    Jitter,
}

/// What can't be said yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TooLittle {
    /// Which rule says nothing.
    pub rule: Rule,
    /// What it needs.
    pub needs: String,
    /// About whom; the first of them, by name. Empty: about all together.
    pub agents: Vec<AgentName>,
    /// How many more there are.
    pub more: u32,
}

impl TooLittle {
    /// About these agents; `None` if there are none.
    pub(super) fn about(rule: Rule, needs: String, agents: Vec<AgentName>) -> Option<Self> {
        if agents.is_empty() {
            return None;
        }
        let (agents, more) = shortened(agents);
        Some(Self { rule, needs, agents, more })
    }
}

/// The first names of a list, and how many more it has.
pub(super) fn shortened(mut agents: Vec<AgentName>) -> (Vec<AgentName>, u32) {
    let more = u32::try_from(agents.len().saturating_sub(NAMED)).unwrap_or(u32::MAX);
    agents.truncate(NAMED);
    (agents, more)
}
