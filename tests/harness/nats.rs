//! A message bus alone, ours or the real one, started with the same options: what one client sees of it, the other
//! has to see too.

use std::fmt::Write;
use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::processes::{self, Signal};
use crate::{PATIENCE, fetch, setup, wait, wait_for};

/// Whose program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// `werkpilot bus`.
    Werkpilot,
    /// Debian's `nats-server`, which scripts/setup.sh unpacks below `target/tools`.
    NatsServer,
}

/// What a bus is started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct BusOptions {
    /// The only user, with a password.
    pub user: Option<(&'static str, &'static str)>,
    /// The token that clients have to show.
    pub token: Option<&'static str>,
    /// The longest payload, in bytes.
    pub max_payload: Option<u32>,
    /// How long a client may be silent before it is asked, in milliseconds.
    pub ping_interval_ms: Option<u32>,
    /// Whether figures are served over HTTP, on any free port.
    pub monitor: bool,
}

/// A bus of its own on a port of its own, which is ended when this is dropped.
#[derive(Debug)]
pub struct Bus {
    make: Make,
    options: BusOptions,
    dir: TempDir,
    child: Option<Child>,
    port: u16,
    monitor: Option<u16>,
}

/// How often a bus is started on a port that it had before: another program may have it for a moment.
const TRIES: u32 = 10;

impl Bus {
    /// Starts one on any free port of 127.0.0.1, and waits until it listens.
    ///
    /// # Panics
    /// If it does not.
    pub fn start(make: Make, options: BusOptions) -> Self {
        let dir = tempfile::Builder::new().prefix("wp-").tempdir().expect("a temporary folder");
        let mut bus = Self { make, options, dir, child: None, port: 0, monitor: None };
        assert!(bus.launch(), "it ended instead of listening\n{}", bus.log());
        bus
    }

    /// The same by `werkpilot bus`.
    pub fn ours(options: BusOptions) -> Self {
        Self::start(Make::Werkpilot, options)
    }

    /// The same by nats-server.
    pub fn theirs(options: BusOptions) -> Self {
        Self::start(Make::NatsServer, options)
    }

    /// Where clients find it, without credentials.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What its monitor answers at this path.
    ///
    /// # Panics
    /// If it has none, or there is no JSON.
    pub fn monitor(&self, path: &str) -> Value {
        let port = self.monitor.expect("it was started with a monitor");
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a monitor");
        fetch(stream, path).expect("an answer").expect(200).json()
    }

