//! The answer of a simulation: plain values for programs, from what was counted. Durations are milliseconds.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account::{Account, NotRunCount, OfAgent, begin_of};
use super::attention::{Attention, attention};
use super::timeline::Timeline;
use super::{Begin, Member, Plan};
use crate::event::End;
use crate::ids::{AgentIndex, AgentName};
use crate::reason::Reason;
use crate::time::{Timestamp, as_ms, human};

/// Agents that a collision names.
const NAMED: usize = 20;

/// What will happen, as far as the history tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Simulation {
    /// The first instant that was simulated.
    pub from: Timestamp,
    /// The first one that was not any more.
    pub to: Timestamp,
    /// Where it was cut off, because there was too much of it; null: nowhere.
    pub cut_off_at: Option<Timestamp>,
    /// Executions at a time.
    pub workers: u32,
    /// Executions that may wait.
    pub capacity: u32,
    /// The same plan with the same seed gives the same answer.
    pub seed: u64,
    /// What somebody should look at, most important first.
    pub attention: Vec<Attention>,
    /// Of the whole fleet.
    pub totals: Totals,
    /// Until a worker was free, of all starts.
    pub waiting: Waits,
    /// The longest queue.
    pub peak_queue: Peak,
    /// Seconds in which more came due than there are workers.
    pub collisions: Collisions,
    /// By hours of the clock (UTC).
    pub hours: Vec<Hour>,
    /// In the order of the registry.
    pub agents: Vec<Forecast>,
    /// Executions one by one, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub timeline: Option<Timeline>,
    /// What was assumed.
    pub assumptions: Vec<String>,
}

/// All triggers, by what becomes of them: `triggers` is the sum of all ends and of what is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Agents.
    pub agents: usize,
    /// Asked for by schedules, intervals, successes of others and the boot.
    pub triggers: u64,
    /// Got a worker.
    pub runs: u64,
    /// How they ended.
    #[serde(flatten)]
    pub ends: Ends,
    /// Run at the end.
    pub left_running: u64,
    /// Wait at the end.
    pub left_waiting: u64,
}

/// How executions end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SimulatedEnds)]
#[serde(rename_all = "camelCase")]
pub struct Ends {
    /// As they should.
    pub succeeded: u64,
    /// For good: a dead letter.
    pub failed: u64,
    /// The last attempt took too long.
    pub timed_out: u64,
    /// Not started, as intended.
    pub skipped: u64,
    /// Not accepted.
    pub refused: u64,
    /// By a newer one, or because the agent was switched off.
    pub cancelled: u64,
}

impl Ends {
    fn of(agent: &OfAgent) -> Self {
        let count = |end: End| agent.ends.get(end.as_str()).copied().unwrap_or(0);
        Self {
            succeeded: count(End::Succeeded),
            failed: count(End::Failed),
            timed_out: count(End::TimedOut),
            skipped: count(End::Skipped),
            refused: count(End::Refused),
            cancelled: count(End::Cancelled),
        }
    }

    /// All of them.
    pub const fn all(&self) -> u64 {
        self.succeeded + self.failed + self.timed_out + self.skipped + self.refused + self.cancelled
    }

    const fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.skipped += other.skipped;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
    }
}

/// Waiting times: nearest rank; null where nothing started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// Starts.
    pub count: u64,
    /// Median.
    pub p50_ms: Option<f64>,
    /// 95th percentile.
    pub p95_ms: Option<f64>,
    /// The longest.
    pub max_ms: Option<f64>,
}

impl Waits {
    pub(super) fn of(mut waits: Vec<u32>) -> Self {
        let count = waits.len();
        if count == 0 {
            return Self::default();
        }
        let mut rank = |percent: usize| f64::from(*waits.select_nth_unstable((percent * count).div_ceil(100) - 1).1);
        let (p50_ms, p95_ms, max_ms) = (Some(rank(50)), Some(rank(95)), Some(rank(100)));
        Self { count: u64::try_from(count).unwrap_or(u64::MAX), p50_ms, p95_ms, max_ms }
    }
}

/// The longest queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peak {
    /// So many waited.
    pub waiting: u32,
    /// When that was first so.
    pub at: Timestamp,
}

/// Seconds in which more came due than there are workers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collisions {
    /// How many of them there are.
    pub seconds: u64,
    /// The most crowded ones, at most a hundred.
    pub worst: Vec<Collision>,
}

/// A second in which more came due than there are workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Collision {
    /// The second.
    pub at: Timestamp,
    /// So many came due.
    pub due: u64,
    /// Some of them.
    pub agents: Vec<AgentName>,
}

/// An hour of the clock, or what of it is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hour {
    /// When it begins.
    pub at: Timestamp,
    /// Share of the workers' time in which they were busy, 0 to 1.
    pub utilisation: f64,
    /// Attempts that were started.
    pub starts: u64,
    /// The longest queue.
    pub most_waiting: u32,
}

