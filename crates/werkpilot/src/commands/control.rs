//! `start`, `stop`, `restart`, `enable`, `disable`, `pause`, `resume`, `reload`: what is asked of the running orchestrator
//! in one request.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Context;
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::output::{count, printable};

/// Start an agent.
///
/// Its triggers work again after a stop. A service is started as soon as its dependencies are well; a job waits for its next trigger (`werkpilot run` runs it
/// now). Breakers and disabled-by states of the agent are cleared.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot start agent-sales\n  werkpilot start agent-sales --force")]
pub struct StartArgs {
    /// The agent.
    name: String,
    /// Start it even if its dependencies are unhealthy.
    #[arg(long)]
    force: bool,
}

/// Stop an agent until `start`.
///
/// A service ends. A job's run ends, and its triggers are paused.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot stop agent-sales")]
pub struct StopArgs {
    /// The agent.
    name: String,
}

/// Stop an agent and start it again.
///
/// A job's run is ended, and it is run anew.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot restart agent-sales")]
pub struct RestartArgs {
    /// The agent.
    name: String,
    /// Start it even if its dependencies are unhealthy.
    #[arg(long)]
    force: bool,
}

/// Enable an agent that is disabled.
///
/// It does not matter what disabled it: an operator, its own failures, or a lack of memory.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot enable agent-sales")]
pub struct EnableArgs {
    /// The agent.
    name: String,
}

/// Disable an agent until `enable`.
///
/// It is stopped, and nothing starts it, not even its triggers.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot disable agent-sales")]
pub struct DisableArgs {
    /// The agent.
    name: String,
}

/// Pause all triggers, for maintenance.
///
/// What runs goes on, and `werkpilot run` still works.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot pause && ./maintain.sh; werkpilot resume")]
pub struct PauseArgs {}

/// Resume all triggers after a pause.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot resume")]
pub struct ResumeArgs {}

/// Read registry and settings again.
///
/// Only what is different is applied. If anything is wrong with the files, nothing changes, and all faults are listed (exit code 78). Agents that did not
/// change keep running as they are. Files for TLS that are faulty are named as a warning: the certificate stays as it was.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  werkpilot check && werkpilot reload")]
pub struct ReloadArgs {}

/// `werkpilot start`.
pub fn start(args: &StartArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "agents", &args.name, "start"], Some(json!({ "force": args.force })))
}

/// `werkpilot stop`.
pub fn stop(args: &StopArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "agents", &args.name, "stop"], None)
}

/// `werkpilot restart`.
pub fn restart(args: &RestartArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "agents", &args.name, "restart"], Some(json!({ "force": args.force })))
}

/// `werkpilot enable`.
pub fn enable(args: &EnableArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "agents", &args.name, "enable"], None)
}

/// `werkpilot disable`.
pub fn disable(args: &DisableArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "agents", &args.name, "disable"], None)
}

/// `werkpilot pause`.
pub fn pause(_: &PauseArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "pause"], None)
}

/// `werkpilot resume`.
pub fn resume(_: &ResumeArgs, context: &Context) -> Result<ExitCode, Failure> {
    post(context, &["api", "v1", "resume"], None)
}

fn post(context: &Context, path: &[&str], body: Option<Value>) -> Result<ExitCode, Failure> {
    let answer = context.online(async |client| client.post(path, body).await)?;
    context.show(&answer, || answer["message"].as_str().unwrap_or("done").to_owned())
}

/// What the client reads of a reload's report.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReloadReport {
    added: Vec<String>,
    removed: Vec<String>,
    changed: Vec<String>,
    unchanged: usize,
    settings: Vec<String>,
    after_restart: Vec<String>,
    warnings: Vec<String>,
}

/// `werkpilot reload`.
pub fn reload(_: &ReloadArgs, context: &Context) -> Result<ExitCode, Failure> {
    let answer = context.online(async |client| client.post(&["api", "v1", "reload"], None).await);
    let answer = answer.map_err(|failure| match failure.code {
        // Its detail is all faults as text.
        Code::Config => Failure::new(Code::Config, "the files have faults; nothing was changed").report(failure.what),
        _ => failure,
    })?;
    let report: ReloadReport = parse(answer.clone())?;
    let code = context.show(&answer, || reload_text(&report))?;
    // In JSON they are part of the answer.
    for warning in report.warnings.iter().filter(|_| !context.out.json) {
        eprintln!("warning: {}", printable(warning));
    }
    Ok(code)
}

fn reload_text(report: &ReloadReport) -> String {
    let mut lines = Vec::new();
    let parts = [
        ("added", &report.added),
        ("removed", &report.removed),
        ("changed", &report.changed),
        ("settings", &report.settings),
        ("effective after a restart only", &report.after_restart),
    ];
    for (word, names) in parts {
        if !names.is_empty() {
            lines.push(format!("{word}: {}", names.join(", ")));
        }
    }
    if lines.is_empty() {
        return "nothing changed".to_owned();
    }
    lines.push(format!("unchanged: {}", count(report.unchanged, "agent")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_tells_what_it_changed_and_no_more() {
        assert_eq!(reload_text(&ReloadReport { unchanged: 3, ..ReloadReport::default() }), "nothing changed");
        let report = ReloadReport {
            added: vec!["a".to_owned(), "b".to_owned()],
            settings: vec!["dashboard.listen".to_owned()],
            after_restart: vec!["dashboard.listen".to_owned()],
            unchanged: 1,
            ..ReloadReport::default()
        };
        assert_eq!(
            reload_text(&report),
            "added: a, b\nsettings: dashboard.listen\neffective after a restart only: dashboard.listen\nunchanged: 1 agent"
        );
    }
}