    /// Its pid.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("it runs");
        i32::try_from(child.id()).expect("a pid")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        if self.child.is_some() {
            self.signal(Signal::TERM);
            self.wait_for_end();
        }
    }

    /// Asks it to tell its clients that it goes, to close their connections and to end: nats-server has a signal of its
    /// own for that, ours does it whenever it is asked to end.
    pub fn lame_duck(&self) {
        self.signal(if self.make == Make::NatsServer { Signal::USR2 } else { Signal::TERM });
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not end, or ours ends with another code than 0.
    pub fn wait_for_end(&mut self) {
        let Some(child) = self.child.as_mut() else { return };
        let status = wait_for("the end of the bus", PATIENCE, || child.try_wait().expect("a child of ours"));
        self.child = None;
        assert!(status.success() || self.make == Make::NatsServer, "it ended with {status}\n{}", self.log());
    }

    /// Starts it again on the same port, and waits until it listens.
    ///
    /// # Panics
    /// If it does not.
    pub fn start_again(&mut self) {
        self.wait_for_end();
        let listens = (0..TRIES).any(|_| self.launch());
        assert!(listens, "it does not listen again\n{}", self.log());
    }

    /// All that it has said since it was started.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether it listens; else it has ended.
    fn launch(&mut self) -> bool {
        let mut command = match self.make {
            Make::Werkpilot => self.ours_as_command(),
            Make::NatsServer => self.theirs_as_command(),
        };
        let log = File::create(self.dir.path().join("log")).expect("a log");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let mut child = command.spawn().expect("a bus is started");
        let ports = wait::look(PATIENCE, || {
            let log = self.log();
            // nats-server tells its monitor first, ours the bus.
            match (listening_on(&log, &CLIENTS), listening_on(&log, &MONITORS)) {
                (Some(port), monitor) if monitor.is_some() || !self.options.monitor => Some(Some((port, monitor))),
                _ => child.try_wait().expect("a child of ours").map(|_| None),
            }
        });
        self.child = Some(child);
        match ports {
            Some(Some((port, monitor))) => (self.port, self.monitor) = (port, monitor),
            Some(None) => self.child = None,
            None => panic!("it neither listens nor ends\n{}", self.log()),
        }
        self.child.is_some()
    }

    fn ours_as_command(&self) -> Command {
        let BusOptions { user, token, max_payload, ping_interval_ms, monitor } = self.options;
        let mut command = Command::new(setup::built("werkpilot"));
        command.current_dir(self.dir.path()).arg("bus").args(["--listen", &format!("127.0.0.1:{}", self.port)]);
        if let Some((user, password)) = user {
            command.args(["--user", user, "--pass", password]);
        }
        if let Some(token) = token {
            command.args(["--token", token]);
        }
        if let Some(bytes) = max_payload {
            command.args(["--max-payload", &bytes.to_string()]);
        }
        if let Some(ms) = ping_interval_ms {
            command.args(["--ping-interval", &format!("{ms}ms")]);
        }
        if monitor {
            command.args(["--monitor", "127.0.0.1:0"]);
        }
        command
    }

    fn theirs_as_command(&self) -> Command {
        let BusOptions { user, token, max_payload, ping_interval_ms, monitor } = self.options;
        // With -1 it takes any free port. Its grace period is for clusters.
        let port = if self.port == 0 { -1 } else { i32::from(self.port) };
        let mut config = format!("listen: \"127.0.0.1:{port}\"\nlame_duck_grace_period: \"10ms\"\n");
        if let Some((user, password)) = user {
            let _ = writeln!(config, "authorization {{ user: \"{user}\", password: \"{password}\" }}");
        }
        if let Some(token) = token {
            let _ = writeln!(config, "authorization {{ token: \"{token}\" }}");
        }
        if let Some(bytes) = max_payload {
            let _ = writeln!(config, "max_payload: {bytes}");
        }
        if let Some(ms) = ping_interval_ms {
            let _ = writeln!(config, "ping_interval: \"{ms}ms\"");
        }
        if monitor {
            let _ = writeln!(config, "http: \"127.0.0.1:-1\"");
        }
        fs::write(self.dir.path().join("nats.conf"), config).expect("a configuration");
        let mut command = Command::new(nats_server());
        command.current_dir(self.dir.path()).args(["--config", "nats.conf"]);
        command
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
            return;
        }
        eprintln!("---- the log of the bus of {:?} ----\n{}", self.make, self.log());
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program that scripts/setup.sh puts below `target/tools`.
///
/// # Panics
/// If it is not there.
pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools").join(path);
    assert!(tool.exists(), "there is no {}; `scripts/setup.sh test` gets it", tool.display());
    tool
}

fn nats_server() -> PathBuf {
    tool("usr/sbin/nats-server")
}

/// Before the port in what a bus says once it listens: the first is our line, the other one nats-server's.
const CLIENTS: [&str; 2] = ["bus nats://127.0.0.1:", "Listening for client connections on 127.0.0.1:"];
/// The same for its monitor.
const MONITORS: [&str; 2] = ["monitor http://127.0.0.1:", "Starting http monitor on 127.0.0.1:"];

fn listening_on(log: &str, marks: &[&str]) -> Option<u16> {
    let whole_lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let mut ports = whole_lines.filter_map(|line| marks.iter().find_map(|mark| Some(line.split_once(mark)?.1)));
    ports.next()?.trim().parse().ok()
}
