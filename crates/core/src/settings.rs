//! The thresholds of the orchestrator: the validated form of `werkpilot.toml`, with its defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::notifications::NotifyTarget;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// All of `werkpilot.toml`, a field per table.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    /// `[dashboard]`
    pub dashboard: Dashboard,
    /// `[bus]`
    pub bus: Bus,
    /// `[schedule]`
    pub schedule: ScheduleSettings,
    /// `[boot]`
    pub boot: Boot,
    /// `[queue]`
    pub queue: QueueSettings,
    /// `[breaker]`
    pub breaker: Breaker,
    /// `[health]`
    pub health: HealthSettings,
    /// `[memory]`
    pub memory: Memory,
    /// `[dead_letters]`
    pub dead_letters: DeadLetters,
    /// `[percentiles]`
    pub percentiles: Percentiles,
    /// `[shutdown]`
    pub shutdown: Shutdown,
    /// `[optimizer]`
    pub optimizer: Optimizer,
    /// `[history]`
    pub history: History,
    /// `[logs]`
    pub logs: Logs,
    /// `[state]`
    pub state: State,
    /// `[[notify]]`
    pub notify: Vec<NotifyTarget>,
}

/// `[dashboard]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dashboard {
    /// Where HTTP is served.
    pub listen: SocketAddr,
    /// Open connections at most.
    pub max_connections: u32,
    /// Requests in progress at most.
    pub max_requests: u32,
    /// Names under which it is asked for besides those of this machine, in lower case, each with or without a port.
    pub hosts: Vec<String>,
    /// PEM file of the certificate chain with which TLS is spoken; `None` with no key: plain HTTP.
    pub tls_certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub tls_key: Option<PathBuf>,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 3001).into(),
            max_connections: 10_000,
            max_requests: 512,
            hosts: Vec::new(),
            tls_certificate: None,
            tls_key: None,
        }
    }
}

/// `[bus]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bus {
    /// Where NATS clients connect.
    pub listen: SocketAddr,
    /// Default of our own requests.
    pub request_timeout: Duration,
    /// Bytes of a message at most.
    pub max_payload: u64,
    /// Requests without an answer yet, at most.
    pub max_pending_requests: u32,
    /// How long a reply to a stock client's request is still delivered.
    pub reply_window: Duration,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 3002).into(),
            request_timeout: secs(5),
            max_payload: 1 << 20,
            max_pending_requests: 10_000,
            reply_window: secs(300),
        }
    }
}

/// `[schedule]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScheduleSettings {
    /// Zone of schedules that name none.
    pub timezone: String,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self { timezone: "UTC".to_owned() }
    }
}

/// `[boot]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// How long the next layer waits for this one's services.
    pub layer_timeout: Duration,
}

impl Default for Boot {
    fn default() -> Self {
        Self { layer_timeout: secs(30) }
    }
}

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueSettings {
    /// Executions at a time; `None` is "auto", twice the cores.
    pub workers: Option<u32>,
    /// Waiting executions at most.
    pub capacity: u32,
    /// A waiting execution gains one priority level per so long; zero: never.
    pub ageing: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { workers: None, capacity: 10_000, ageing: secs(300) }
    }
}

/// `[breaker]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Breaker {
    /// Automatic restarts of all agents in any `window`; 0 is unlimited.
    pub max_restarts: u32,
    /// The sliding window of `max_restarts`.
    pub window: Duration,
    /// Dead letters in a row that open an agent's own breaker.
    pub dead_letters: u32,
    /// Restarts of one service within `agent_window`; more of them open its breaker.
    pub agent_restarts: u32,
    /// The sliding window of `agent_restarts`.
    pub agent_window: Duration,
    /// Time to the first trial; doubles with every failed one.
    pub cooldown: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            max_restarts: 50,
            window: secs(3_600),
            dead_letters: 3,
            agent_restarts: 10,
            agent_window: secs(600),
            cooldown: secs(900),
        }
    }
}

/// `[health]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthSettings {
    /// Interval of probes that name none.
    pub interval: Duration,
    /// Time-out of probes that name none.
    pub timeout: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { interval: secs(300), timeout: secs(5) }
    }
}

/// `[memory]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// How often memory is looked at.
    pub interval: Duration,
    /// Percent of the budget at which memory is given back.
    pub warning_percent: u8,
    /// Percent of the budget at which agents are switched off.
    pub critical_percent: u8,
    /// Percent of the budget under which they are switched on again.
    pub recover_percent: u8,
    /// Bytes; `None` is "auto", the cgroup's limit or the host's memory.
    pub budget: Option<u64>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { interval: secs(60), warning_percent: 80, critical_percent: 90, recover_percent: 75, budget: None }
    }
}

/// `[dead_letters]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeadLetters {
    /// The last so many are kept.
    pub capacity: u32,
    /// Older ones are forgotten.
    pub max_age: Duration,
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self { capacity: 100, max_age: secs(90 * 86_400) }
    }
}

/// `[percentiles]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// Per agent, the last so many successful executions; 1 to 1,000.
    pub samples: u16,
}

impl Default for Percentiles {
    fn default() -> Self {
        Self { samples: 1_000 }
    }
}

/// `[shutdown]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shutdown {
    /// How long running agents may take, in all.
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { grace: secs(30) }
    }
}

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Optimizer {
    /// When the nightly run is.
    pub schedule: String,
    /// Zone of `schedule`.
    pub timezone: String,
    /// Whether its priority proposals are applied.
    pub apply: bool,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self { schedule: "0 23 * * *".to_owned(), timezone: "Europe/Zurich".to_owned(), apply: false }
    }
}

/// `[history]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// Older executions are forgotten.
    pub keep: Duration,
    /// The last so many per agent are kept.
    pub max_runs_per_agent: u32,
}

impl Default for History {
    fn default() -> Self {
        Self { keep: secs(30 * 86_400), max_runs_per_agent: 10_000 }
    }
}

/// How our own log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

/// `[logs]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Logs {
    /// Of the orchestrator's own log.
    pub format: LogFormat,
    /// Bytes at which an agent's log file is rotated.
    pub max_file: u64,
    /// Files per agent, the current one included.
    pub files: u32,
    /// Bytes of all log files together.
    pub max_total: u64,
}

impl Default for Logs {
    fn default() -> Self {
        Self { format: LogFormat::Text, max_file: 10 << 20, files: 5, max_total: 1 << 30 }
    }
}

/// `[state]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// The state folder.
    pub dir: PathBuf,
}

impl Default for State {
    fn default() -> Self {
        Self { dir: PathBuf::from(".werkpilot") }
    }
}
