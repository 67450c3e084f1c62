//! Probes of readiness and health over the network. Each is one future with a time-out of its own.
//!
//! The HTTP client is as small as a probe: one GET over `http://`, `Connection: close`, and of the answer only the head is
//! read, at most [`MAX_HEAD`] of it; a body may be as long as it likes. Redirects are not followed: where they lead may be
//! well while the agent is not.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Bytes within which the status line has to end.
const MAX_STATUS_LINE: usize = 1024;
/// Bytes within which the head of an answer has to end: twice what common servers and clients allow.
pub const MAX_HEAD: usize = 16 << 10;
/// What is read at a time: nearly every head fits.
const CHUNK: usize = 1024;
/// Characters of a `Location` that are told.
const MAX_LOCATION: usize = 200;
/// Names that are looked up at a time. A lookup occupies a thread until the resolver gives up, long after the probe did.
static LOOKUPS: Semaphore = Semaphore::const_new(8);

/// Why a probe failed. The texts say what was found, after "the probe failed:".
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No answer in time.
    #[error("no answer from {target} within {} ms", after.as_millis())]
    TimedOut {
        /// Who was asked.
        target: String,
        /// How long was waited.
        after: Duration,
    },
    /// No connection, or it was cut.
    #[error("{target}: {source}")]
    Io {
        /// Who was asked.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A host name without an address.
    #[error("{target}: no address was found for {host}{}", .reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Unresolved {
        /// Who was asked.
        target: String,
        /// Whose address was looked for.
        host: String,
        /// What the resolver said.
        reason: Option<String>,
    },
    /// An answer other than 2xx.
    #[error("{target} answered {code}")]
    Status {
        /// Who was asked.
        target: String,
        /// The HTTP status.
        code: u16,
    },
    /// A redirect. It is not followed.
    #[error("{target} answered {code}, which is not followed: Location: {location}")]
    Redirected {
        /// Who was asked.
        target: String,
        /// The HTTP status.
        code: u16,
        /// Where it leads, or `none`.
        location: String,
    },
    /// An answer that is not HTTP.
    #[error("{target} did not answer in HTTP")]
    NotHttp {
        /// Who was asked.
        target: String,
    },
    /// An answer whose head is cut off, or nothing at all.
    #[error("{target} closed the connection {}", if *.answered { "within the head of its answer" } else { "without an answer" })]
    Closed {
        /// Who was asked.
        target: String,
        /// Whether there was some answer.
        answered: bool,
    },
    /// An answer whose head does not end.
    #[error("{target} sent more than {} KiB of headers", MAX_HEAD >> 10)]
    EndlessHead {
        /// Who was asked.
        target: String,
    },
    /// The URL cannot be probed.
    #[error("`{url}` is no URL of the form http://host[:port][/path]")]
    BadUrl {
        /// As configured.
        url: String,
    },
}

/// Whether `host:port` accepts a connection.
///
/// # Errors
/// [`ProbeError`] says what was found instead.
pub async fn tcp(address: &str, within: Duration) -> Result<(), ProbeError> {
    bounded(address, within, async { connect(address, address).await.map(drop) }).await
}

/// Whether an `http://` URL answers with 2xx.
///
/// # Errors
/// [`ProbeError`] says what was found instead.
pub async fn http(url: &str, within: Duration) -> Result<(), ProbeError> {
    let target = Target::parse(url).ok_or_else(|| ProbeError::BadUrl { url: url.to_owned() })?;
    bounded(url, within, get(url, &target)).await
}

async fn bounded(
    target: &str,
    within: Duration,
    probe: impl Future<Output = Result<(), ProbeError>>,
) -> Result<(), ProbeError> {
    let late = |_| ProbeError::TimedOut { target: target.to_owned(), after: within };
    timeout(within, probe).await.map_err(late)?
}

fn io_error(target: &str) -> impl Fn(io::Error) -> ProbeError + '_ {
    |source| ProbeError::Io { target: target.to_owned(), source }
}

