//! `werkpilot simulate`: what will run when, and what will not, in virtual time.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;
use werkpilot_core::ids::AgentName;
use werkpilot_core::simulate::{self, Forecast, Planned, SimulateError, Simulation, Waits};
use werkpilot_core::time::{Timestamp, human};
use werkpilot_runtime::simulate::{SimulateQuery, plan_of_registry};
use werkpilot_store::{FILE, Reader};

use super::kept::{past, unreadable};
use super::plan::or_registry;
use super::{Context, from_ms, load, now, source};
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::{Output, count};

/// What is simulated by the command itself may be more than what a running orchestrator takes on.
const STEPS: u64 = 5 * simulate::STEPS;

/// Executions that are shown one by one, unless the caller says otherwise.
const TOLD: &str = "200";

/// Lines of what needs attention.
const CONCERNS: usize = 12;

/// Simulate the schedule, the queue and the workers in virtual time.
///
/// It is the real scheduler that decides, only the time is not real, and in the place of each program stands how long it
/// took before: what runs when, what is skipped or refused, how long executions will wait, and which deadlines are missed.
/// A running orchestrator is simulated as it is, without what runs and waits now; with --registry, one that is started
/// at the begin, with the history of the state folder if there is one.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// From when: "now", "+8h" (ahead), "2h" (ago), a day (UTC) or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "now")]
    from: Timestamp,
    /// Until when, at most 31 days later; without it, 24 hours later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    to: Option<Timestamp>,
    /// With so many workers instead of those that there are.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    workers: Option<u32>,
    /// Another number gives other durations.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How long a program takes that has no history.
    #[arg(long, value_name = "DURATION", value_parser = werkpilot_config::parse_duration, default_value = "1s")]
    assume: Duration,
    /// Only show this agent; the whole fleet is simulated.
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// Show the executions one by one, at most so many.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, default_missing_value = TOLD)]
    timeline: Option<usize>,
    /// Look at this registry instead of the running orchestrator.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot simulate
  werkpilot simulate --from 2026-11-22 --to 2026-11-23 --workers 8
  werkpilot simulate --registry registry --agent report --timeline";

/// Reads a time as people write it: `now`, `+8h`, and all that has been.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.strip_prefix('+') {
        _ if text == "now" => Ok(now()),
        Some(ahead) => werkpilot_config::parse_duration(ahead)
            .map(|ahead| now() + ahead)
            .map_err(|_| format!("{ahead} is no duration: write \"+90m\" or \"+8h\"")),
        None => past(text).map_err(|hint| format!("{hint}, or \"now\", or how far ahead (\"+8h\")")),
    }
}

/// `werkpilot simulate`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let to = args.to.unwrap_or(args.from + Duration::from_hours(24));
    let span = to.since(args.from);
    if to <= args.from || span > simulate::LONGEST {
        let problem = if to <= args.from {
            SimulateError::Backwards { from: args.from, to }
        } else {
            SimulateError::TooLong(span)
        };
        return Err(Failure::of(Code::Usage, &problem).hint("--to is later than --from, at most 31 days"));
    }
    let query = SimulateQuery {
        from: Some(args.from),
        to: Some(to),
        workers: args.workers,
        seed: Some(args.seed),
        assume_ms: Some(u64::try_from(args.assume.as_millis()).unwrap_or(u64::MAX)),
        agent: args.agent.clone(),
        timeline: args.timeline,
    };
    let simulation = match &args.registry {
        Some(registry) => offline(registry.clone(), query, context)?,
        None => online(&query, context)?,
    };
    context.show(&simulation, || to_text(&simulation, context.out))
}

fn online(query: &SimulateQuery, context: &Context) -> Result<Simulation, Failure> {
    let query = serde_json::to_value(query).unwrap_or_default();
    let given = query.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let pairs: Vec<(&str, String)> = given.map(|(key, value)| (key.as_str(), text(value))).collect();
    let answer = context.online(async |client| client.get(&["api", "v1", "simulate"], &pairs).await);
    parse(answer.map_err(or_registry)?)
}

