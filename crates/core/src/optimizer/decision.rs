//! Decisions: priorities that were applied, until somebody undoes them or the registry says something else.
//!
//! Invariant: an agent's priority is that of its newest standing decision, if that was made for the priority that the
//! registry still gives it; else the registry's. Only priorities 2 and 3 are ever decided, one level at a time.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::proposal::{Proposal, Proposed};
use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::Timestamp;

/// So many decisions are remembered; the oldest go first, standing or not.
pub const MOST_DECISIONS: usize = 10_000;

/// A priority that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Counts from 1.
    pub id: u64,
    /// The report that proposed it.
    pub report: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// Whose priority.
    pub agent: AgentName,
    /// In effect before.
    #[serde(with = "super::level")]
    pub from: Priority,
    /// In effect while it stands.
    #[serde(with = "super::level")]
    pub to: Priority,
    /// What the registry says; once that is something else, this decision is over.
    #[serde(with = "super::level")]
    pub registry: Priority,
    /// The evidence in words.
    pub because: String,
    /// Whether it stands.
    pub state: DecisionState,
    /// When that changed last.
    pub changed_at: Option<Timestamp>,
    /// Who undid it.
    pub changed_by: Option<String>,
}

/// Whether a decision stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    /// It does.
    Standing,
    /// Somebody undid it. The optimizer leaves the agent alone until the registry gives it another priority.
    Undone,
    /// The registry gives the agent another priority than the one that it was made for.
    Superseded,
}

impl DecisionState {
    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standing => "standing",
            Self::Undone => "undone",
            Self::Superseded => "superseded",
        }
    }
}

/// The priority of an agent and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InEffect<'a> {
    /// The priority.
    pub priority: Priority,
    /// The decision that it comes from; `None`: the registry.
    pub decision: Option<&'a Decision>,
}

/// Why a decision can't be undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndoRefusal {
    /// There is none of this id.
    #[error("there is no decision {0}")]
    Unknown(u64),
    /// It does not stand any more.
    #[error("decision {id} does not stand any more: it is {}", state.as_str())]
    Over {
        /// Which.
        id: u64,
        /// What it is.
        state: DecisionState,
    },
    /// A newer one of the same agent stands.
    #[error("decision {newer} about the same agent came after decision {id}; undo that one first")]
    NotTheNewest {
        /// Which.
        id: u64,
        /// What has to be undone first.
        newer: u64,
    },
}

/// All decisions that are remembered.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    all: BTreeMap<u64, Decision>,
    /// Of each agent, oldest first.
    by_agent: HashMap<AgentName, Vec<u64>>,
}

impl Decisions {
    /// As they were kept.
    pub fn restored(decisions: impl IntoIterator<Item = Decision>) -> Self {
        let mut all = Self::default();
        for decision in decisions {
            all.put(decision);
        }
        all
    }

    /// The newest id there is; 0 without any.
    pub fn newest(&self) -> u64 {
        self.all.keys().next_back().copied().unwrap_or(0)
    }

