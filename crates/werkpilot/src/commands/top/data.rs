//! What `top` reads of the API's answers.

use serde::Deserialize;
use serde_json::Value;
use werkpilot_core::time::Timestamp;

/// What `/metrics` tells.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Fleet {
    /// The orchestrator.
    pub system: System,
    /// All agents in the order of the registry.
    pub agents: Vec<Agent>,
}

/// The orchestrator itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct System {
    /// `booting`, `running` or `shutting_down`.
    pub phase: String,
    /// Seconds since the start.
    pub uptime_seconds: f64,
    /// Executions that wait.
    pub execution_queue_size: u32,
    /// Dead letters that are kept.
    pub dead_letter_queue_size: usize,
    /// Automatic restarts within the last hour.
    pub restarts_last_hour: u32,
    /// Whether triggers are paused.
    pub paused: bool,
    /// Workers that are busy.
    pub workers_busy: u32,
    /// Workers in all.
    pub workers: u32,
    /// What is used.
    pub memory: Memory,
    /// The state on disk.
    pub store: Store,
}

/// Memory in all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The larger of ours / budget and used / total.
    #[serde(rename = "heapPercent")]
    pub percent: f64,
}

/// The state on disk.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Store {
    /// `ok`, `none`, or what is wrong.
    pub state: String,
    /// What the disk said.
    pub reason: Option<String>,
}

/// An agent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
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
    /// When it is due next.
    pub next_run: Option<Timestamp>,
    /// How its last execution ended.
    pub last_run: Option<LastRun>,
    /// Since when its oldest process runs.
    pub uptime_seconds: Option<f64>,
    /// Automatic restarts, ever.
    pub restarts: u64,
    /// What its processes use.
    pub memory_bytes: Option<f64>,
    /// 95th percentile of its successful executions.
    pub p95: Option<f64>,
    /// 0 to 100.
    pub score: Option<f64>,
}

/// The end of an execution.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LastRun {
    /// How it ended.
    pub end: String,
}

/// What waits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// In order.
    pub waiting: Vec<Waiting>,
}

/// An execution that waits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// Its id.
    pub run: String,
    /// Whose.
    pub agent: String,
    /// What asked for it.
    pub trigger: Value,
    /// The attempt that waits.
    pub attempt: u32,
    /// 1, 2 or 3.
    pub priority: u8,
    /// How long.
    #[serde(rename = "waiting_ms")]
    pub waits_ms: f64,
    /// Its place in line.
    pub position: Option<usize>,
    /// For what.
    pub reason: Value,
}

/// The last events.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Events {
    /// Oldest first.
    pub events: Vec<Fact>,
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
pub struct Fact {
    /// When.
    pub time: Timestamp,
    /// Its topic.
    #[serde(rename = "type")]
    pub topic: String,
    /// One sentence.
    pub message: String,
}

/// The dead letters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Letters {
    /// Newest last.
    pub dead_letters: Vec<Letter>,
}

/// A dead letter.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Its number.
    pub id: u64,
    /// Whose.
    pub agent_name: String,
    /// What went wrong.
    pub error: String,
    /// When it was given up.
    pub timestamp: Timestamp,
    /// Failed attempts.
    pub restart_count: u32,
    /// `open`, `replaying` …
    #[serde(default)]
    pub state: String,
}

/// A line of a log.
#[derive(Clone, Debug, Deserialize)]
pub struct Line {
    /// When it was written.
    pub time: Timestamp,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// What was written.
    pub text: String,
}
