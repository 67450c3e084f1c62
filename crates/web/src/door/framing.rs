//! Where a request ends and the next one begins, told strictly: what two programs could read in two ways is refused
//! before our parser sees it, so that nothing can be smuggled past a proxy (RFC 9112, 11.2).
//!
//! Takes bytes and keeps no more of them than the line that is not whole yet. Never does I/O, never reads a clock.

/// Bytes of a request's line and headers at most.
pub(super) const HEAD_LIMIT: usize = 16 * 1024;
/// Headers of a request at most: as many as the parser takes.
pub(super) const MOST_HEADERS: u32 = 96;
/// Bytes of the line that begins a chunk: sixteen digits and some.
const SIZE_LINE_LIMIT: usize = 20;
/// Digits of a length: what fits into 63 bits.
const MAX_DIGITS: usize = 18;

/// Why bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head is larger than [`HEAD_LIMIT`], or has more than [`MOST_HEADERS`].
    HeadTooLarge,
    /// It can be read in two ways, or in none.
    Malformed(&'static str),
    /// It did not come in time.
    Slow,
    /// TLS is spoken here, and that was something else.
    NotTls,
}

/// What the next byte will be part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A request that has not begun.
    Between,
    /// A request's line and headers.
    Head,
    /// Its body.
    Body,
}

/// Where the refused bytes begin, counted from those that were taken last, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// So many bytes belong to requests that are whole.
    pub whole: usize,
    pub refusal: Refusal,
}

#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: usize,
    headers: u32,
    /// The request line was there, and says HTTP/1.1 or 1.0.
    version: Option<Version>,
    length: Option<u64>,
    chunked: bool,
    host: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head(Head),
    Body(u64),
    ChunkSize,
    Chunk(u64),
    /// The end of line behind a chunk.
    ChunkEnd,
    /// The empty line behind the last chunk; there may be no trailers.
    LastLine,
}

/// The machine, one per connection.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// The line that is not whole yet.
    line: Vec<u8>,
}

impl Framing {
    pub fn new() -> Self {
        Self { state: State::Head(Head::default()), line: Vec::new() }
    }

    /// What the next byte will be part of.
    pub fn place(&self) -> Place {
        match self.state {
            State::Head(head) if head.bytes == 0 && self.line.is_empty() => Place::Between,
            State::Head(_) => Place::Head,
            _ => Place::Body,
        }
    }

    /// Takes what came. After a refusal nothing more may be taken.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let (mut at, mut whole) = (0, 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            match &mut self.state {
                State::Body(left) | State::Chunk(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    *left -= taken as u64;
                    at += taken;
                    if *left == 0 {
                        let chunked = matches!(self.state, State::Chunk(_));
                        self.state = if chunked { State::ChunkEnd } else { State::Head(Head::default()) };
                    }
                }
                _ => {
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        self.line.extend_from_slice(rest);
                        return self.check_part().map_err(|refusal| Refused { whole, refusal });
                    };
                    let mut line = std::mem::take(&mut self.line);
                    let read = if line.is_empty() {
                        self.line(&rest[..end])
                    } else {
                        line.extend_from_slice(&rest[..end]);
                        self.line(&line)
                    };
                    read.map_err(|refusal| Refused { whole, refusal })?;
                    at += end + 1;
                }
            }
            if self.place() == Place::Between {
                whole = at;
            }
        }
        Ok(())
    }

    /// A line that is not whole yet may not be too long already.
    fn check_part(&self) -> Result<(), Refusal> {
        match self.state {
            State::Head(head) if head.bytes + self.line.len() > HEAD_LIMIT => Err(Refusal::HeadTooLarge),
            State::Head(_) => Ok(()),
            _ if self.line.len() > SIZE_LINE_LIMIT => Err(Refusal::Malformed("the size of a chunk is no number")),
            _ => Ok(()),
        }
    }

    /// A line without its line feed.
    fn line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let bytes = line.len() + 1;
        if let State::Head(head) = &mut self.state {
            head.bytes += bytes;
            if head.bytes > HEAD_LIMIT {
                return Err(Refusal::HeadTooLarge);
            }
        }
        let Some(line) = line.strip_suffix(b"\r") else {
            return Err(Refusal::Malformed("a line ends without a carriage return"));
        };
        self.state = match self.state {
            State::Head(mut head) => match (head.version, line) {
                // RFC 9112, 2.2: an empty line before a request is to be ignored.
                (None, []) => State::Head(head),
                (None, line) => {
                    head.version = Some(request_line(line)?);
                    State::Head(head)
                }
                (Some(_), []) => body_of(head)?,
                (Some(version), line) => {
                    head.headers += 1;
                    if head.headers > MOST_HEADERS {
                        return Err(Refusal::HeadTooLarge);
                    }
                    header(line, version, &mut head)?;
                    State::Head(head)
                }
            },
            State::ChunkSize => match number(line, 16)? {
                0 => State::LastLine,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::LastLine if line.is_empty() => State::Head(Head::default()),
            State::LastLine => return Err(Refusal::Malformed("trailers are not taken")),
            _ => return Err(Refusal::Malformed("a chunk is longer than it says")),
        };
        Ok(())
    }
}

