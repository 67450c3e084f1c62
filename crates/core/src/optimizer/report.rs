//! The report of a run: what was found, what was applied, what was tidied.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Baseline, Demand, Proposal, TooLittle, Window};
use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::Timestamp;

/// What the facts say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Findings {
    /// Each agent with something to tell, by name.
    pub baselines: Vec<Baseline>,
    /// How much was asked of the workers.
    pub demand: Demand,
    /// What might be better, what concerns most first.
    pub proposals: Vec<Proposal>,
    /// So many more there were.
    pub proposals_left_out: u32,
    /// What can't be said yet.
    pub too_little: Vec<TooLittle>,
}

/// The report of one run. Kept for ever as it was written, so fields may be added, with a default, but not changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Counts from 1; null: a dry run, of which nothing is kept.
    pub id: Option<u64>,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for it: `schedule`, or a person.
    pub by: String,
    /// The time that was looked at.
    pub window: Window,
    /// What was found.
    #[serde(flatten)]
    pub findings: Findings,
    /// Whether proposals about priorities are applied (`[optimizer] apply`).
    pub apply: bool,
    /// What was applied.
    #[serde(default)]
    pub applied: Vec<Applied>,
    /// Agents that were disabled by failure and got a trial.
    #[serde(default)]
    pub trials: Vec<AgentName>,
    /// What was tidied; null: a dry run tidies nothing.
    #[serde(default)]
    pub care: Option<Care>,
    /// How long all of it took.
    #[serde(rename = "durationMs", with = "super::millis")]
    #[schema(value_type = f64)]
    pub duration: Duration,
}

/// A proposal that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The decision, by which it can be undone.
    pub decision: u64,
    /// The number of the proposal.
    pub proposal: u32,
    /// Whose priority.
    pub agent: AgentName,
    /// In effect before.
    #[serde(with = "super::level")]
    pub from: Priority,
    /// In effect now.
    #[serde(with = "super::level")]
    pub to: Priority,
}

/// What was tidied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Care {
    /// Executions that were older than they have to be.
    pub executions: u64,
    /// Events that were.
    pub events: u64,
    /// Size of the database before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Tables of which the database counted anew how they are filled.
    pub analyzed: u32,
    /// Whether the logs were held to their bounds.
    pub logs: bool,
    /// Why not all of it was done.
    pub problem: Option<String>,
    /// How long it took.
    #[serde(rename = "durationMs", with = "super::millis")]
    #[schema(value_type = f64)]
    pub duration: Duration,
}

/// A report in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReportSummary {
    /// Which.
    pub id: u64,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// How many proposals it has.
    pub proposals: u32,
    /// How many of them were applied.
    pub applied: u32,
}
