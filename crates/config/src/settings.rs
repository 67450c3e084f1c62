//! `werkpilot.toml`: one list of settings, from which reading, `WERKPILOT_*` variables, the schema, `werkpilot config`
//! and the comparison of two versions come.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value as Json, json};
use werkpilot_core::settings::{LogFormat, Settings};

use crate::fault::Report;
use crate::field::Field;
use crate::schema::Shape;
use crate::tree::Value;
use crate::values::{address, duration, size, when};

/// When a changed setting takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// With the reload.
    AtOnce,
    /// When the orchestrator starts the next time.
    AfterRestart,
}

impl Effect {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtOnce => "at_once",
            Self::AfterRestart => "after_restart",
        }
    }
}

type Of<T> = fn(&mut Settings) -> &mut T;

/// Where a setting is kept, and what it may be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Slot {
    Address(Of<SocketAddr>),
    Count(Of<u32>, u32, u32),
    /// `"auto"` or a count.
    AutoCount(Of<Option<u32>>, u32, u32),
    Samples(Of<u16>),
    Percent(Of<u8>),
    Duration(Of<Duration>),
    /// May not be zero.
    Positive(Of<Duration>),
    Size(Of<u64>),
    /// `"auto"` or a size.
    AutoSize(Of<Option<u64>>),
    Zone(Of<String>),
    Schedule(Of<String>),
    Boolean(Of<bool>),
    Format(Of<LogFormat>),
    Path(Of<PathBuf>),
    /// An empty text is none.
    OptionalPath(Of<Option<PathBuf>>),
    /// Names as a Host header has them.
    Hosts(Of<Vec<String>>),
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// `queue.workers`.
    pub(crate) key: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) slot: Slot,
    pub(crate) effect: Effect,
}

const fn now(key: &'static str, doc: &'static str, slot: Slot) -> Setting {
    Setting { key, doc, slot, effect: Effect::AtOnce }
}

const fn later(key: &'static str, doc: &'static str, slot: Slot) -> Setting {
    Setting { key, doc, slot, effect: Effect::AfterRestart }
}

const MANY: u32 = 100_000_000;

