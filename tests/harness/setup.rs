//! What an orchestrator is started with: a folder with registry and settings, an environment, limits.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::{Outcome, Werkpilot};

/// The variable by which a test knows its processes. Every agent gets it, as it gets all of `LC_*`.
pub const MARK: &str = "LC_WERKPILOT_TEST";

/// A folder in which an orchestrator can be started.
#[derive(Debug)]
pub struct Setup {
    dir: TempDir,
    mark: String,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    open_files: Option<u32>,
    is_deaf_to_file_size: bool,
    listen: String,
    stderr_is_closed: bool,
}

impl Setup {
    /// Writes `registry/<name>` for each of these files, and `werkpilot.toml`.
    ///
    /// # Panics
    /// If they can't be written.
    pub fn new(registry: &[(&str, &str)], config: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("wp-").tempdir().expect("a temporary folder");
        let mark = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let setup = Self {
            mark,
            environment: Vec::new(),
            arguments: Vec::new(),
            open_files: None,
            is_deaf_to_file_size: false,
            listen: "127.0.0.1:0".to_owned(),
            stderr_is_closed: false,
            dir,
        };
        for folder in ["registry", "bin"] {
            fs::create_dir(setup.dir().join(folder)).expect("a folder");
        }
        // Agents find the puppet by its name.
        std::os::unix::fs::symlink(built("puppet"), setup.dir().join("bin/puppet")).expect("a link");
        setup.write("werkpilot.toml", config);
        for (name, text) in registry {
            setup.write(&format!("registry/{name}"), text);
        }
        setup
    }

    /// A copy of one of the repository's own registries: `registry`, `examples/first-steps` …
    ///
    /// # Panics
    /// If it can't be copied.
    pub fn of_repository(folder: &str) -> Self {
        let setup = Self::new(&[], "");
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
        let copied = Command::new("cp").arg("-R").arg(from.join(".")).arg(setup.dir().join("registry")).status();
        assert!(copied.is_ok_and(|status| status.success()), "failed to copy {folder}");
        setup
    }

    /// Sets a variable of the orchestrator's environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// Adds an argument of `werkpilot up`.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Lets the orchestrator have so many files open and no more.
    #[must_use]
    pub fn open_files(mut self, limit: u32) -> Self {
        self.open_files = Some(limit);
        self
    }

    /// Lets it go on where a file gets larger than `RLIMIT_FSIZE`: writing fails then, as on a full disk.
    #[must_use]
    pub fn survive_file_size_limit(mut self) -> Self {
        self.is_deaf_to_file_size = true;
        self
    }

    /// Another address for HTTP than any free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        address.clone_into(&mut self.listen);
        self
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `NAME=value`, as every process that the orchestrator starts has it in its environment.
    pub fn mark(&self) -> String {
        format!("{MARK}={}", self.mark)
    }

    /// Writes a file in its folder.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.dir().join(path);
        fs::write(&path, text).unwrap_or_else(|error| panic!("failed to write {}: {error}", path.display()));
    }

    /// Starts it and waits until the boot is over.
    pub fn start(self) -> Werkpilot {
        Werkpilot::booted(self)
    }

    /// Starts it with a stderr that nobody reads any more, and waits until the boot is over.
    pub fn start_without_stderr(mut self) -> Werkpilot {
        self.stderr_is_closed = true;
        self.start()
    }

    /// Starts it and waits until it answers, while it boots.
    pub fn launch(self) -> Werkpilot {
        Werkpilot::launched(self)
    }

    /// Runs `werkpilot up` to its end, for one that can't start.
    ///
    /// # Panics
    /// If it can't be run at all.
    pub fn up(&self) -> Outcome {
        self.command().output().expect("werkpilot runs").into()
    }

    /// `werkpilot up`, as this setup wants it.
    pub(crate) fn command(&self) -> Command {
        let binary = built("werkpilot");
        let limit = self.open_files.map(|limit| format!("ulimit -n {limit} && "));
        let trap = self.is_deaf_to_file_size.then(|| "trap '' XFSZ && ".to_owned());
        let script: String = limit.into_iter().chain(trap).collect();
        let mut command = if script.is_empty() {
            Command::new(binary)
        } else {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script + "exec \"$0\" \"$@\"").arg(binary);
            shell
        };
        command.args(["up", "--registry", "registry", "--config", "werkpilot.toml", "--state-dir", "state"]);
        command.args(["--set", &format!("dashboard.listen={}", self.listen)]);
        // A port of its own for each fleet; a test that wants another one says so after.
        command.args(["--set", "bus.listen=127.0.0.1:0"]).args(&self.arguments);
        self.place(&mut command);
        command.env(MARK, &self.mark).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A command of the CLI about this orchestrator.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(built("werkpilot"));
        command.args(arguments).args(["--state-dir", "state"]);
        self.place(&mut command);
        command
    }

    fn place(&self, command: &mut Command) {
        let folder = |name: &str| self.dir().join(name);
        command.current_dir(self.dir()).stdin(Stdio::null()).env_clear();
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", folder("bin").display()));
        command.env("HOME", self.dir()).env("USER", "tester").env("TMPDIR", self.dir());
        command.env("LANG", "C.UTF-8").env("TZ", "UTC");
    }

    /// Where stderr of the orchestrator can be read.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir().join("stderr")
    }

    /// Where stderr of the orchestrator goes.
    pub(crate) fn stderr(&self) -> Stdio {
        if self.stderr_is_closed {
            // The other end is dropped at once.
            return std::io::pipe().expect("a pipe").1.into();
        }
        let file = OpenOptions::new().create(true).append(true).open(self.log());
        file.expect("a file in a temporary folder").into()
    }
}

/// A program of this workspace, built with the same profile as the tests: they lie one folder above them.
///
/// # Panics
/// If it is not built.
pub fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test has a path");
    let path = tests.ancestors().nth(2).expect("tests lie in target/<profile>/deps").join(name);
    assert!(
        path.is_file(),
        "{} is not built; run `cargo build --workspace` first (`cargo nextest run --workspace` does)",
        path.display()
    );
    path
}