/// `GET /path HTTP/1.1`, a single space between each.
fn request_line(line: &[u8]) -> Result<Version, Refusal> {
    let bad = Refusal::Malformed("the request line is not METHOD, path and HTTP/1.1 with a space between each");
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad);
    };
    if method.is_empty() || !method.iter().copied().all(is_token) || target.is_empty() || !is_plain(target) {
        return Err(bad);
    }
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ => Err(bad),
    }
}

fn header(line: &[u8], version: Version, head: &mut Head) -> Result<(), Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Refusal::Malformed("a header goes on over a second line"));
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(Refusal::Malformed("a header without a colon"))?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err(Refusal::Malformed("a header's name has characters that names do not have"));
    }
    if !is_plain(value) {
        return Err(Refusal::Malformed("a header has a control character"));
    }
    if name.eq_ignore_ascii_case(b"content-length") {
        if head.length.is_some() {
            return Err(Refusal::Malformed("there are two Content-Length"));
        }
        head.length = Some(number(value, 10)?);
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        if head.chunked {
            return Err(Refusal::Malformed("there are two Transfer-Encoding"));
        }
        if version == Version::Http10 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Refusal::Malformed("Transfer-Encoding has to be chunked, in HTTP/1.1"));
        }
        head.chunked = true;
    } else if name.eq_ignore_ascii_case(b"host") && std::mem::replace(&mut head.host, true) {
        return Err(Refusal::Malformed("there are two Host"));
    }
    Ok(())
}

/// What comes behind a head that is whole.
fn body_of(head: Head) -> Result<State, Refusal> {
    match (head.length, head.chunked) {
        (Some(_), true) => Err(Refusal::Malformed("there are both Content-Length and Transfer-Encoding")),
        (None, true) => Ok(State::ChunkSize),
        (None | Some(0), false) => Ok(State::Head(Head::default())),
        (Some(length), false) => Ok(State::Body(length)),
    }
}

