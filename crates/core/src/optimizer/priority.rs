//! Priorities 2 and 3: who waits although it is small, and who takes room although others wait.
//!
//! | now | seen | proposal |
//! |---|---|---|
//! | 3 | waits 10 s or longer than it runs (p95), and takes at most a tenth of the worker time | 2 |
//! | 2 | takes a quarter of the worker time, and those of priority 3 wait 10 s (p95) | 3 |
//! | 2 | takes a twentieth of the worker time, and more than half of its executions fail | 3 |
//! | 1 | | never |
//!
//! What is raised takes a quarter of the worker time together at most: who raises everybody raises nobody. Between a tenth
//! and a quarter neither rule holds, so that nothing goes up and down from night to night.

use std::time::Duration;

use super::proposal::{Argument, Proposal, Proposed, Rule, TooLittle};
use super::statistics::{OfAgent, Spread, Statistics};
use crate::spec::Priority;
use crate::time::human;

/// Executions that say something about an agent.
const RUNS: usize = 20;
/// A wait of less bothers nobody.
const WAITS: Duration = Duration::from_secs(10);
/// Part of the worker time up to which an agent is small.
const SMALL: f64 = 0.1;
/// Part of the worker time from which an agent is large.
const LARGE: f64 = 0.25;
/// Part of the worker time from which failing is a nuisance for others.
const NOTICEABLE: f64 = 0.05;
/// A raise that brings less is none.
const WORTH: f64 = 0.7;

pub(super) fn propose(statistics: &Statistics<'_>) -> (Vec<Proposal>, Option<TooLittle>) {
    let movable = |agent: &&OfAgent<'_>| agent.member.priority != Priority::Critical && !agent.member.held;
    let (enough, few): (Vec<_>, Vec<_>) =
        statistics.jobs().filter(movable).partition(|agent| agent.waiting.len() >= RUNS);
    let levels = Levels::of(statistics);
    let mut raises: Vec<(Duration, Proposal, f64)> = enough
        .iter()
        .filter(|agent| agent.member.priority == Priority::Normal)
        .filter_map(|agent| Some((agent.waiting.p95(), raise(agent, &levels)?, agent.share)))
        .collect();
    // Who waits longest goes first; by name among equals, as the sort is stable.
    raises.sort_by_key(|(waits, ..)| std::cmp::Reverse(*waits));
    let mut room = LARGE;
    let mut proposals: Vec<Proposal> = Vec::new();
    for (_, proposal, share) in raises {
        if share <= room {
            room -= share;
            proposals.push(proposal);
        }
    }
    let important = enough.iter().filter(|agent| agent.member.priority == Priority::Important);
    proposals.extend(important.filter_map(|agent| lower(agent, &levels)));
    let few = few.into_iter().map(|agent| agent.member.agent.clone()).collect();
    let needs = format!("{RUNS} executions within the window");
    (proposals, TooLittle::about(Rule::Priority, needs, few))
}

/// What those of a priority have in common.
struct Levels {
    /// Part of the worker time that those before priority 3 take.
    ahead: f64,
    /// How long those of priority 2 wait; `None`: too few of them.
    important: Option<Duration>,
    /// The same of priority 3.
    normal: Option<Duration>,
}

impl Levels {
    fn of(statistics: &Statistics<'_>) -> Self {
        let waiting = |priority| {
            let all = statistics.jobs().filter(|agent| agent.member.priority == priority);
            let runs = all.flat_map(|agent| &agent.runs).filter(|run| !run.attempts.is_empty());
            let spread = Spread::of(runs.map(|run| run.waited).collect());
            (spread.len() >= RUNS).then(|| spread.p95())
        };
        let ahead = statistics.jobs().filter(|agent| agent.member.priority < Priority::Normal);
        Self {
            ahead: ahead.map(|agent| agent.share).sum(),
            important: waiting(Priority::Important),
            normal: waiting(Priority::Normal),
        }
    }
}

fn raise(agent: &OfAgent<'_>, levels: &Levels) -> Option<Proposal> {
    let (waits, runs) = (agent.waiting.p95(), agent.durations.p50());
    if waits < WAITS.max(runs) || agent.share > SMALL {
        return None;
    }
    // As those of priority 2 wait; without any, only for the work that is ahead of it then.
    let estimate = waits.mul_f64((levels.ahead + agent.share).clamp(0.0, 1.0));
    let after = levels.important.unwrap_or(estimate);
    if after > waits.mul_f64(WORTH) {
        return None;
    }
    let words = format!(
        "it runs for {} and waits {} or longer for a worker in 5 of 100 executions; it takes {:.1} % of the worker time",
        human(runs),
        human(waits),
        agent.share * 100.0
    );
    let evidence = Argument::new(words)
        .count("executions", agent.waiting.len())
        .span("waitingP95Ms", waits)
        .span("p50Ms", runs)
        .number("workerShare", agent.share);
    let words = format!(
        "it waits about {} instead (p95); others of priority 3 wait longer by its {:.1} % of the worker time",
        human(after),
        agent.share * 100.0
    );
    let effect = Argument::new(words).span("waitingP95Ms", after).number("othersLaterShare", agent.share);
    Some(moved(agent, Priority::Important, evidence, effect))
}

fn lower(agent: &OfAgent<'_>, levels: &Levels) -> Option<Proposal> {
    let (share, success) = (agent.share, agent.success_rate());
    let waits = levels.normal.filter(|waits| *waits >= WAITS);
    let words = match (waits, success) {
        (Some(waits), _) if share >= LARGE => format!(
            "it takes {:.0} % of the worker time, while 5 of 100 executions of priority 3 wait {} or longer",
            share * 100.0,
            human(waits)
        ),
        (_, Some(rate)) if rate < 0.5 && share >= NOTICEABLE => format!(
            "{:.0} of 100 of its executions fail, and it takes {:.0} % of the worker time ahead of others",
            (1.0 - rate) * 100.0,
            share * 100.0
        ),
        _ => return None,
    };
    let mut evidence = Argument::new(words).count("executions", agent.waiting.len()).number("workerShare", share);
    if let Some(waits) = waits {
        evidence = evidence.span("waitingP95OfPriority3Ms", waits);
    }
    if let Some(rate) = success {
        evidence = evidence.number("successRate", rate);
    }
    let words = format!(
        "executions of priority 3 do not wait behind its {:.0} % of the worker time; it waits as long as they do",
        share * 100.0
    );
    let effect = Argument::new(words).number("freedShare", share);
    Some(moved(agent, Priority::Normal, evidence, effect))
}

fn moved(agent: &OfAgent<'_>, to: Priority, evidence: Argument, effect: Argument) -> Proposal {
    let (agent, from) = (agent.member.agent.clone(), agent.member.priority);
    Proposal::new(Proposed::Priority { agent, from, to }, evidence, effect)
}