fn offline(registry: PathBuf, query: SimulateQuery, context: &Context) -> Result<Simulation, Failure> {
    let loaded = load(&source(&context.options, registry, &[]), "")?;
    let dir = find::state_dir(&context.options)?;
    let reader = dir.join(FILE).is_file().then(|| Reader::open(&dir)).transpose().map_err(unreadable)?;
    let plan = plan_of_registry(query, &loaded.registry, &loaded.settings, reader.as_ref(), now());
    let plan = simulate::Plan { steps: STEPS, ..plan.map_err(unreadable)? };
    simulate::simulate(&plan).map_err(|error| match error {
        SimulateError::UnknownAgent { .. } => {
            Failure::of(Code::NoInput, &error).hint("`werkpilot next --registry DIR` lists who is due")
        }
        _ => Failure::of(Code::Config, &error),
    })
}

fn counted(number: u64, word: &str) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), word)
}

fn ms(ms: f64) -> String {
    human(from_ms(ms))
}

fn to_text(simulation: &Simulation, out: Output) -> String {
    let mut text = String::new();
    let Simulation { from, to, workers, seed, totals, .. } = simulation;
    let (agents, workers) = (count(totals.agents, "agent"), counted(u64::from(*workers), "worker"));
    let _ = writeln!(text, "{from} to {to}: {agents}, {workers}, seed {seed}\n");
    attention(simulation, &mut text);
    summary(simulation, &mut text);
    if let Some(timeline) = &simulation.timeline {
        let _ = writeln!(text, "\n{}", out.table(&TIMELINE, timeline.entries.iter().map(planned)).trim_end());
        if timeline.omitted > 0 {
            let _ = writeln!(text, "and {} more: --timeline NUMBER shows more of them", timeline.omitted);
        }
    } else if simulation.agents.iter().any(|agent| !agent.service) {
        let jobs = simulation.agents.iter().filter(|agent| !agent.service);
        let _ = writeln!(text, "\n{}", out.table(&AGENTS, jobs.map(forecast)).trim_end());
    }
    let _ = writeln!(text, "\nAssumed: {}.", simulation.assumptions.join("; "));
    text
}

fn attention(simulation: &Simulation, text: &mut String) {
    if simulation.attention.is_empty() {
        let _ = writeln!(text, "Nothing needs attention.\n");
        return;
    }
    let _ = writeln!(text, "Needs attention:");
    for attention in simulation.attention.iter().take(CONCERNS) {
        let _ = writeln!(text, "  {}", attention.text);
    }
    let more = simulation.attention.len().saturating_sub(CONCERNS);
    if more > 0 {
        let _ = writeln!(text, "  and {more} more (--json has all of them)");
    }
    text.push('\n');
}

fn summary(simulation: &Simulation, text: &mut String) {
    let totals = &simulation.totals;
    let others = [
        (totals.ends.skipped, "skipped"),
        (totals.ends.refused, "refused"),
        (totals.ends.failed + totals.ends.timed_out, "failed for good"),
        (totals.left_running + totals.left_waiting, "not ended"),
    ];
    let _ = write!(text, "{}: {}", counted(totals.triggers, "trigger"), counted(totals.runs, "run"));
    for (count, word) in others.iter().filter(|(count, _)| *count > 0) {
        let _ = write!(text, ", {count} {word}");
    }
    text.push('\n');
    if simulation.waiting.count > 0 {
        let peak = simulation.peak_queue;
        let longest =
            if peak.waiting > 0 { format!("; {} at once, at {}", peak.waiting, peak.at) } else { String::new() };
        let _ = writeln!(text, "Waiting for a worker: {}{longest}", waits(&simulation.waiting));
    }
    // Of equal ones the first.
    let busiest = simulation.hours.iter().rev().max_by(|one, other| one.utilisation.total_cmp(&other.utilisation));
    if let Some(hour) = busiest.filter(|hour| hour.starts > 0) {
        let (share, starts) = (hour.utilisation * 100.0, counted(hour.starts, "start"));
        let _ = writeln!(text, "Busiest hour: {}, workers busy {share:.0} % of it, {starts}", hour.at);
    }
}

