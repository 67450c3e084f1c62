//! The bus as pages, programs and scrapers see it: figures, no payloads.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use werkpilot_core::ids::AgentName;
use werkpilot_core::percentiles::Summary;
use werkpilot_core::requests::{Counts, Failure};

use crate::bus::{BusReport, BusSide, RequestFigures};
use crate::house::House;

/// Latencies of an agent's answers on the bus in the last hour, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestTimes {
    /// Median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Mean.
    pub avg_ms: Option<f64>,
    /// How many answers; of an in-process agent's very many in a short time, those that were timed.
    pub count: u64,
}

impl From<Summary> for RequestTimes {
    fn from(summary: Summary) -> Self {
        Self {
            p50: summary.p50_ms,
            p95: summary.p95_ms,
            p99: summary.p99_ms,
            avg_ms: summary.mean_ms,
            count: summary.count,
        }
    }
}

/// The figures of the bus; all but connections, subscriptions and pending requests are since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BusView {
    /// Where clients connect.
    pub url: String,
    /// Clients that are connected.
    pub connections: usize,
    /// Clients at most.
    pub max_connections: usize,
    /// Clients that ever connected.
    pub total_connections: u64,
    /// Subscriptions, those of the orchestrator itself included.
    pub subscriptions: usize,
    /// Requests that wait for their answers.
    pub pending_requests: usize,
    /// Bytes of a message at most.
    pub max_payload: usize,
    /// Messages that came.
    pub in_msgs: u64,
    /// Bytes that came, of headers and payloads.
    pub in_bytes: u64,
    /// Messages that were delivered.
    pub out_msgs: u64,
    /// Bytes that were delivered.
    pub out_bytes: u64,
    /// Clients that were cut off because they did not keep up.
    pub slow_consumers: u64,
    /// What somebody was not allowed to do.
    pub violations: u64,
    /// What became of requests to programs.
    pub requests: RequestCounts,
    /// Messages for jobs that were not taken because too many of them wait.
    pub triggers_dropped: u64,
}

/// The bus with what became of requests to agents.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BusDetail {
    /// Its figures.
    #[serde(flatten)]
    pub figures: BusView,
    /// Requests to agents in each second of the last minute, 60 numbers, the oldest first; the last one is not over yet.
    pub requests_per_second: Vec<u32>,
    /// Who was asked since the start, by name.
    pub responders: Vec<ResponderView>,
    /// The last requests that ended with an error, at most 50, the newest first.
    pub recent_errors: Vec<Failure>,
}

/// An agent that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResponderView {
    /// Its name.
    pub agent: AgentName,
    /// Requests to it since the start, those that never reached it included.
    pub requests: u64,
    /// Those that ended with an error, its own or the bus's.
    pub errors: u64,
    /// How long its answers took in the last hour, in milliseconds.
    #[serde(flatten)]
    pub times: RequestTimes,
}

impl BusDetail {
    /// Of the figures, of what the bus remembers, and of latencies.
    pub(crate) fn of(figures: BusView, requests: RequestFigures, times: &BTreeMap<AgentName, RequestTimes>) -> Self {
        let mut counts: BTreeMap<AgentName, Counts> = requests.responders.into_iter().collect();
        // Latencies outlive the bus's own figures by a restart of its actor, and a reload.
        for agent in times.keys() {
            counts.entry(agent.clone()).or_default();
        }
        let responders = counts.into_iter().map(|(agent, Counts { requests, errors })| {
            let times = times.get(&agent).copied().unwrap_or_default();
            ResponderView { agent, requests, errors, times }
        });
        Self {
            figures,
            requests_per_second: requests.last_minute,
            responders: responders.collect(),
            recent_errors: requests.failures,
        }
    }
}

/// What became of requests to programs since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestCounts {
    /// Handed to their agents.
    pub delivered: u64,
    /// Answered by them.
    pub answered: u64,
    /// Answered from the cache.
    pub cached: u64,
    /// Refused because the agent could not answer.
    pub unavailable: u64,
    /// Refused because too many wait.
    pub overloaded: u64,
    /// Not answered in time.
    pub timed_out: u64,
    /// Without a reply subject, and nobody took them.
    pub undelivered: u64,
    /// Replies that came too late, or a second time.
    pub late_replies: u64,
    /// Replies from others than were asked.
    pub rejected_replies: u64,
}

