//! `werkpilot status`: how the fleet is, on one screen.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Deserialize;
use werkpilot::state::address_of;
use werkpilot_core::agent::LastWords;
use werkpilot_core::status::Status;
use werkpilot_core::time::human;

use super::agents::Agent;
use super::{Context, from_secs};
use crate::client::parse;
use crate::failure::Failure;
use crate::output::{bytes, count, printable};

const MB: f64 = 1024.0 * 1024.0;
/// Items that are shown: more are no screen.
const SHOWN: usize = 12;

/// Show how the fleet is, and what needs attention.
///
/// It tells what runs, what waits and what failed, the restarts and the memory; then what needs attention, the worst first,
/// with the reason, what a program that failed wrote last, and what to do.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot status\n  werkpilot status --json | jq .system.statuses")]
pub struct Args {}

/// What the client reads of the overview.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Overview {
    system: System,
    agents: Vec<Agent>,
    attention: Vec<Item>,
    attention_total: usize,
}

/// Something that needs attention.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    severity: String,
    title: String,
    reason: String,
    hint: String,
    last_words: Option<LastWords>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct System {
    version: String,
    phase: String,
    uptime_seconds: f64,
    execution_queue_size: u32,
    dead_letter_queue_size: usize,
    dead_letters_total: u64,
    restarts_last_hour: u32,
    memory: Memory,
    paused: bool,
    workers_busy: u32,
    workers: u32,
    statuses: BTreeMap<String, u32>,
    #[serde(default)]
    store: Store,
}

/// The state on disk.
#[derive(Debug, Default, Deserialize)]
struct Store {
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    #[serde(rename = "heapTotalMB")]
    budget_mb: f64,
    #[serde(rename = "heapPercent")]
    percent: f64,
    #[serde(rename = "rssMB")]
    own_mb: f64,
    #[serde(rename = "externalMB")]
    agents_mb: f64,
}

/// What the client reads of the bus's figures.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bus {
    url: String,
    connections: usize,
    pending_requests: usize,
    slow_consumers: u64,
}

/// `werkpilot status`.
pub fn run(_: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let (answer, bus, place) = context.online(async |client| {
        let mut answer = client.get(&["metrics"], &[]).await?;
        let mut page = client.get(&["api", "v1", "overview"], &[]).await?;
        for key in ["attention", "attentionTotal"] {
            answer[key] = page[key].take();
        }
        // The rest is worth showing without it.
        let bus = client.get(&["api", "v1", "bus"], &[]).await.ok().and_then(|bus| parse(bus).ok());
        let pid = client.holder().map(|holder| holder.pid.to_string());
        let state_dir = client.state_dir().display().to_string();
        Ok((answer, bus, Place { pid, address: address_of(client.state_dir()), state_dir }))
    })?;
    let overview: Overview = parse(answer.clone())?;
    context.show(&answer, || text(&overview, bus.as_ref(), &place))
}

struct Place {
    pid: Option<String>,
    address: Option<String>,
    state_dir: String,
}

fn text(overview: &Overview, bus: Option<&Bus>, place: &Place) -> String {
    let system = &overview.system;
    let phase = system.phase.replace('_', " ");
    let pid = place.pid.as_ref().map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let uptime = human(from_secs(system.uptime_seconds.floor()));
    let mut text = format!("Werkpilot {} is {phase} (up {uptime}{pid})\n", system.version);
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "  {label:<14}{value}");
    };
    if let Some(address) = &place.address {
        line("dashboard", address);
    }
    if let Some(bus) = bus {
        line("bus", &bus_line(bus));
    }
    let ill = system.store.reason.as_ref().map(|reason| format!("; NOT KEPT ON DISK: {reason}")).unwrap_or_default();
    line("state", &format!("{}{ill}", place.state_dir));
    line("agents", &agents_line(overview));
    let waiting = system.execution_queue_size;
    line("queue", &format!("{waiting} waiting, {} of {} workers busy", system.workers_busy, system.workers));
    line("dead letters", &format!("{} ({} ever)", system.dead_letter_queue_size, system.dead_letters_total));
    line("restarts", &format!("{} in the last hour", system.restarts_last_hour));
    if let Some(scores) = scores_line(&overview.agents) {
        line("scores", &scores);
    }
    line("memory", &memory_line(&system.memory));
    if system.paused {
        line("triggers", "paused; `werkpilot resume` lets them work again");
    }
    text + &attention(overview)
}

