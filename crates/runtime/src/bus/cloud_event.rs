//! The system's events as CloudEvents 1.0 in JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>).

use serde::Serialize;
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::time::Timestamp;

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The agent that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Event,
}

/// A recorded fact as JSON. `source` names the orchestrator; with its id, which counts from its start, it is unique.
pub fn json(recorded: &Recorded, source: &str) -> Vec<u8> {
    let event = CloudEvent {
        specversion: "1.0",
        id: recorded.seq.to_string(),
        source,
        kind: recorded.event.topic(),
        subject: recorded.event.agent().map(werkpilot_core::ids::AgentName::as_str),
        time: recorded.time,
        datacontenttype: "application/json",
        data: &recorded.event,
    };
    // An event is made of numbers and texts: there is nothing that could fail.
    serde_json::to_vec(&event).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use werkpilot_core::ids::AgentName;
    use werkpilot_core::reason::Reason;

    use super::*;

    #[test]
    fn an_event_has_the_attributes_that_the_standard_requires() {
        let event = Event::AgentEnabled { agent: AgentName::new("sales").unwrap(), reason: Reason::HalfOpen };
        let recorded = Recorded { seq: 7, time: Timestamp::from_secs(0), event };
        let value: serde_json::Value = serde_json::from_slice(&json(&recorded, "/werkpilot/1")).unwrap();
        assert_eq!(value["specversion"], "1.0");
        assert_eq!(value["id"], "7");
        assert_eq!(value["source"], "/werkpilot/1");
        assert_eq!(value["type"], "agent.enabled");
        assert_eq!(value["subject"], "sales");
        assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["data"]["agent"], "sales");
    }
}
