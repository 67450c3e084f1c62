//! Header blocks: `NATS/1.0`, maybe a status, lines of `name: value`, an empty line (ADR-4).
//!
//! Reading is forgiving, because the stock clients are, each in its own way: lines may end with CR LF, LF or CR (as
//! Python's parser has it), names may have white space around them (as Go's trims it), and the block ends with its
//! first empty line or with its last byte. Writing is strict: what [`restamp`] and [`Headers`] make is read in the same
//! way by all of them.

mod build;
mod restamp;

pub use build::Headers;
pub use restamp::{restamp, restamp_with};

/// What every block begins with.
const VERSION: &[u8] = b"NATS/1.0";

/// The whole block that answers a request to which nobody listens.
pub const NO_RESPONDERS: &[u8] = b"NATS/1.0 503\r\n\r\n";

/// The value of the first header of that name, without white space around it. Names are compared without regard to
/// case; a value that is not UTF-8 is none.
pub fn get<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    lines(block)
        .filter_map(pair)
        .find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
        .and_then(|(_, value)| std::str::from_utf8(value).ok().map(str::trim))
}

/// All headers in order, names as they were written, values without white space around them. Values that are not UTF-8
/// and lines that are no header are left out.
pub fn pairs(block: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    lines(block)
        .filter_map(pair)
        .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?.trim())))
}

/// The status of a block that has one (`NATS/1.0 503 No Responders`), with its description, which may be empty.
pub fn status(block: &[u8]) -> Option<(u16, &str)> {
    let (code, description) = status_line(Lines(block).next()?.strip_prefix(VERSION)?)?;
    Some((code, std::str::from_utf8(description).ok()?))
}

/// The block is one that all stock clients read in the same way: the version, maybe a status, headers of a name without
/// white space and a value, each line ended by CR LF, and an empty line at the very end.
pub fn is_well_formed(block: &[u8]) -> bool {
    let Some(mut rest) = block.strip_suffix(b"\r\n") else { return false };
    let mut first = true;
    while !rest.is_empty() {
        let Some(at) = memchr::memchr2(b'\r', b'\n', rest) else { return false };
        let (line, end) = rest.split_at(at);
        let Some(next) = end.strip_prefix(b"\r\n") else { return false };
        let good = if first {
            line.strip_prefix(VERSION).is_some_and(|rest| rest.is_empty() || status_line(rest).is_some())
        } else {
            memchr::memchr(b':', line).is_some_and(|colon| colon > 0 && line[..colon].iter().all(u8::is_ascii_graphic))
        };
        if !good {
            return false;
        }
        (rest, first) = (next, false);
    }
    !first
}

/// Lines ended by CR LF, LF, CR or the end of the bytes; an empty line is the last one and is not handed out.
struct Lines<'a>(&'a [u8]);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = match memchr::memchr2(b'\r', b'\n', self.0) {
            Some(at) if self.0[at..].starts_with(b"\r\n") => (&self.0[..at], &self.0[at + 2..]),
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (self.0, &[][..]),
        };
        self.0 = if line.is_empty() { &[] } else { rest };
        (!line.is_empty()).then_some(line)
    }
}

/// The lines after the version line, or all if there is none.
fn lines(block: &[u8]) -> Lines<'_> {
    let mut lines = Lines(block);
    if block.starts_with(VERSION) {
        lines.next();
    }
    lines
}

/// Name and raw value of a line; `None` for a continuation, for a line without colon, and for a name that is none.
fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    if is_continuation(line) {
        return None;
    }
    let colon = memchr::memchr(b':', line)?;
    let name = trim_name(&line[..colon]);
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then(|| (name, &line[colon + 1..]))
}

/// A line that goes on with the value of the one before.
fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// Without anything around it that is no visible ASCII character: whatever some client may take for white space.
fn trim_name(mut name: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = name
        && !first.is_ascii_graphic()
    {
        name = rest;
    }
    while let [rest @ .., last] = name
        && !last.is_ascii_graphic()
    {
        name = rest;
    }
    name
}

