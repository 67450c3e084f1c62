//! A host of its own for each test, with real programs, and the check that nothing is left behind.
//!
//! A host owns the children of the whole process, so there can be one at a time. `cargo nextest` runs each test in a
//! process of its own; where tests share one, a lock makes them wait for each other.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use werkpilot_core::exit::SpawnFailure;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::settings::Logs;
use werkpilot_core::signal::Signal;
use werkpilot_core::spec::{
    AgentSpec, Backoff, CatchUp, Environment, Health, Identity, JobSpec, Kind, OnLost, OnUnhealthyDependency, Overlap,
    Priority, Probe, Program, Ready, ReadyCheck, RestartPolicy, ServiceSpec, StopPolicy, Triggers,
};
use werkpilot_process::logs::{LogLine, read_tail};
use werkpilot_process::{ExitReport, Host, HostOptions, Launch, ProcessEvent, ProcessKey};

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A host, its folder and its events.
pub struct Fixture {
    pub host: Host,
    pub dir: tempfile::TempDir,
    events: Receiver<ProcessEvent>,
    next: u64,
    descriptors: HashSet<String>,
    _turn: MutexGuard<'static, ()>,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with_logs(Logs::default())
    }

    pub fn with_logs(logs: Logs) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let descriptors = open_descriptors();
        let dir = tempfile::tempdir().unwrap();
        let (send, events) = channel();
        let host = Host::start(options(dir.path(), logs), Box::new(move |event| drop(send.send(event)))).unwrap();
        Self { host, dir, events, next: 0, descriptors, _turn: turn }
    }

    /// A launch of the agent with a new key and run id.
    pub fn launch_of(&mut self, spec: AgentSpec) -> Launch {
        self.next += 1;
        let run = RunId::from_parts(1_700_000_000_000 + self.next, u128::from(self.next) << 32 | 0xabc);
        Launch::new(ProcessKey(self.next), run, Arc::new(spec))
    }

    /// Launches and returns key and run id.
    pub fn launch(&mut self, spec: AgentSpec) -> (ProcessKey, RunId) {
        let launch = self.launch_of(spec);
        let ids = (launch.key, launch.run);
        self.host.launch(launch);
        ids
    }

    /// The next event.
    pub fn event(&self) -> ProcessEvent {
        self.events.recv_timeout(PATIENCE).expect("an event")
    }

    /// Events until one is wanted, which is the last of them.
    pub fn events_until(&self, wanted: impl Fn(&ProcessEvent) -> bool) -> Vec<ProcessEvent> {
        let mut events = Vec::new();
        loop {
            events.push(self.event());
            if wanted(events.last().unwrap()) {
                return events;
            }
        }
    }

    /// Whether no event comes for so long.
    pub fn is_quiet_for(&self, time: Duration) -> bool {
        matches!(self.events.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// The pid of a process that has just been launched.
    pub fn started(&self) -> i32 {
        match self.event() {
            ProcessEvent::Started { pid, .. } => pid,
            other => panic!("{other:?} instead of a start"),
        }
    }

    /// Waits for the report of this process; events of others are passed over.
    pub fn exit_of(&self, key: ProcessKey) -> ExitReport {
        match self.events_until(|event| event.key() == key && event.is_last()).pop() {
            Some(ProcessEvent::Exited { report, .. }) => *report,
            other => panic!("{other:?} instead of an exit"),
        }
    }

    /// Runs the agent to its end.
    pub fn run(&mut self, spec: AgentSpec) -> ExitReport {
        let (key, _) = self.launch(spec);
        self.exit_of(key)
    }

    /// Launches what must fail to start.
    pub fn fails(&mut self, spec: AgentSpec) -> SpawnFailure {
        self.launch(spec);
        match self.event() {
            ProcessEvent::SpawnFailed { failure, .. } => failure,
            other => panic!("{other:?} instead of a failure"),
        }
    }

    pub fn logs_dir(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// The log of agent `agent`.
    pub fn log(&self) -> Vec<LogLine> {
        read_tail(&self.logs_dir(), &AgentName::new("agent").unwrap(), None, 1_000_000).unwrap()
    }

    pub fn log_texts(&self) -> Vec<String> {
        self.log().into_iter().map(|line| line.text).collect()
    }

    /// Shuts down and asserts that no process, zombie, descriptor or socket is left.
    pub fn finish(self) {
        let report = self.host.shutdown(Duration::from_secs(5));
        assert_eq!(report.left, Vec::<i32>::new());
        assert_eq!(children(), Vec::<i32>::new(), "children are left");
        assert!(
            std::fs::read_dir(self.dir.path().join("run"))
                .unwrap()
                .next()
                .is_none_or(|entry| { entry.unwrap().file_name() == "processes" })
        );
        drop(self.host);
        let more: Vec<_> = open_descriptors().difference(&self.descriptors).cloned().collect();
        assert!(more.is_empty(), "descriptors are left: {more:?}");
    }
}

pub fn options(dir: &Path, logs: Logs) -> HostOptions {
    HostOptions { logs_dir: dir.join("logs"), runtime_dir: dir.join("run"), state_dir: Some(dir.to_owned()), logs }
}

/// Our children, zombies included.
pub fn children() -> Vec<i32> {
    let own = std::process::id().to_string();
    let parent_of = |pid: i32| -> Option<String> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat[stat.rfind(')')?..].split(' ').nth(2).map(str::to_owned)
    };
    all_pids().into_iter().filter(|pid| parent_of(*pid).as_ref() == Some(&own)).collect()
}

pub fn all_pids() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Whether the process is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap_or(0)..].starts_with(") Z"))
}

