//! Baselines: how each agent was in the window, and how that differs from the last report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::proposal::rounded;
use super::statistics::{OfAgent, Statistics};
use crate::event::End;
use crate::ids::AgentName;
use crate::time::as_ms;

/// How many executions ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "they are the words of the ends")]
#[serde(rename_all = "camelCase", default)]
pub struct Ends {
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub skipped: u64,
    pub refused: u64,
    pub cancelled: u64,
    pub interrupted: u64,
    pub lost: u64,
}

impl Ends {
    /// One more.
    pub const fn count(&mut self, end: End) {
        let count = match end {
            End::Succeeded => &mut self.succeeded,
            End::Failed => &mut self.failed,
            End::TimedOut => &mut self.timed_out,
            End::Skipped => &mut self.skipped,
            End::Refused => &mut self.refused,
            End::Cancelled => &mut self.cancelled,
            End::Interrupted => &mut self.interrupted,
            End::Lost => &mut self.lost,
        };
        *count += 1;
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.judged() + self.skipped + self.refused + self.cancelled + self.interrupted + self.lost
    }

    /// Those that say something about the agent.
    pub const fn judged(&self) -> u64 {
        self.succeeded + self.failed + self.timed_out
    }

    /// 0 to 1; `None` where none says something about the agent.
    #[expect(clippy::cast_precision_loss, reason = "counts of a week")]
    pub fn success_rate(&self) -> Option<f64> {
        (self.judged() > 0).then(|| self.succeeded as f64 / self.judged() as f64)
    }
}

/// An agent in the window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Which.
    pub agent: AgentName,
    /// How its executions ended.
    pub ends: Ends,
    /// 0 to 1; null without executions.
    pub success_rate: Option<f64>,
    /// Median of its successful executions.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// For a worker, 95th percentile.
    pub waiting_p95_ms: Option<f64>,
    /// Its part of the worker time that all agents took, 0 to 1; null for a service.
    pub worker_share: Option<f64>,
    /// Automatic restarts and retries.
    pub restarts: u64,
    /// Scheduled times that led to no execution: skipped, refused, or nothing ran.
    pub missed: u64,
    /// Its newest score.
    pub score: Option<f64>,
    /// Against the last report; null if that had none of it.
    pub change: Option<Shift>,
}

/// What is different. Percent of what was; points where it is a rate or a score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Shift {
    /// Of the median.
    pub p50_percent: Option<f64>,
    /// Of the 95th percentile.
    pub p95_percent: Option<f64>,
    /// Of the 95th percentile of waiting.
    pub waiting_p95_percent: Option<f64>,
    /// Of the success rate in percent.
    pub success_points: Option<f64>,
    /// Of the score.
    pub score_points: Option<f64>,
}

/// Of each agent with something to tell, by name.
pub(super) fn of(statistics: &Statistics<'_>) -> Vec<Baseline> {
    let before: BTreeMap<&AgentName, &Baseline> =
        statistics.question.before.iter().map(|baseline| (&baseline.agent, baseline)).collect();
    let told = statistics.agents.values().map(of_agent).filter(Baseline::tells);
    let shifted = told.map(|mut baseline| {
        baseline.change = before.get(&baseline.agent).map(|before| shift(before, &baseline));
        baseline
    });
    shifted.collect()
}

impl Baseline {
    fn tells(&self) -> bool {
        self.ends.total() > 0 || self.restarts > 0 || self.missed > 0 || self.score.is_some()
    }
}

fn of_agent(agent: &OfAgent<'_>) -> Baseline {
    let lost = |end: End| matches!(end, End::Skipped | End::Refused);
    let missed = agent.runs.iter().filter(|run| run.timed && lost(run.end)).count() as u64;
    Baseline {
        agent: agent.member.agent.clone(),
        ends: agent.ends,
        success_rate: agent.success_rate().map(rounded),
        p50_ms: agent.durations.percentile(50).map(as_ms),
        p95_ms: agent.durations.percentile(95).map(as_ms),
        p99_ms: agent.durations.percentile(99).map(as_ms),
        waiting_p95_ms: agent.waiting.percentile(95).map(as_ms),
        worker_share: agent.member.job.then_some(rounded(agent.share)),
        restarts: agent.member.restarts,
        missed: agent.member.missed + missed,
        score: agent.member.score,
        change: None,
    }
}

fn shift(before: &Baseline, after: &Baseline) -> Shift {
    let percent = |before: Option<f64>, after: Option<f64>| {
        let (before, after) = before.zip(after)?;
        (before > 0.0).then(|| rounded((after / before - 1.0) * 100.0))
    };
    let points =
        |before: Option<f64>, after: Option<f64>| before.zip(after).map(|(before, after)| rounded(after - before));
    Shift {
        p50_percent: percent(before.p50_ms, after.p50_ms),
        p95_percent: percent(before.p95_ms, after.p95_ms),
        waiting_p95_percent: percent(before.waiting_p95_ms, after.waiting_p95_ms),
        success_points: points(before.success_rate, after.success_rate).map(|points| rounded(points * 100.0)),
        score_points: points(before.score, after.score),
    }
}