/// One agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Forecast {
    /// Which.
    pub agent: AgentName,
    /// Whether it is a service: services count as ready, and are not simulated.
    pub service: bool,
    /// What asked for an execution of it.
    pub triggers: u64,
    /// Executions that got a worker.
    pub runs: u64,
    /// How executions ended.
    #[serde(flatten)]
    pub ends: Ends,
    /// Run at the end.
    pub left_running: u64,
    /// Wait at the end.
    pub left_waiting: u64,
    /// Those that never started, by reason.
    pub not_run: Vec<NotRun>,
    /// Deadlines that it misses.
    pub missed: Missed,
    /// How long its programs ran in all.
    pub busy_ms: f64,
    /// Until a worker was free.
    pub waiting: Waits,
    /// How long an attempt was taken to last.
    pub takes: DurationSource,
}

impl Forecast {
    /// Executions that have no end.
    pub const fn left(&self) -> u64 {
        self.left_running + self.left_waiting
    }
}

/// Executions of an agent that never started for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotRun {
    /// `skipped`, `refused` or `cancelled`.
    pub end: End,
    /// The code of the reason.
    pub code: String,
    /// The reason of the first one, as a sentence.
    pub why: String,
    /// How many.
    pub count: u64,
    /// The time that the first one was scheduled for.
    pub first: Timestamp,
}

/// Deadlines that an agent misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Missed {
    /// Attempts that took longer than its `timeout`.
    pub timed_out: u64,
    /// Times at which it was due while the run before was still live, and was skipped or replaced it.
    pub overlapped: u64,
    /// Times at which the queue was full.
    pub refused: u64,
}

/// Where the durations of an agent are from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DurationSource {
    /// Whether there is a history; else `p50` is an assumption.
    pub known: bool,
    /// Durations of the history.
    pub samples: usize,
    /// Their median.
    pub p50_ms: f64,
    /// Their 95th percentile.
    pub p95_ms: f64,
    /// Share of attempts that fail, 0 to 1.
    pub failure_rate: f64,
}

impl DurationSource {
    fn of(member: &Member, assumed: Duration) -> Self {
        let history = &member.history;
        let mut durations = history.durations.clone();
        let samples = durations.len();
        let failure_rate = if history.attempts == 0 { 0.0 } else { history.failed as f64 / history.attempts as f64 };
        if samples == 0 {
            return Self { known: false, samples, p50_ms: as_ms(assumed), p95_ms: as_ms(assumed), failure_rate };
        }
        let mut rank = |percent: usize| as_ms(*durations.select_nth_unstable((percent * samples).div_ceil(100) - 1).1);
        Self { known: true, samples, p50_ms: rank(50), p95_ms: rank(95), failure_rate }
    }
}

/// The word of a reason for programs.
pub(super) fn code_of(reason: &Reason) -> String {
    let json = serde_json::to_value(reason).unwrap_or_default();
    json["code"].as_str().unwrap_or_default().to_owned()
}

/// A reason as a sentence; ids of executions that only a simulation has are left out.
fn sentence(reason: &Reason) -> String {
    let run = match reason {
        Reason::Overlap { running: run }
        | Reason::AlreadyWaiting { waiting: run }
        | Reason::Superseded { by: run }
        | Reason::TrialInProgress { run } => run,
        other => return other.to_string(),
    };
    reason.to_string().replace(&format!("execution {run}"), "execution").replace(&format!(" {run}"), "")
}

pub(super) fn report(plan: &Plan, mut account: Account<'_>, only: Option<AgentIndex>) -> Simulation {
    let mut waits = Vec::new();
    for of in &account.agents {
        waits.extend_from_slice(&of.waits);
    }
    let counted = std::mem::take(&mut account.agents);
    let all: Vec<Forecast> = plan.members.iter().zip(counted).map(|(member, of)| forecast(plan, member, of)).collect();
    let totals = totals(&all);
    let waiting = Waits::of(waits);
    let told = |slot: usize| only.is_none_or(|only| only.slot() == slot);
    let mut timeline = account.timeline.take();
    if let Some(timeline) = &mut timeline {
        let triggers: u64 =
            (0..).zip(&all).filter(|(slot, _)| told(*slot)).map(|(_, forecast)| forecast.triggers).sum();
        timeline.omitted = triggers.saturating_sub(u64::try_from(timeline.entries.len()).unwrap_or(u64::MAX));
    }
    let mut simulation = Simulation {
        from: plan.from,
        to: plan.to,
        cut_off_at: account.cut_off_at,
        workers: plan.workers.max(1),
        capacity: plan.queue.capacity,
        seed: plan.seed,
        attention: Vec::new(),
        totals,
        waiting,
        peak_queue: Peak { waiting: account.most_waiting.0, at: account.most_waiting.1 },
        collisions: collisions(plan, &account),
        hours: hours(plan, &account),
        agents: (0..).zip(all).filter(|(slot, _)| told(*slot)).map(|(_, forecast)| forecast).collect(),
        timeline,
        assumptions: assumptions(plan),
    };
    simulation.attention = attention(&simulation);
    simulation
}

