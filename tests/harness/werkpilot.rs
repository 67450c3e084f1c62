//! A running orchestrator, and what a test asks of it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

use serde_json::{Value, json};
use werkpilot_store::Reader;

use crate::http::{self, Answer};
use crate::processes::{self, Signal};
use crate::{Outcome, PATIENCE, Setup, wait, wait_for, wait_until};

/// An orchestrator of its own, which is ended and looked after when this is dropped.
#[derive(Debug)]
pub struct Werkpilot {
    setup: Setup,
    child: Option<Child>,
}

/// Stands for the topics of all ends of executions.
pub const ANY_END: &str = "execution.ended";

impl Werkpilot {
    /// Starts one with this registry and these settings, and waits until its boot is over.
    pub fn start(registry: &[(&str, &str)], config: &str) -> Self {
        Setup::new(registry, config).start()
    }

    pub(crate) fn booted(setup: Setup) -> Self {
        let fleet = Self::launched(setup);
        fleet.wait_for_boot();
        fleet
    }

    pub(crate) fn launched(setup: Setup) -> Self {
        let mut fleet = Self { setup, child: None };
        fleet.start_again();
        fleet
    }

    /// Starts it again in the same folder, and waits until it answers.
    ///
    /// # Panics
    /// If it runs, or does not answer.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let mut command = self.setup.command();
        command.stdout(Stdio::null()).stderr(self.setup.stderr());
        self.child = Some(command.spawn().expect("werkpilot is started"));
        wait_for("an orchestrator that answers", PATIENCE, || {
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "it ended instead of starting: {ended:?}\n{}", self.log_text());
            self.try_address()?;
            self.ask("GET", "/livez", None).ok().filter(|answer| answer.status == 200)
        });
    }

    /// Takes a variable out of the environment of the next start.
    pub fn unset(&mut self, name: &str) {
        self.setup.unset(name);
    }

    /// Waits until the boot is over.
    pub fn wait_for_boot(&self) {
        wait_until("the end of the boot", || self.request("GET", "/readyz", None).status == 200);
    }

    /// The folder of the test.
    pub fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// What it keeps, as another process reads it.
    #[track_caller]
    pub fn on_disk(&self) -> Reader {
        Reader::open(&self.dir().join("state")).expect("the state can be read")
    }

    /// A file beside the registry: agents run there.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir().join("registry").join(name)
    }

    /// What a file beside the registry says; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Makes an empty file beside the registry, which some agent waits for.
    pub fn touch(&self, name: &str) {
        self.write(&format!("registry/{name}"), "");
    }

    /// Writes a file of the test's folder, such as `registry/fleet.toml` or `werkpilot.toml`.
    pub fn write(&self, path: &str, text: &str) {
        // As editors do it: nobody reads half a file.
        self.setup.write(&format!("{path}.new"), text);
        let path = self.dir().join(path);
        fs::rename(path.with_file_name(format!("{}.new", path.file_name().expect("a file").display())), path)
            .expect("a file is replaced");
    }

    /// The pid of the orchestrator.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> i32 {
        let child = self.child.as_ref().expect("it runs");
        i32::try_from(child.id()).expect("a pid")
    }

    // ---- asking ----

    /// A request over the control socket, of which any answer is welcome.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.ask(method, path, body);
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
        self.try_with(method, path, &[], body)
    }

    /// The same with headers; an error if it dies meanwhile.
    ///
    /// # Errors
    /// If there is no answer.
    pub fn try_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> io::Result<Answer> {
        let stream = UnixStream::connect(self.socket())?;
        stream.set_read_timeout(Some(http::TIMEOUT))?;
        http::exchange(stream, method, path, headers, body)
    }

    /// What is at this path, over the control socket.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.request("GET", path, None).expect(200).json()
    }

    /// `GET /metrics` over TCP, as a script would ask for it.
    #[track_caller]
    pub fn metrics(&self) -> Value {
        self.tcp("GET", "/metrics", &[]).expect(200).json()
    }

    /// A request over TCP.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn tcp(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.tcp_with(method, path, headers, None)
    }

    /// The same with a body.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn tcp_with(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let exchange = || {
            let stream = TcpStream::connect(self.address())?;
            stream.set_read_timeout(Some(http::TIMEOUT))?;
            http::exchange(stream, method, path, headers, body)
        };
        exchange().unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Where HTTP is served.
    ///
    /// # Panics
    /// If it is nowhere.
    pub fn address(&self) -> SocketAddr {
        self.try_address().expect("an address in the state folder")
    }

    fn try_address(&self) -> Option<SocketAddr> {
        let url = fs::read_to_string(self.dir().join("state/address")).ok()?;
        url.trim().split_once("://")?.1.trim_end_matches('/').parse().ok()
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.dir().join("state/control.sock")
    }

    /// A command of the CLI about this orchestrator.
    ///
    /// # Panics
    /// If it can't be run.
    pub fn cli(&self, arguments: &[&str]) -> Outcome {
        self.setup.cli(arguments).output().expect("the CLI runs").into()
    }

    /// The same, as a command that the test runs in its own way.
    pub fn cli_command(&self, arguments: &[&str]) -> std::process::Command {
        self.setup.cli(arguments)
    }

    /// An agent as the API shows it.
    #[track_caller]
    pub fn agent(&self, name: &str) -> Value {
        self.get(&format!("/api/v1/agents/{name}"))
    }

    /// The status of an agent.
    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        self.agent(name)["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The pids of an agent's processes.
    #[track_caller]
    pub fn pids(&self, name: &str) -> Vec<i32> {
        let agent = self.agent(name);
        let pids = agent["pids"].as_array().into_iter().flatten();
        pids.filter_map(|pid| i32::try_from(pid.as_i64()?).ok()).collect()
    }

    /// Waits until an agent has this status.
    ///
    /// # Panics
    /// If it does not get it.
    #[track_caller]
    pub fn wait_for_status(&self, name: &str, wanted: &str) {
        let mut last = String::new();
        let reached = wait::look(PATIENCE, || {
            // One that a reload brings is not there yet.
            let agent = self.request("GET", &format!("/api/v1/agents/{name}"), None).json();
            last = agent["status"].to_string();
            (agent["status"] == wanted).then_some(())
        });
        assert!(reached.is_some(), "{name} is {last} and does not become {wanted}");
    }

    /// Waits until an agent's service runs with another process than `before`, and answers its pid.
    #[track_caller]
    pub fn wait_for_successor(&self, name: &str, before: i32) -> i32 {
        wait_for(&format!("a new process of {name}"), PATIENCE, || {
            let agent = self.agent(name);
            let pid = i32::try_from(agent["pids"][0].as_i64()?).ok()?;
            (agent["status"] == "running" && pid != before).then_some(pid)
        })
    }

    /// The pid of an agent's only process, as soon as it is there.
    #[track_caller]
    pub fn wait_for_pid(&self, name: &str) -> i32 {
        wait_for(&format!("a process of {name}"), PATIENCE, || self.pids(name).first().copied())
    }

    /// All events of a type that are remembered, oldest first.
    #[track_caller]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.get("/api/v1/events?limit=1000");
        let events = events["events"].as_array().cloned().unwrap_or_default();
        let is_end = |event: &Value| kind == ANY_END && event["data"]["end"].is_string();
        events.into_iter().filter(|event| event["type"] == kind || is_end(event)).collect()
    }

    /// The same, of one agent, and only what they carry.
    #[track_caller]
    pub fn events_of(&self, agent: &str, kind: &str) -> Vec<Value> {
        let data = self.events(kind).into_iter().map(|event| event["data"].clone());
        data.filter(|data| data["agent"] == agent).collect()
    }

    /// Waits for the first event of a type about an agent.
    #[track_caller]
    pub fn wait_for_event(&self, agent: &str, kind: &str) -> Value {
        wait_for(&format!("{kind} of {agent}"), PATIENCE, || self.events_of(agent, kind).into_iter().next())
    }

    // ---- telling ----

    /// Asks for an execution; its id.
    #[track_caller]
    pub fn trigger(&self, agent: &str) -> String {
        let answer = self.request("POST", &format!("/api/v1/agents/{agent}/trigger"), Some(&json!({})));
        let answer = answer.expect(202).json();
        answer["runId"].as_str().expect("a run id").to_owned()
    }

    /// Waits for the end of an execution: what its event carries.
    #[track_caller]
    pub fn end_of(&self, run: &str) -> Value {
        self.get(&format!("/api/v1/executions/{run}/wait"))["data"].clone()
    }

    /// Runs a job to its end.
    #[track_caller]
    pub fn run(&self, agent: &str) -> Value {
        self.end_of(&self.trigger(agent))
    }

    /// Sends the orchestrator a signal.
    pub fn signal(&self, signal: Signal) {
        processes::signal(self.pid(), signal);
    }

    // ---- its log and its end ----

    /// All that it wrote to stderr.
    pub fn log_text(&self) -> String {
        fs::read_to_string(self.setup.log()).unwrap_or_default()
    }

    /// Waits until its log has this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        wait_until(&format!("`{text}` in the log"), || self.log_text().contains(text));
    }

    /// Asks it to end, by SIGTERM, and waits for that.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_for_end()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it does not run, or does not end.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let child = self.child.as_mut().expect("it runs");
        let status =
            wait_for("the end of the orchestrator", PATIENCE * 2, || child.try_wait().expect("a child of ours"));
        self.child = None;
        status
    }

    /// Ends it as a crash would.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.wait_for_end();
    }

    /// Ends it properly and starts it again in the same folder; its boot is over then.
    pub fn restart(&mut self) {
        let status = self.terminate();
        assert!(status.success(), "it ended with {status}\n{}", self.log_text());
        self.start_again();
        self.wait_for_boot();
    }

    /// Ends it as a crash would and starts it again in the same folder; its boot is over then.
    pub fn kill_and_restart(&mut self) {
        self.kill9();
        self.start_again();
        self.wait_for_boot();
    }

    /// Pids of all that it started and that is still there.
    pub fn leftovers(&self) -> Vec<i32> {
        let own = self.child.as_ref().map(|_| self.pid());
        let mut pids = processes::with_variable(&self.setup.mark());
        pids.retain(|pid| Some(*pid) != own);
        pids
    }

    /// Asks it to end and holds it to its promises about that.
    fn end_well(&mut self) {
        if self.child.is_some() {
            let pid = self.pid();
            wait_until("no zombie", || processes::zombies_of(pid).is_empty());
            let status = self.terminate();
            assert!(status.success(), "it ended with {status}\n{}", self.log_text());
        }
        let told = |pids: Vec<i32>| pids.iter().map(|pid| format!("{pid} {}", processes::command_line(*pid))).collect();
        let left: Vec<String> = told(self.leftovers());
        assert!(left.is_empty(), "processes are left: {left:?}\n{}", self.log_text());
        assert!(!self.socket().exists(), "the control socket is left");
    }

    /// After a failure: shows why, and leaves nothing either.
    fn end_badly(&mut self) {
        eprintln!("---- the orchestrator's log ----\n{}", last_lines(&self.log_text(), 120));
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for pid in self.leftovers() {
            processes::signal(pid, Signal::KILL);
        }
    }
}

impl Drop for Werkpilot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end_badly();
            return;
        }
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.end_well()));
        if let Err(panic) = ended {
            self.end_badly();
            std::panic::resume_unwind(panic);
        }
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