/// All settings, in the order of the product guide. Their defaults are in `werkpilot_core::settings`.
pub(crate) const SETTINGS: &[Setting] = &[
    later("dashboard.listen", "Where HTTP is served.", Slot::Address(|s| &mut s.dashboard.listen)),
    later(
        "dashboard.max_connections",
        "Open connections at most.",
        Slot::Count(|s| &mut s.dashboard.max_connections, 1, MANY),
    ),
    later(
        "dashboard.max_requests",
        "Requests in progress at most.",
        Slot::Count(|s| &mut s.dashboard.max_requests, 1, MANY),
    ),
    later(
        "dashboard.hosts",
        "Names under which it is asked for besides those of this machine; any other Host is refused.",
        Slot::Hosts(|s| &mut s.dashboard.hosts),
    ),
    later(
        "dashboard.tls_certificate",
        "PEM file with the certificate chain for TLS; relative to this file. Empty: plain HTTP.",
        Slot::OptionalPath(|s| &mut s.dashboard.tls_certificate),
    ),
    later(
        "dashboard.tls_key",
        "PEM file with the private key of tls_certificate; relative to this file.",
        Slot::OptionalPath(|s| &mut s.dashboard.tls_key),
    ),
    later("bus.listen", "Where NATS clients connect.", Slot::Address(|s| &mut s.bus.listen)),
    now("bus.request_timeout", "Default of our own requests.", Slot::Positive(|s| &mut s.bus.request_timeout)),
    later("bus.max_payload", "Bytes of a message at most.", Slot::Size(|s| &mut s.bus.max_payload)),
    later(
        "bus.max_pending_requests",
        "Requests without an answer yet, at most.",
        Slot::Count(|s| &mut s.bus.max_pending_requests, 1, MANY),
    ),
    later(
        "bus.reply_window",
        "How long a reply to a stock client's request is still delivered.",
        Slot::Positive(|s| &mut s.bus.reply_window),
    ),
    now("schedule.timezone", "IANA zone of schedules that name none.", Slot::Zone(|s| &mut s.schedule.timezone)),
    now(
        "boot.layer_timeout",
        "How long the next boot layer waits for this one's services.",
        Slot::Duration(|s| &mut s.boot.layer_timeout),
    ),
    now(
        "queue.workers",
        "Executions at a time; \"auto\" is twice the cores.",
        Slot::AutoCount(|s| &mut s.queue.workers, 1, 100_000),
    ),
    now("queue.capacity", "Waiting executions at most.", Slot::Count(|s| &mut s.queue.capacity, 1, MANY)),
    now(
        "queue.ageing",
        "A waiting execution gains one priority level per so long; 0s is never.",
        Slot::Duration(|s| &mut s.queue.ageing),
    ),
    now(
        "breaker.max_restarts",
        "Automatic restarts of all agents in any `window`; 0 is unlimited.",
        Slot::Count(|s| &mut s.breaker.max_restarts, 0, MANY),
    ),
    now("breaker.window", "The sliding window of `max_restarts`.", Slot::Positive(|s| &mut s.breaker.window)),
    now(
        "breaker.dead_letters",
        "Dead letters in a row that open an agent's own breaker.",
        Slot::Count(|s| &mut s.breaker.dead_letters, 1, MANY),
    ),
    now(
        "breaker.agent_restarts",
        "Restarts of one service within `agent_window`; more of them open its breaker.",
        Slot::Count(|s| &mut s.breaker.agent_restarts, 0, MANY),
    ),
    now(
        "breaker.agent_window",
        "The sliding window of `agent_restarts`.",
        Slot::Positive(|s| &mut s.breaker.agent_window),
    ),
    now(
        "breaker.cooldown",
        "Time to the first trial; doubles with every failed one.",
        Slot::Positive(|s| &mut s.breaker.cooldown),
    ),
    now("health.interval", "Interval of probes that name none.", Slot::Positive(|s| &mut s.health.interval)),
    now("health.timeout", "Time-out of probes that name none.", Slot::Positive(|s| &mut s.health.timeout)),
    now("memory.interval", "How often memory is looked at.", Slot::Positive(|s| &mut s.memory.interval)),
    now(
        "memory.warning_percent",
        "Percent of the budget at which memory is given back.",
        Slot::Percent(|s| &mut s.memory.warning_percent),
    ),
    now(
        "memory.critical_percent",
        "Percent of the budget at which agents are switched off.",
        Slot::Percent(|s| &mut s.memory.critical_percent),
    ),
    now(
        "memory.recover_percent",
        "Percent of the budget under which they are switched on again.",
        Slot::Percent(|s| &mut s.memory.recover_percent),
    ),
    now(
        "memory.budget",
        "\"auto\" is the cgroup's limit, else the host's memory.",
        Slot::AutoSize(|s| &mut s.memory.budget),
    ),
    now(
        "dead_letters.capacity",
        "The last so many are kept.",
        Slot::Count(|s| &mut s.dead_letters.capacity, 1, 1_000_000),
    ),
    now("dead_letters.max_age", "Older ones are forgotten.", Slot::Positive(|s| &mut s.dead_letters.max_age)),
    now(
        "percentiles.samples",
        "Per agent, the last so many successful executions.",
        Slot::Samples(|s| &mut s.percentiles.samples),
    ),
    now(
        "shutdown.grace",
        "How long running agents may take at a shutdown, in all.",
        Slot::Duration(|s| &mut s.shutdown.grace),
    ),
    now("optimizer.schedule", "When the nightly run is.", Slot::Schedule(|s| &mut s.optimizer.schedule)),
    now("optimizer.timezone", "Zone of `schedule`.", Slot::Zone(|s| &mut s.optimizer.timezone)),
    now("optimizer.apply", "Whether its priority proposals are applied.", Slot::Boolean(|s| &mut s.optimizer.apply)),
    now("history.keep", "Older executions are forgotten.", Slot::Positive(|s| &mut s.history.keep)),
    now(
        "history.max_runs_per_agent",
        "The last so many per agent are kept.",
        Slot::Count(|s| &mut s.history.max_runs_per_agent, 1, MANY),
    ),
    now("logs.format", "Of the orchestrator's own log.", Slot::Format(|s| &mut s.logs.format)),
    now("logs.max_file", "Bytes at which an agent's log file is rotated.", Slot::Size(|s| &mut s.logs.max_file)),
    now("logs.files", "Log files per agent, the current one included.", Slot::Count(|s| &mut s.logs.files, 1, 10_000)),
    now("logs.max_total", "Bytes of all log files together.", Slot::Size(|s| &mut s.logs.max_total)),
    later(
        "state.dir",
        "The state folder; relative to this file. Under systemd the default is $STATE_DIRECTORY.",
        Slot::Path(|s| &mut s.state.dir),
    ),
];

impl Setting {
    /// The table and the key in it.
    pub(crate) fn parts(&self) -> (&'static str, &'static str) {
        self.key.split_once('.').expect("every setting is in a table")
    }

