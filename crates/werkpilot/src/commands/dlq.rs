//! `werkpilot dlq`: the dead letters, what failed for good.

mod acts;
mod args;

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;
use werkpilot_core::time::{Timestamp, human};

pub use self::args::Command;
use super::{Context, from_ms, now, relative};
use crate::client::parse;
use crate::failure::Failure;
use crate::output::{Output, bytes, count, printable};

/// Letters that the API tells at once at most.
const MOST: usize = 1_000;

/// What the client reads of the list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    dead_letters: Vec<Letter>,
    #[serde(default)]
    groups: Vec<Group>,
    total: u64,
    evicted: u64,
    #[serde(default)]
    matching: usize,
    #[serde(default)]
    next: Option<u64>,
    #[serde(default)]
    waiting_for_disk: usize,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    signature: String,
    count: u32,
    #[serde(default)]
    last_seen: Option<Timestamp>,
    #[serde(default)]
    agents: Vec<String>,
}

/// What the client reads of a letter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    id: u64,
    agent_name: String,
    #[serde(default)]
    run_id: String,
    error: String,
    signature: String,
    timestamp: Timestamp,
    restart_count: u32,
    #[serde(default)]
    state: String,
    #[serde(default)]
    replays: u32,
    #[serde(default)]
    kills: u32,
    #[serde(default)]
    replay_run: Option<String>,
    #[serde(default)]
    waits_for: Option<String>,
    #[serde(default)]
    origin: Option<u64>,
    #[serde(default)]
    execution_data: Value,
}

/// `werkpilot dlq`.
pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Failure> {
    match command {
        Command::List { filter, limit, before } => {
            let mut query = filter.parts();
            query.push(("limit", (*limit).clamp(1, MOST).to_string()));
            query.extend(before.map(|before| ("before", before.to_string())));
            let answer = letters(&query, context)?;
            let list: List = parse(answer.clone())?;
            context.show(&answer, || list_text(&list, now(), context.out))
        }
        Command::Groups { filter } => {
            let mut query = filter.parts();
            query.push(("limit", "1".to_owned()));
            let answer = letters(&query, context)?;
            let list: List = parse(answer.clone())?;
            context.show(&answer["groups"], || groups_text(&list, now(), context.out))
        }
        Command::Show { id } => {
            let id = id.to_string();
            let answer = context.online(async |client| client.get(&["api", "v1", "dead-letters", &id], &[]).await)?;
            let letter: Letter = parse(answer.clone())?;
            context.show(&answer, || letter_text(&letter))
        }
        Command::Replay(args) => acts::replay(args, context),
        Command::Replays { replay, cancel } => acts::replays(*replay, *cancel, context),
        Command::Edit { id, payload, replay, .. } => acts::edit(*id, payload.as_deref(), *replay, context),
        Command::Discard { ids, filter, all, dry_run } => acts::discard(ids, filter, *all, *dry_run, context),
    }
}

fn letters(query: &[(&str, String)], context: &Context) -> Result<Value, Failure> {
    context.online(async |client| client.get(&["api", "v1", "dead-letters"], query).await)
}

fn groups_text(list: &List, now: Timestamp, out: Output) -> String {
    if list.groups.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let rows = list.groups.iter().map(|group| {
        let newest = group.last_seen.map(|at| relative(at, now)).unwrap_or_default();
        vec![group.count.to_string(), newest, group.agents.join(", "), group.signature.clone()]
    });
    out.table(&["times", "last", "agents", "error"], rows)
}

fn list_text(list: &List, now: Timestamp, out: Output) -> String {
    let evicted = if list.evicted > 0 { format!(", {} had to make room", list.evicted) } else { String::new() };
    let matching = list.matching.max(list.dead_letters.len());
    let mut head = format!("{} ({} ever{evicted})\n", count(matching, "dead letter"), list.total);
    if list.waiting_for_disk > 0 {
        let _ = writeln!(head, "{} more: the disk does not take them now", list.waiting_for_disk);
    }
    if list.dead_letters.is_empty() {
        return head;
    }
    let rows = list.dead_letters.iter().map(|letter| {
        let attempts = letter.restart_count.to_string();
        vec![
            letter.id.to_string(),
            letter.agent_name.clone(),
            relative(letter.timestamp, now),
            attempts,
            state(letter),
            letter.error.clone(),
        ]
    });
    let mut text = format!("{head}\n{}", out.table(&["id", "agent", "when", "failed", "state", "error"], rows));
    if let Some(next) = list.next {
        let _ = writeln!(text, "\nolder ones: --before {next}");
    }
    let groups: Vec<&Group> = list.groups.iter().filter(|group| group.count > 1).collect();
    if !groups.is_empty() {
        let rows = groups.iter().map(|group| vec![group.count.to_string(), group.signature.clone()]);
        let _ = write!(text, "\n{}", out.table(&["times", "the same error"], rows));
    }
    text
}

/// `open`, `open, replayed 2×`, `waiting for db`.
fn state(letter: &Letter) -> String {
    match (&letter.waits_for, letter.replays) {
        (Some(agent), _) => format!("waiting for {agent}"),
        (None, 0) => letter.state.clone(),
        (None, _) if letter.state == "replayed" || letter.state == "replaying" => letter.state.clone(),
        (None, times) => format!("{}, tried {times}×", letter.state),
    }
}