/// `p50 0ms, p95 1.2s, at most 8s`
fn waits(waits: &Waits) -> String {
    let [p50, p95, max] = [waits.p50_ms, waits.p95_ms, waits.max_ms].map(|time| time.map(ms).unwrap_or_default());
    format!("p50 {p50}, p95 {p95}, at most {max}")
}

const AGENTS: [&str; 9] = ["agent", "runs", "skipped", "refused", "failed", "busy", "waits p95", "takes p50", "from"];

fn forecast(forecast: &Forecast) -> Vec<String> {
    let takes = &forecast.takes;
    vec![
        forecast.agent.to_string(),
        forecast.runs.to_string(),
        forecast.ends.skipped.to_string(),
        forecast.ends.refused.to_string(),
        (forecast.ends.failed + forecast.ends.timed_out).to_string(),
        ms(forecast.busy_ms),
        forecast.waiting.p95_ms.map(ms).unwrap_or_default(),
        ms(takes.p50_ms),
        if takes.known { count(takes.samples, "sample") } else { "assumed".to_owned() },
    ]
}

const TIMELINE: [&str; 8] = ["due", "agent", "trigger", "started", "waited", "ended", "end", "because"];

fn planned(planned: &Planned) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    vec![
        planned.scheduled_for.unwrap_or(planned.queued_at).to_string(),
        planned.agent.to_string(),
        planned.trigger.clone(),
        time(planned.started_at),
        if planned.started_at.is_some() { ms(planned.waited_ms) } else { String::new() },
        time(planned.ended_at),
        planned.end.map(|end| end.to_string()).unwrap_or_default(),
        planned.reason.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use werkpilot_core::simulate::{History, Member, Plan};
    use werkpilot_core::spec::{AgentSpec, Program};

    use super::*;

    fn member(name: &str, schedule: &str, secs: u64) -> Member {
        let program = Program::Command(vec!["true".to_owned()]);
        let mut spec = AgentSpec::job_named(AgentName::new(name).unwrap(), program);
        spec.job_mut().unwrap().triggers.schedule = Some(schedule.to_owned());
        let history = History::counted(vec![Duration::from_secs(secs)], 10, 0, 0);
        Member { history, ..Member::new(spec) }
    }

    fn simulation(members: Vec<Member>, timeline: usize) -> Simulation {
        let from = Timestamp::from_secs(1_795_305_600);
        let plan = Plan { timeline, ..Plan::new(members, 1, from, from + Duration::from_hours(1)) };
        simulate::simulate(&plan).unwrap()
    }

    #[test]
    fn what_needs_attention_comes_first() {
        let members = vec![member("report", "*/10 * * * *", 700), member("sales", "*/10 * * * *", 5)];
        insta::assert_snapshot!(to_text(&simulation(members, 0), Output::in_a_pipe()));
    }

    #[test]
    fn a_quiet_fleet_is_short() {
        insta::assert_snapshot!(to_text(&simulation(vec![member("sales", "0 * * * *", 5)], 0), Output::in_a_pipe()));
        let nobody = to_text(&simulation(Vec::new(), 0), Output::in_a_pipe());
        assert!(nobody.contains("Nothing needs attention.\n\n0 triggers: 0 runs\n"), "{nobody}");
    }

    #[test]
    fn a_timeline_tells_what_runs_when() {
        let members = vec![member("sales", "*/20 * * * *", 1_500)];
        insta::assert_snapshot!(to_text(&simulation(members, 2), Output::in_a_pipe()));
    }

    #[test]
    fn times_may_be_ahead() {
        let ahead = time("+8h").unwrap().since(now());
        assert!(ahead > Duration::from_hours(7) && ahead <= Duration::from_hours(8), "{ahead:?}");
        assert_eq!(time("2026-11-21"), Ok(Timestamp::from_millis(1_795_219_200_000)));
        assert!(time("now").is_ok() && time("+soon").is_err() && time("tomorrow").is_err());
    }
}
