//! What one check found, and how much of what there is that makes.
//!
//! Two answers where something could not be read: at least this much is used (what was read), and at most about this
//! much (with what it was last). Alarms begin by the first and end by the second.

use std::fmt;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::agent::ProcessKey;
use crate::reason::bytes;

/// What the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReading {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
}

/// What a process of ours and all its descendants use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeReading {
    /// Which.
    pub process: ProcessKey,
    /// Bytes; `None`: it was to be read and could not.
    pub bytes: Option<u64>,
}

/// What one check found. `None` is what could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The orchestrator's own resident memory.
    pub own_bytes: Option<u64>,
    /// What there is for orchestrator and agents.
    pub budget_bytes: Option<u64>,
    /// The host.
    pub host: Option<HostReading>,
    /// All live processes of agents, in any order.
    pub trees: Vec<TreeReading>,
}

/// Which of the two shares is the larger one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MemoryCause)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// What orchestrator and agents use, of the budget.
    Budget,
    /// What everybody uses, of the host's memory.
    Host,
}

impl Cause {
    /// Completes "… % of ".
    pub const fn of(self) -> &'static str {
        match self {
            Self::Budget => "the budget",
            Self::Host => "the host's memory",
        }
    }
}

/// How much is used.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct Usage {
    /// The larger of ours / budget and 1 − available / total, percent.
    #[serde(serialize_with = "tenths")]
    pub percent: f64,
    /// Which of the two that is.
    pub cause: Cause,
    /// What orchestrator and agents use.
    pub used_bytes: u64,
    /// What there is for them.
    pub budget_bytes: Option<u64>,
}

impl fmt::Display for Usage {
    /// `82 % of the budget (98 MiB of 120 MiB)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} % of {}", self.percent, self.cause.of())?;
        match (self.cause, self.budget_bytes) {
            (Cause::Budget, Some(budget)) => write!(f, " ({} of {})", bytes(self.used_bytes), bytes(budget)),
            _ => write!(f, " ({} by agents and orchestrator)", bytes(self.used_bytes)),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's serialize_with takes a reference")]
fn tenths<S: Serializer>(percent: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((percent * 10.0).round() / 10.0)
}

/// The parts of a usage, from which the share after something was freed can be worked out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub ours: u64,
    pub budget: Option<u64>,
    pub host: Option<HostReading>,
}

fn percent_of(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

impl Parts {
    /// How much is used once so many bytes of ours are free; `None`: there is nothing to compare with.
    pub fn usage_without(&self, freed: u64) -> Option<Usage> {
        let used_bytes = self.ours.saturating_sub(freed);
        let of_budget = self.budget.and_then(|budget| percent_of(used_bytes, budget));
        let of_host = self.host.and_then(|host| {
            let used = host.total_bytes.saturating_sub(host.available_bytes).saturating_sub(freed);
            percent_of(used, host.total_bytes)
        });
        let (percent, cause) = match (of_budget, of_host) {
            (Some(ours), Some(host)) if host > ours => (host, Cause::Host),
            (Some(ours), _) => (ours, Cause::Budget),
            (None, Some(host)) => (host, Cause::Host),
            (None, None) => return None,
        };
        Some(Usage { percent, cause, used_bytes, budget_bytes: self.budget })
    }
}

impl Sample {
    /// What was read, and nothing else: at least so much is used.
    pub fn at_least(&self) -> Option<Usage> {
        self.known_parts().usage_without(0)
    }

    pub(super) fn known_parts(&self) -> Parts {
        let trees: u64 = self.trees.iter().filter_map(|tree| tree.bytes).sum();
        Parts { ours: self.own_bytes.unwrap_or(0) + trees, budget: self.budget_bytes, host: self.host }
    }
}

/// What was read last of everything that is still there.
#[derive(Debug, Default)]
pub(super) struct Last {
    own: Option<u64>,
    budget: Option<u64>,
    host: Option<HostReading>,
    /// By process.
    trees: Vec<(ProcessKey, u64)>,
}

impl Last {
    /// What of a process was read last.
    pub fn tree(&self, process: ProcessKey) -> Option<u64> {
        let found = self.trees.binary_search_by_key(&process, |(known, _)| *known).ok()?;
        Some(self.trees[found].1)
    }

    /// Takes a sample in. Answers how much is used at most, as far as anybody can tell: what could not be read now is
    /// taken for what it was. `None` if something was never read.
    pub fn take(&mut self, sample: &Sample) -> Option<Parts> {
        let mut trees: Vec<(ProcessKey, u64)> = Vec::with_capacity(sample.trees.len());
        let mut whole = true;
        for tree in &sample.trees {
            match tree.bytes.or_else(|| self.tree(tree.process)) {
                Some(bytes) => trees.push((tree.process, bytes)),
                None => whole = false,
            }
        }
        trees.sort_unstable_by_key(|(process, _)| *process);
        self.trees = trees;
        self.own = sample.own_bytes.or(self.own);
        self.budget = sample.budget_bytes.or(self.budget);
        self.host = sample.host.or(self.host);
        let ours = self.own? + self.trees.iter().map(|(_, bytes)| bytes).sum::<u64>();
        whole.then_some(Parts { ours, budget: self.budget, host: self.host })
    }
}
