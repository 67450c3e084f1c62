//! The fleet as OpenMetrics 1.0 text. Labels are bounded: an agent's name, and words of our own enums.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_runtime::view::{AgentView, BusView, Overview, RequestTimes, Scrape, StoreView, SystemView, Times};

/// Of OpenMetrics 1.0.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Of the older text format of Prometheus.
pub(crate) const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const ENDS: [&str; 8] = ["succeeded", "failed", "timed_out", "skipped", "refused", "cancelled", "interrupted", "lost"];
const MB: f64 = 1024.0 * 1024.0;

/// Families of quantiles. The encoder knows no summaries, and writes them as gauges.
const SUMMARIES: [&str; 3] = [
    "werkpilot_queue_wait_seconds",
    "werkpilot_agent_execution_duration_seconds",
    "werkpilot_agent_request_latency_seconds",
];

/// As OpenMetrics, with its end mark.
pub(crate) fn render(scrape: Scrape) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Fleet(scrape)));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing to a string");
    for family in SUMMARIES {
        out = out.replacen(&format!("# TYPE {family} gauge\n"), &format!("# TYPE {family} summary\n"), 1);
    }
    out
}

/// As Prometheus text 0.0.4: there a counter's family is called `…_total`, and there are no infos, units and end mark.
pub(crate) fn render_prometheus(scrape: Scrape) -> String {
    let open = render(scrape);
    let mut out = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, text] => help = Some((name, text)),
            ["#", "TYPE", name, kind] => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", kind),
                    "info" => ("_info", "gauge"),
                    _ => ("", kind),
                };
                if let Some((_, text)) = help.take() {
                    let _ = writeln!(out, "# HELP {name}{suffix} {text}");
                }
                let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
            }
            ["#", ..] => {}
            _ => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

#[derive(Debug)]
struct Fleet(Scrape);

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(Scrape { overview, requests, bus }) = self;
        system(&mut encoder, &overview.system)?;
        memory(&mut encoder, overview)?;
        events(&mut encoder, &overview.system)?;
        store(&mut encoder, &overview.system.store)?;
        agents(&mut encoder, &overview.agents)?;
        latencies(&mut encoder, requests)?;
        bus.as_ref().map_or(Ok(()), |bus| self::bus(&mut encoder, bus))
    }
}

type Label<'a> = (&'static str, &'a str);

fn gauge<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    samples: impl IntoIterator<Item = ([Label<'a>; N], f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counter<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = ([Label<'a>; N], u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A gauge without labels.
fn plain(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, unit: Option<&Unit>, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
}

/// A counter without labels.
fn total(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Counter)?)
}

fn flag(on: bool) -> f64 {
    f64::from(u8::from(on))
}

