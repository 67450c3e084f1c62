//! Blocks made from names and values.

use super::{VERSION, push_text};

/// A header block in the making. Whatever goes in, the block is well-formed and has one line per header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    status: Vec<u8>,
    lines: Vec<u8>,
}

impl Headers {
    /// Without headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Without headers, but with a status: three digits (999 at most) and a description, which may be empty.
    pub fn with_status(code: u16, description: &str) -> Self {
        let mut status = format!(" {:03}", code.min(999)).into_bytes();
        if !description.trim().is_empty() {
            status.push(b' ');
            push_text(description.trim().as_bytes(), &mut status);
        }
        Self { status, lines: Vec::new() }
    }

    /// Adds a header. Control characters in the value, line ends among them, become spaces; what cannot be in a name
    /// (anything but visible ASCII, and the colon) is left out of it, and without a name nothing is added.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let before = self.lines.len();
        self.lines.extend(name.bytes().filter(|byte| byte.is_ascii_graphic() && *byte != b':'));
        if self.lines.len() > before {
            self.lines.extend_from_slice(b": ");
            push_text(value.trim().as_bytes(), &mut self.lines);
            self.lines.extend_from_slice(b"\r\n");
        }
        self
    }

    /// The lines alone, each with its CR LF: what [`super::restamp`] takes as `extra`.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// There is neither a status nor a header.
    pub fn is_empty(&self) -> bool {
        self.status.is_empty() && self.lines.is_empty()
    }

    /// The whole block, from the version to the empty line.
    pub fn block(&self) -> Vec<u8> {
        [VERSION, &self.status, b"\r\n", &self.lines, b"\r\n"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NO_RESPONDERS, get, is_well_formed, status};
    use super::*;

    #[test]
    fn headers_are_written_in_order() {
        let headers = Headers::new().with("A", "1").with("b-C", " two words ").with("A", "");
        assert_eq!(headers.block(), b"NATS/1.0\r\nA: 1\r\nb-C: two words\r\nA: \r\n\r\n");
        assert_eq!(headers.lines(), b"A: 1\r\nb-C: two words\r\nA: \r\n");
        assert_eq!(Headers::with_status(503, "").block(), NO_RESPONDERS);
        assert!(Headers::new().is_empty() && !headers.is_empty());
    }

    #[test]
    fn a_value_cannot_become_a_second_header() {
        let block =
            Headers::with_status(503, "no\r\nX: 1").with("A", "b\r\nWerkpilot-From: x").with("C\r\nD: e", "\n").block();
        assert!(is_well_formed(&block));
        assert_eq!(get(&block, "Werkpilot-From"), None);
        assert_eq!(get(&block, "A"), Some("b  Werkpilot-From: x"));
        assert_eq!(get(&block, "CDe"), Some(""));
        assert_eq!(status(&block), Some((503, "no  X: 1")));
        assert_eq!(Headers::new().with(" :", "x").block(), b"NATS/1.0\r\n\r\n");
    }
}
