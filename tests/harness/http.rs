//! An HTTP/1.1 client of one request per connection, which hides nothing and follows nothing.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::Value;

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Its body, whole.
    pub body: String,
}

impl Answer {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.body))
    }

    /// Itself, if it has this status.
    ///
    /// # Panics
    /// If it has not.
    #[expect(clippy::return_self_not_must_use, reason = "the check is what most callers want")]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "the status of the answer: {}", self.body);
        self
    }
}

/// How long an answer may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// A `GET` of another server than the orchestrator.
///
/// # Errors
/// If there is no answer.
pub fn fetch(stream: impl Read + Write, path: &str) -> io::Result<Answer> {
    exchange(stream, "GET", path, &[], None)
}

/// Sends a request and reads the answer to its end. `headers` replace ours of the same name.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> io::Result<Answer> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len().to_string();
    let mut lines = vec![("Host", "localhost"), ("Connection", "close"), ("Accept", "*/*")];
    if !body.is_empty() {
        lines.extend([("Content-Type", "application/json"), ("Content-Length", length.as_str())]);
    } else if method == "POST" {
        lines.push(("Content-Length", "0"));
    }
    lines.retain(|(ours, _)| !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(ours)));
    lines.extend(headers);
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in lines {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body.as_str()]);
    stream.write_all(request.as_bytes())?;
    let mut raw = Vec::new();
    stream.read_to_end(&mut raw)?;
    parse(&raw).ok_or_else(|| io::Error::other(format!("no HTTP: {:?}", String::from_utf8_lossy(&raw))))
}

fn parse(raw: &[u8]) -> Option<Answer> {
    let end = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&raw[..end]).ok()?;
    let body = &raw[end + 4..];
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let headers: Vec<_> = lines.filter_map(header).collect();
    let chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let body = if chunked { joined(body)? } else { body.to_vec() };
    Some(Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// The chunks of a body in one.
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = chunks.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&chunks[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(chunks.get(line + 2..line + 2 + size)?);
        chunks = chunks.get(line + 4 + size..)?;
    }
}