/// Code and description of what follows the version: ` 503`, ` 100 Idle Heartbeat`.
fn status_line(rest: &[u8]) -> Option<(u16, &[u8])> {
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    let (code, description) = rest.split_at_checked(3)?;
    let code = code
        .iter()
        .try_fold(0_u16, |code, digit| digit.is_ascii_digit().then(|| code * 10 + u16::from(digit - b'0')))?;
    match description {
        [] => Some((code, &[])),
        [b' ', ..] => Some((code, description.trim_ascii())),
        _ => None,
    }
}

/// Appends text on one line: control characters, line ends among them, become spaces.
fn push_text(text: &[u8], into: &mut Vec<u8>) {
    if text.iter().any(|&byte| is_control(byte)) {
        into.extend(text.iter().map(|&byte| if is_control(byte) { b' ' } else { byte }));
    } else {
        into.extend_from_slice(text);
    }
}

const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: &[u8] = b"NATS/1.0\r\nNats-Msg-Id: 7\r\nempty:\r\nTwice:  a \r\ntwice: b\r\nUrl: http://x:1\r\n\r\n";

    #[test]
    fn headers_are_found_whatever_their_case() {
        assert_eq!(get(BLOCK, "nats-msg-id"), Some("7"));
        assert_eq!(get(BLOCK, "TWICE"), Some("a"));
        assert_eq!(get(BLOCK, "empty"), Some(""));
        assert_eq!(get(BLOCK, "url"), Some("http://x:1"));
        assert_eq!(get(BLOCK, "missing"), None);
        assert_eq!(get(b"", "a"), None);
        assert_eq!(pairs(BLOCK).count(), 5);
        assert_eq!(pairs(BLOCK).nth(3), Some(("twice", "b")));
    }

    #[test]
    fn what_follows_the_empty_line_is_no_header() {
        assert_eq!(get(b"NATS/1.0\r\nA: b\r\n\r\nC: d\r\n\r\n", "C"), None);
    }

    #[test]
    fn odd_blocks_are_read_as_far_as_they_go() {
        assert_eq!(get(b"NATS/1.0\nA : b\rC:d", "a"), Some("b"));
        assert_eq!(get(b"NATS/1.0\nA : b\rC:d", "c"), Some("d"));
        assert_eq!(get(b"A: b\r\n\r\n", "a"), Some("b"));
        assert_eq!(get(b"NATS/1.0\r\nA: \xff\r\n\r\n", "a"), None);
        assert_eq!(get(b"NATS/1.0\r\n no colon\r\n: no name\r\nx\r\n\r\n", ""), None);
    }

    #[test]
    fn a_status_is_three_digits_after_the_version() {
        assert_eq!(status(NO_RESPONDERS), Some((503, "")));
        assert_eq!(status(b"NATS/1.0 100 Idle Heartbeat\r\nA: b\r\n\r\n"), Some((100, "Idle Heartbeat")));
        for none in
            [&b"NATS/1.0\r\n\r\n"[..], b"NATS/1.0 50\r\n", b"NATS/1.0 5000\r\n", b"NATS/1.0503\r\n", b"", b"\r\n"]
        {
            assert_eq!(status(none), None, "{}", none.escape_ascii());
        }
    }

    #[test]
    fn a_block_is_well_formed_when_every_client_reads_it_alike() {
        for good in [BLOCK, NO_RESPONDERS, b"NATS/1.0\r\n\r\n", b"NATS/1.0 408 Request Timeout\r\nA:b\r\n\r\n"] {
            assert!(is_well_formed(good), "{}", good.escape_ascii());
        }
        let bad: [&[u8]; 12] = [
            b"",
            b"\r\n",
            b"NATS/1.0\r\n",
            b"NATS/1.0\r\nA: b\r\n",
            b"NATS/1.0\r\nA: b\n\r\n",
            b"NATS/1.0\r\nA: b\rC: d\r\n\r\n",
            b"NATS/1.0\r\nA: b\r\n\r\nC: d\r\n\r\n",
            b"NATS/1.0\r\nA : b\r\n\r\n",
            b"NATS/1.0\r\n A: b\r\n\r\n",
            b"NATS/1.0\r\nA\r\n\r\n",
            b"NATS/1.0 A: b\r\n\r\n",
            b"A: b\r\n\r\n",
        ];
        for bad in bad {
            assert!(!is_well_formed(bad), "{}", bad.escape_ascii());
        }
    }
}
