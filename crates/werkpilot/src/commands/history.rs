//! `werkpilot history`: executions that have ended, and one of them with everything that is known.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::{Timestamp, human};
use werkpilot_runtime::state::{ExecutionView, HistoryPage, HistoryQuery, kept_history};

use super::kept::{past, unreadable};
use super::{Context, from_ms, now, relative};
use crate::client::parse;
use crate::failure::{Code, Failure};
use crate::output::{Output, bytes, printable};

/// Show executions that have ended, newest first, or everything about one of them.
///
/// It works without a running orchestrator, too: it reads what is on disk then. What is older than [history] keep, or more
/// than [history] `max_runs_per_agent`, is forgotten.
#[derive(Debug, ClapArgs)]
#[command(after_long_help = EXAMPLES)]
pub struct Args {
    /// Everything about this execution.
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
    /// Only of this agent.
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentName>,
    /// Only with these ends: succeeded, failed, `timed_out`, skipped, refused, cancelled, interrupted, lost.
    #[arg(long, visible_alias = "end", value_name = "END,…")]
    state: Option<String>,
    /// Only what ended since then: "2h" ago, a day, or a time (RFC 3339).
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<Timestamp>,
    /// Only what ended before then.
    #[arg(long, value_name = "TIME", value_parser = past)]
    until: Option<Timestamp>,
    /// Only what was asked for so: schedule, every, subject, after, startup, manual, replay.
    #[arg(long, value_name = "KIND")]
    trigger: Option<String>,
    /// Only with this text in reason, exit or id.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// So many at most.
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// Go on where an earlier answer ended.
    #[arg(long, value_name = "NEXT")]
    cursor: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  werkpilot history --agent report --since 2d
  werkpilot history --state failed,timed_out --limit 10
  werkpilot history --text 'no route' --json
  werkpilot history 0192f0c1-2b7e-7c3a-9d55-0123456789ab";

/// `werkpilot history`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    if let Some(run) = args.run {
        let view = one(run, context)?;
        return context.show(&view, || execution_text(&view));
    }
    let page = list(args, context)?;
    context.show(&page, || list_text(&page, now(), context.out))
}

/// One execution, from the orchestrator or from the disk.
pub fn one(run: RunId, context: &Context) -> Result<ExecutionView, Failure> {
    let online = async |client: &crate::client::Client| {
        parse(client.get(&["api", "v1", "executions", &run.to_string()], &[]).await?)
    };
    context.online_or_kept(online, |reader| {
        let row = reader.execution(run).map_err(unreadable)?;
        let view = row.map(ExecutionView::from).map(|mut view| {
            if !view.has_ended() {
                view.reason = Some("no orchestrator runs: the next start ends it as interrupted".to_owned());
            }
            view
        });
        view.ok_or_else(|| {
            Failure::new(Code::NoInput, format!("there is no execution {run} in the history"))
                .hint("`werkpilot history` lists them; old ones are forgotten ([history] keep, max_runs_per_agent)")
        })
    })
}

/// As many as are wanted, page by page: where texts are looked for, a page may have few.
fn list(args: &Args, context: &Context) -> Result<HistoryPage, Failure> {
    let mut query = HistoryQuery {
        agent: args.agent.clone(),
        state: args.state.clone(),
        since: args.since,
        until: args.until,
        trigger: args.trigger.clone(),
        text: args.text.clone(),
        limit: None,
        cursor: args.cursor.clone(),
    };
    let mut page = HistoryPage { executions: Vec::new(), next: args.cursor.clone() };
    loop {
        query.limit = Some(args.limit.saturating_sub(page.executions.len()).clamp(1, 1_000));
        query.filter().map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        let more = self::page(&query, context)?;
        page.executions.extend(more.executions);
        page.next.clone_from(&more.next);
        query.cursor = more.next;
        if query.cursor.is_none() || page.executions.len() >= args.limit {
            return Ok(page);
        }
    }
}

fn page(query: &HistoryQuery, context: &Context) -> Result<HistoryPage, Failure> {
    let online =
        async |client: &crate::client::Client| parse(client.get(&["api", "v1", "executions"], &pairs(query)).await?);
    context.online_or_kept(online, |reader| {
        let filter = query.filter().map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
        kept_history(reader, &filter).map_err(unreadable)
    })
}

/// A query's members that are set, as they are written in a URL.
pub fn pairs(query: &impl serde::Serialize) -> Vec<(&'static str, String)> {
    const KEYS: [&str; 12] =
        ["agent", "state", "since", "until", "trigger", "text", "limit", "cursor", "after", "before", "run", "type"];
    let value = serde_json::to_value(query).unwrap_or_default();
    KEYS.into_iter().filter(|key| !value[key].is_null()).map(|key| (key, plain(&value[key]))).collect()
}

