//! `werkpilot next` and `werkpilot graph`: what will run when, and who needs whom. Both work on a registry that is not
//! running, too.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::json;
use werkpilot_core::graph::Graph;
use werkpilot_core::ids::AgentIndex;
use werkpilot_core::spec::Registry;
use werkpilot_core::time::{Clocks, Moment, Timestamp};
use werkpilot_core::timetable::{DueKind, Timetable};
use werkpilot_runtime::intake::schedule::timers;

use super::{Context, load, now, relative, source};
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::output::Output;

/// Runs that the API tells at once at most.
const MOST: usize = 10_000;

/// Show what is due next.
///
/// Runs by schedule and by interval are shown in order, at the times that they will have with the jitter of their agents.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot next --hours 2\n  werkpilot next --registry registry --limit 10")]
pub struct NextArgs {
    /// Look so many hours ahead.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8_784))]
    hours: u32,
    /// Show so many runs at most.
    #[arg(long, default_value_t = 50, value_name = "RUNS")]
    limit: usize,
    /// Look at this registry instead of the running orchestrator; intervals count from now then.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
}

/// Show who depends on whom, by boot layer.
///
/// An arrow of Graphviz or Mermaid goes from an agent to what it depends on.
#[derive(Debug, Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot graph\n  werkpilot graph --format dot --registry registry | dot -Tsvg > fleet.svg"
)]
pub struct GraphArgs {
    /// As text, for Graphviz, or for Mermaid.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    format: GraphFormat,
    /// Look at this registry instead of the running orchestrator.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
}

/// How the graph is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Layers and names.
    Text,
    /// Graphviz.
    Dot,
    /// Mermaid.
    Mermaid,
}

/// A time to come.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NextRun {
    /// Whose.
    pub agent: String,
    /// When, with its jitter.
    pub at: Timestamp,
    /// The time that its schedule names.
    pub scheduled_for: Timestamp,
    /// `schedule` or `every`.
    pub trigger: String,
}

/// `werkpilot next`.
pub fn next(args: &NextArgs, context: &Context) -> Result<ExitCode, Failure> {
    let runs: Vec<NextRun> = if let Some(registry) = &args.registry {
        let loaded = load(&source(&context.options, registry.clone(), &[]), "")?;
        upcoming(&loaded.registry, now(), Duration::from_hours(u64::from(args.hours)), args.limit)
    } else {
        let query = [("hours", args.hours.to_string()), ("limit", args.limit.clamp(1, MOST).to_string())];
        let answer = context.online(async |client| client.get(&["api", "v1", "schedule"], &query).await);
        parse(answer.map_err(or_registry)?["runs"].clone())?
    };
    context.show(&json!({ "runs": runs }), || next_text(&runs, args.hours, now(), context.out))
}

/// `werkpilot graph`.
pub fn graph(args: &GraphArgs, context: &Context) -> Result<ExitCode, Failure> {
    let format = args.format;
    let text = if let Some(registry) = &args.registry {
        let loaded = load(&source(&context.options, registry.clone(), &[]), "")?;
        draw(&graph_of(&loaded.registry)?, format)
    } else {
        let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let query = [("format", name)];
        let answer = context.online(async |client| client.get_text(&["api", "v1", "graph"], &query).await);
        answer.map_err(or_registry)?
    };
    context.show(&json!({ "graph": text }), || text.clone())
}

/// These commands do not need an orchestrator.
pub fn or_registry(failure: Failure) -> Failure {
    if failure.code == Code::Unavailable {
        let hint = "start one with `werkpilot up`, or name a registry with --registry DIR";
        return failure.hint(hint);
    }
    failure
}

fn draw(graph: &Graph, format: GraphFormat) -> String {
    match format {
        GraphFormat::Text => graph.to_text(),
        GraphFormat::Dot => graph.to_dot(),
        GraphFormat::Mermaid => graph.to_mermaid(),
    }
}

fn next_text(runs: &[NextRun], hours: u32, now: Timestamp, out: Output) -> String {
    if runs.is_empty() {
        return format!("Nothing is due within {hours} hours.");
    }
    let rows =
        runs.iter().map(|run| vec![run.at.to_string(), relative(run.at, now), run.agent.clone(), run.trigger.clone()]);
    out.table(&["at", "in", "agent", "trigger"], rows)
}

/// The graph of a registry that was read without faults.
pub fn graph_of(registry: &Registry) -> Result<Graph, Failure> {
    let members = registry.agents.iter().map(|agent| {
        let needs = agent.dependencies.iter().map(|dependency| dependency.agent.clone()).collect();
        (agent.name.clone(), needs, agent.layer)
    });
    Graph::new(&members.collect::<Vec<_>>()).map_err(|fault| Failure::new(Code::Config, fault.to_string()))
}

/// What would be due next if the registry were started now.
pub fn upcoming(registry: &Registry, now: Timestamp, span: Duration, limit: usize) -> Vec<NextRun> {
    let clocks = Clocks { steady: Moment::ZERO, wall: now };
    let mut timetable = Timetable::new();
    for (slot, agent) in registry.agents.iter().enumerate().filter(|(_, agent)| agent.enabled) {
        for timer in timers(agent) {
            timetable.insert(AgentIndex::from(slot), timer, clocks);
        }
    }
    let upcoming = timetable.upcoming(now, now + span, clocks, limit);
    let runs = upcoming.into_iter().map(|next| NextRun {
        agent: registry.agents[next.agent.slot()].name.to_string(),
        at: next.at,
        scheduled_for: next.scheduled_for,
        trigger: match next.trigger {
            DueKind::Schedule => "schedule",
            DueKind::Every => "every",
        }
        .to_owned(),
    });
    runs.collect()
}
