//! One POST: connect, sign, send, read the status. A connection per message, no redirects, no proxy; of the answer only
//! the head is read, and that is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use werkpilot_core::notifications::WebhookUrl;

use super::answer::{Answer, Fault, of_status};
use super::message::Message;
use crate::clock::Clock;

/// Bytes of an answer's head at most (hyper's least is 8 KiB).
const MAX_HEAD: usize = 16 * 1024;
/// The longest key. RFC 2104 uses no more than a block, 64 bytes, of it without hashing it first.
const MAX_KEY: u64 = 4 * 1024;

const CLOUD_EVENT: &str = "application/cloudevents+json; charset=utf-8";
const AGENT: &str = concat!("werkpilot/", env!("CARGO_PKG_VERSION"));

/// A POST that is to be made.
#[derive(Debug)]
pub struct Post {
    pub url: WebhookUrl,
    pub secret_file: Option<std::path::PathBuf>,
    pub timeout: Duration,
    pub message: Message,
}

/// Makes it. `tls` gives the settings of TLS, which are made when they are needed first.
pub async fn deliver(post: &Post, tls: impl FnOnce() -> Result<Arc<ClientConfig>, Fault>) -> Answer {
    let begun = Instant::now();
    let result = timeout(post.timeout, attempt(post, tls)).await.unwrap_or_else(|_| {
        let error = format!("{} did not answer within {} ms", post.url, post.timeout.as_millis());
        Err(Fault::new(error).hint("look whether it hangs, or set a longer `timeout`"))
    });
    Answer::of(result, begun.elapsed())
}

async fn attempt(post: &Post, tls: impl FnOnce() -> Result<Arc<ClientConfig>, Fault>) -> Result<i32, Fault> {
    let url = &post.url;
    let request = request(post)?;
    let stream = TcpStream::connect((url.host(), url.port())).await.map_err(|error| unreachable(url, &error))?;
    // The head and the body are two writes.
    let _ = stream.set_nodelay(true);
    if !url.is_tls() {
        return exchange(stream, request, url).await;
    }
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|_| Fault::new(format!("the host of {url} can't be in a certificate")))?;
    let connector = TlsConnector::from(tls()?);
    let stream = connector.connect(name, stream).await.map_err(|error| {
        Fault::new(format!("no TLS with {url}: {error}"))
            .hint("for a certificate of your own authority, add it to those of the system, or name it in SSL_CERT_FILE")
    })?;
    exchange(stream, request, url).await
}

fn unreachable(url: &WebhookUrl, error: &io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there: start the endpoint, or correct the port in `url`",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "look at the network and its routes",
        // getaddrinfo's faults have no kind of their own.
        _ if error.raw_os_error().is_none() => "check the host in `url`, and the name servers of this machine",
        _ => "look at the network, and at what is between",
    };
    Fault::new(format!("no connection to {url}: {error}")).hint(hint)
}

fn request(post: &Post) -> Result<Request<Full<Bytes>>, Fault> {
    let timestamp = (Clock::wall().as_millis() / 1_000).to_string();
    let body = Bytes::copy_from_slice(&post.message.body);
    let mut request = Request::post(post.url.secret_path())
        .header(HOST, post.url.authority())
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, CLOUD_EVENT)
        .header("werkpilot-delivery", &post.message.delivery)
        .header("werkpilot-timestamp", &timestamp);
    if let Some(path) = &post.secret_file {
        let key = read_key(path)?;
        request = request.header("werkpilot-signature", signature(&key, &timestamp, &body));
    }
    if let Some((user, password)) = post.url.secret_credentials() {
        let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
            .expect("base64 is in the set of header values");
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    // What the parser of the address let through and the client does not take is told without showing it.
    request.body(Full::new(body)).map_err(|_| Fault::new("the path of `url` is none").hint("write it with %XX"))
}

/// `sha256=<hex>` of `timestamp.body`.
fn signature(key: &[u8], timestamp: &str, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(timestamp.as_bytes());
    context.update(b".");
    context.update(body);
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'));
    "sha256=".chars().chain(context.sign().as_ref().iter().flat_map(digits)).collect()
}

/// The key, without one newline at its end. A FIFO would block for ever, so it has to be a file.
fn read_key(path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |what: &str| {
        Fault::new(format!("failed to read secret_file {}: {what}", path.display()))
            .hint("write the key into that file, readable for the user that runs werkpilot")
    };
    let read = || {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut key = Vec::new();
        File::open(path)?.take(MAX_KEY + 1).read_to_end(&mut key)?;
        Ok(key)
    };
    let mut key = read().map_err(|error| fault(&error.to_string()))?;
    if key.last() == Some(&b'\n') {
        key.pop();
    }
    match u64::try_from(key.len()) {
        Ok(0) => Err(fault("it is empty")),
        Ok(1..=MAX_KEY) => Ok(key),
        _ => Err(fault("it is larger than 4 KiB")),
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
    url: &WebhookUrl,
) -> Result<i32, Fault> {
    let no_http = |error: hyper::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        Fault::new(format!("no HTTP with {url}: {cause}")).hint("look whether the port is that of the endpoint")
    };
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(no_http)?;
    // It ends with the answer: what is left of a body is not read.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(no_http);
    connection.abort();
    let answer = answer?;
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    of_status(StatusCode::as_u16(&answer.status()), retry_after)
}

/// The settings of TLS with the certificates of this system, as `SSL_CERT_FILE` and `SSL_CERT_DIR` have it.
pub fn tls() -> Result<Arc<ClientConfig>, Fault> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let fault = Fault::new(format!("this system has no certificates to check {} with{why}", "https"));
        return Err(fault.hint("install the package ca-certificates, or set SSL_CERT_FILE"));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| Fault::new(format!("failed to set up TLS: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_other_implementations() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        let expected = "sha256=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03";
        assert_eq!(signature(b"key", "1700000000", b"{\"a\":1}"), expected);
    }

    #[test]
    fn a_key_is_a_file_that_is_neither_empty_nor_large() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_key(&path).map_err(|fault| fault.error.contains("secret_file"))
        };
        assert_eq!(read(b"canary\n"), Ok(b"canary".to_vec()));
        assert_eq!((read(b""), read(b"\n"), read(&[b'x'; 5_000])), (Err(true), Err(true), Err(true)));
        assert!(read_key(folder.path()).is_err() && read_key(&folder.path().join("nowhere")).is_err());
    }
}
