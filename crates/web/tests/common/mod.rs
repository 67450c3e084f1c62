//! A server over a real orchestrator, and an HTTP client that hides nothing.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use werkpilot_core::agent::{Launch, ProcessKey};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::settings::{Dashboard, Settings};
use werkpilot_core::spec::{AgentSpec, Backoff, Program, Registry, StopPolicy};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::hands::Hands;
use werkpilot_runtime::{Handle, LoadFault, Loaded, Options};
use werkpilot_store::Store;
use werkpilot_web::{Bound, ConfigReport, Server, serve};

/// Hands that start nothing: what is launched stays on its way.
struct NoHands;

impl Hands for NoHands {
    fn launch(&self, _: Launch) {}
    fn stop(&self, _: ProcessKey, _: StopPolicy) {}
    fn probe(&self, _: u32, _: RunId, _: Arc<AgentSpec>, _: Vec<String>) {}
    fn kill_probe(&self, _: u32) {}
    fn hook(&self, _: u32, _: RunId, _: Arc<AgentSpec>, _: Arc<[u8]>, _: Vec<(String, String)>) {}
    fn kill_hook(&self, _: u32) {}
}

pub fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

pub fn job(agent: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::job_named(name(agent), Program::Shell(line.to_owned()));
    let fast = Duration::from_millis(10);
    spec.job_mut().unwrap().retry = Backoff { max: 1, initial: fast, factor: 1.0, cap: fast, jitter: 0.0 };
    spec
}

pub fn service(agent: &str, line: &str) -> AgentSpec {
    AgentSpec::service_named(name(agent), Program::Shell(line.to_owned()))
}

/// What a site is made of.
pub struct Plan {
    pub agents: Vec<AgentSpec>,
    /// Whether programs are really started.
    pub real: bool,
    /// Whether anything is kept on disk.
    pub kept: bool,
    pub dashboard: Dashboard,
    pub config_report: ConfigReport,
}

impl Plan {
    pub fn of(agents: Vec<AgentSpec>) -> Self {
        let dashboard = Dashboard { listen: ([127, 0, 0, 1], 0).into(), ..Dashboard::default() };
        Self { agents, real: false, kept: false, dashboard, config_report: Arc::new(|| json!({ "settings": [] })) }
    }

    pub fn real(agents: Vec<AgentSpec>) -> Self {
        Self { real: true, ..Self::of(agents) }
    }

    pub fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Runs a site, and the test on it.
    pub fn run<F: Future<Output = ()>>(self, test: impl FnOnce(Site) -> F) {
        let state = tempfile::TempDir::new().unwrap();
        let mut settings = Settings { dashboard: self.dashboard.clone(), ..Settings::default() };
        // Without hands no service is ever ready.
        settings.boot.layer_timeout = Duration::from_millis(if self.real { 2_000 } else { 10 });
        let loaded =
            Loaded { registry: Registry { agents: self.agents, ..Registry::default() }, settings, ..Loaded::default() };
        actix::System::new().block_on(async {
            let bound = Bound::bind(&self.dashboard, state.path()).unwrap();
            let (address, socket) = (bound.address(), bound.control_socket().to_owned());
            let faulty = Arc::new(|| Err(LoadFault::one("agents.toml:3:1: unknown key `naem`".to_owned())));
            let handle = werkpilot_runtime::start(Options {
                bus: Some(std::net::TcpListener::bind("127.0.0.1:0").unwrap()),
                store: self.kept.then(|| Store::open(state.path(), Timestamp::from_secs(1_800_000_000)).unwrap()),
                hands: if self.real { None } else { Some(Box::new(NoHands)) },
                ..Options::new(loaded, faulty, state.path())
            })
            .unwrap();
            let server = serve(bound, handle.clone(), self.config_report);
            let site = Site { address, socket, state: state.path().to_owned(), handle, server };
            wait_for("ready", async || site.get("/readyz").await.status == 200).await;
            test(site).await;
        });
    }
}

pub struct Site {
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub state: PathBuf,
    pub handle: Handle,
    pub server: Server,
}

impl Site {
    /// GET over TCP.
    pub async fn get(&self, path: &str) -> Response {
        self.tcp(&Request::new("GET", path)).await
    }

