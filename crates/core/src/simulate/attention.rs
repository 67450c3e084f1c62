//! What in a simulation somebody should look at, most important first.
//!
//! | concern | when |
//! |---|---|
//! | `cut_off` | there was more to simulate than the plan allows |
//! | `refused` | the queue was full |
//! | `not_run` | triggers led to nothing for another reason than the two below |
//! | `overlapped` | it was due while the run before was live |
//! | `timed_out` | attempts took longer than `timeout` |
//! | `failed` | executions fail for good |
//! | `backlog` | more wait at the end than there are workers |
//! | `waits` | its p95 of waiting is above a second and above what it takes itself |
//! | `saturated` | hours in which the workers are busy for at least 95 % of the time |
//! | `collision` | more come due in a second than there are workers, and somebody waits for a second or more |

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::report::{Forecast, Simulation};
use crate::ids::AgentName;
use crate::time::human;

/// From here on an hour is said to be full: what comes then has to wait for long.
const SATURATED: f64 = 0.95;

/// Shorter waits bother nobody.
const NOTICED_MS: f64 = 1_000.0;

/// Kinds of what somebody should look at; the first is the most important one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// There was more to simulate than the plan allows.
    CutOff,
    /// The queue was full.
    Refused,
    /// Triggers led to nothing.
    NotRun,
    /// It was due while the run before was live.
    Overlapped,
    /// Attempts took too long.
    TimedOut,
    /// Executions fail for good.
    Failed,
    /// More wait at the end than there are workers.
    Backlog,
    /// It waits for longer than it takes.
    Waits,
    /// Workers are busy nearly all the time.
    Saturated,
    /// More come due in a second than there are workers.
    Collision,
}

/// What somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SimulatedAttention)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// Of which kind it is.
    pub concern: Concern,
    /// Whom it concerns; null: all.
    pub agent: Option<AgentName>,
    /// How often.
    pub count: u64,
    /// A sentence.
    pub text: String,
}

/// All of it, most important first, and of one kind what is most frequent.
pub(super) fn attention(simulation: &Simulation) -> Vec<Attention> {
    let mut all: Vec<Attention> = simulation.agents.iter().flat_map(of_agent).collect();
    all.extend(of_fleet(simulation));
    all.sort_by_key(|attention| (attention.concern, std::cmp::Reverse(attention.count)));
    all
}

fn ms(ms: f64) -> String {
    human(Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or_default())
}

fn of_agent(forecast: &Forecast) -> Vec<Attention> {
    let mut found = Vec::new();
    let Forecast { agent, triggers, missed, takes, .. } = forecast;
    let mut add = |concern, count: u64, text: String| {
        if count > 0 {
            found.push(Attention { concern, agent: Some(agent.clone()), count, text: format!("{agent}: {text}") });
        }
    };
    for not_run in &forecast.not_run {
        let (count, why, end) = (not_run.count, &not_run.why, not_run.end);
        match not_run.code.as_str() {
            // Told of below; and as somebody wants it.
            "overlap"
            | "already_waiting"
            | "superseded"
            | "disabled_in_registry"
            | "stopped_by_operator"
            | "by_operator" => {}
            "queue_full" => add(Concern::Refused, count, format!("{count} of {triggers} triggers refused, {why}")),
            _ => add(Concern::NotRun, count, format!("{count} of {triggers} triggers {end}, {why}")),
        }
    }
    let took = if takes.known {
        format!("takes {} at p95", ms(takes.p95_ms))
    } else {
        format!("assumed to take {}", ms(takes.p50_ms))
    };
    let overlapped = missed.overlapped;
    let waits = forecast.waiting.p95_ms.filter(|p95| *p95 >= NOTICED_MS);
    let waited = waits.map(|p95| format!(", after {} of waiting", ms(p95))).unwrap_or_default();
    add(
        Concern::Overlapped,
        overlapped,
        format!("due {overlapped} of {triggers} times while the run before was live ({took}{waited})"),
    );
    let late = missed.timed_out;
    add(Concern::TimedOut, late, format!("{late} attempts take longer than its timeout ({took})"));
    let failed = forecast.ends.failed;
    add(Concern::Failed, failed, format!("{failed} of {} runs fail for good", forecast.runs));
    if let Some(p95) = waits.filter(|p95| *p95 > takes.p50_ms) {
        let max = forecast.waiting.max_ms.unwrap_or(p95);
        add(Concern::Waits, forecast.runs, format!("waits {} at p95, at most {}, and {took}", ms(p95), ms(max)));
    }
    found
}

fn of_fleet(simulation: &Simulation) -> Vec<Attention> {
    let mut found = Vec::new();
    let mut add = |concern, count, text| found.push(Attention { concern, agent: None, count, text });
    if let Some(at) = simulation.cut_off_at {
        let text = format!("only what is before {at} was simulated, there is too much of it: ask for less time");
        add(Concern::CutOff, 1, text);
    }
    let waiting = simulation.totals.left_waiting;
    if waiting > u64::from(simulation.workers) {
        add(Concern::Backlog, waiting, format!("{waiting} executions still wait at the end"));
    }
    let full: Vec<_> = simulation.hours.iter().filter(|hour| hour.utilisation >= SATURATED).collect();
    if let Some(first) = full.first() {
        let (count, workers) = (u64::try_from(full.len()).unwrap_or(u64::MAX), simulation.workers);
        let hours = if count == 1 { "1 hour".to_owned() } else { format!("{count} hours") };
        let worker = if workers == 1 { "the only worker is" } else { "the workers are" };
        let share = first.utilisation * 100.0;
        add(
            Concern::Saturated,
            count,
            format!("{worker} busy nearly all the time in {hours}, first at {} ({share:.0} %)", first.at),
        );
    }
    let worst = simulation.collisions.worst.first();
    if let Some(worst) = worst.filter(|_| simulation.waiting.max_ms.is_some_and(|max| max >= NOTICED_MS)) {
        let seconds = simulation.collisions.seconds;
        let times = if seconds == 1 { "once".to_owned() } else { format!("in {seconds} seconds") };
        let text = format!(
            "{times} more come due than there are workers ({}), most at {}: {} (spread them with `jitter` or other minutes)",
            simulation.workers, worst.at, worst.due
        );
        add(Concern::Collision, seconds, text);
    }
    found
}