    /// Newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Decision> {
        self.all.values().rev()
    }

    /// One of them.
    pub fn get(&self, id: u64) -> Option<&Decision> {
        self.all.get(&id)
    }

    fn of(&self, agent: &AgentName) -> impl DoubleEndedIterator<Item = &Decision> {
        self.by_agent.get(agent).into_iter().flatten().filter_map(|id| self.all.get(id))
    }

    /// The priority of an agent to which the registry gives this one.
    pub fn in_effect(&self, agent: &AgentName, registry: Priority) -> InEffect<'_> {
        let standing =
            |decision: &&Decision| decision.state == DecisionState::Standing && decision.registry == registry;
        let decision = self.of(agent).rev().find(standing);
        InEffect { priority: decision.map_or(registry, |decision| decision.to), decision }
    }

    /// Whether somebody undid a decision about the priority that the registry gives it: the optimizer leaves it alone.
    pub fn is_held(&self, agent: &AgentName, registry: Priority) -> bool {
        self.of(agent).any(|decision| decision.state == DecisionState::Undone && decision.registry == registry)
    }

    /// The decisions that a report's proposals about priorities lead to, within their limits; nothing is changed yet.
    /// `registry` answers what the registry gives an agent, if it has it.
    pub fn decide(
        &self,
        proposals: &[Proposal],
        report: u64,
        at: Timestamp,
        registry: impl Fn(&AgentName) -> Option<Priority>,
    ) -> Vec<(u32, Decision)> {
        let mut decided: Vec<(u32, Decision)> = Vec::new();
        for proposal in proposals {
            let Proposed::Priority { agent, from, to } = &proposal.change else { continue };
            let Some(registry) = registry(agent) else { continue };
            let as_seen = self.in_effect(agent, registry).priority == *from && !self.is_held(agent, registry);
            let again = decided.iter().any(|(_, decision)| decision.agent == *agent);
            if !as_seen || again || !within_limits(*from, *to) {
                continue;
            }
            let id = self.newest() + 1 + decided.len() as u64;
            let decision = Decision {
                id,
                report,
                at,
                agent: agent.clone(),
                from: *from,
                to: *to,
                registry,
                because: proposal.evidence.words.clone(),
                state: DecisionState::Standing,
                changed_at: None,
                changed_by: None,
            };
            decided.push((proposal.number, decision));
        }
        decided
    }

    /// Takes a decision in, or what has become of it.
    pub fn put(&mut self, decision: Decision) {
        let (id, agent) = (decision.id, decision.agent.clone());
        if self.all.insert(id, decision).is_none() {
            let ids = self.by_agent.entry(agent).or_default();
            ids.push(id);
            ids.sort_unstable();
        }
        while self.all.len() > MOST_DECISIONS {
            let Some((gone, decision)) = self.all.pop_first() else { break };
            if let Some(ids) = self.by_agent.get_mut(&decision.agent) {
                ids.retain(|id| *id != gone);
            }
            self.by_agent.retain(|_, ids| !ids.is_empty());
        }
    }

    /// What a decision is once it is undone; nothing is changed yet.
    ///
    /// # Errors
    /// [`UndoRefusal`]
    pub fn undone(&self, id: u64, by: &str, at: Timestamp) -> Result<Decision, UndoRefusal> {
        let decision = self.get(id).ok_or(UndoRefusal::Unknown(id))?;
        if decision.state != DecisionState::Standing {
            return Err(UndoRefusal::Over { id, state: decision.state });
        }
        let standing = |other: &&Decision| other.id > id && other.state == DecisionState::Standing;
        if let Some(newer) = self.of(&decision.agent).rev().find(standing) {
            return Err(UndoRefusal::NotTheNewest { id, newer: newer.id });
        }
        let (state, changed_at, changed_by) = (DecisionState::Undone, Some(at), Some(by.to_owned()));
        Ok(Decision { state, changed_at, changed_by, ..decision.clone() })
    }

    /// What becomes of decisions whose agent has another priority in the registry by now; nothing is changed yet. Those of agents
    /// that are not there wait for them.
    pub fn superseded(&self, registry: impl Fn(&AgentName) -> Option<Priority>, at: Timestamp) -> Vec<Decision> {
        let over = |decision: &&Decision| {
            decision.state != DecisionState::Superseded
                && registry(&decision.agent).is_some_and(|priority| priority != decision.registry)
        };
        let over = self.all.values().filter(over);
        over.map(|decision| Decision { state: DecisionState::Superseded, changed_at: Some(at), ..decision.clone() })
            .collect()
    }
}

/// One level, never away from or to 1.
fn within_limits(from: Priority, to: Priority) -> bool {
    from != Priority::Critical && to != Priority::Critical && from.number().abs_diff(to.number()) == 1
}

impl Decision {
    /// Whether it stands.
    pub fn stands(&self) -> bool {
        self.state == DecisionState::Standing
    }
}
