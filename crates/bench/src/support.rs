//! What all measurements share: figures of child processes, medians, a fleet in this process.

use std::collections::BTreeMap;
use std::future::Future;
use std::process::Command;
use std::sync::Arc;

use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Registry};
use werkpilot_runtime::bus::InProcess;
use werkpilot_runtime::{Handle, Loaded, Options, start};
use werkpilot_store::Store;

/// What a measuring process printed: name and value.
pub type Figures = BTreeMap<String, f64>;

/// Runs a command and reads its figures.
pub fn figures(command: &mut Command) -> Figures {
    let output = command.output().expect("the measuring process starts");
    assert!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("figures are text");
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect()
}

/// Runs a measurement of ours in a process of its own.
pub fn measure(arguments: &[&str]) -> Figures {
    let program = std::env::current_exe().expect("our own path");
    figures(Command::new(program).arg("measure").args(arguments))
}

/// The median of one figure over several rounds.
pub fn median(rounds: &[Figures], name: &str) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(|round| round[name]).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The p-th percentile (nearest rank) of samples.
pub fn percentile(samples: &mut [u64], p: usize) -> u64 {
    samples.sort_unstable();
    samples[(samples.len() * p).div_ceil(100).max(1) - 1]
}

/// Nanoseconds as text.
pub fn time(nanos: f64) -> String {
    match nanos {
        n if n < 10_000.0 => format!("{n:.0} ns"),
        n if n < 10_000_000.0 => format!("{:.1} µs", n / 1e3),
        n => format!("{:.1} ms", n / 1e6),
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds, as the C side reads it.
pub fn monotonic() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// A good name.
pub fn name(text: &str) -> AgentName {
    AgentName::new(text).expect("a good name")
}

/// Runs a fleet in this process, lets `work` use it, and shuts it down.
pub fn with_fleet<F: Future<Output = ()>>(agents: Vec<AgentSpec>, settings: Settings, work: impl FnOnce(Handle) -> F) {
    run(agents, Vec::new(), settings, None, work);
}

/// The same, with everything kept on the disk that this folder is on.
pub fn with_durable_fleet<F: Future<Output = ()>>(
    agents: Vec<AgentSpec>,
    settings: Settings,
    folder: &std::path::Path,
    work: impl FnOnce(Handle) -> F,
) {
    let store = Store::open_locked(folder).expect("a store");
    run(agents, Vec::new(), settings, Some(store), work);
}

/// The same with in-process agents.
pub fn with_residents<F: Future<Output = ()>>(
    residents: Vec<InProcess>,
    settings: Settings,
    work: impl FnOnce(Handle) -> F,
) {
    let agents = residents.iter().map(|agent| agent.spec().clone()).collect();
    run(agents, residents, settings, None, work);
}

fn run<F: Future<Output = ()>>(
    agents: Vec<AgentSpec>,
    residents: Vec<InProcess>,
    settings: Settings,
    store: Option<Store>,
    work: impl FnOnce(Handle) -> F,
) {
    werkpilot_process::limits::raise_open_files();
    werkpilot_process::become_subreaper().expect("a subreaper");
    let state = tempfile::tempdir().expect("a temporary folder");
    let loaded = Loaded { registry: Registry { agents, ..Registry::default() }, settings, ..Loaded::default() };
    let system = actix::System::new();
    system.block_on(async {
        let options = Options {
            bus: Some(std::net::TcpListener::bind("127.0.0.1:0").expect("a free port")),
            store,
            residents,
            ..Options::new(loaded, Arc::new(|| Ok(Loaded::default())), state.path())
        };
        let handle = start(options).expect("the orchestrator starts");
        work(handle.clone()).await;
        handle.shut_down("the end of the measurement");
    });
    system.run().expect("the system ends");
}
