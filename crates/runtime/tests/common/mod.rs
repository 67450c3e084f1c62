//! An orchestrator inside of a test, with real processes. Each test runs one of its own; nextest gives each a process of
//! its own, which the process host asks for.

#![allow(dead_code, reason = "not every test file uses all of it")]

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Registry};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::{Handle, Loaded, Options, start};
use werkpilot_store::Store;

/// Runs a fleet, lets the test look at it, shuts it down and checks that no child is left.
pub fn with_fleet<F: Future<Output = ()>>(agents: Vec<AgentSpec>, look: impl FnOnce(Handle) -> F) {
    with_registry(Registry { agents, ..Registry::default() }, look);
}

/// The same with departments.
pub fn with_registry<F: Future<Output = ()>>(registry: Registry, look: impl FnOnce(Handle) -> F) {
    run(registry, patient(), |_| None, look);
}

/// The same with everything kept on disk.
pub fn with_kept_fleet<F: Future<Output = ()>>(
    agents: Vec<AgentSpec>,
    settings: Settings,
    look: impl FnOnce(Handle) -> F,
) {
    let store = |folder: &Path| Some(Store::open(folder, Timestamp::from_secs(1_800_000_000)).unwrap());
    run(Registry { agents, ..Registry::default() }, settings, store, look);
}

/// Settings with a shutdown that no test waits for.
pub fn patient() -> Settings {
    let mut settings = Settings::default();
    settings.shutdown.grace = Duration::from_secs(2);
    settings
}

fn run<F: Future<Output = ()>>(
    registry: Registry,
    settings: Settings,
    store: impl FnOnce(&Path) -> Option<Store>,
    look: impl FnOnce(Handle) -> F,
) {
    werkpilot_process::become_subreaper().unwrap();
    let state = TempDir::new().unwrap();
    let system = actix::System::new();
    system.block_on(async {
        let store = store(state.path());
        let handle = start(Options { store, ..options(registry, settings, state.path()) }).unwrap();
        look(handle.clone()).await;
        handle.shut_down("the end of the test");
    });
    system.run().unwrap();
    assert_eq!(children(), Vec::<String>::new(), "a child is left");
}

/// An orchestrator of this fleet, which a reload finds as it was.
pub fn options(registry: Registry, settings: Settings, folder: &Path) -> Options {
    let loaded = Loaded { registry, settings, ..Loaded::default() };
    let same = loaded.clone();
    Options::new(loaded, Arc::new(move || Ok(same.clone())), folder)
}

fn children() -> Vec<String> {
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let file = task.unwrap().path().join("children");
        all.extend(std::fs::read_to_string(file).unwrap_or_default().split_whitespace().map(str::to_owned));
    }
    all
}

/// Waits for ten seconds at most.
pub async fn wait_for<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    for _ in 0..500 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited ten seconds in vain for: {what}");
}