    /// GET over the control socket.
    pub async fn ask(&self, path: &str) -> Response {
        self.control(&Request::new("GET", path)).await
    }

    /// POST over the control socket.
    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.control(&Request { body, ..Request::new("POST", path) }).await
    }

    pub async fn tcp(&self, request: &Request) -> Response {
        exchange(TcpStream::connect(self.address).await.unwrap(), request).await
    }

    pub async fn control(&self, request: &Request) -> Response {
        exchange(UnixStream::connect(&self.socket).await.unwrap(), request).await
    }

    /// The head of an answer, which may stream on and on; of what went wrong, all.
    pub async fn tcp_head(&self, request: &Request) -> Response {
        head(TcpStream::connect(self.address).await.unwrap(), request).await
    }

    /// The same over the control socket.
    pub async fn control_head(&self, request: &Request) -> Response {
        head(UnixStream::connect(&self.socket).await.unwrap(), request).await
    }

    /// Logs a browser in: its cookie, and what it has to send with changes.
    pub async fn log_in(&self) -> (String, String) {
        let made = self.post("/api/v1/login-codes", &json!({})).await;
        let code = made.json()["code"].clone();
        let body = json!({ "code": code }).to_string().into_bytes();
        let answer = self.tcp(&Request { body, ..Request::new("POST", "/api/v1/session") }).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        (cookie, answer.json()["csrf"].as_str().unwrap().to_owned())
    }

    /// Makes a token: its secret and its id.
    pub async fn token(&self, name: &str, role: &str) -> (String, String) {
        let made = self.post("/api/v1/tokens", &json!({ "name": name, "role": role })).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let text = |field: &str| made.json()[field].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }

    /// Takes a token back.
    pub async fn revoke(&self, id: &str) {
        let answer = self.control(&Request::new("DELETE", &format!("/api/v1/tokens/{id}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// An open connection to the control socket on which a request was sent.
    pub async fn open(&self, path: &str) -> UnixStream {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        stream.write_all(&Request::new("GET", path).bytes()).await.unwrap();
        stream
    }
}

pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &'static str, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: vec![("Host", "localhost".to_owned())], body: Vec::new() }
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut lines = vec![format!("{} {} HTTP/1.1", self.method, self.path), "Connection: close".to_owned()];
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if self.method == "POST" {
            lines.push(format!("Content-Length: {}", self.body.len()));
        }
        let mut bytes = (lines.join("\r\n") + "\r\n\r\n").into_bytes();
        bytes.extend(&self.body);
        bytes
    }
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The problem document that it has to be.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail", "hint"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {problem}");
        }
        problem
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &Request) -> Response {
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(&request.bytes()).await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    read.expect("an answer within ten seconds").unwrap();
    parse(&bytes)
}

async fn head(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &Request) -> Response {
    let _ = stream.write_all(&request.bytes()).await;
    let mut bytes = Vec::new();
    let read = async {
        loop {
            let ended = stream.read_buf(&mut bytes).await.unwrap() == 0;
            let whole = bytes.windows(4).any(|four| four == b"\r\n\r\n");
            if ended || whole && parse(&bytes).status < 400 {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("an answer within ten seconds");
    parse(&bytes)
}

pub fn parse(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers: BTreeMap<String, String> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = &bytes[end + 4..];
    let chunked = headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked");
    let body = if chunked { unchunk(body) } else { body.to_vec() };
    Response { status, headers, body }
}

/// As much of a chunked body as has come.
pub fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        let Some(chunk) = rest.get(line + 2..line + 2 + size) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(line + 4 + size..).unwrap_or_default();
    }
    body
}

/// The only place that polls.
pub async fn wait_for(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited ten seconds in vain for: {what}");
}

pub fn write_log(state: &Path, agent: &str, lines: &[&str]) {
    use std::io::Write;
    let dir = state.join("logs").join(agent);
    std::fs::create_dir_all(&dir).unwrap();
    let mut file = std::fs::File::options().create(true).append(true).open(dir.join("current.log")).unwrap();
    for line in lines {
        writeln!(file, "2026-11-21T08:40:00.123Z 0123456789ab O {line}").unwrap();
    }
}
