//! An endpoint for webhooks: keeps what it is sent, and answers as the test wants.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::{PATIENCE, wait_for};

/// What an endpoint was sent.
#[derive(Clone, Debug)]
pub struct Received {
    /// `POST /path?query HTTP/1.1`
    pub line: String,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of this name, in lower case; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    /// Whether it is signed with this key, and not long ago.
    pub fn is_signed_with(&self, key: &str) -> bool {
        let timestamp = self.header("werkpilot-timestamp");
        let signed = [timestamp.as_bytes(), b".", &self.body].concat();
        let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes()), &signed);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let fresh = timestamp.parse().is_ok_and(|at: u64| now.abs_diff(at) < PATIENCE.as_secs() * 2);
        let hex = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let hex: String = hex.filter_map(|digit| char::from_digit(digit.into(), 16)).collect();
        fresh && self.header("werkpilot-signature") == format!("sha256={hex}")
    }
}

/// How an endpoint answers.
#[derive(Clone, Debug)]
pub enum Manner {
    /// With this status, and lines of its head.
    Status(u16, &'static str),
    /// Not at all, until the other end gives up.
    Hang,
    /// With bytes that are no HTTP, without an end.
    Babble,
}

#[derive(Debug)]
struct Shared {
    received: Mutex<Vec<Received>>,
    manner: Mutex<Manner>,
    stopped: AtomicBool,
    tls: Option<Arc<ServerConfig>>,
}

/// An endpoint, until it is dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that the endpoint's certificate is made of: `ca.pem` is who signed it.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tls").join(name)
}

impl Endpoint {
    /// One that answers 204, on any port.
    pub fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), None)
    }

    /// The same with TLS: a certificate for localhost of an authority that no system knows.
    ///
    /// # Panics
    /// If the certificate can't be read.
    pub fn start_tls() -> Self {
        let chain = CertificateDer::from_pem_file(certificate("localhost.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(certificate("localhost.key")).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config =
            builder.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key).expect("a pair");
        Self::at(([127, 0, 0, 1], 0).into(), Some(Arc::new(config)))
    }

    /// One where another one was, or nobody yet.
    ///
    /// # Panics
    /// If the port can't be had.
    pub fn at(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = wait_for("a port for the endpoint", PATIENCE, || TcpListener::bind(address).ok());
        let shared = Arc::new(Shared {
            received: Mutex::default(),
            manner: Mutex::new(Manner::Status(204, "")),
            stopped: AtomicBool::new(false),
            tls,
        });
        let address = listener.local_addr().expect("an address");
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if served.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let served = served.clone();
                thread::spawn(move || serve(&served, stream));
            }
        });
        Self { address, shared }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL with this path.
    pub fn url(&self, path: &str) -> String {
        match self.shared.tls {
            Some(_) => format!("https://localhost:{}{path}", self.address.port()),
            None => format!("http://{}{path}", self.address),
        }
    }

    /// Answers so from now on.
    pub fn set(&self, manner: Manner) {
        *lock(&self.shared.manner) = manner;
    }

    /// All that it was sent, whatever it answered.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).clone()
    }

    /// Waits until it was sent so many.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        wait_for(&format!("{count} messages at the endpoint"), PATIENCE, || {
            Some(self.received()).filter(|received| received.len() >= count)
        })
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // So that it looks.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(shared: &Shared, stream: TcpStream) {
    // Whatever the other end does, the test tells by what was received.
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let _ = match &shared.tls {
        Some(config) => match ServerConnection::new(config.clone()) {
            Ok(connection) => answer(shared, StreamOwned::new(connection, stream)),
            Err(error) => Err(io::Error::other(error)),
        },
        None => answer(shared, stream),
    };
}

fn answer(shared: &Shared, stream: impl Read + Write) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut received = Received { line: line.trim().to_owned(), headers, body: Vec::new() };
    received.body = vec![0; received.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut received.body)?;
    let manner = lock(&shared.manner).clone();
    lock(&shared.received).push(received);
    let stream = stream.get_mut();
    match manner {
        Manner::Status(status, lines) => {
            let head = format!("HTTP/1.1 {status} X\r\n{lines}Content-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())?;
            stream.flush()
        }
        Manner::Hang => stream.read(&mut [0; 1]).map(|_| ()),
        Manner::Babble => loop {
            stream.write_all(&[b'x'; 4_096])?;
            thread::sleep(Duration::from_millis(1));
        },
    }
}
