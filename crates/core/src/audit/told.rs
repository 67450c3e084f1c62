//! What is told of a change: bounded, and never the content of a payload.

use serde_json::{Map, Value, json};

use crate::digest::Digest;

/// Bytes of JSON that an entry holds before and after, each; of more it holds length and digest.
pub const MOST: usize = 64 << 10;
/// Characters of a name, a path or a reason in an entry.
pub const TEXT: usize = 1_024;

/// A payload as an entry shows it: how long it is and its SHA-256, so that two can be told apart and none is known.
pub fn payload(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| json!({ "bytes": bytes.len(), "sha256": Digest::of(bytes) }))
}

/// Keys whose values are never told, wherever they stand.
const HIDDEN: [&str; 6] = ["payload", "payloadBase64", "secret", "token", "code", "env"];

/// A value as an entry keeps it; `None`: there is none.
pub fn told(value: &Value) -> Option<String> {
    if value.is_null() {
        return None;
    }
    let text = hide(value).to_string();
    if text.len() <= MOST {
        return Some(text);
    }
    Some(json!({ "bytes": text.len(), "sha256": Digest::of(text.as_bytes()) }).to_string())
}

/// Whoever notes a change by mistake with something secret in it: texts under these keys become digests.
fn hide(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let hidden = HIDDEN.contains(&key.as_str());
                let value = match value {
                    Value::String(text) if hidden => payload(Some(text.as_bytes())),
                    // A digest that was made already.
                    Value::Object(known) if hidden && known.keys().all(|key| key == "bytes" || key == "sha256") => {
                        value.clone()
                    }
                    Value::Null => Value::Null,
                    other if hidden => payload(Some(other.to_string().as_bytes())),
                    other => hide(other),
                };
                (key.clone(), value)
            };
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(hide).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_told_by_its_length_and_digest() {
        let told = payload(Some(b"abc"));
        assert_eq!(told["bytes"], 3);
        assert_eq!(told["sha256"].as_str(), Some(Digest::of(b"abc").to_string().as_str()));
        assert_eq!(payload(None), Value::Null);
    }

    #[test]
    fn what_is_secret_or_too_long_is_not_told() {
        assert_eq!(told(&Value::Null), None);
        assert_eq!(told(&json!({ "status": "idle" })).as_deref(), Some(r#"{"status":"idle"}"#));
        let text = told(&json!({ "list": [{ "payload": "canary", "token": "canary" }], "payload": { "bytes": 3 } }));
        let text = text.unwrap();
        assert!(!text.contains("canary") && text.contains(r#""payload":{"bytes":3}"#), "{text}");
        let nested = told(&json!({ "env": { "KEY": "canary" }, "code": 4711 })).unwrap();
        assert!(!nested.contains("canary") && !nested.contains("4711"), "{nested}");
        let long = told(&json!({ "names": "a".repeat(MOST) })).unwrap();
        assert!(long.len() < 200 && long.contains("sha256"), "{long}");
    }
}
