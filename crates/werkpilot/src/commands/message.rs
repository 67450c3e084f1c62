//! What `request`, `pub` and `sub` share: messages from the command line, and messages for people and programs.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use werkpilot_bus::protocol::{Headers, headers};

use crate::bus_client::Received;
use crate::failure::{Code, Failure};

/// A header of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl std::str::FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("it is written 'Name: value'")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("its name has letters, digits and -, and no spaces".to_owned());
        }
        if value.chars().any(char::is_control) {
            return Err("its value is one line without control characters".to_owned());
        }
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// The headers as a message carries them.
pub fn block(given: &[Header]) -> Headers {
    given.iter().fold(Headers::new(), |headers, header| headers.with(&header.name, &header.value))
}

/// The bytes of a message without headers have no block at all.
pub fn bytes(headers: &Headers) -> Vec<u8> {
    if headers.is_empty() { Vec::new() } else { headers.block() }
}

/// The payload of the command line: the text itself, or `-` for stdin; nothing is an empty one.
pub fn payload(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    match argument {
        None => Ok(Vec::new()),
        Some("-") => {
            let mut bytes = Vec::new();
            let read = io::stdin().lock().read_to_end(&mut bytes);
            read.map_err(|error| Failure::new(Code::Io, format!("failed to read the payload from stdin: {error}")))?;
            Ok(bytes)
        }
        Some(text) => Ok(text.as_bytes().to_vec()),
    }
}

/// A message as programs read it: `from`, `headers` (every name with its values), and `payload`, or `payloadBase64` where it is
/// no text.
pub fn object(message: &Received) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in headers::pairs(&message.headers) {
        if let Value::Array(values) = all.entry(name).or_insert_with(|| json!([])) {
            values.push(json!(value));
        }
    }
    let mut object = Map::new();
    object.insert("from".to_owned(), json!(message.from()));
    object.insert("headers".to_owned(), Value::Object(all));
    match std::str::from_utf8(&message.payload) {
        Ok(text) => object.insert("payload".to_owned(), json!(text)),
        Err(_) => object.insert("payloadBase64".to_owned(), json!(STANDARD.encode(&message.payload))),
    };
    object
}

/// JSON with indentation, and nothing else changed: no number is rounded, no key is moved. `None`: it is no JSON.
pub fn pretty(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).ok()?;
    let text = std::str::from_utf8(payload).ok()?.trim();
    let (mut shown, mut depth, mut in_string, mut escaped) = (String::with_capacity(text.len() * 2), 0, false, false);
    let mut characters = text.chars().peekable();
    let new_line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(character) = characters.next() {
        if in_string {
            shown.push(character);
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            continue;
        }
        match character {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                shown.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if characters.peek().is_some_and(|next| matches!(next, '}' | ']')) {
                    shown.extend(characters.next());
                } else {
                    depth += 1;
                    new_line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut shown, depth);
                shown.push(character);
            }
            ',' => {
                shown.push(character);
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            other => {
                shown.push(other);
                in_string = other == '"';
            }
        }
    }
    Some(shown)
}

/// Writes bytes to stdout, as they are and at once. A reader that has had enough (`| head`) ends the command.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(Failure::new(Code::Io, format!("failed to write to stdout: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let header: Header = "Content-Type:  text/plain; a:b ".parse().unwrap();
        assert_eq!((header.name.as_str(), header.value.as_str()), ("Content-Type", "text/plain; a:b"));
        for bad in ["", "no colon", ": value", "two words: x", "a: b\r\nc: d", "ä: b"] {
            assert!(bad.parse::<Header>().is_err(), "{bad:?}");
        }
        assert_eq!(bytes(&block(&[])), b"");
        assert_eq!(bytes(&block(&[header])), b"NATS/1.0\r\nContent-Type: text/plain; a:b\r\n\r\n");
    }

    #[test]
    fn programs_get_everything() {
        let headers = Headers::new().with("Werkpilot-From", "sales").with("A", "1").with("A", "2").block();
        let message = Received { headers, payload: b"{\"a\": 1}".to_vec(), ..Received::default() };
        assert_eq!(
            Value::Object(object(&message)),
            json!({ "from": "sales", "headers": { "A": ["1", "2"], "Werkpilot-From": ["sales"] }, "payload": "{\"a\": 1}" })
        );
        let message = Received { payload: vec![0xff], ..Received::default() };
        assert_eq!(Value::Object(object(&message)), json!({ "from": null, "headers": {}, "payloadBase64": "/w==" }));
    }

    #[test]
    fn json_is_indented_and_not_changed_otherwise() {
        let shown = pretty(br#" {"b":[1.50,12345678901234567890123,{ }, [ ]],"a":"\"{,:\\","c":null} "#).unwrap();
        insta::assert_snapshot!(shown, @r#"
        {
          "b": [
            1.50,
            12345678901234567890123,
            {},
            []
          ],
          "a": "\"{,:\\",
          "c": null
        }
        "#);
        assert_eq!(pretty(b"[]").as_deref(), Some("[]"));
        assert_eq!(pretty(b"7").as_deref(), Some("7"));
        for none in [&b""[..], b"text", b"{", b"\xff", b"1 2"] {
            assert_eq!(pretty(none), None, "{}", none.escape_ascii());
        }
    }
}
