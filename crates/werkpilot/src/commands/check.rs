//! `werkpilot check`: reads the files and tells what is wrong, or what would be started.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use werkpilot_config::Loaded;
use werkpilot_core::time::Timestamp;

use super::plan::{graph_of, upcoming};
use super::{Context, RegistryOption, faults_failure, now, relative, source};
use crate::failure::Failure;
use crate::output::{self, count};

/// The next runs that are shown.
const NEXT_RUNS: usize = 5;
const A_WEEK: Duration = Duration::from_hours(7 * 24);

/// Check registry and settings, and tell everything that is wrong.
///
/// All faults are told in one go, with file, line and hint. Nothing is started, and no orchestrator needs to run. The exit code is 78 if there is any fault. What is allowed and
/// worth knowing (a key that does nothing yet, say) is told as a notice.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot check --registry registry --config werkpilot.toml")]
pub struct Args {
    #[command(flatten)]
    registry: RegistryOption,
}

/// `werkpilot check`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let source = source(&context.options, args.registry.registry.clone(), &[]);
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(faults) => {
            if context.out.json {
                output::print_json(&faults)?;
            }
            return Err(faults_failure(&faults, ""));
        }
    };
    let now = now();
    let next = upcoming(&loaded.registry, now, A_WEEK, NEXT_RUNS);
    let departments: BTreeSet<&str> = loaded.registry.agents.iter().map(|agent| agent.department.as_str()).collect();
    let layers = graph_of(&loaded.registry)?.layers().len();
    let value = json!({
        "agents": loaded.registry.agents.len(),
        "departments": departments,
        "layers": layers,
        "nextRuns": next,
        "notices": loaded.notices,
        "files": loaded.files,
    });
    context.show(&value, || text(&loaded, departments.len(), layers, &next, now))
}

fn text(loaded: &Loaded, departments: usize, layers: usize, next: &[super::plan::NextRun], now: Timestamp) -> String {
    let (agents, departments) = (count(loaded.registry.agents.len(), "agent"), count(departments, "department"));
    let files = count(loaded.files.len(), "file");
    let mut text = format!("In order: {agents} in {departments}, {} ({files})\n", count(layers, "boot layer"));
    if !next.is_empty() {
        text.push_str("\nNext runs:\n");
        for run in next {
            let _ = writeln!(text, "  {}  {} ({})", run.at, run.agent, relative(run.at, now));
        }
    }
    if !loaded.notices.is_empty() {
        text.push_str("\nWorth knowing:\n");
        for notice in &loaded.notices {
            let _ = writeln!(text, "  {notice}");
        }
    }
    text
}
