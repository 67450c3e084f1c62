//! Executions sorted by whose they are, with their percentiles: what all rules look at.

use std::collections::BTreeMap;
use std::time::Duration;

use super::baseline::Ends;
use super::facts::{Member, Question, Run};
use super::workers::Demand;
use crate::ids::AgentName;

/// Percentiles by nearest rank: always a value that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spread {
    /// Ascending.
    sorted: Vec<Duration>,
}

impl Spread {
    pub fn of(mut values: Vec<Duration>) -> Self {
        values.sort_unstable();
        Self { sorted: values }
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// `None` without values.
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (percent * self.sorted.len()).div_ceil(100).max(1);
        self.sorted.get(rank - 1).copied()
    }

    /// Zero without values.
    pub fn p50(&self) -> Duration {
        self.percentile(50).unwrap_or_default()
    }

    /// Zero without values.
    pub fn p95(&self) -> Duration {
        self.percentile(95).unwrap_or_default()
    }

    /// Zero without values.
    pub fn p99(&self) -> Duration {
        self.percentile(99).unwrap_or_default()
    }
}

/// One agent.
#[derive(Debug)]
pub(super) struct OfAgent<'a> {
    pub member: &'a Member,
    pub ends: Ends,
    /// Of successful executions.
    pub durations: Spread,
    /// Of executions that had a worker.
    pub waiting: Spread,
    /// Time of workers that it took.
    pub worked: Duration,
    /// Its part of all worker time that was taken, 0 to 1.
    pub share: f64,
    /// Its executions, in the order in which they were accepted.
    pub runs: Vec<&'a Run>,
}

impl OfAgent<'_> {
    /// Of those that succeeded or failed; `None` without any.
    pub fn success_rate(&self) -> Option<f64> {
        self.ends.success_rate()
    }
}

/// All agents of the fleet that are known, by name, and the workers.
#[derive(Debug)]
pub(super) struct Statistics<'a> {
    pub question: &'a Question,
    pub agents: BTreeMap<&'a AgentName, OfAgent<'a>>,
    pub demand: Demand,
}

impl<'a> Statistics<'a> {
    pub fn of(question: &'a Question, runs: &'a [Run]) -> Self {
        let mut by_agent: BTreeMap<&AgentName, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            by_agent.entry(&run.agent).or_default().push(run);
        }
        let mut agents: BTreeMap<&AgentName, OfAgent<'_>> = BTreeMap::new();
        for member in &question.members {
            let mut runs = by_agent.remove(&member.agent).unwrap_or_default();
            runs.sort_by(|a, b| {
                (a.queued_at, a.scheduled_for, &a.attempts).cmp(&(b.queued_at, b.scheduled_for, &b.attempts))
            });
            agents.insert(&member.agent, of_agent(member, runs));
        }
        let all: Duration = agents.values().map(|agent| agent.worked).sum();
        if !all.is_zero() {
            for agent in agents.values_mut() {
                agent.share = agent.worked.as_secs_f64() / all.as_secs_f64();
            }
        }
        // Agents that have gone took workers, too.
        let demand = Demand::of(question, runs);
        Self { question, agents, demand }
    }

    /// Agents that are jobs, by name.
    pub fn jobs(&self) -> impl Iterator<Item = &OfAgent<'a>> {
        self.agents.values().filter(|agent| agent.member.job)
    }
}

fn of_agent<'a>(member: &'a Member, runs: Vec<&'a Run>) -> OfAgent<'a> {
    let mut ends = Ends::default();
    let (mut durations, mut waiting, mut worked) = (Vec::new(), Vec::new(), Duration::ZERO);
    for run in &runs {
        ends.count(run.end);
        if run.end == crate::event::End::Succeeded {
            durations.extend(run.duration);
        }
        if !run.attempts.is_empty() {
            waiting.push(run.waited);
        }
        worked += run.attempts.iter().map(|(_, duration)| *duration).sum::<Duration>();
    }
    OfAgent { member, ends, durations: Spread::of(durations), waiting: Spread::of(waiting), worked, share: 0.0, runs }
}