fn totals(all: &[Forecast]) -> Totals {
    let mut totals = Totals { agents: all.len(), ..Totals::default() };
    for forecast in all {
        totals.triggers += forecast.triggers;
        totals.runs += forecast.runs;
        totals.ends.add(&forecast.ends);
        totals.left_running += forecast.left_running;
        totals.left_waiting += forecast.left_waiting;
    }
    totals
}

fn forecast(plan: &Plan, member: &Member, of: OfAgent) -> Forecast {
    let ends = Ends::of(&of);
    let not_run: Vec<NotRun> = of.not_run.iter().map(not_run).collect();
    let overlapped = not_run.iter().filter(|not_run| matches!(not_run.code.as_str(), "overlap" | "already_waiting"));
    // Who is replaced may have run already.
    let replaced = if ends.cancelled > 0 && replaces(member) { ends.cancelled } else { 0 };
    let full = not_run.iter().filter(|not_run| not_run.code == "queue_full");
    let missed = Missed {
        timed_out: of.timed_out,
        overlapped: overlapped.map(|not_run| not_run.count).sum::<u64>() + replaced,
        refused: full.map(|not_run| not_run.count).sum(),
    };
    Forecast {
        agent: member.spec.name.clone(),
        service: member.spec.service().is_some(),
        triggers: ends.all() + of.left_running + of.left_waiting,
        runs: of.runs,
        ends,
        left_running: of.left_running,
        left_waiting: of.left_waiting,
        not_run,
        missed,
        busy_ms: as_ms(of.busy),
        waiting: Waits::of(of.waits),
        takes: DurationSource::of(member, plan.assumed),
    }
}

fn replaces(member: &Member) -> bool {
    member.spec.job().is_some_and(|job| job.overlap == crate::spec::Overlap::CancelPrevious)
}

fn not_run(count: &NotRunCount) -> NotRun {
    NotRun {
        end: count.end,
        code: code_of(&count.reason),
        why: sentence(&count.reason),
        count: count.count,
        first: count.first,
    }
}

fn collisions(plan: &Plan, account: &Account<'_>) -> Collisions {
    let name = |agent: &AgentIndex| plan.members[agent.slot()].spec.name.clone();
    let worst = account.crowds.iter().map(|crowd| Collision {
        at: Timestamp::from_secs(crowd.second),
        due: u64::try_from(crowd.agents.len()).unwrap_or(u64::MAX),
        agents: crowd.agents.iter().take(NAMED).map(name).collect(),
    });
    Collisions { seconds: account.crowded_seconds, worst: worst.collect() }
}

fn hours(plan: &Plan, account: &Account<'_>) -> Vec<Hour> {
    let hours = account.hours.iter().filter(|(_, hour)| hour.covered > 0 || hour.starts > 0);
    let hours = hours.map(|(number, hour)| Hour {
        at: begin_of(*number),
        utilisation: hour.busy as f64 / (hour.covered.max(1) as f64 * f64::from(plan.workers.max(1))),
        starts: hour.starts,
        most_waiting: hour.most_waiting,
    });
    hours.collect()
}

/// What the answer rests on, for people.
fn assumptions(plan: &Plan) -> Vec<String> {
    let mut all = vec![match plan.begin {
        Begin::Boot => format!("the orchestrator starts at {}: intervals count from there", plan.from),
        Begin::Running(_) => "the orchestrator runs on as it is, but for what runs and waits now".to_owned(),
    }];
    let jobs = || plan.members.iter().filter(|member| member.spec.job().is_some());
    let agents = |count: usize, one: &str, many: &str| {
        if count == 1 { format!("1 agent {one}") } else { format!("{count} agents {many}") }
    };
    let unknown = jobs().filter(|member| member.history.durations.is_empty()).count();
    if unknown > 0 {
        let assumed = human(plan.assumed);
        all.push(format!("{} no history: an attempt takes {assumed}", agents(unknown, "has", "have")));
    }
    let services = plan.members.len() - jobs().count();
    if services > 0 {
        all.push(format!("{}: always ready", agents(services, "is a service", "are services")));
    }
    let by_message =
        jobs().filter(|member| member.spec.job().is_some_and(|job| job.triggers.subject.is_some())).count();
    if by_message > 0 {
        all.push(format!(
            "{} by messages: those are not foreseen",
            agents(by_message, "is triggered", "are triggered")
        ));
    }
    all.push("nobody runs, stops or changes anything by hand".to_owned());
    all
}