fn quantiles(times: &Times) -> impl Iterator<Item = (&'static str, f64)> + use<> {
    in_seconds([("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)])
}

fn in_seconds(all: [(&'static str, Option<f64>); 3]) -> impl Iterator<Item = (&'static str, f64)> {
    all.into_iter().filter_map(|(quantile, ms)| Some((quantile, ms? / 1_000.0)))
}

fn system(encoder: &mut DescriptorEncoder<'_>, system: &SystemView) -> fmt::Result {
    let info = Info::new([("version", system.version)]);
    info.encode(encoder.encode_descriptor("werkpilot_build", "The orchestrator.", None, MetricType::Info)?)?;
    let phases = ["booting", "running", "shutting_down"].map(|phase| ([("phase", phase)], flag(system.phase == phase)));
    gauge(encoder, "werkpilot_phase", "1 for the phase that the orchestrator is in.", None, phases)?;
    plain(encoder, "werkpilot_uptime", "Since the start.", Some(&Unit::Seconds), system.uptime_seconds)?;
    plain(encoder, "werkpilot_triggers_paused", "Whether triggers are paused.", None, flag(system.paused))?;
    let waiting = f64::from(system.execution_queue_size);
    plain(encoder, "werkpilot_queue_length", "Executions that wait.", None, waiting)?;
    plain(encoder, "werkpilot_queue_capacity", "Executions that may wait.", None, f64::from(system.queue_capacity))?;
    plain(encoder, "werkpilot_workers", "Executions that may run at a time.", None, f64::from(system.workers))?;
    plain(encoder, "werkpilot_workers_busy", "Executions that run.", None, f64::from(system.workers_busy))?;
    let waited = quantiles(&system.waiting).map(|(quantile, seconds)| ([("quantile", quantile)], seconds));
    gauge(encoder, "werkpilot_queue_wait", "Waiting times of the last hour.", Some(&Unit::Seconds), waited)?;
    let restarts = f64::from(system.restarts_last_hour);
    plain(encoder, "werkpilot_restarts_last_hour", "Automatic restarts and retries of the last hour.", None, restarts)?;
    let kept = system.dead_letter_queue_size as f64;
    plain(encoder, "werkpilot_dead_letter_queue_length", "Dead letters that are kept.", None, kept)?;
    total(encoder, "werkpilot_dead_letters", "Dead letters since the start.", system.dead_letters_total)?;
    total(encoder, "werkpilot_dead_letters_evicted", "Dead letters that had to make room.", system.dead_letters_evicted)
}

fn store(encoder: &mut DescriptorEncoder<'_>, store: &StoreView) -> fmt::Result {
    let ill = flag(!store.is_well());
    plain(encoder, "werkpilot_store_degraded", "Whether the disk refuses what is to be kept.", None, ill)?;
    let waiting = store.waiting as f64;
    plain(encoder, "werkpilot_store_waiting", "Batches that wait for the disk.", None, waiting)?;
    total(encoder, "werkpilot_store_commits", "Transactions of the store.", store.commits)?;
    total(encoder, "werkpilot_store_batches", "Batches that were kept.", store.batches)?;
    total(encoder, "werkpilot_store_changes", "Changes that were kept.", store.changes)?;
    total(encoder, "werkpilot_store_conflicts", "Batches that did not fit what was there.", store.conflicts)?;
    total(encoder, "werkpilot_store_refused", "Batches refused because of the disk.", store.refused)?;
    total(encoder, "werkpilot_store_dropped", "Batches lost because of the disk.", store.dropped)
}

fn memory(encoder: &mut DescriptorEncoder<'_>, overview: &Overview) -> fmt::Result {
    let memory = &overview.system.memory;
    // The view has megabytes with two decimals; bytes of it are right to 5 KiB.
    let parts = [
        ("orchestrator", memory.rss_mb),
        ("orchestrator_heap", memory.own_heap_mb),
        ("agents", memory.external_mb),
        ("budget", memory.heap_total_mb),
    ];
    let parts = parts.map(|(of, mb)| ([("of", of)], (mb * MB).round()));
    gauge(encoder, "werkpilot_memory", "Resident memory, and the budget for it.", Some(&Unit::Bytes), parts)?;
    let ratio = Unit::Other("ratio".to_owned());
    let used = memory.heap_percent / 100.0;
    plain(encoder, "werkpilot_memory_used", "The larger of ours / budget and the host's.", Some(&ratio), used)
}

fn events(encoder: &mut DescriptorEncoder<'_>, system: &SystemView) -> fmt::Result {
    let ends = ENDS.map(|end| {
        let count = system.events.get(format!("execution.{end}").as_str());
        ([("end", end)], count.copied().unwrap_or(0))
    });
    counter(encoder, "werkpilot_executions", "Ended executions by end.", ends)?;
    let topics = system.events.iter().map(|(topic, count)| ([("topic", *topic)], *count));
    counter(encoder, "werkpilot_events", "Events by topic.", topics)?;
    let statuses = Status::ALL.map(|status| {
        let count = system.statuses.get(status.as_str());
        ([("status", status.as_str())], f64::from(count.copied().unwrap_or(0)))
    });
    gauge(encoder, "werkpilot_agents", "Agents by status.", None, statuses)
}

fn agents(encoder: &mut DescriptorEncoder<'_>, agents: &[AgentView]) -> fmt::Result {
    let up = agents.iter().map(|agent| ([("agent", agent.name.as_str())], flag(!agent.pids.is_empty())));
    gauge(encoder, "werkpilot_agent_up", "Whether a process of the agent runs.", None, up)?;
    let status = agents.iter().map(|agent| ([("agent", agent.name.as_str()), ("status", agent.status.as_str())], 1.0));
    gauge(encoder, "werkpilot_agent_status", "1 for the agent's present status.", None, status)?;
    let restarts = agents.iter().map(|agent| ([("agent", agent.name.as_str())], agent.restarts));
    counter(encoder, "werkpilot_agent_restarts", "Automatic restarts and retries.", restarts)?;
    let successes = agents.iter().filter(|agent| agent.kind == "job");
    let successes = successes.map(|agent| ([("agent", agent.name.as_str())], agent.times.count));
    counter(encoder, "werkpilot_agent_successes", "Successful executions.", successes)?;
    let failures = agents.iter().map(|agent| ([("agent", agent.name.as_str())], agent.failures));
    counter(encoder, "werkpilot_agent_failures", "Executions that failed for good.", failures)?;
    let memory = agents.iter().filter_map(|agent| Some(([("agent", agent.name.as_str())], agent.memory_bytes? as f64)));
    gauge(encoder, "werkpilot_agent_memory", "Memory of its process trees.", Some(&Unit::Bytes), memory)?;
    let uptime = agents.iter().filter_map(|agent| Some(([("agent", agent.name.as_str())], agent.uptime_seconds?)));
    gauge(encoder, "werkpilot_agent_uptime", "Of its oldest process.", Some(&Unit::Seconds), uptime)?;
    let durations = agents.iter().flat_map(|agent| {
        let quantiles = quantiles(&agent.times);
        quantiles.map(|(quantile, seconds)| ([("agent", agent.name.as_str()), ("quantile", quantile)], seconds))
    });
    let help = "Durations of the last successful executions.";
    gauge(encoder, "werkpilot_agent_execution_duration", help, Some(&Unit::Seconds), durations)?;
    let next = agents.iter().filter_map(|agent| {
        let at = agent.next_run?.as_millis() as f64 / 1_000.0;
        Some(([("agent", agent.name.as_str())], at))
    });
    gauge(encoder, "werkpilot_agent_next_run_timestamp", "When it is due next.", Some(&Unit::Seconds), next)
}

fn latencies(encoder: &mut DescriptorEncoder<'_>, requests: &BTreeMap<AgentName, RequestTimes>) -> fmt::Result {
    let latencies = requests.iter().flat_map(|(agent, times)| {
        let quantiles = in_seconds([("0.5", times.p50), ("0.95", times.p95), ("0.99", times.p99)]);
        quantiles.map(|(quantile, seconds)| ([("agent", agent.as_str()), ("quantile", quantile)], seconds))
    });
    let help = "Latencies of its answers on the bus in the last hour.";
    gauge(encoder, "werkpilot_agent_request_latency", help, Some(&Unit::Seconds), latencies)
}

fn bus(encoder: &mut DescriptorEncoder<'_>, bus: &BusView) -> fmt::Result {
    plain(encoder, "werkpilot_bus_connections", "Clients that are connected.", None, bus.connections as f64)?;
    plain(encoder, "werkpilot_bus_subscriptions", "Subscriptions.", None, bus.subscriptions as f64)?;
    let pending = bus.pending_requests as f64;
    plain(encoder, "werkpilot_bus_requests_pending", "Requests that wait for their answers.", None, pending)?;
    total(encoder, "werkpilot_bus_clients", "Clients that ever connected.", bus.total_connections)?;
    let ways = |of_in, of_out| [([("direction", "in")], of_in), ([("direction", "out")], of_out)];
    counter(encoder, "werkpilot_bus_messages", "Messages by direction.", ways(bus.in_msgs, bus.out_msgs))?;
    counter(encoder, "werkpilot_bus_message_bytes", "Their bytes.", ways(bus.in_bytes, bus.out_bytes))?;
    let requests = &bus.requests;
    let fates = [
        ("delivered", requests.delivered),
        ("answered", requests.answered),
        ("cached", requests.cached),
        ("unavailable", requests.unavailable),
        ("overloaded", requests.overloaded),
        ("timed_out", requests.timed_out),
        ("undelivered", requests.undelivered),
    ];
    let fates = fates.map(|(fate, count)| ([("fate", fate)], count));
    counter(encoder, "werkpilot_bus_requests", "What became of requests to programs.", fates)?;
    let replies = [([("reason", "late")], requests.late_replies), ([("reason", "foreign")], requests.rejected_replies)];
    counter(encoder, "werkpilot_bus_replies_dropped", "Replies that were thrown away.", replies)?;
    let help = "Clients that were cut off because they did not keep up.";
    total(encoder, "werkpilot_bus_slow_consumers", help, bus.slow_consumers)?;
    total(encoder, "werkpilot_bus_violations", "What somebody was not allowed to do.", bus.violations)?;
    let help = "Messages for jobs that were not taken because too many of them wait.";
    total(encoder, "werkpilot_bus_triggers_dropped", help, bus.triggers_dropped)
}