/// Digits only: no sign, no space, no extension behind it.
fn number(text: &[u8], base: u32) -> Result<u64, Refusal> {
    let digits = text.iter().all(|byte| char::from(*byte).is_digit(base));
    let good = !text.is_empty() && text.len() <= MAX_DIGITS && digits;
    let parsed = std::str::from_utf8(text).ok().filter(|_| good).and_then(|text| u64::from_str_radix(text, base).ok());
    parsed.ok_or(Refusal::Malformed("the length of a body is no number"))
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Without control characters but tabs.
fn is_plain(text: &[u8]) -> bool {
    text.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However the bytes are cut, the verdict is the same.
    fn verdict(bytes: &[u8]) -> Result<Place, Refusal> {
        let whole = take(bytes, bytes.len());
        for size in [1, 2, 3, 7, 64] {
            assert_eq!(take(bytes, size), whole, "{} in pieces of {size}", String::from_utf8_lossy(bytes));
        }
        whole
    }

    fn take(bytes: &[u8], size: usize) -> Result<Place, Refusal> {
        let mut framing = Framing::new();
        for piece in bytes.chunks(size.max(1)) {
            framing.take(piece).map_err(|refused| refused.refusal)?;
        }
        Ok(framing.place())
    }

    fn post(headers: &str, body: &str) -> Vec<u8> {
        format!("POST /x HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}").into_bytes()
    }

    #[test]
    fn plain_requests_pass_one_after_the_other() {
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.0\r\n\r\n".to_vec(),
            b"\r\nGET /x?y=%20 HTTP/1.1\r\nHost: a\r\nX:\r\nY: \tz \xc3\xbc\r\n\r\n".to_vec(),
            post("Content-Length: 3\r\n", "a\nb"),
            post("Content-Length: 0\r\n", ""),
            post("Transfer-Encoding: Chunked\r\n", "3\r\na\nb\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        ] {
            assert_eq!(verdict(&bytes), Ok(Place::Between), "{}", String::from_utf8_lossy(&bytes));
        }
        assert_eq!(verdict(b"GET / HTTP/1.1\r\nHost"), Ok(Place::Head));
        assert_eq!(verdict(b""), Ok(Place::Between));
        assert_eq!(verdict(&post("Content-Length: 4\r\n", "abc")), Ok(Place::Body));
        assert_eq!(verdict(&post("Transfer-Encoding: chunked\r\n", "0\r\n")), Ok(Place::Body));
    }

    #[test]
    fn what_two_programs_could_read_in_two_ways_is_refused() {
        for bytes in [
            post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"),
            post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
            post("Content-Length: 3, 3\r\n", "abc"),
            post("Content-Length: +3\r\n", "abc"),
            post("Content-Length: 0x3\r\n", "abc"),
            post("Content-Length: 3 4\r\n", "abc"),
            post("Content-Length:\r\n", "abc"),
            post("Content-Length: 9999999999999999999\r\n", "abc"),
            post("Content-Length: -1\r\n", ""),
            post("Content-Length : 3\r\n", "abc"),
            post(" Content-Length: 3\r\n", "abc"),
            post("X: y\r\n Content-Length: 3\r\n", "abc"),
            post("X: y\r\n\tz\r\n", ""),
            post("Transfer-Encoding: identity\r\n", ""),
            post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", "3;a=b\r\nabc\r\n0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", "3 \r\nabc\r\n0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", "3\nabc\r\n0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", "-1\r\n"),
            post("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n"),
            post("Transfer-Encoding: chunked\r\n", &"0".repeat(40)),
            post("Host: b\r\n", ""),
            post("X\r\n", ""),
            post(": x\r\n", ""),
            post("X: a\0b\r\n", ""),
            post("X: a\rY: b\r\n", ""),
            post("X Y: z\r\n", ""),
            post("X: y\n", ""),
            b"GET / HTTP/1.1\nHost: a\n\n".to_vec(),
            b"GET  / HTTP/1.1\r\n\r\n".to_vec(),
            b"GET / HTTP/1.1 \r\n\r\n".to_vec(),
            b"GET\t/ HTTP/1.1\r\n\r\n".to_vec(),
            b"GET / HTTP/2.0\r\n\r\n".to_vec(),
            b"GET /\r\n\r\n".to_vec(),
            b"GET / http/1.1\r\n\r\n".to_vec(),
            b"G(T / HTTP/1.1\r\n\r\n".to_vec(),
            b"GET /\x7f HTTP/1.1\r\n\r\n".to_vec(),
            b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\n".to_vec(),
        ] {
            let verdict = verdict(&bytes);
            assert!(matches!(verdict, Err(Refusal::Malformed(_))), "{verdict:?}: {}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn a_head_has_sixteen_kilobytes_and_no_more() {
        let of = |bytes: usize| {
            let begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
            format!("{begin}{}\r\n\r\n", "x".repeat(bytes - begin.len() - 4)).into_bytes()
        };
        assert_eq!(verdict(&of(HEAD_LIMIT)), Ok(Place::Between));
        assert_eq!(verdict(&of(HEAD_LIMIT + 1)), Err(Refusal::HeadTooLarge));
        let many = format!("GET / HTTP/1.1\r\n{}", "A: b\r\n".repeat(3_000));
        assert_eq!(verdict(many.as_bytes()), Err(Refusal::HeadTooLarge));
        assert_eq!(verdict("\r\n".repeat(10_000).as_bytes()), Err(Refusal::HeadTooLarge));
    }

    #[test]
    fn a_request_before_the_refused_one_is_told_apart_from_it() {
        let good = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        let both = [good.as_slice(), b"GET / HTTP/1.1\nHost: a\r\n\r\n"].concat();
        assert_eq!(Framing::new().take(&both).unwrap_err().whole, good.len());
    }

    #[test]
    fn nothing_is_kept_of_what_is_whole() {
        let mut framing = Framing::new();
        for _ in 0..3 {
            framing.take(&post("Content-Length: 3\r\n", "abc")).unwrap();
            assert_eq!(framing.line.capacity(), 0);
        }
    }
}
