//! Schedules that collide: agents that are due in the same seconds, again and again, and wait for each other then.
//!
//! What is proposed is a `jitter`, which moves each agent by a part of its own that stays the same. The wait that it leaves is
//! worked out with the very offsets that the timetable will use.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use super::facts::Run;
use super::proposal::{Argument, Proposal, Proposed, Rule, TooLittle, listed, shortened};
use super::statistics::{OfAgent, Spread, Statistics};
use crate::ids::AgentName;
use crate::spec::Priority;
use crate::time::human;
use crate::timetable::{Entry, Timer, seed_of};

/// A wait of less is not worth another time.
const WAITS: Duration = Duration::from_secs(1);
/// Once or twice is chance.
const TIMES: usize = 3;
/// What is tried, in seconds: what people would write.
const JITTERS: [u64; 10] = [5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800];

/// Agents that wait for each other.
struct Cluster<'a> {
    agents: Vec<&'a OfAgent<'a>>,
    /// Seconds in which they did.
    times: usize,
    /// Due in one second at most.
    most: usize,
    waiting: Spread,
}

pub(super) fn propose(statistics: &Statistics<'_>) -> (Vec<Proposal>, Option<TooLittle>) {
    let scheduled = |agent: &&OfAgent<'_>| agent.member.schedule.is_some();
    let times = |agent: &OfAgent<'_>| agent.runs.iter().filter(|run| due(run).is_some()).count();
    let few = statistics.jobs().filter(scheduled).filter(|agent| times(agent) < TIMES);
    let needs = format!("{TIMES} scheduled executions within the window");
    let too_little = TooLittle::about(Rule::Jitter, needs, few.map(|agent| agent.member.agent.clone()).collect());
    let workers = statistics.question.workers;
    let mut clusters = clusters(statistics);
    clusters.sort_by_key(|cluster| Reverse(cluster.waiting.p95()));
    (clusters.iter().filter_map(|cluster| of_cluster(cluster, workers)).collect(), too_little)
}

/// The second that its schedule named, of an execution that had a worker.
fn due(run: &Run) -> Option<i64> {
    let at = run.scheduled_for.filter(|_| run.by_schedule && !run.attempts.is_empty())?;
    Some(at.as_secs())
}

fn clusters<'a>(statistics: &'a Statistics<'a>) -> Vec<Cluster<'a>> {
    let mut seconds: BTreeMap<i64, Vec<(&AgentName, Duration)>> = BTreeMap::new();
    for agent in statistics.jobs().filter(|agent| agent.member.schedule.is_some()) {
        for (second, run) in agent.runs.iter().filter_map(|run| Some((due(run)?, run))) {
            seconds.entry(second).or_default().push((&agent.member.agent, run.waited));
        }
    }
    seconds.retain(|_, due| due.len() > 1 && due.iter().any(|(_, waited)| *waited >= WAITS));
    let mut often: BTreeMap<&AgentName, usize> = BTreeMap::new();
    for (agent, _) in seconds.values().flatten() {
        *often.entry(agent).or_default() += 1;
    }
    often.retain(|_, times| *times >= TIMES);
    let names: Vec<&AgentName> = often.into_keys().collect();
    let numbers: BTreeMap<&AgentName, usize> = names.iter().copied().zip(0..).collect();
    let mut sets = Sets::new(names.len());
    for due in seconds.values() {
        let mut members = due.iter().filter_map(|(agent, _)| numbers.get(agent).copied());
        if let Some(first) = members.next() {
            members.for_each(|other| sets.join(first, other));
        }
    }
    let mut by_root: BTreeMap<usize, Vec<&AgentName>> = BTreeMap::new();
    for (number, name) in names.iter().enumerate() {
        by_root.entry(sets.root(number)).or_default().push(name);
    }
    let of_names = |names: Vec<&AgentName>| {
        let members: BTreeSet<&AgentName> = names.iter().copied().collect();
        let (mut times, mut most, mut waiting) = (0, 0, Vec::new());
        for due in seconds.values() {
            let theirs: Vec<Duration> =
                due.iter().filter(|(agent, _)| members.contains(agent)).map(|(_, waited)| *waited).collect();
            if theirs.len() > 1 {
                (times, most) = (times + 1, most.max(theirs.len()));
                waiting.extend(theirs);
            }
        }
        let agents = names.iter().filter_map(|name| statistics.agents.get(*name)).collect();
        Cluster { agents, times, most, waiting: Spread::of(waiting) }
    };
    by_root
        .into_values()
        .filter(|names| names.len() > 1)
        .map(of_names)
        .filter(|cluster| cluster.times >= TIMES)
        .collect()
}

