//! The real binary with a fleet, on a core of its own, and simple questions to it.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A command on one core, where there are several.
pub fn on_core(core: usize, program: &Path) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.arg("-c").arg(core.to_string()).arg(program);
    command
}

/// Moves this thread to the core of the clients.
pub fn be_the_client() {
    if std::thread::available_parallelism().map_or(1, usize::from) >= 2 {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(1);
        let _ = rustix::thread::sched_setaffinity(None, &cores);
    }
}

/// A running orchestrator, ended when dropped.
pub struct Fleet {
    child: Child,
    dir: tempfile::TempDir,
    pub address: SocketAddr,
}

impl Fleet {
    /// Starts so many services that pause, and jobs that run whenever they are triggered.
    pub fn start(binary: &Path, pause: &Path, services: usize, jobs: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let registry = dir.path().join("registry");
        std::fs::create_dir(&registry).expect("a folder");
        std::fs::write(registry.join("fleet.toml"), text(pause, services, jobs)).expect("the registry");
        let state = dir.path().join("state");
        let mut command = on_core(0, binary);
        command.args(["up", "--set", "dashboard.listen=127.0.0.1:0", "--set", "bus.listen=127.0.0.1:0"]);
        command.arg("--registry").arg(&registry).arg("--state-dir").arg(&state);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the orchestrator starts");
        let address = wait_for("the dashboard's address", || {
            let text = std::fs::read_to_string(state.join("address")).ok()?;
            text.trim().strip_prefix("http://")?.trim_end_matches('/').parse().ok()
        });
        let fleet = Self { child, dir, address };
        wait_for("all services run", || {
            let told: serde_json::Value = serde_json::from_slice(&fleet.get("/metrics")).ok()?;
            let running = told["system"]["statuses"]["running"].as_u64().unwrap_or(0);
            (running >= services as u64).then_some(())
        });
        fleet
    }

    /// A question over TCP; the body of the answer.
    pub fn get(&self, path: &str) -> Vec<u8> {
        get(self.address, path, "")
    }

    /// Where commands go.
    pub fn door(&self) -> Door {
        Door(self.dir.path().join("state/control.sock"))
    }

    /// A token with this role.
    pub fn token(&self, name: &str, role: &str) -> String {
        let body = serde_json::json!({ "name": name, "role": role }).to_string();
        let made: serde_json::Value = serde_json::from_slice(&self.door().post("/api/v1/tokens", &body)).expect("JSON");
        made["token"].as_str().expect("a token").to_owned()
    }

    /// A folder of this fleet's.
    pub fn folder(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Resident bytes.
    pub fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1_024.0
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// The control socket.
pub struct Door(PathBuf);

impl Door {
    /// A command; the body of the answer.
    pub fn post(&self, path: &str, body: &str) -> Vec<u8> {
        let stream = UnixStream::connect(&self.0).expect("the control socket");
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        exchange(stream, &request)
    }
}

/// A question on a connection of its own.
pub fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    exchange(TcpStream::connect(address).expect("the server listens"), &request)
}

fn exchange(mut stream: impl Read + Write, request: &str) -> Vec<u8> {
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    answer.split_off(end + 4)
}

/// Looks until there is something.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_mins(2), "waited two minutes in vain for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn text(pause: &Path, services: usize, jobs: usize) -> String {
    let (mut text, program) = (String::new(), pause.display());
    for number in 0..services {
        let _ = writeln!(
            text,
            "[[agent]]\nname = \"service-{number}\"\ncommand = [\"{program}\", \"pause\"]\nready = {{ after = \"0s\" }}\n"
        );
    }
    for number in 0..jobs {
        let _ = writeln!(
            text,
            "[[agent]]\nname = \"job-{number}\"\ncommand = [\"/bin/true\"]\nstartup = false\nkind = \"job\"\n"
        );
    }
    text
}