fn list_text(page: &HistoryPage, now: Timestamp, out: Output) -> String {
    if page.executions.is_empty() {
        return "no execution fits\n".to_owned();
    }
    let rows = page.executions.iter().map(|execution| {
        vec![
            execution.run_id.to_string(),
            execution.agent.to_string(),
            execution.ended_at.map(|at| relative(at, now)).unwrap_or_default(),
            execution.state.clone(),
            execution.trigger.kind().to_owned(),
            execution.attempts.to_string(),
            duration(execution.waited_ms),
            duration(execution.duration_ms),
            because(execution),
        ]
    });
    let header = ["run", "agent", "ended", "end", "trigger", "attempts", "waited", "took", "because"];
    let mut text = out.table(&header, rows);
    if let Some(next) = &page.next {
        let _ = writeln!(text, "\nThere are more: --cursor {next}");
    }
    text
}

/// The reason, else how its program ended, unless that is as it should be.
fn because(execution: &ExecutionView) -> String {
    let reason = execution.reason.clone();
    let exit = || execution.exit.as_ref().filter(|_| execution.state != "succeeded").map(ToString::to_string);
    reason.or_else(exit).unwrap_or_default()
}

fn duration(ms: Option<f64>) -> String {
    ms.map(|ms| human(from_ms(ms))).unwrap_or_default()
}

/// Everything about an execution.
fn execution_text(execution: &ExecutionView) -> String {
    let mut text = format!("Execution {} of {}\n", execution.run_id, execution.agent);
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:<15}{}", printable(value));
        }
    };
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    line("state", &execution.state);
    line("because", execution.reason.as_deref().unwrap_or_default());
    line("exit", &execution.exit.as_ref().map(ToString::to_string).unwrap_or_default());
    line("trigger", &execution.trigger.to_string());
    line("replays", &execution.origin.map(|letter| format!("dead letter {letter}")).unwrap_or_default());
    line("scheduled for", &time(execution.scheduled_for));
    line("queued", &time(execution.queued_at));
    line("started", &time(execution.started_at));
    line("ended", &time(execution.ended_at));
    line("waited", &duration(execution.waited_ms));
    line("took", &duration(execution.duration_ms));
    line("attempts", &execution.attempts.to_string());
    line("peak memory", &execution.peak_memory_bytes.map(|peak| bytes(peak as f64)).unwrap_or_default());
    let log = execution.log.as_ref().filter(|log| log["mark"].is_string());
    let log = log.map(|log| format!("{}, lines marked {}", plain(&log["folder"]), plain(&log["mark"])));
    line("log", &log.unwrap_or_default());
    for attempt in execution.attempt_list.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let took = ["durationMs", "duration_ms"].iter().find_map(|key| attempt[*key].as_f64());
        let started = ["startedAt", "started_at"].iter().find_map(|key| attempt[*key].as_str()).unwrap_or_default();
        let exit = serde_json::from_value::<werkpilot_core::exit::Exit>(attempt["exit"].clone());
        let exit = exit.map_or_else(|_| plain(&attempt["exit"]), |exit| exit.to_string());
        line(&format!("attempt {}", plain(&attempt["attempt"])), &format!("{started}, {}, {exit}", duration(took)));
    }
    let _ = writeln!(text, "\n`werkpilot logs {}` shows what it wrote", execution.run_id);
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn execution() -> ExecutionView {
        let value = json!({
            "runId": "0192f0c1-2b7e-7c3a-9d55-0123456789ab", "agent": "report", "state": "failed",
            "trigger": { "kind": "manual", "by": "cli:anna", "force": false }, "origin": 7, "scheduledFor": null,
            "queuedAt": "2026-11-21T08:40:00.000Z", "startedAt": "2026-11-21T08:40:01.000Z",
            "endedAt": "2026-11-21T08:40:05.250Z", "attempts": 2, "waitedMs": 20.5, "durationMs": 1250,
            "exit": { "kind": "code", "value": 3 }, "reason": "all 2 attempts failed", "cause": { "code": "x" },
            "peakMemoryBytes": 1_048_576, "attemptList": [
                { "attempt": 1, "startedAt": "2026-11-21T08:40:01.000Z", "durationMs": 20.5, "exit": { "kind": "code", "value": 3 } },
                { "attempt": 2, "startedAt": "2026-11-21T08:40:04.000Z", "durationMs": 1250, "exit": { "kind": "code", "value": 3 } },
            ], "log": { "folder": "logs/report", "mark": "0123456789ab" },
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_execution_is_shown_with_everything() {
        insta::assert_snapshot!(execution_text(&execution()));
    }

    #[test]
    fn the_list_has_a_line_per_execution() {
        let page = HistoryPage { executions: vec![execution()], next: Some("1795250405250-7".to_owned()) };
        let now = Timestamp::from_millis(1_795_250_405_250 + 120_000);
        insta::assert_snapshot!(list_text(&page, now, Output::in_a_pipe()));
    }

    #[test]
    fn what_is_not_asked_for_is_not_in_the_url() {
        let query = HistoryQuery { limit: Some(3), text: Some("a b".to_owned()), ..HistoryQuery::default() };
        assert_eq!(pairs(&query), [("text", "a b".to_owned()), ("limit", "3".to_owned())]);
    }
}
