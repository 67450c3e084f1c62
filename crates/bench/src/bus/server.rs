//! The two servers: found, started on a free port of the loopback, looked at, ended.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Names another program as our side: a `werkpilot` of another build, or a `nats-server` to try the bench itself.
const OURS: &str = "WERKPILOT_BENCH_OURS";
/// Longer than any server takes to listen.
const PATIENCE: Duration = Duration::from_secs(10);
/// Freed memory goes back, and Go's collector settles, within this time.
const SETTLING: Duration = Duration::from_secs(3);

/// A server that can be started.
pub struct Program {
    path: PathBuf,
    speaks_ours: bool,
}

impl Program {
    /// `werkpilot` beside this program, if it is built.
    pub fn ours() -> Option<Self> {
        let named = std::env::var_os(OURS).map(PathBuf::from);
        let path = named.or_else(|| Some(std::env::current_exe().ok()?.with_file_name("werkpilot")))?;
        let speaks_ours = path.file_name().is_none_or(|name| name != "nats-server");
        path.exists().then_some(Self { path, speaks_ours })
    }

    /// nats-server, from the PATH or where the set-up puts it.
    pub fn peer() -> Option<Self> {
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let tools = std::env::current_exe().ok()?.parent()?.parent()?.join("tools/usr/sbin");
        let mut folders = std::env::split_paths(&on_path).chain([tools, PathBuf::from("/usr/sbin")]);
        let path = folders.find_map(|folder| Some(folder.join("nats-server")).filter(|path| path.exists()))?;
        Some(Self { path, speaks_ours: false })
    }

    /// Starts it, and waits until it listens.
    pub fn start(&self) -> Server {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log = std::fs::File::create(dir.path().join("log")).expect("a file for the log");
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null()).stderr(log);
        if self.speaks_ours {
            command.args(["bus", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        } else {
            command.args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"]).arg(dir.path()).stdout(Stdio::null());
        }
        let mut child = command.spawn().expect("the server starts");
        let stdout = child.stdout.take().map(BufReader::new);
        let mut server = Server { child, stdout, address: String::new(), dir };
        let address = if self.speaks_ours { server.told_address() } else { server.filed_address() };
        let log = || std::fs::read_to_string(server.dir.path().join("log")).unwrap_or_default();
        server.address = address.unwrap_or_else(|| panic!("{self} does not say where it listens: {}", log()));
        server
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let option = if self.speaks_ours { "--version" } else { "-v" };
        let answer = Command::new(&self.path).arg(option).output().map(|output| output.stdout).unwrap_or_default();
        let name = self.path.file_name().unwrap_or_default().display();
        match String::from_utf8_lossy(&answer).split_whitespace().last() {
            Some(version) => write!(f, "{name} {version}"),
            None => name.fmt(f),
        }
    }
}

/// A running server, ended when dropped.
pub struct Server {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    address: String,
    dir: tempfile::TempDir,
}

impl Server {
    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Resident bytes, once they no longer change.
    pub fn settled_rss(&self) -> f64 {
        let begin = Instant::now();
        let (mut last, mut same) = (self.rss(), 0);
        while same < 5 && begin.elapsed() < SETTLING {
            std::thread::sleep(Duration::from_millis(100));
            let now = self.rss();
            same = if (now - last).abs() < 65_536.0 { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    fn rss(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the server lives");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1_024.0
    }

    /// Ours says it on stdout: `bus nats://ADDRESS`.
    fn told_address(&mut self) -> Option<String> {
        let mut line = String::new();
        self.stdout.as_mut()?.read_line(&mut line).ok()?;
        Some(line.trim().strip_prefix("bus nats://")?.to_owned())
    }

    /// nats-server writes it to a file.
    fn filed_address(&mut self) -> Option<String> {
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            if let Some(address) = ports(self.dir.path()) {
                return Some(address);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

/// The first client address in nats-server's `.ports` file, once it is written.
fn ports(dir: &Path) -> Option<String> {
    let files = std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "ports"))?;
    let ports: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    Some(ports["nats"][0].as_str()?.strip_prefix("nats://")?.to_owned())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
