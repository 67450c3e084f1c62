//! `werkpilot optimize`: has the optimizer look back now, shows what was decided, and undoes it.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::optimizer::{Decision, DecisionState, Report};

use super::report::report_text;
use super::{Context, now, relative};
use crate::client::parse;
use crate::failure::Failure;
use crate::output::Output;

/// Look back at the last week now, and propose what might be better.
///
/// It is what happens every night ([optimizer] schedule): baselines of all agents, proposals for priorities, time-outs,
/// workers and schedules that collide, each with its evidence and what to expect; a trial for each agent that is disabled by
/// failure; old history goes, and the database is tidied. With [optimizer] apply = true, proposals about priorities are
/// applied; each is a decision that can be undone.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Only look: nothing is kept, applied, tried or tidied.
    #[arg(long, conflicts_with_all = ["undo", "decisions"])]
    dry_run: bool,
    /// Undo this decision: the priority is as it was before.
    #[arg(long, value_name = "ID", conflicts_with = "decisions")]
    undo: Option<u64>,
    /// Show the decisions, newest first.
    #[arg(long)]
    decisions: bool,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot optimize --dry-run
  werkpilot optimize
  werkpilot optimize --decisions
  werkpilot optimize --undo 3";

/// What the client reads of the decisions.
#[derive(Debug, Deserialize)]
struct List {
    decisions: Vec<Decision>,
}

/// `werkpilot optimize`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if args.decisions {
        let answer = context.online(async |client| client.get(&["api", "v1", "decisions"], &[]).await)?;
        let list: List = parse(answer.clone())?;
        return context.show(&answer, || decisions_text(&list.decisions, context.out));
    }
    if let Some(id) = args.undo {
        let path = ["api", "v1", "decisions", &id.to_string(), "undo"];
        let answer = context.online(async |client| client.post(&path, None).await)?;
        let undone: Decision = parse(answer.clone())?;
        return context.show(&answer, || {
            format!("decision {id} is undone; {} has the priority that it had before\n", undone.agent)
        });
    }
    let body = json!({ "dryRun": args.dry_run });
    let answer = context.online(async |client| client.post(&["api", "v1", "optimize"], Some(body)).await)?;
    let report: Report = parse(answer.clone())?;
    context.show(&answer, || report_text(&report, now(), context.out))
}

fn decisions_text(decisions: &[Decision], out: Output) -> String {
    if decisions.is_empty() {
        return "no decision was made\n".to_owned();
    }
    let rows = decisions.iter().map(|decision| {
        let state = match (decision.state, &decision.changed_by) {
            (DecisionState::Undone, Some(by)) => format!("undone by {by}"),
            (state, _) => state.as_str().to_owned(),
        };
        vec![
            decision.id.to_string(),
            relative(decision.at, now()),
            decision.agent.to_string(),
            format!("{} instead of {}", decision.to.number(), decision.from.number()),
            state,
            decision.because.clone(),
        ]
    });
    out.table(&["id", "made", "agent", "priority", "state", "because"], rows)
}
