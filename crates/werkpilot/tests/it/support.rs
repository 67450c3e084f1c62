//! A folder, the binary in it, and an orchestrator that is ended in all cases.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A folder with a registry.
pub struct Fleet {
    dir: TempDir,
}

impl Fleet {
    /// With this in `registry/agents.toml`.
    pub fn new(agents: &str) -> Self {
        let fleet = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(fleet.path().join("registry")).unwrap();
        fleet.write("registry/agents.toml", agents);
        fleet
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path().join(file), text).unwrap();
    }

    /// The binary in this folder, as if nobody had set anything.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_werkpilot"));
        command.args(args).current_dir(self.path()).stdin(Stdio::null()).env("COLUMNS", "100").env("USER", "tester");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WERKPILOT_") || name == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        for name in ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET"] {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a command that succeeds writes to stdout.
    pub fn ask(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", all(&output));
        text(&output.stdout)
    }

    /// What a command fails with, and what it tells.
    pub fn fail(&self, args: &[&str]) -> (i32, String) {
        let output = self.run(args);
        (output.status.code().unwrap(), self.neutral(&text(&output.stderr)))
    }

    /// Without the folder's name.
    pub fn neutral(&self, text: &str) -> String {
        text.replace(&self.path().canonicalize().unwrap().display().to_string(), "FOLDER")
            .replace(&self.path().display().to_string(), "FOLDER")
    }

    /// Starts an orchestrator, and waits until it answers.
    pub fn up(&self) -> Orchestrator<'_> {
        self.start(self.command(&["up", "--set", "dashboard.listen=127.0.0.1:0", "--set", "bus.listen=127.0.0.1:0"]))
    }

    /// The same, by this command.
    pub fn start(&self, mut command: Command) -> Orchestrator<'_> {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut orchestrator = Orchestrator { fleet: self, child };
        wait_for("an address", || {
            assert_eq!(orchestrator.child.try_wait().unwrap(), None, "{}", orchestrator.log());
            self.path().join(".werkpilot/address").exists()
        });
        orchestrator
    }
}

/// An orchestrator that ends with its test, by its pid.
pub struct Orchestrator<'a> {
    fleet: &'a Fleet,
    child: Child,
}

impl Orchestrator<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its own log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.fleet.path().join(".werkpilot/logs/orchestrator/current.log")).unwrap_or_default()
    }

    pub fn wait_for_log(&self, text: &str) {
        wait_for(text, || self.log().contains(text));
    }

    /// How it ended.
    pub fn ended(mut self) -> ExitStatus {
        let mut status = None;
        wait_for("the end", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Orchestrator<'_> {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // The polite way, so that it ends its agents.
            self.signal(rustix::process::Signal::TERM);
            self.signal(rustix::process::Signal::TERM);
            let begun = Instant::now();
            while self.child.try_wait().unwrap().is_none() {
                if begun.elapsed() > Duration::from_secs(10) {
                    let _ = self.child.kill();
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Polls until it is so, for ten seconds at most.
pub fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Both outputs.
pub fn all(output: &Output) -> String {
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}