impl BusView {
    /// From the bus's own report.
    pub(crate) fn of(side: &BusSide, report: &BusReport) -> Self {
        let stats = &report.stats;
        Self {
            url: format!("nats://{}", side.address()),
            connections: report.connections,
            max_connections: report.max_connections,
            total_connections: stats.total_connections,
            subscriptions: report.subscriptions,
            pending_requests: report.pending,
            max_payload: side.max_payload,
            in_msgs: stats.traffic.in_msgs,
            in_bytes: stats.traffic.in_bytes,
            out_msgs: stats.traffic.out_msgs,
            out_bytes: stats.traffic.out_bytes,
            slow_consumers: stats.slow_consumers,
            violations: stats.violations,
            requests: RequestCounts {
                delivered: stats.requests,
                answered: stats.answers,
                cached: stats.cache_hits,
                unavailable: stats.unavailable,
                overloaded: stats.overloads,
                timed_out: stats.timeouts,
                undelivered: stats.undelivered_requests,
                late_replies: stats.late_replies,
                rejected_replies: stats.rejected_replies,
            },
            triggers_dropped: report.triggers_dropped,
        }
    }
}

/// Latencies of all agents that answered requests in the last hour.
pub fn request_times(house: &House) -> BTreeMap<AgentName, RequestTimes> {
    let now = house.now();
    let (directory, samples) = (house.directory.borrow(), house.samples.borrow());
    let times = directory.iter().filter_map(|(index, slot)| {
        let summary = samples.requests(index, now).filter(|summary| summary.count > 0)?;
        Some((slot.name.clone(), summary.into()))
    });
    times.collect()
}

/// What services said to `$SRV.INFO`, with the figures of the same service (agent and id) and endpoint (name and subject)
/// from what they said to `$SRV.STATS`.
pub fn join_services(info: Vec<Value>, stats: Vec<Value>) -> Vec<Value> {
    let key = |service: &Value| (service["agent"].to_string(), service["name"].to_string(), service["id"].to_string());
    let mut services: BTreeMap<_, Value> = info.into_iter().map(|service| (key(&service), service)).collect();
    for figures in stats {
        let service = services.entry(key(&figures)).or_insert(Value::Null);
        add(service, figures);
    }
    let mut services: Vec<Value> = services.into_values().collect();
    // Two questions were asked; what is left is neither.
    services.iter_mut().filter_map(Value::as_object_mut).for_each(|service| drop(service.remove("type")));
    services
}

fn add(service: &mut Value, figures: Value) {
    let Value::Object(figures) = figures else { return };
    let Value::Object(service) = service else {
        *service = Value::Object(figures);
        return;
    };
    for (name, value) in figures {
        match (name.as_str(), service.get_mut(&name), value) {
            ("endpoints", Some(Value::Array(known)), Value::Array(figures)) => add_endpoints(known, figures),
            (_, None, value) => drop(service.insert(name, value)),
            _ => {}
        }
    }
}

fn add_endpoints(known: &mut Vec<Value>, figures: Vec<Value>) {
    for figures in figures {
        let same =
            |endpoint: &&mut Value| endpoint["name"] == figures["name"] && endpoint["subject"] == figures["subject"];
        match (known.iter_mut().find(same), figures) {
            (Some(Value::Object(endpoint)), Value::Object(figures)) => {
                let new: Map<_, _> = figures.into_iter().filter(|(name, _)| !endpoint.contains_key(name)).collect();
                endpoint.extend(new);
            }
            (_, figures) => known.push(figures),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_service_says_and_its_figures_are_one() {
        let endpoint = json!({ "name": "total", "subject": "rpc.sales.total", "queue_group": "q" });
        let info = |id: &str| {
            json!({ "agent": "sales", "name": "sales", "id": id, "type": "io.nats.micro.v1.info_response",
                    "version": "1.0.0", "description": "sums", "endpoints": [endpoint.clone()] })
        };
        let stats = json!({ "agent": "sales", "name": "sales", "id": "b", "type": "io.nats.micro.v1.stats_response",
                            "version": "1.0.0", "started": "2026-11-21T08:00:00Z",
                            "endpoints": [{ "name": "total", "subject": "rpc.sales.total", "num_requests": 7 }] });
        let services = join_services(vec![info("b"), info("a")], vec![stats]);
        assert_eq!(services.len(), 2);
        let joined = services.iter().find(|service| service["id"] == "b").unwrap();
        assert_eq!(
            joined["endpoints"],
            json!([{ "name": "total", "subject": "rpc.sales.total", "queue_group": "q",
                                                 "num_requests": 7 }])
        );
        assert_eq!((&joined["description"], &joined["started"]), (&json!("sums"), &json!("2026-11-21T08:00:00Z")));
        assert_eq!(joined.get("type"), None);
    }
}
