//! What a target is given: a `CloudEvent` 1.0 in JSON, with what was left out before it as extension attributes.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::ids::AgentName;
use werkpilot_core::notifications::{Content, LeftOut};
use werkpilot_core::time::Timestamp;

use crate::cloud_event::CloudEvent;

/// The type of a message that has nothing to tell but what was left out.
const SUMMARY: &str = "system.notifications.summary";
/// The type of a message that somebody sent to see whether it arrives.
const TEST: &str = "system.notifications.test";

/// A message as it goes over the wire; the same at every try.
#[derive(Clone, Debug)]
pub struct Message {
    /// `Werkpilot-Delivery`: unique.
    pub delivery: String,
    /// Its type.
    pub topic: &'static str,
    /// The agent that it is about.
    pub agent: Option<AgentName>,
    /// The JSON.
    pub body: Arc<[u8]>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Event(&'a Event),
    Other(Value),
}

impl Message {
    /// The message about an event, or about nothing but what was left out.
    pub fn new(content: &Content<Arc<Recorded>>, left_out: LeftOut, delivery: String, now: Timestamp) -> Self {
        match content {
            Content::Event(recorded) => Self::of_event(recorded, left_out, delivery),
            Content::Summary => {
                let text = told(left_out);
                let data = Data::Other(json!(left_out));
                Self::put(&delivery.clone(), delivery, SUMMARY, None, now, &text, left_out, data)
            }
        }
    }

    /// A message to see whether it arrives.
    pub fn test(target: &str, by: &str, delivery: String, now: Timestamp) -> Self {
        let text = format!("This is a test of the notifications to \"{target}\", sent by {by}");
        let data = Data::Other(json!({ "target": target, "by": by }));
        Self::put(&delivery.clone(), delivery, TEST, None, now, &text, LeftOut::default(), data)
    }

    fn of_event(recorded: &Recorded, left_out: LeftOut, delivery: String) -> Self {
        let event = &recorded.event;
        let agent = event.agent().cloned();
        let (id, text) = (recorded.seq.to_string(), event.to_string());
        Self::put(&id, delivery, event.topic(), agent, recorded.time, &text, left_out, Data::Event(event))
    }

    #[expect(clippy::too_many_arguments, reason = "one per attribute of the standard")]
    fn put(
        id: &str,
        delivery: String,
        topic: &'static str,
        agent: Option<AgentName>,
        time: Timestamp,
        message: &str,
        left_out: LeftOut,
        data: Data<'_>,
    ) -> Self {
        let source = format!("/werkpilot/{}", std::process::id());
        let subject = agent.as_ref().map(AgentName::as_str);
        let body = CloudEvent::new((id, &source), topic, subject, time, data).told(message, left_out).json();
        Self { delivery, topic, agent, body: body.into() }
    }
}

/// What was left out, as a sentence.
fn told(left_out: LeftOut) -> String {
    match (left_out.suppressed, left_out.dropped) {
        (suppressed, 0) => format!("{suppressed} more events were left out, as the rate has it"),
        (0, dropped) => format!("{dropped} events were lost before they could be told"),
        (suppressed, dropped) => {
            format!("{suppressed} more events were left out, as the rate has it, and {dropped} were lost")
        }
    }
}

#[cfg(test)]
mod tests {
    use werkpilot_core::reason::Reason;

    use super::*;

    fn value(message: &Message) -> Value {
        serde_json::from_slice(&message.body).unwrap()
    }

    #[test]
    fn a_message_is_a_cloud_event_with_its_sentence_and_what_was_left_out() {
        let event = Event::AgentEnabled { agent: AgentName::new("sales").unwrap(), reason: Reason::HalfOpen };
        let recorded = Recorded { seq: 7, time: Timestamp::from_secs(0), event };
        let sentence = recorded.event.to_string();
        let content = Content::Event(Arc::new(recorded));
        let left_out = LeftOut { suppressed: 3, dropped: 0 };
        let message = Message::new(&content, left_out, "d1".to_owned(), Timestamp::from_secs(9));
        let event = value(&message);
        assert_eq!((message.delivery.as_str(), message.topic), ("d1", "agent.enabled"));
        assert_eq!(
            (&event["specversion"], &event["id"], &event["type"]),
            (&json!("1.0"), &json!("7"), &json!("agent.enabled"))
        );
        assert_eq!((&event["subject"], &event["data"]["agent"]), (&json!("sales"), &json!("sales")));
        assert_eq!((&event["message"], &event["werkpilotsuppressed"]), (&json!(sentence), &json!(3)));
        assert_eq!((&event["time"], event.get("werkpilotdropped")), (&json!("1970-01-01T00:00:00.000Z"), None));
    }

    #[test]
    fn a_summary_and_a_test_say_what_they_are() {
        let left_out = LeftOut { suppressed: 2, dropped: 1 };
        let summary = value(&Message::new(&Content::Summary, left_out, "d".to_owned(), Timestamp::from_secs(9)));
        assert_eq!((&summary["type"], &summary["data"]), (&json!(SUMMARY), &json!({ "suppressed": 2, "dropped": 1 })));
        assert_eq!(summary["message"], "2 more events were left out, as the rate has it, and 1 were lost");
        let test = value(&Message::test("ops", "cli:tester", "d".to_owned(), Timestamp::from_secs(9)));
        assert_eq!((&test["type"], &test["data"]["by"]), (&json!(TEST), &json!("cli:tester")));
    }
}
