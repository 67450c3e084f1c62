//! CloudEvents 1.0 in JSON (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>), for the
//! bus and for notifications.

use serde::Serialize;
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::ids::AgentName;
use werkpilot_core::notifications::LeftOut;
use werkpilot_core::time::Timestamp;

/// An event with its attributes.
#[derive(Debug, Serialize)]
pub(crate) struct CloudEvent<'a, D> {
    specversion: &'static str,
    id: &'a str,
    /// Names the orchestrator; with the id, which counts from its start, it is unique.
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The agent that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    time: Timestamp,
    datacontenttype: &'static str,
    /// The sentence of the log, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(rename = "werkpilotsuppressed", skip_serializing_if = "is_zero")]
    suppressed: u64,
    #[serde(rename = "werkpilotdropped", skip_serializing_if = "is_zero")]
    dropped: u64,
    data: D,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if takes a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a, D: Serialize> CloudEvent<'a, D> {
    /// About `subject`, an agent, if it is about one; with nothing for people.
    pub const fn new(
        (id, source): (&'a str, &'a str),
        kind: &'static str,
        subject: Option<&'a str>,
        time: Timestamp,
        data: D,
    ) -> Self {
        Self {
            specversion: "1.0",
            id,
            source,
            kind,
            subject,
            time,
            datacontenttype: "application/json",
            message: None,
            suppressed: 0,
            dropped: 0,
            data,
        }
    }

    /// The same with its sentence, and so many were left out before it.
    pub const fn told(mut self, message: &'a str, left_out: LeftOut) -> Self {
        self.message = Some(message);
        self.suppressed = left_out.suppressed;
        self.dropped = left_out.dropped;
        self
    }

    /// As JSON. It is made of numbers and texts: there is nothing that could fail.
    pub fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// A recorded fact as JSON, as the bus tells it.
pub(crate) fn of_fact(recorded: &Recorded, source: &str) -> Vec<u8> {
    let (id, event): (String, &Event) = (recorded.seq.to_string(), &recorded.event);
    let subject = event.agent().map(AgentName::as_str);
    CloudEvent::new((&id, source), event.topic(), subject, recorded.time, event).json()
}

#[cfg(test)]
mod tests {
    use werkpilot_core::reason::Reason;

    use super::*;

    #[test]
    fn an_event_has_the_attributes_that_the_standard_requires() {
        let event = Event::AgentEnabled { agent: AgentName::new("sales").unwrap(), reason: Reason::HalfOpen };
        let recorded = Recorded { seq: 7, time: Timestamp::from_secs(0), event };
        let value: serde_json::Value = serde_json::from_slice(&of_fact(&recorded, "/werkpilot/1")).unwrap();
        assert_eq!(value["specversion"], "1.0");
        assert_eq!(value["id"], "7");
        assert_eq!(value["source"], "/werkpilot/1");
        assert_eq!(value["type"], "agent.enabled");
        assert_eq!(value["subject"], "sales");
        assert_eq!(value["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(value["data"]["agent"], "sales");
    }
}
