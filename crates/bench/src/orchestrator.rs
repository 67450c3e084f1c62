//! The real binary with a thousand running services: its memory, what a further agent costs, and what idling costs.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::references::References;
use crate::report::Report;

const SERVICES: usize = 1_000;
/// Agents that do nothing, beside the running ones, to see what one costs.
const IDLE: usize = 4_000;
const IDLE_TIME: Duration = Duration::from_secs(20);
const MIB: f64 = 1_048_576.0;

/// Against the absolute targets of the issue.
pub fn compare(references: &References, report: &mut Report) {
    let Some(binary) = binary() else {
        println!("target/release/werkpilot is not built: its memory and idle CPU are left out (run `make build`)");
        return;
    };
    let small = Running::start(&binary, &fleet(references.program(), 0), SERVICES);
    let rss = small.rss();
    report.at_most("RSS of the orchestrator, 1,000 running services, MiB", mib(rss), "-".to_owned(), rss / MIB, 16.0);
    let cpu = small.cpu_per_second(IDLE_TIME);
    let text = format!("{cpu:.3} ms/s");
    report.at_most("idle CPU, timers and probes armed, ms per s", text, "-".to_owned(), cpu, 0.2);
    drop(small);
    let large = Running::start(&binary, &fleet(references.program(), IDLE), SERVICES);
    let each = (large.rss() - rss) / IDLE as f64 / 1_024.0;
    report.at_most("RSS of a further idle agent, KiB", format!("{each:.2} KiB"), "-".to_owned(), each, 4.0);
}

fn mib(bytes: f64) -> String {
    format!("{:.2} MiB", bytes / MIB)
}

/// The program beside us, if it is built.
pub fn binary() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.with_file_name("werkpilot");
    path.exists().then_some(path)
}

/// A running orchestrator, ended when dropped.
pub struct Running {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Running {
    /// Starts one with this registry, and waits until so many services run.
    pub fn start(binary: &Path, fleet: &str, services: usize) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let registry = dir.path().join("registry");
        std::fs::create_dir(&registry).expect("a folder");
        std::fs::write(registry.join("fleet.toml"), fleet).expect("the registry");
        let state = dir.path().join("state");
        let mut command = Command::new(binary);
        command.args(["up", "--set", "dashboard.listen=127.0.0.1:0", "--registry"]).arg(&registry);
        command.arg("--state-dir").arg(&state).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("the orchestrator starts");
        let running = Self { child, _dir: dir };
        running.wait_for_services(services);
        // The last ready and health timers settle; freed memory of the boot goes back.
        std::thread::sleep(Duration::from_secs(8));
        running
    }

    fn wait_for_services(&self, services: usize) {
        let begin = Instant::now();
        while self.children() < services {
            assert!(begin.elapsed() < Duration::from_mins(2), "the services start");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    fn tasks(&self) -> Vec<PathBuf> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the orchestrator lives");
        tasks.flatten().map(|entry| entry.path()).collect()
    }

    fn children(&self) -> usize {
        let lists = self.tasks().into_iter().filter_map(|task| std::fs::read_to_string(task.join("children")).ok());
        lists.map(|list| list.split_whitespace().count()).sum()
    }

    /// Resident bytes.
    fn rss(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") * 1_024.0
    }

    /// CPU milliseconds per second of all threads, from the scheduler's own nanoseconds. Looks every second, so that
    /// little is lost of threads that end meanwhile.
    pub fn cpu_per_second(&self, over: Duration) -> f64 {
        let begin = Instant::now();
        let (mut total, mut seen) = (0.0, self.cpu_nanos());
        while begin.elapsed() < over {
            std::thread::sleep(Duration::from_secs(1));
            let now = self.cpu_nanos();
            total += now.iter().map(|(thread, nanos)| nanos - seen.get(thread).copied().unwrap_or(0.0)).sum::<f64>();
            seen = now;
        }
        total / 1e6 / begin.elapsed().as_secs_f64()
    }

    fn cpu_nanos(&self) -> BTreeMap<PathBuf, f64> {
        let of = |task: PathBuf| {
            let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
            Some((task, text.split_whitespace().next()?.parse().ok()?))
        };
        self.tasks().into_iter().filter_map(of).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

/// A thousand services with armed health probes, and agents with far-away schedules that do nothing.
fn fleet(reference: &Path, idle: usize) -> String {
    let mut text = String::new();
    let program = reference.display();
    for number in 0..SERVICES {
        let _ = writeln!(
            text,
            "[[agent]]\nname = \"service-{number}\"\ncommand = [\"{program}\", \"pause\"]\nready = {{ after = \"100ms\" }}\n\
             health = {{ exec = [\"/bin/true\"], interval = \"1h\" }}\n"
        );
    }
    for number in 0..idle {
        let _ = writeln!(
            text,
            "[[agent]]\nname = \"idle-{number}\"\ncommand = [\"/bin/true\"]\nschedule = \"{} {} 1 1 *\"\n",
            number % 60,
            number / 60 % 24
        );
    }
    text
}