/// Our descriptors, with what they are.
fn open_descriptors() -> HashSet<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap();
    let name = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let target = target.display().to_string();
        // The listing itself.
        (!target.contains("/fd")).then(|| format!("{} {target}", entry.file_name().display()))
    };
    entries.flatten().filter_map(name).collect()
}

/// Polls until the condition holds.
pub fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The text of a file, once it has a whole line.
pub fn read_when_written(path: &Path) -> String {
    wait_for(&path.display().to_string(), || std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')));
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// A job that runs this command.
pub fn job(argv: &[&str]) -> AgentSpec {
    AgentSpec {
        name: AgentName::new("agent").unwrap(),
        department: "default".to_owned(),
        description: String::new(),
        program: Program::Command(argv.iter().map(|text| (*text).to_owned()).collect()),
        cwd: PathBuf::from("/"),
        environment: Environment::default(),
        kind: Kind::Job(JobSpec {
            triggers: Triggers::default(),
            overlap: Overlap::Skip,
            catch_up: CatchUp::None,
            catch_up_window: Duration::ZERO,
            jitter: Duration::ZERO,
            on_unhealthy_dependency: OnUnhealthyDependency::Skip,
            timeout: None,
            retry: Backoff::default(),
        }),
        priority: Priority::Normal,
        layer: None,
        dependencies: Vec::new(),
        success_codes: vec![0],
        stop: StopPolicy { signal: Signal::TERM, timeout: Duration::from_millis(300) },
        memory_max: None,
        identity: Identity::default(),
        on_lost: OnLost::DeadLetter,
        orphan_ttl: Duration::from_mins(10),
        enabled: true,
    }
}

/// A job that runs this line in a shell.
pub fn shell(line: &str) -> AgentSpec {
    AgentSpec { program: Program::Shell(line.to_owned()), ..job(&["-"]) }
}

/// A service that runs this line in a shell, ready by `check`.
pub fn service(line: &str, check: ReadyCheck) -> AgentSpec {
    let kind = Kind::Service(ServiceSpec {
        restart: RestartPolicy::Always,
        backoff: Backoff::default(),
        healthy_for: Duration::from_mins(10),
        ready: Ready { check, timeout: PATIENCE },
        health: None,
        max_silence: None,
        instances: 1,
    });
    AgentSpec { kind, ..shell(line) }
}

/// The service's own part.
pub fn service_part(spec: &mut AgentSpec) -> &mut ServiceSpec {
    match &mut spec.kind {
        Kind::Service(service) => service,
        Kind::Job(_) => panic!("it is a job"),
    }
}

/// A watchdog of this interval.
pub fn watchdog(interval: Duration) -> Health {
    Health { probe: Probe::Notify, interval, timeout: interval, failures: 1 }
}

/// Environment lines as a map.
pub fn pairs(lines: &[String]) -> BTreeMap<String, String> {
    let pair = |line: &String| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    lines.iter().filter_map(pair).collect()
}
