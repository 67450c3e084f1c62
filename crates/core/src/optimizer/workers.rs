//! Workers, from how many executions were there at a time, running or waiting for one.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::facts::{Question, Run};
use super::proposal::{Argument, Proposal, Proposed, Rule, TooLittle, rounded};
use super::statistics::{Spread, Statistics};
use crate::time::{Timestamp, as_ms, human};

/// Starts that say something about a week.
const STARTS: u64 = 200;
/// A wait of less is not worth a worker.
const WAITS: Duration = Duration::from_secs(1);

/// How much was asked of the workers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Demand {
    /// Workers in effect.
    pub workers: u32,
    /// Attempts that had a worker.
    pub starts: u64,
    /// Part of the workers' time that was taken, 0 to 1; from the first start on.
    pub busy_share: Option<f64>,
    /// Waiting times, 95th percentile.
    pub waiting_p95_ms: Option<f64>,
    /// Of the starts, half found at most so many running or waiting, themselves included.
    pub at_once_p50: Option<u32>,
    /// 95 of a hundred.
    pub at_once_p95: Option<u32>,
    /// All of them.
    pub at_once_most: Option<u32>,
    /// For each number of workers, from 1: the part of the starts that would have found one free, 0 to 1. Not shown.
    #[serde(skip)]
    at_once: Vec<u32>,
    #[serde(skip)]
    waiting_p95: Duration,
}

impl Demand {
    pub(super) fn of(question: &Question, runs: &[Run]) -> Self {
        let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
        let mut waiting = Vec::new();
        let mut worked = Duration::ZERO;
        for run in runs {
            for (number, (begun, duration)) in run.attempts.iter().enumerate() {
                // Only the first attempt's wait is known.
                let waited = if number == 0 { run.waited } else { Duration::ZERO };
                let asked = begun.as_millis().saturating_sub(i64::try_from(waited.as_millis()).unwrap_or(i64::MAX));
                spans.push((Timestamp::from_millis(asked), *begun + *duration));
                worked += *duration;
            }
            if !run.attempts.is_empty() {
                waiting.push(run.waited);
            }
        }
        let waiting = Spread::of(waiting);
        let first = spans.iter().map(|(from, _)| *from).min();
        let observed = first.map(|first| question.window.to.since(first.max(question.window.from)));
        let capacity = observed.map(|observed| observed.as_secs_f64() * f64::from(question.workers));
        let at_once = at_once(&spans);
        let rank = |percent: usize| at_once.get((percent * at_once.len()).div_ceil(100).max(1) - 1).copied();
        Self {
            workers: question.workers,
            starts: at_once.len() as u64,
            busy_share: capacity
                .filter(|capacity| *capacity > 0.0)
                .map(|capacity| rounded((worked.as_secs_f64() / capacity).min(1.0))),
            waiting_p95_ms: waiting.percentile(95).map(as_ms),
            at_once_p50: rank(50),
            at_once_p95: rank(95),
            at_once_most: at_once.last().copied(),
            waiting_p95: waiting.p95(),
            at_once,
        }
    }

    /// The part of the starts that so many workers would have had one free for, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "counts of a week")]
    fn served(&self, workers: u32) -> f64 {
        let served = self.at_once.partition_point(|others| *others <= workers);
        served as f64 / self.at_once.len().max(1) as f64
    }
}

/// For each span, how many there were when it began, itself included; ascending.
fn at_once(spans: &[(Timestamp, Timestamp)]) -> Vec<u32> {
    // What ends in a millisecond makes room for what begins in it.
    let ends = spans.iter().map(|(from, to)| ((*to).max(*from), false));
    let mut edges: Vec<_> = spans.iter().map(|(from, _)| (*from, true)).chain(ends).collect();
    edges.sort_unstable();
    let (mut now, mut found) = (0_u32, Vec::with_capacity(spans.len()));
    for (_, begins) in edges {
        if begins {
            now += 1;
            found.push(now);
        } else {
            // One that took no time ends before it begins.
            now = now.saturating_sub(1);
        }
    }
    found.sort_unstable();
    found
}

pub(super) fn propose(statistics: &Statistics<'_>) -> (Vec<Proposal>, Option<TooLittle>) {
    let demand = &statistics.demand;
    if demand.starts < STARTS {
        let needs = format!("{STARTS} starts within the window; there were {}", demand.starts);
        return (Vec::new(), Some(TooLittle { rule: Rule::Workers, needs, agents: Vec::new(), more: 0 }));
    }
    (more(demand).or_else(|| fewer(demand, statistics.question.auto_workers)).into_iter().collect(), None)
}

fn more(demand: &Demand) -> Option<Proposal> {
    let (from, wanted) = (demand.workers, demand.at_once_p95?);
    if demand.waiting_p95 < WAITS || wanted <= from {
        return None;
    }
    // Twice as many is a step whose effect can be looked at before the next.
    let to = wanted.min(from.saturating_mul(2));
    let (before, after) = (demand.served(from), demand.served(to));
    let words = format!(
        "5 of 100 executions waited {} or longer for a worker, and 5 of 100 found {wanted} or more running and waiting",
        human(demand.waiting_p95)
    );
    let evidence = evidence(demand, words).number("atOnceP95", f64::from(wanted));
    let words = format!(
        "{:.0} of 100 executions find a worker free instead of {:.0}, if the machine has cores to spare",
        after * 100.0,
        before * 100.0
    );
    let effect = Argument::new(words).number("servedAtOnce", after).number("servedAtOnceBefore", before);
    Some(Proposal::new(Proposed::Workers { from, to }, evidence, effect))
}

/// Only where somebody asked for more than the usual number.
fn fewer(demand: &Demand, auto: u32) -> Option<Proposal> {
    let (from, most) = (demand.workers, demand.at_once_most?);
    let to = (most + most.div_ceil(4)).max(auto);
    if from <= auto || most.saturating_mul(2) > from || to >= from {
        return None;
    }
    let words = format!("never were more than {most} executions there at a time");
    let evidence = evidence(demand, words).number("atOnceMost", f64::from(most));
    let words = "nobody waits longer, and a flood of triggers can't start so many programs at a time".to_owned();
    let effect = Argument::new(words).number("servedAtOnce", demand.served(to));
    Some(Proposal::new(Proposed::Workers { from, to }, evidence, effect))
}

fn evidence(demand: &Demand, words: String) -> Argument {
    let evidence = Argument::new(words)
        .count("starts", usize::try_from(demand.starts).unwrap_or(usize::MAX))
        .span("waitingP95Ms", demand.waiting_p95);
    match demand.busy_share {
        Some(share) => evidence.number("busyShare", share),
        None => evidence,
    }
}