/// To the first address that answers.
async fn connect(target: &str, address: &str) -> Result<TcpStream, ProbeError> {
    if let Ok(address) = address.parse::<SocketAddr>() {
        return TcpStream::connect(address).await.map_err(io_error(target));
    }
    let unresolved = |reason| ProbeError::Unresolved { target: target.to_owned(), host: address.to_owned(), reason };
    let mut failure = unresolved(None);
    for address in look_up(address).await.map_err(|error| unresolved(Some(error.to_string())))? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = io_error(target)(error),
        }
    }
    Err(failure)
}

async fn look_up(address: &str) -> io::Result<Vec<SocketAddr>> {
    let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let name = address.to_owned();
    let lookup = tokio::task::spawn_blocking(move || {
        let _until_it_ends = permit;
        name.to_socket_addrs().map(Vec::from_iter)
    });
    lookup.await.map_err(io::Error::other)?
}

async fn get(url: &str, target: &Target<'_>) -> Result<(), ProbeError> {
    let mut stream = connect(url, &target.address()).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: werkpilot\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        target.path, target.authority
    );
    stream.write_all(request.as_bytes()).await.map_err(io_error(url))?;
    let head = read_head(url, &mut stream).await?;
    match status(&head) {
        Some(200..=299) => Ok(()),
        Some(code @ 300..=399) => {
            Err(ProbeError::Redirected { target: url.to_owned(), code, location: location(&head) })
        }
        Some(code) => Err(ProbeError::Status { target: url.to_owned(), code }),
        None => Err(ProbeError::NotHttp { target: url.to_owned() }),
    }
}

/// The head of the answer, with a good status line.
async fn read_head(url: &str, stream: &mut TcpStream) -> Result<Vec<u8>, ProbeError> {
    let not_http = || ProbeError::NotHttp { target: url.to_owned() };
    let mut head = Vec::with_capacity(CHUNK);
    loop {
        let seen = head.len();
        let read = stream.read_buf(&mut head).await.map_err(io_error(url))?;
        if read == 0 {
            return Err(ProbeError::Closed { target: url.to_owned(), answered: seen > 0 });
        }
        let line_over = head.iter().take(MAX_STATUS_LINE).any(|byte| *byte == b'\n');
        if (line_over && status(&head).is_none()) || (!line_over && head.len() >= MAX_STATUS_LINE) {
            return Err(not_http());
        }
        // An empty line that begins in what was there before counts, too.
        let end = &head[seen.saturating_sub(3)..];
        if end.windows(4).any(|four| four == b"\r\n\r\n") || end.windows(2).any(|two| two == b"\n\n") {
            return Ok(head);
        }
        if head.len() >= MAX_HEAD {
            return Err(ProbeError::EndlessHead { target: url.to_owned() });
        }
        head.reserve(CHUNK);
    }
}

/// The value of `Location`, fit to be shown.
fn location(head: &[u8]) -> String {
    let text = String::from_utf8_lossy(head);
    let value = text.lines().skip(1).take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("location").then(|| value.trim().to_owned())
    });
    let shown = |value: String| value.chars().filter(|c| !c.is_control()).take(MAX_LOCATION).collect();
    value.map_or_else(|| "none".to_owned(), shown)
}

/// The code of a status line (RFC 9112, 4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\n').next()?).ok()?;
    let (version, rest) = line.split_once(' ')?;
    let code = rest.get(..3)?.parse().ok()?;
    version.starts_with("HTTP/1.").then_some(code)
}

/// The parts of an `http://` URL.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    authority: &'a str,
    path: &'a str,
}