    /// `WERKPILOT_QUEUE_WORKERS`.
    pub(crate) fn variable(&self) -> String {
        format!("WERKPILOT_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// The value as it would be written in the file.
    pub(crate) fn value(&self, settings: &Settings) -> Json {
        // The list has one accessor per setting, and it takes `&mut`; a clone per key is cheap at this size.
        let mut settings = settings.clone();
        let s = &mut settings;
        match self.slot {
            Slot::Address(of) => json!(of(s).to_string()),
            Slot::Count(of, ..) => json!(of(s)),
            Slot::AutoCount(of, ..) => of(s).map_or(json!("auto"), |count| json!(count)),
            Slot::Samples(of) => json!(of(s)),
            Slot::Percent(of) => json!(of(s)),
            Slot::Duration(of) | Slot::Positive(of) => json!(duration::duration_text(*of(s))),
            Slot::Size(of) => json!(size::size_text(*of(s))),
            Slot::AutoSize(of) => json!(of(s).map_or("auto".to_owned(), size::size_text)),
            Slot::Zone(of) | Slot::Schedule(of) => json!(of(s)),
            Slot::Boolean(of) => json!(of(s)),
            Slot::Format(of) => json!(of(s)),
            Slot::Path(of) => json!(of(s).to_string_lossy()),
            Slot::OptionalPath(of) => json!(of(s).as_ref().map(|path| path.to_string_lossy()).unwrap_or_default()),
            Slot::Hosts(of) => json!(of(s)),
        }
    }

    /// Reads the value into its place. A schedule is checked later, when its zone is known.
    pub(crate) fn read(&self, field: &Field<'_>, s: &mut Settings, report: &mut Report) {
        match self.slot {
            Slot::Address(of) => put(of(s), address::read_listen(field, report)),
            Slot::Count(of, low, high) => put(of(s), field.integer(low..=high, report)),
            Slot::AutoCount(of, low, high) => {
                let count = if is_auto(field) { Some(None) } else { field.integer(low..=high, report).map(Some) };
                or_auto(count.is_none(), report);
                put(of(s), count);
            }
            Slot::Samples(of) => put(of(s), field.integer(1..=1_000_u16, report)),
            Slot::Percent(of) => put(of(s), field.integer(0..=100_u8, report)),
            Slot::Duration(of) => put(of(s), duration::read(field, report)),
            Slot::Positive(of) => put(of(s), duration::read_positive(field, report)),
            Slot::Size(of) => put(of(s), size::read(field, report)),
            Slot::AutoSize(of) => {
                let bytes = if is_auto(field) { Some(None) } else { size::read(field, report).map(Some) };
                or_auto(bytes.is_none(), report);
                put(of(s), bytes);
            }
            Slot::Zone(of) => put(of(s), when::read_zone(field, report).map(|zone| zone.name().to_owned())),
            Slot::Schedule(of) => put(of(s), field.filled_text(report).map(str::to_owned)),
            Slot::Boolean(of) => put(of(s), field.boolean(report)),
            Slot::Format(of) => {
                put(of(s), field.one_of(&[("text", LogFormat::Text), ("json", LogFormat::Json)], report));
            }
            Slot::Path(of) => put(of(s), field.filled_text(report).map(PathBuf::from)),
            Slot::OptionalPath(of) => {
                let path = field.text(report).map(|text| (!text.trim().is_empty()).then(|| PathBuf::from(text)));
                put(of(s), path);
            }
            Slot::Hosts(of) => put(of(s), address::read_hosts(field, report)),
        }
    }
}

impl Slot {
    /// For the schema.
    pub(crate) fn shape(self) -> Shape {
        const AUTO: Shape = Shape::OneOf(&["auto"]);
        match self {
            Self::Address(_) | Self::Zone(_) | Self::Schedule(_) | Self::Path(_) | Self::OptionalPath(_) => Shape::Text,
            Self::Count(_, low, high) => Shape::Integer(i64::from(low), i64::from(high)),
            Self::AutoCount(..) => Shape::Either(&[AUTO, Shape::Integer(1, 100_000)]),
            Self::Samples(_) => Shape::Integer(1, 1_000),
            Self::Percent(_) => Shape::Integer(0, 100),
            Self::Duration(_) | Self::Positive(_) => Shape::Duration,
            Self::Size(_) => Shape::Size,
            Self::AutoSize(_) => Shape::Either(&[AUTO, Shape::Size]),
            Self::Boolean(_) => Shape::Boolean,
            Self::Format(_) => Shape::OneOf(&["text", "json"]),
            Self::Hosts(_) => Shape::List(&Shape::Text),
        }
    }
}

fn is_auto(field: &Field<'_>) -> bool {
    matches!(&field.node.value, Value::Text(text) | Value::Loose(text) if text.trim() == "auto")
}

/// Tells the other way to write it, in the fault that was found last.
fn or_auto(faulty: bool, report: &mut Report) {
    if let (true, Some(fault)) = (faulty, report.last()) {
        fault.hint("or write \"auto\"");
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}
