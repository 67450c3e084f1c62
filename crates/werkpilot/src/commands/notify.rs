//! `werkpilot notify`: who is told of events outside, and whether it arrives.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};
use serde_json::json;
use werkpilot_core::time::{Timestamp, human};
use werkpilot_runtime::observe::notifications::{NotificationView, TestResult};

use super::{Context, from_ms, now, relative};
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::output::{self, Output, printable};

/// Show the targets of notifications and their counters, or send them a test.
///
/// The targets are the [[notify]] tables of werkpilot.toml. The counters count from the start of the orchestrator. A test
/// goes past queue and rate, and is tried once.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot notify\n  werkpilot notify --test\n  werkpilot notify --test ops")]
pub struct Args {
    /// Send a test to this target, or to all, and tell what came of it.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    test: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Targets {
    targets: Vec<NotificationView>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Results {
    results: Vec<TestResult>,
}

/// `werkpilot notify`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    match &args.test {
        Some(name) => test(name, context),
        None => list(context),
    }
}

const HOW_TO_BEGIN: &str = "add a target to werkpilot.toml: [[notify]] with name, events, and url or command";

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let path = ["api", "v1", "notifications"];
    let all: Targets = parse(context.online(async |client| client.get(&path, &[]).await)?)?;
    context.show(&all, || text(&all.targets, now(), context.out))
}

fn text(targets: &[NotificationView], now: Timestamp, out: Output) -> String {
    if targets.is_empty() {
        return format!("nobody is told of events; {HOW_TO_BEGIN}\n");
    }
    let rows = targets.iter().map(|target| {
        vec![
            target.name.clone(),
            target.to.clone(),
            target.events.join(" "),
            target.sent.to_string(),
            target.failed.to_string(),
            target.suppressed.to_string(),
            target.dropped.to_string(),
            target.queued.to_string(),
            target.last_success.map(|at| relative(at, now)).unwrap_or_default(),
        ]
    });
    let header = ["target", "to", "events", "sent", "failed", "left out", "dropped", "queued", "last success"];
    let mut text = out.table(&header, rows);
    for target in targets {
        let Some(error) = &target.last_error else { continue };
        let next = target.next_try.map(|at| format!("; next try {}", relative(at, now))).unwrap_or_default();
        let (name, at, message) = (&target.name, relative(error.at, now), printable(&error.message));
        let _ = writeln!(text, "{name}: failed {at}: {message}{next}");
    }
    text
}

fn test(name: &str, context: &Context) -> Result<ExitCode, Failure> {
    let path = ["api", "v1", "notifications", "test"];
    let wish = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    let all: Results = parse(context.online(async |client| client.post(&path, Some(wish)).await)?)?;
    if all.results.is_empty() {
        return Err(Failure::new(Code::NoInput, "nobody is told of events").hint(HOW_TO_BEGIN));
    }
    if context.out.json {
        output::print_json(&all)?;
    } else {
        output::print(&results(&all.results))?;
    }
    let arrived = all.results.iter().all(|result| result.ok);
    Ok(if arrived { ExitCode::SUCCESS } else { Code::Failed.into() })
}

fn results(results: &[TestResult]) -> String {
    let mut text = String::new();
    for result in results {
        let (name, took) = (&result.name, human(from_ms(result.latency_ms)));
        let status = result.status.map(|status| format!(", status {status}")).unwrap_or_default();
        let _ = match &result.error {
            None => writeln!(text, "{name}: {} took it in {took}{status}", printable(&result.to)),
            Some(error) => writeln!(text, "{name}: failed after {took}: {}", printable(error)),
        };
        let _ = result.hint.iter().try_for_each(|hint| writeln!(text, "  hint: {hint}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> NotificationView {
        let view = json!({
            "name": "ops", "kind": "webhook", "to": "https://hooks.example.org/…", "events": ["agent.failed", "dlq.*"],
            "signed": true, "sent": 12, "summaries": 1, "failed": 3, "suppressed": 40, "dropped": 2, "queued": 5,
            "failuresInARow": 2, "lastError": { "at": "2026-11-21T08:40:00Z", "message": "it answered 500" },
            "lastSuccess": "2026-11-21T08:30:00Z", "nextTry": "2026-11-21T08:40:04Z",
        });
        serde_json::from_value(view).unwrap()
    }

    #[test]
    fn a_target_is_a_line_and_its_last_fault_another() {
        let now = serde_json::from_value(json!("2026-11-21T08:40:02Z")).unwrap();
        insta::assert_snapshot!(text(&[view()], now, Output::in_a_pipe()), @r"
        TARGET  TO                           EVENTS              SENT  FAILED  LEFT OUT  DROPPED  QUEUED  LAST SUCCESS
        ops     https://hooks.example.org/…  agent.failed dlq.*  12    3       40        2        5       10m 2s ago
        ops: failed 2s ago: it answered 500; next try in 2s
        ");
        assert!(text(&[], now, Output::in_a_pipe()).contains("[[notify]]"));
    }

    #[test]
    fn a_test_tells_what_came_of_it_and_what_to_do() {
        let result = |ok: bool| TestResult {
            name: "ops".to_owned(),
            to: "http://localhost:9/".to_owned(),
            ok,
            status: ok.then_some(204),
            latency_ms: 12.5,
            error: (!ok).then(|| "no connection to http://localhost:9/: refused".to_owned()),
            hint: (!ok).then(|| "start it".to_owned()),
        };
        insta::assert_snapshot!(results(&[result(true), result(false)]), @r"
        ops: http://localhost:9/ took it in 12ms, status 204
        ops: failed after 12ms: no connection to http://localhost:9/: refused
          hint: start it
        ");
    }
}
