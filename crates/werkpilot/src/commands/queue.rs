//! `werkpilot queue`: what waits, in order.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;
use werkpilot_core::time::human;

use super::{Context, from_ms};
use crate::client::parse;
use crate::failure::Failure;
use crate::output::Output;

/// Show what waits, in order, and why.
///
/// Executions that are in line come first; then those that wait for something else than a worker.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  werkpilot queue\n  werkpilot queue --json | jq '.waiting | length'")]
pub struct Args {}

/// What the client reads of the queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Queue {
    workers_busy: u32,
    workers: u32,
    capacity: u32,
    waiting: Vec<Waiting>,
}

#[derive(Debug, Deserialize)]
struct Waiting {
    agent: String,
    trigger: Value,
    attempt: u32,
    priority: u8,
    effective_priority: Option<u8>,
    #[serde(rename = "waiting_ms")]
    waits_ms: f64,
    position: Option<usize>,
    reason: Value,
}

/// `werkpilot queue`.
pub fn run(_: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let answer = context.online(async |client| client.get(&["api", "v1", "queue"], &[]).await)?;
    let queue: Queue = parse(answer.clone())?;
    context.show(&answer, || text(&queue, context.out))
}

fn text(queue: &Queue, out: Output) -> String {
    let (busy, workers, waiting) = (queue.workers_busy, queue.workers, queue.waiting.len());
    let head = format!("{busy} of {workers} workers busy, {waiting} waiting (at most {})\n", queue.capacity);
    if queue.waiting.is_empty() {
        return head;
    }
    let rows = queue.waiting.iter().map(|waiting| {
        let priority = match waiting.effective_priority {
            Some(effective) if effective != waiting.priority => format!("{} → {effective}", waiting.priority),
            _ => waiting.priority.to_string(),
        };
        vec![
            waiting.position.map(|position| position.to_string()).unwrap_or_default(),
            waiting.agent.clone(),
            priority,
            waiting.attempt.to_string(),
            human(from_ms(waiting.waits_ms)),
            word(&waiting.trigger, "kind"),
            word(&waiting.reason, "code").replace('_', " "),
        ]
    });
    let header = ["#", "agent", "priority", "attempt", "waits", "trigger", "because"];
    format!("{head}\n{}", out.table(&header, rows))
}

fn word(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_is_shown_with_its_reason() {
        let queue = json!({ "workersBusy": 2, "workers": 2, "capacity": 10_000, "waiting": [{
            "run": "x", "agent": "report", "trigger": { "kind": "schedule" }, "attempt": 1, "priority": 3,
            "effective_priority": 2, "depth": 0, "waiting_ms": 1500.0, "position": 1,
            "reason": { "code": "waiting_for_worker", "workers": 2 },
        }] });
        insta::assert_snapshot!(text(&parse(queue).unwrap(), Output::in_a_pipe()), @r"
        2 of 2 workers busy, 1 waiting (at most 10000)

        #  AGENT   PRIORITY  ATTEMPT  WAITS  TRIGGER   BECAUSE
        1  report  3 → 2     1        1.5s   schedule  waiting for worker
        ");
    }
}
