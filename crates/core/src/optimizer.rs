//! The optimizer: what a week of executions says about priorities, time-outs, workers and schedules.
//!
//! Invariants: the same facts give the same findings, in whatever order they come; at most [`MOST_PROPOSALS`]
//! proposals; a priority moves by one level, never away from or to 1; where there is too little data that is said, and
//! nothing is guessed. Never reads a clock.
//!
//! Nothing here moves by itself: findings are a [`Report`], and what is applied of it is a [`Decision`] that can be
//! undone.
//!
//! ```text
//!  history ──Run──▶ ┐
//!  fleet ──Member─▶ ├─ examine ──▶ Findings ──▶ Report ─┐
//!  last report ───▶ ┘                  └─ decide ─▶ Decisions ──▶ the priority in effect
//! ```

mod baseline;
mod collisions;
mod decision;
mod facts;
mod priority;
mod proposal;
mod report;
mod statistics;
mod timeout;
mod workers;

#[cfg(test)]
mod tests;

pub use baseline::{Baseline, Ends, Shift};
pub use decision::{Decision, DecisionState, Decisions, InEffect, MOST_DECISIONS, UndoRefusal};
pub use facts::{Member, Question, Run, WINDOW, Window};
pub use proposal::{Argument, MOST_PROPOSALS, Proposal, Proposed, Rule, TooLittle};
pub use report::{Applied, Care, Findings, Report, ReportSummary};
pub use workers::Demand;

use statistics::Statistics;

/// What the facts say.
pub fn examine(question: &Question, runs: &[Run]) -> Findings {
    let statistics = Statistics::of(question, runs);
    let mut found = Vec::new();
    let mut too_little = Vec::new();
    for (proposals, lacking) in [
        workers::propose(&statistics),
        collisions::propose(&statistics),
        priority::propose(&statistics),
        timeout::propose(&statistics),
    ] {
        found.extend(proposals);
        too_little.extend(lacking);
    }
    let left_out = found.len().saturating_sub(MOST_PROPOSALS);
    found.truncate(MOST_PROPOSALS);
    for (number, proposal) in (1..).zip(&mut found) {
        proposal.number = number;
    }
    Findings {
        baselines: baseline::of(&statistics),
        demand: statistics.demand.clone(),
        proposals: found,
        proposals_left_out: u32::try_from(left_out).unwrap_or(u32::MAX),
        too_little,
    }
}

/// Spans of JSON: milliseconds with fractions.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::time::as_ms;

    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(as_ms(*duration))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let ms = f64::deserialize(deserializer)?;
        Duration::try_from_secs_f64(ms / 1_000.0).map_err(serde::de::Error::custom)
    }
}

/// The same where there may be none.
mod maybe_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::time::as_ms;

    #[expect(clippy::ref_option, reason = "serde's `with` takes a reference to the field")]
    pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        duration.map(as_ms).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let ms = Option::<f64>::deserialize(deserializer)?;
        let read = |ms: f64| Duration::try_from_secs_f64(ms / 1_000.0).map_err(serde::de::Error::custom);
        ms.map(read).transpose()
    }
}

/// Priorities of JSON: 1, 2 or 3.
mod level {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::spec::Priority;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's `with` takes a reference to the field")]
    pub fn serialize<S: Serializer>(priority: &Priority, serializer: S) -> Result<S::Ok, S::Error> {
        priority.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Priority, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Priority::from_number(number).ok_or_else(|| serde::de::Error::custom(format!("{number} is no priority")))
    }
}