/// Who belongs together (union-find, with halved paths).
struct Sets(Vec<usize>);

impl Sets {
    fn new(count: usize) -> Self {
        Self((0..count).collect())
    }

    fn root(&mut self, mut one: usize) -> usize {
        while self.0[one] != one {
            self.0[one] = self.0[self.0[one]];
            one = self.0[one];
        }
        one
    }

    /// The smaller number is the root, so that the order is that of the names.
    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        let (low, high) = (one.min(other), one.max(other));
        self.0[high] = low;
    }
}

fn of_cluster(cluster: &Cluster<'_>, workers: u32) -> Option<Proposal> {
    let before = cluster.waiting.p95();
    if before < WAITS {
        return None;
    }
    let longest = shortest_gap(&cluster.agents)? / 2;
    let had = cluster.agents.iter().map(|agent| agent.member.jitter).max().unwrap_or_default();
    let candidates = JITTERS.map(Duration::from_secs).into_iter().filter(|jitter| *jitter > had && *jitter <= longest);
    let tried: Vec<(Duration, Duration)> =
        candidates.map(|jitter| (jitter, simulated(&cluster.agents, jitter, workers))).collect();
    let good = tried.iter().find(|(_, after)| *after < WAITS);
    let (jitter, after) = *good.or_else(|| tried.iter().min_by_key(|(_, after)| *after))?;
    if after > before / 2 {
        return None;
    }
    // What is critical stays where it is.
    let moved = cluster.agents.iter().filter(|agent| agent.member.priority != Priority::Critical);
    let (agents, more) = shortened(moved.map(|agent| agent.member.agent.clone()).collect());
    if agents.is_empty() {
        return None;
    }
    let (Cluster { times, most, .. }, count) = (cluster, cluster.agents.len());
    let words = format!(
        "{} were due in the same second {times} times, up to {most} at once for {workers} workers, and 5 of 100 of \
         these executions waited {} or longer",
        listed(&agents, more),
        human(before)
    );
    let evidence = Argument::new(words)
        .count("agents", count)
        .count("times", *times)
        .count("atOnceMost", *most)
        .span("waitingP95Ms", before);
    let words = format!("spread over {}, they wait {} instead (p95)", human(jitter), human(after));
    let effect = Argument::new(words).span("waitingP95Ms", after);
    Some(Proposal::new(Proposed::Jitter { agents, more, jitter }, evidence, effect))
}

/// Between two scheduled times of one agent; `None`: none of them has two.
fn shortest_gap(agents: &[&OfAgent<'_>]) -> Option<Duration> {
    let gaps = agents.iter().filter_map(|agent| {
        let times: BTreeSet<i64> = agent.runs.iter().filter_map(|run| Some(run.scheduled_for?.as_secs())).collect();
        let times: Vec<i64> = times.into_iter().collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).min()
    });
    gaps.min().map(|secs| Duration::from_secs(secs.unsigned_abs()))
}

/// How long they would wait (p95) if each took its median and were moved by its part of the jitter.
fn simulated(agents: &[&OfAgent<'_>], jitter: Duration, workers: u32) -> Duration {
    let mut arrivals: Vec<(Duration, Priority, usize)> = agents
        .iter()
        .zip(0..)
        .map(|(agent, number)| {
            let critical = agent.member.priority == Priority::Critical;
            let jitter = if critical { agent.member.jitter } else { jitter };
            // The offset does not depend on the timer.
            let timer = Timer::Every(Duration::ZERO);
            let entry = Entry { timer, jitter, seed: seed_of(agent.member.agent.as_str()) };
            (entry.offset(), agent.member.priority, number)
        })
        .collect();
    arrivals.sort_unstable();
    let mut free: BinaryHeap<Reverse<Duration>> = (0..workers.max(1)).map(|_| Reverse(Duration::ZERO)).collect();
    let mut line: BinaryHeap<Reverse<(Priority, Duration, usize)>> = BinaryHeap::new();
    let mut waits = Vec::with_capacity(arrivals.len());
    let mut coming = arrivals.into_iter().peekable();
    while let Some(Reverse(worker)) = free.pop() {
        let now = match (line.is_empty(), coming.peek()) {
            (true, None) => break,
            (true, Some((next, ..))) => worker.max(*next),
            (false, _) => worker,
        };
        while let Some((at, priority, number)) = coming.next_if(|(at, ..)| *at <= now) {
            line.push(Reverse((priority, at, number)));
        }
        if let Some(Reverse((_, at, number))) = line.pop() {
            waits.push(now.saturating_sub(at));
            free.push(Reverse(now + agents[number].durations.p50()));
        }
    }
    Spread::of(waits).p95()
}
