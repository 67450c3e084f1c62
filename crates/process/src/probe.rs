//! Probes of readiness and health over the network. Each is one future with a time-out of its own.
//!
//! The HTTP client is as small as a probe: one GET over `http://`, `Connection: close`, and of the answer only the
//! status line is read.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Bytes within which the status line has to end.
const MAX_STATUS_LINE: usize = 1024;

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
    /// An answer other than 2xx.
    #[error("{target} answered {code}")]
    Status {
        /// Who was asked.
        target: String,
        /// The HTTP status.
        code: u16,
    },
    /// An answer that is not HTTP.
    #[error("{target} did not answer in HTTP")]
    NotHttp {
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
    bounded(address, within, async { TcpStream::connect(address).await.map(drop).map_err(io_error(address)) }).await
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

async fn get(url: &str, target: &Target<'_>) -> Result<(), ProbeError> {
    let mut stream = TcpStream::connect(target.address()).await.map_err(io_error(url))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: werkpilot\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        target.path, target.authority
    );
    stream.write_all(request.as_bytes()).await.map_err(io_error(url))?;
    let (mut answer, mut length) = ([0; MAX_STATUS_LINE], 0);
    while length < answer.len() && !answer[..length].contains(&b'\n') {
        match stream.read(&mut answer[length..]).await.map_err(io_error(url))? {
            0 => break,
            read => length += read,
        }
    }
    match status(&answer[..length]) {
        Some(200..=299) => Ok(()),
        Some(code) => Err(ProbeError::Status { target: url.to_owned(), code }),
        None => Err(ProbeError::NotHttp { target: url.to_owned() }),
    }
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

    /// Serves one connection with `answer`, and keeps it open where `stall`.
    async fn server(answer: &'static [u8], stall: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer).await.unwrap();
            if stall {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    async fn probe(answer: &'static [u8], stall: bool) -> Result<(), String> {
        let address = server(answer, stall).await;
        let result = http(&format!("http://{address}/health?x=1"), WITHIN).await;
        result.map_err(|error| error.to_string().replace(&address, "X"))
    }

    #[tokio::test]
    async fn only_2xx_is_well() {
        assert_eq!(probe(b"HTTP/1.1 204 No Content\r\n\r\n", true).await, Ok(()));
        let refused = probe(b"HTTP/1.0 503 Service Unavailable\r\n\r\n", false).await;
        assert_eq!(refused, Err("http://X/health?x=1 answered 503".to_owned()));
    }

    #[tokio::test]
    async fn silence_garbage_and_floods_are_failures() {
        let silent = probe(b"", true).await;
        assert_eq!(silent, Err("no answer from http://X/health?x=1 within 500 ms".to_owned()));
        let not_http = Err("http://X/health?x=1 did not answer in HTTP".to_owned());
        assert_eq!(probe(b"SSH-2.0-x\r\n", false).await, not_http);
        assert_eq!(probe(&[b'x'; 5_000], true).await, not_http);
    }

    #[tokio::test]
    async fn a_port_is_open_or_says_why_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert!(tcp(&address, WITHIN).await.is_ok());
        drop(listener);
        let error = tcp(&address, WITHIN).await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
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
