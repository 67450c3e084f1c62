//! Operations to bytes, appended to a buffer. Allocates nothing but the buffer's growth.
//!
//! Subjects, reply subjects, queue names and sids are written as they are: they come from a parser or were validated,
//! so that they hold no white space.

use super::{Connect, Info};

/// Appends `MSG`: a message without headers.
#[inline]
pub fn message(out: &mut Vec<u8>, subject: &[u8], sid: &[u8], reply: Option<&[u8]>, payload: &[u8]) {
    let reply_length = reply.map_or(0, |reply| reply.len() + 1);
    out.reserve(subject.len() + sid.len() + reply_length + payload.len() + SLACK);
    out.extend_from_slice(b"MSG ");
    target(out, subject, sid, reply);
    decimal(out, payload.len());
    end(out, payload);
}

/// Appends `HMSG`: a message whose header block is the parts one after the other, from `NATS/1.0` to the empty line.
#[inline]
pub fn message_with_headers(
    out: &mut Vec<u8>,
    subject: &[u8],
    sid: &[u8],
    reply: Option<&[u8]>,
    header_parts: &[&[u8]],
    payload: &[u8],
) {
    let headers = header_parts.iter().map(|part| part.len()).sum::<usize>();
    let reply_length = reply.map_or(0, |reply| reply.len() + 1);
    out.reserve(subject.len() + sid.len() + reply_length + headers + payload.len() + SLACK);
    out.extend_from_slice(b"HMSG ");
    target(out, subject, sid, reply);
    decimal(out, headers);
    out.push(b' ');
    decimal(out, headers + payload.len());
    out.extend_from_slice(b"\r\n");
    for part in header_parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends `INFO`.
pub fn info(out: &mut Vec<u8>, info: &Info) {
    json_line(out, b"INFO ", info);
}

/// Appends `-ERR` with the text in quotes.
pub fn error(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend(text.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
    out.extend_from_slice(b"'\r\n");
}

/// Appends `+OK`.
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Appends `PING`.
pub fn ping(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PING\r\n");
}

/// Appends `PONG`.
pub fn pong(out: &mut Vec<u8>) {
    out.extend_from_slice(b"PONG\r\n");
}

/// Appends `CONNECT`.
pub fn connect(out: &mut Vec<u8>, connect: &Connect) {
    json_line(out, b"CONNECT ", connect);
}

/// Appends `PUB`, or `HPUB` if there are headers (a whole block).
#[inline]
pub fn publish(out: &mut Vec<u8>, subject: &[u8], reply: Option<&[u8]>, headers: &[u8], payload: &[u8]) {
    let reply_length = reply.map_or(0, |reply| reply.len() + 1);
    out.reserve(subject.len() + reply_length + headers.len() + payload.len() + SLACK);
    out.extend_from_slice(if headers.is_empty() { b"PUB " } else { b"HPUB " });
    for word in [Some(subject), reply].into_iter().flatten() {
        out.extend_from_slice(word);
        out.push(b' ');
    }
    if !headers.is_empty() {
        decimal(out, headers.len());
        out.push(b' ');
    }
    decimal(out, headers.len() + payload.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends `SUB`.
pub fn subscribe(out: &mut Vec<u8>, subject: &[u8], queue: Option<&[u8]>, sid: &[u8]) {
    out.extend_from_slice(b"SUB ");
    out.extend_from_slice(subject);
    for word in [queue, Some(sid)].into_iter().flatten() {
        out.push(b' ');
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `UNSUB`; `None` means at once, a number after so many messages counted from the subscription's beginning.
pub fn unsubscribe(out: &mut Vec<u8>, sid: &[u8], max: Option<u64>) {
    out.extend_from_slice(b"UNSUB ");
    out.extend_from_slice(sid);
    if let Some(max) = max {
        out.push(b' ');
        decimal(out, usize::try_from(max).unwrap_or(usize::MAX));
    }
    out.extend_from_slice(b"\r\n");
}

/// What a frame has besides its words and bytes: the verb, spaces, line ends, and two numbers of up to 20 digits.
const SLACK: usize = 56;

/// `subject sid [reply] ` with a space after each.
#[inline]
fn target(out: &mut Vec<u8>, subject: &[u8], sid: &[u8], reply: Option<&[u8]>) {
    out.extend_from_slice(subject);
    out.push(b' ');
    out.extend_from_slice(sid);
    out.push(b' ');
    if let Some(reply) = reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
}

#[inline]
fn end(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends a number in decimal digits.
#[inline]
fn decimal(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[begin..]);
}

fn json_line(out: &mut Vec<u8>, verb: &[u8], value: &impl serde::Serialize) {
    out.extend_from_slice(verb);
    serde_json::to_writer(&mut *out, value).expect("maps with text keys are always JSON, and a Vec takes all");
    out.extend_from_slice(b"\r\n");
}