fn letter_text(letter: &Letter) -> String {
    let data = &letter.execution_data;
    let mut text = format!("Dead letter {} of {}\n", letter.id, letter.agent_name);
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:<13}{value}");
        }
    };
    line("error", &letter.error);
    line("signature", &letter.signature);
    line("given up", &letter.timestamp.to_string());
    line("execution", &letter.run_id);
    line("failed", &count(letter.restart_count as usize, "attempt"));
    line("state", &state(letter));
    line("replay", letter.replay_run.as_deref().unwrap_or_default());
    line("kills", &if letter.kills > 0 { letter.kills.to_string() } else { String::new() });
    line("replay of", &letter.origin.map(|origin| format!("dead letter {origin}")).unwrap_or_default());
    line("department", &plain(&data["department"]));
    line("schedule", &plain(&data["schedule"]));
    line("trigger", &trigger(&data["trigger"]));
    line("health check", &plain(&data["lastHealthCheck"]));
    line(
        "memory",
        &data["memory"]["peakBytes"].as_f64().map(|peak| format!("{} at most", bytes(peak))).unwrap_or_default(),
    );
    for dependency in items(&data["dependencies"]) {
        line("dependency", &format!("{} was {}", plain(&dependency["agent"]), plain(&dependency["status"])));
    }
    for attempt in items(&data["attempts"]) {
        let took = attempt["durationMs"].as_f64().map(|ms| human(from_ms(ms))).unwrap_or_default();
        let (number, at) = (plain(&attempt["attempt"]), plain(&attempt["startedAt"]));
        line(&format!("attempt {number}"), &format!("{at}, {took}, {}", exit(&attempt["exit"])));
    }
    match (data["payload"].as_str(), data["payloadBase64"].as_str()) {
        (Some(payload), _) => block(&mut text, "payload", payload.lines()),
        (None, Some(encoded)) => block(&mut text, "payload (base64)", encoded.lines()),
        (None, None) => {}
    }
    block(&mut text, "log", items(&data["logTail"]).iter().filter_map(Value::as_str));
    text
}

fn block<'a>(text: &mut String, title: &str, lines: impl Iterator<Item = &'a str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_some() {
        let _ = writeln!(text, "\n{title}:");
        lines.for_each(|line| {
            let _ = writeln!(text, "  {}", printable(line));
        });
    }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `manual by cli:anna`, `after agent-analytics`, `schedule`.
fn trigger(trigger: &Value) -> String {
    let kind = plain(&trigger["kind"]);
    let detail = ["subject", "agent", "by", "dead_letter"].iter().find(|key| !trigger[**key].is_null());
    match detail {
        Some(key) if *key == "by" => format!("{kind} by {}", plain(&trigger[*key])),
        Some(key) => format!("{kind} {}", plain(&trigger[*key])),
        None => kind,
    }
}

/// In the words of the log, where the value can be read back.
fn exit(exit: &Value) -> String {
    serde_json::from_value::<werkpilot_core::exit::Exit>(exit.clone())
        .map_or_else(|_| plain(exit), |exit| exit.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter() -> Value {
        json!({
            "id": 7, "agentName": "agent-sales", "runId": "0192f0c1-2b7e-7c3a-9d55-0123456789ab",
            "error": "exited with code 3", "signature": "exited with code #",
            "timestamp": "2026-11-21T08:40:00.123Z", "restartCount": 2,
            "state": "open", "replays": 1, "kills": 1, "replayRun": "0192f0c1-2b7e-7c3a-9d55-ba9876543210",
            "executionData": {
                "department": "sales", "schedule": "*/5 * * * *", "lastHealthCheck": null,
                "trigger": { "kind": "manual", "by": "cli:anna", "force": false }, "payload": "{\"day\": 1}\n",
                "exit": { "kind": "code", "value": 3 },
                "attempts": [
                    { "attempt": 1, "startedAt": "2026-11-21T08:39:00.000Z", "durationMs": 20.5, "exit": { "kind": "code", "value": 3 } },
                    { "attempt": 2, "startedAt": "2026-11-21T08:39:59.000Z", "durationMs": 1500, "exit": { "kind": "code", "value": 3 } },
                ],
                "logTail": ["connecting", "no route to host"],
                "dependencies": [{ "agent": "agent-db", "status": "running" }],
                "memory": { "peakBytes": 1_048_576 },
            },
        })
    }

    #[test]
    fn a_letter_is_shown_with_everything() {
        insta::assert_snapshot!(letter_text(&parse(letter()).unwrap()));
    }

    #[test]
    fn the_list_shows_which_errors_come_again() {
        let list = json!({
            "deadLetters": [letter()], "total": 9, "evicted": 1,
            "groups": [{ "signature": "exited with code #", "count": 2 }],
        });
        let now = Timestamp::from_millis(1_795_250_400_123 + 120_000);
        insta::assert_snapshot!(list_text(&parse(list).unwrap(), now, Output::in_a_pipe()));
    }
}
