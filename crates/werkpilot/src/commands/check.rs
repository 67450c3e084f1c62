//! `werkpilot check`: reads the files and tells what is wrong, or what would be started.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use werkpilot_config::{Loaded, Notice};
use werkpilot_core::spec::{Program, Registry};
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
    let mut notices = loaded.notices.clone();
    notices.extend(shared_users(&loaded.registry).map(|message| Notice {
        file: source.registry.as_deref().unwrap_or(Path::new("registry")).display().to_string(),
        line: None,
        key: "user".to_owned(),
        message,
    }));
    let value = json!({
        "agents": loaded.registry.agents.len(),
        "departments": departments,
        "layers": layers,
        "nextRuns": next,
        "notices": notices,
        "files": loaded.files,
    });
    context.show(&value, || text(&loaded, &notices, departments.len(), layers, &next, now))
}

/// Who runs as the same user can read each other's environment, and speak on the bus in each other's name.
fn shared_users(registry: &Registry) -> Option<String> {
    let mut users: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for agent in registry.agents.iter().filter(|agent| agent.program != Program::InProcess) {
        *users.entry(agent.identity.user.as_deref()).or_default() += 1;
    }
    let shared = users.into_iter().filter(|(_, agents)| *agents > 1).map(|(user, agents)| match user {
        None => format!("{agents} agents run as the user of the orchestrator"),
        Some(user) => format!("{agents} agents run as the user {user}"),
    });
    let shared: Vec<String> = shared.collect();
    let advice = "they can read each other's credentials on the bus; who must not needs a `user` of its own";
    (!shared.is_empty()).then(|| format!("{}: {advice}", shared.join(", ")))
}

fn text(
    loaded: &Loaded,
    notices: &[Notice],
    departments: usize,
    layers: usize,
    next: &[super::plan::NextRun],
    now: Timestamp,
) -> String {
    let (agents, departments) = (count(loaded.registry.agents.len(), "agent"), count(departments, "department"));
    let files = count(loaded.files.len(), "file");
    let mut text = format!("In order: {agents} in {departments}, {} ({files})\n", count(layers, "boot layer"));
    if !next.is_empty() {
        text.push_str("\nNext runs:\n");
        for run in next {
            let _ = writeln!(text, "  {}  {} ({})", run.at, run.agent, relative(run.at, now));
        }
    }
    if !notices.is_empty() {
        text.push_str("\nWorth knowing:\n");
        for notice in notices {
            let _ = writeln!(text, "  {notice}");
        }
    }
    text
}