/// The same as the first page of the dashboard tells, the worst first.
fn attention(overview: &Overview) -> String {
    if overview.attention.is_empty() {
        return "\nNothing needs attention.\n".to_owned();
    }
    let mut text = "\nNeeds attention (`werkpilot why NAME` tells more):\n".to_owned();
    for item in overview.attention.iter().take(SHOWN) {
        let _ = writeln!(text, "  {:<10}{}: {}", item.severity, printable(&item.title), printable(&item.reason));
        if let Some(LastWords { text: words, .. }) = &item.last_words {
            let _ = writeln!(text, "{:12}it wrote last: {}", "", printable(words));
        }
        let _ = writeln!(text, "{:12}{}", "", printable(&item.hint));
    }
    match overview.attention_total.saturating_sub(overview.attention.len().min(SHOWN)) {
        0 => {}
        more => {
            let _ = writeln!(text, "  and {more} more: `werkpilot top` and the dashboard show them");
        }
    }
    text
}

fn memory_line(memory: &Memory) -> String {
    if memory.budget_mb <= 0.0 {
        return "not looked at yet".to_owned();
    }
    let (own, agents, budget) = (bytes(memory.own_mb * MB), bytes(memory.agents_mb * MB), bytes(memory.budget_mb * MB));
    format!("{own} orchestrator, {agents} agents; {}% of {budget} in use", memory.percent)
}

fn agents_line(overview: &Overview) -> String {
    let mut parts: Vec<(Option<Status>, String)> = overview
        .system
        .statuses
        .iter()
        .filter(|(_, number)| **number > 0)
        .map(|(word, number)| (status(word), format!("{number} {word}")))
        .collect();
    parts.sort_by_key(|(status, _)| *status);
    let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
    format!("{} in all: {}", overview.agents.len(), parts.join(", "))
}

/// The mean of the scores, and the least of them.
fn scores_line(agents: &[Agent]) -> Option<String> {
    let scored = || agents.iter().filter_map(|agent| Some((agent.score?, agent)));
    let (least, worst) = scored().min_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let mean = scored().map(|(score, _)| score).sum::<f64>() / scored().count() as f64;
    Some(format!("{mean:.0} of 100 on average; the lowest is {} with {least:.0}", worst.name))
}

fn bus_line(bus: &Bus) -> String {
    let (clients, waiting) = (count(bus.connections, "client"), count(bus.pending_requests, "pending request"));
    let slow = match bus.slow_consumers {
        0 => String::new(),
        slow => format!(", {slow} cut off as too slow since the start"),
    };
    format!("{}, {clients}, {waiting}{slow}", bus.url)
}

fn status(word: &str) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status.as_str() == word)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use werkpilot_core::ids::RunId;

    use super::*;

    fn agent(name: &str, kind: &str, status: &str, reason: Option<&str>) -> serde_json::Value {
        json!({ "name": name, "department": "d", "kind": kind, "status": status, "reason": reason, "restarts": 0 })
    }

    #[test]
    fn the_screen_tells_what_needs_attention() {
        let overview = json!({
            "system": {
                "version": "0.1.0", "phase": "running", "uptimeSeconds": 7_800.7, "executionQueueSize": 1,
                "deadLetterQueueSize": 2, "deadLettersTotal": 3, "restartsLastHour": 4, "paused": true,
                "workersBusy": 1, "workers": 4,
                "memory": { "heapTotalMB": 1024.0, "heapPercent": 12.5, "rssMB": 10.25, "externalMB": 100.0 },
                "statuses": { "error": 1, "idle": 1, "queued": 1, "running": 1, "stopped": 0 },
            },
            "agents": [
                agent("db", "service", "running", None),
                agent("report", "job", "error", Some("exited with code 1")),
                agent("web", "service", "queued", Some("its dependency auth is error")),
                agent("mail", "job", "idle", None),
            ],
            "attention": [
                {
                    "severity": "warning", "title": "report failed", "reason": "exited with code 1; 1 agent waits for it: web",
                    "hint": "`werkpilot why report` tells the cause",
                    "lastWords": { "text": "KeyError: '\u{1b}[2Jtotal'", "runId": RunId::from_parts(1, 2), "at": "2026-01-02T03:04:05Z" },
                },
                { "severity": "notice", "title": "triggers are paused", "reason": "by ada", "hint": "`werkpilot resume`", "lastWords": null },
            ],
            "attentionTotal": 14,
        });
        let place = Place {
            pid: Some("42".to_owned()),
            address: Some("http://127.0.0.1:3001/".to_owned()),
            state_dir: "/srv/fleet/.werkpilot".to_owned(),
        };
        let bus = json!({ "url": "nats://127.0.0.1:3002", "connections": 3, "pendingRequests": 1, "slowConsumers": 2 });
        let bus: Bus = parse(bus).unwrap();
        insta::assert_snapshot!(text(&parse(overview).unwrap(), Some(&bus), &place));
    }
}