impl<'a> Target<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let rest = rest.split('#').next()?;
        let slash = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(slash);
        let good = !authority.is_empty() && !authority.contains(['@', '?']);
        good.then_some(Self { authority, path: if path.is_empty() { "/" } else { path } })
    }

    /// `host:port`, as the resolver takes it.
    fn address(&self) -> String {
        let after_brackets = self.authority.rfind(']').map_or(self.authority, |end| &self.authority[end..]);
        if after_brackets.contains(':') { self.authority.to_owned() } else { format!("{}:80", self.authority) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const WITHIN: Duration = Duration::from_millis(500);

    /// Serves one connection with `answer`, again and again where `endless`, and keeps it open where `stall`.
    async fn server(answer: &'static [u8], stall: bool, endless: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer).await.unwrap();
            // Until the probe has had enough.
            while endless && stream.write_all(b"X-More: and more of it\r\n").await.is_ok() {}
            if stall {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    async fn ask(answer: &'static [u8], stall: bool, endless: bool) -> Result<(), String> {
        let address = server(answer, stall, endless).await;
        let result = http(&format!("http://{address}/health?x=1"), WITHIN).await;
        result.map_err(|error| error.to_string().replace(&address, "X").replace("http://X/health?x=1", "U"))
    }

    async fn probe(answer: &'static [u8], stall: bool) -> Result<(), String> {
        ask(answer, stall, false).await
    }

    fn fails(text: &str) -> Result<(), String> {
        Err(text.to_owned())
    }

    #[tokio::test]
    async fn only_2xx_is_well() {
        assert_eq!(probe(b"HTTP/1.1 204 No Content\r\n\r\n", true).await, Ok(()));
        assert_eq!(probe(b"HTTP/1.0 200\nA: b\n\n", true).await, Ok(()), "bare line ends are good enough");
        assert_eq!(probe(b"HTTP/1.0 503 Service Unavailable\r\n\r\n", false).await, fails("U answered 503"));
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_says_where_it_leads() {
        let moved = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLOCATION:  http://elsewhere/well\r\n\r\n";
        let told = "U answered 302, which is not followed: Location: http://elsewhere/well";
        assert_eq!(probe(moved, false).await, fails(told));
        let nowhere = probe(b"HTTP/1.1 304 Not Modified\r\n\r\nLocation: in the body\r\n", false).await;
        assert_eq!(nowhere, fails("U answered 304, which is not followed: Location: none"));
    }

    #[tokio::test]
    async fn silence_garbage_and_floods_are_failures() {
        assert_eq!(probe(b"", true).await, fails("no answer from U within 500 ms"));
        assert_eq!(probe(b"HTTP/1.1 200 OK\r\nA: b\r\n", true).await, fails("no answer from U within 500 ms"));
        assert_eq!(probe(b"SSH-2.0-x\r\n", false).await, fails("U did not answer in HTTP"));
        assert_eq!(probe(&[b'x'; 5_000], true).await, fails("U did not answer in HTTP"));
        assert_eq!(probe(b"", false).await, fails("U closed the connection without an answer"));
        let cut = probe(b"HTTP/1.1 200 OK\r\nA: ", false).await;
        assert_eq!(cut, fails("U closed the connection within the head of its answer"));
    }

    #[tokio::test]
    async fn headers_without_end_are_a_failure_and_a_body_without_end_is_not_read() {
        assert_eq!(ask(b"HTTP/1.1 200 OK\r\n", false, true).await, fails("U sent more than 16 KiB of headers"));
        assert_eq!(ask(b"HTTP/1.1 200 OK\r\n\r\n", false, true).await, Ok(()));
    }

    #[tokio::test]
    async fn a_port_is_open_or_says_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(tcp(&address, WITHIN).await.is_ok());
        let by_name = address.replace("127.0.0.1", "localhost");
        assert!(tcp(&by_name, Duration::from_secs(10)).await.is_ok());
        drop(listener);
        let error = tcp(&address, WITHIN).await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
    }

    #[tokio::test]
    async fn a_name_without_an_address_says_so() {
        // RFC 6761: there is never such a host.
        let error = http("http://nobody.invalid:1/", Duration::from_secs(20)).await.unwrap_err().to_string();
        let known = ["http://nobody.invalid:1/: no address was found for nobody.invalid:1: ", "no answer from "];
        assert!(known.iter().any(|text| error.starts_with(text)), "{error}");
    }

    #[test]
    fn urls_are_taken_apart() {
        let cases = [
            ("http://localhost", Some(("localhost:80", "/"))),
            ("http://[::1]:8080/a?b#c", Some(("[::1]:8080", "/a?b"))),
            ("http://[::1]/", Some(("[::1]:80", "/"))),
            ("https://localhost/", None),
            ("http:///x", None),
            ("http://a b/", None),
            ("http://user@host/", None),
            ("http://h/\r\nX: y", None),
        ];
        for (url, expected) in cases {
            let target = Target::parse(url);
            let found = target.as_ref().map(|target| (target.address(), target.path));
            assert_eq!(found, expected.map(|(address, path)| (address.to_owned(), path)), "{url}");
        }
    }
}
