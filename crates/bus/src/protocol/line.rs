//! What both parsers share: the control line, its arguments, the payload after it.

use super::ProtocolError;

/// What a connection may send at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest arguments of a control line, in bytes, without verb and line end.
    pub max_control_line: usize,
    /// The largest headers and payload together, in bytes.
    pub max_payload: usize,
}

impl Default for Limits {
    /// The defaults of nats-server: 4 KiB and 1 MiB.
    fn default() -> Self {
        Self { max_control_line: 4096, max_payload: 1 << 20 }
    }
}

impl Limits {
    /// For a client, which trusts its server more: an INFO line lists addresses of a whole cluster, and the server's
    /// `max_payload` is known only afterwards.
    pub const CLIENT: Self = Self { max_control_line: 1 << 20, max_payload: 64 << 20 };
}

/// What the beginning of a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<T> {
    /// A whole frame.
    Op {
        /// What it says.
        op: T,
        /// How many bytes of the buffer it takes up; the next frame begins there.
        length: usize,
    },
    /// The beginning of a frame.
    Incomplete {
        /// How many bytes the buffer must hold, in total, before parsing again makes sense: one more than now while
        /// the control line has no end, the whole frame afterwards.
        at_least: usize,
    },
}

/// One operation's name on the wire, and how its line goes on.
pub(super) struct Verb<K> {
    pub(super) word: &'static str,
    pub(super) kind: K,
    /// A space or tab has to follow.
    pub(super) spaced: bool,
}

/// The verb that the buffer begins with, or `None` while it may still become one. A byte that fits none is refused
/// at once.
pub(super) fn verb<'v, K>(buffer: &[u8], verbs: &'v [Verb<K>]) -> Result<Option<&'v Verb<K>>, ProtocolError> {
    let mut may_become = false;
    for verb in verbs {
        let word = verb.word.as_bytes();
        match buffer.get(..word.len()) {
            Some(start) if start.eq_ignore_ascii_case(word) => match buffer.get(word.len()) {
                Some(b' ' | b'\t') => return Ok(Some(verb)),
                Some(_) if !verb.spaced => return Ok(Some(verb)),
                None => may_become = true,
                Some(_) => {}
            },
            None if buffer.eq_ignore_ascii_case(&word[..buffer.len()]) => may_become = true,
            _ => {}
        }
    }
    if may_become { Ok(None) } else { Err(ProtocolError::UnknownOperation) }
}

/// A control line after its verb.
pub(super) struct Line<'a> {
    /// Everything up to the line end, without white space around it.
    pub(super) arguments: &'a [u8],
    /// Where the next line, or the payload, begins.
    pub(super) end: usize,
}

/// The rest of the line that begins at `start`, or `None` while it has no end.
#[inline]
pub(super) fn rest<'a>(buffer: &'a [u8], start: usize, limits: &Limits) -> Result<Option<Line<'a>>, ProtocolError> {
    let too_long = ProtocolError::MaxControlLine { limit: limits.max_control_line };
    let tail = &buffer[start..];
    // The space after the verb and the two bytes of the line end do not count.
    let longest = limits.max_control_line.saturating_add(3);
    match memchr::memchr(b'\n', &tail[..tail.len().min(longest)]) {
        Some(at) => {
            let arguments = trim(&tail[..at]);
            if arguments.len() > limits.max_control_line {
                return Err(too_long);
            }
            Ok(Some(Line { arguments, end: start + at + 1 }))
        }
        None if tail.len() >= longest => Err(too_long),
        None => Ok(None),
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// The bytes without spaces, tabs and CRs around them.
#[inline]
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_space(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_space(*last)
    {
        bytes = rest;
    }
    bytes
}

/// The text of an `-ERR` line.
pub(super) fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"'").and_then(|text| text.strip_suffix(b"'")).unwrap_or(text)
}

/// The most arguments that any operation has (`HMSG`).
const MOST: usize = 5;

/// The arguments of a line, split at white space: at most [`MOST`].
pub(super) struct Arguments<'a> {
    words: [&'a [u8]; MOST],
    count: usize,
}

impl<'a> Arguments<'a> {
    /// Splits a line; `None` when there are more than any operation has.
    #[inline]
    pub(super) fn split(line: &'a [u8]) -> Option<Self> {
        let mut words: [&[u8]; MOST] = [&[]; MOST];
        let (mut count, mut begin) = (0, 0);
        for (at, &byte) in line.iter().enumerate() {
            if is_space(byte) {
                if begin < at {
                    *words.get_mut(count)? = &line[begin..at];
                    count += 1;
                }
                begin = at + 1;
            }
        }
        if begin < line.len() {
            *words.get_mut(count)? = &line[begin..];
            count += 1;
        }
        Some(Self { words, count })
    }

    /// The arguments, in order.
    #[inline]
    pub(super) fn words(&self) -> &[&'a [u8]] {
        &self.words[..self.count]
    }
}

/// A number in decimal digits; the largest one where it is larger than that. `None` for anything else, a sign included.
#[inline]
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then(|| number.saturating_mul(10).saturating_add(u64::from(digit)))
    })
}

/// A size in decimal digits, at most the limit.
#[inline]
pub(super) fn size(digits: &[u8], verb: &'static str, limits: &Limits) -> Result<usize, ProtocolError> {
    let size = number(digits).ok_or(ProtocolError::BadArguments { verb })?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > limits.max_payload {
        return Err(ProtocolError::MaxPayload { size, limit: limits.max_payload });
    }
    Ok(size)
}

/// Headers and payload, as a frame carries them after its control line.
pub(super) struct Body<'a> {
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
    /// The end of the frame, its CR LF included.
    pub(super) end: usize,
}

/// The `size` bytes from `start` on, with CR LF after them; `Err` says how long the buffer has to be for that.
#[inline]
pub(super) fn body(
    buffer: &[u8],
    start: usize,
    headers: usize,
    size: usize,
) -> Result<Result<Body<'_>, usize>, ProtocolError> {
    let end = start.saturating_add(size).saturating_add(2);
    if buffer.len() < end {
        return Ok(Err(end));
    }
    if buffer[end - 2..end] != *b"\r\n" {
        return Err(ProtocolError::PayloadEnd { size });
    }
    let (headers, payload) = buffer[start..end - 2].split_at(headers);
    Ok(Ok(Body { headers, payload, end }))
}
