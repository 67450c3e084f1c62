//! `werkpilot agents`: all agents in a table.

use std::process::ExitCode;

use serde::Deserialize;
use serde_json::{Value, json};
use werkpilot_core::time::{Timestamp, human};

use super::{Context, from_secs, now, relative};
use crate::client::{Client, parse};
use crate::failure::Failure;
use crate::output::{Output, bytes};

/// List the agents with their status.
///
/// A line is the agent's name, status, kind and department, how long it has been up or when it runs next, how its last
/// execution ended, how often it was restarted, its score (0 to 100: success, latency, stability, punctuality), its memory,
/// and why it is not as it should be.
#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Examples:\n  werkpilot agents --status error\n  werkpilot agents --department sales --kind job"
)]
pub struct Args {
    /// Only agents of this status, such as running, error or `disabled_by_failure`.
    #[arg(long)]
    status: Option<String>,
    /// Only agents of this department.
    #[arg(long)]
    department: Option<String>,
    /// Only jobs, or only services.
    #[arg(long, value_parser = ["job", "service"])]
    kind: Option<String>,
}

/// What the client reads of an agent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Its group.
    pub department: String,
    /// `job` or `service`.
    pub kind: String,
    /// Its status.
    pub status: String,
    /// Why it is not as it should be.
    pub reason: Option<String>,
    next_run: Option<Timestamp>,
    last_run: Option<LastRun>,
    uptime_seconds: Option<f64>,
    restarts: u64,
    memory_bytes: Option<f64>,
    /// How far it can be relied on, 0 to 100.
    #[serde(default)]
    pub score: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct LastRun {
    end: String,
}

/// `werkpilot agents`.
pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Failure> {
    let filters = [("status", &args.status), ("department", &args.department), ("kind", &args.kind)];
    let filters: Vec<_> = filters.into_iter().filter_map(|(key, value)| Some((key, value.clone()?))).collect();
    let all = context.online(async |client| all(&client, &filters).await)?;
    let agents: Vec<Agent> = parse(Value::Array(all.clone()))?;
    context.show(&json!({ "agents": all }), || text(&agents, now(), context.out))
}

/// All pages.
pub async fn all(client: &Client, filters: &[(&str, String)]) -> Result<Vec<Value>, Failure> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let mut query = filters.to_vec();
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let mut page = client.get(&["api", "v1", "agents"], &query).await?;
        if let Some(agents) = page["agents"].as_array_mut() {
            all.append(agents);
        }
        cursor = match &page["next"] {
            Value::Null => return Ok(all),
            Value::String(cursor) => Some(cursor.clone()),
            other => Some(other.to_string()),
        };
    }
}

fn text(agents: &[Agent], now: Timestamp, out: Output) -> String {
    let rows = agents.iter().map(|agent| {
        let up = agent.uptime_seconds.map(|secs| human(from_secs(secs.floor())));
        let next = agent.next_run.map(|at| relative(at, now));
        let last = agent.last_run.as_ref().map(|last| last.end.clone());
        vec![
            agent.name.clone(),
            agent.status.clone(),
            agent.kind.clone(),
            agent.department.clone(),
            up.or(next).unwrap_or_default(),
            last.unwrap_or_default(),
            agent.restarts.to_string(),
            agent.score.map(|score| format!("{score:.0}")).unwrap_or_default(),
            agent.memory_bytes.map(bytes).unwrap_or_default(),
            agent.reason.clone().unwrap_or_default(),
        ]
    });
    out.table(
        &["name", "status", "kind", "department", "up/next", "last", "restarts", "score", "memory", "reason"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_shows_its_uptime_and_a_job_its_next_run() {
        let agents = json!([
            { "name": "db", "department": "data", "kind": "service", "status": "running", "reason": null, "nextRun": null,
              "lastRun": null, "uptimeSeconds": 65.3, "restarts": 1, "memoryBytes": 1_048_576, "score": 99.97 },
            { "name": "sales", "department": "sales", "kind": "job", "status": "error", "reason": "exited with code 1",
              "nextRun": "2026-11-21T08:42:00.123Z", "lastRun": { "end": "failed" }, "uptimeSeconds": null,
              "restarts": 3, "memoryBytes": null },
        ]);
        let now = Timestamp::from_millis(1_795_250_400_123);
        let agents: Vec<Agent> = parse(agents).unwrap();
        insta::assert_snapshot!(text(&agents, now, Output::in_a_pipe()), @r"
        NAME   STATUS   KIND     DEPARTMENT  UP/NEXT  LAST    RESTARTS  SCORE  MEMORY   REASON
        db     running  service  data        1m 5s            1         100    1.0 MiB
        sales  error    job      sales       in 2m    failed  3                         exited with code 1
        ");
    }
}
