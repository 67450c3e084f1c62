//! The memory monitor with samples that the test makes up, and real processes.

mod common;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use werkpilot_core::agent::Command;
use werkpilot_core::event::{End, Event};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::AgentName;
use werkpilot_core::memory::Level;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Backoff, Priority, Program, ReadyCheck, Registry};
use werkpilot_core::status::Status;
use werkpilot_process::memory::{HostMemory, TreeMemory};
use werkpilot_runtime::observe::memory::{Details, Look, SampleSource, Watched};
use werkpilot_runtime::{Handle, Options, RunRequest, start};

use common::{options, patient, wait_for};

/// What the test says there is: by the slot of an agent, bytes of each of its processes.
#[derive(Default)]
struct Fake {
    own: Mutex<Option<u64>>,
    agents: Mutex<BTreeMap<u32, u64>>,
    unreadable: AtomicBool,
    panics: AtomicBool,
    /// A look waits while this is so.
    blocked: Mutex<bool>,
    unblocked: Condvar,
    looks: AtomicU32,
    nice: Mutex<Option<i32>>,
}

impl SampleSource for Fake {
    fn look(&self, watched: &[Watched]) -> Look {
        self.looks.fetch_add(1, Ordering::Relaxed);
        drop(self.unblocked.wait_while(self.blocked.lock().unwrap(), |blocked| *blocked).unwrap());
        assert!(!self.panics.load(Ordering::Relaxed), "a drill");
        *self.nice.lock().unwrap() = rustix::process::getpriority_process(None).ok();
        if self.unreadable.load(Ordering::Relaxed) {
            return Look::default();
        }
        let agents = self.agents.lock().unwrap();
        let tree = |watched: &Watched| {
            let rss_bytes = *agents.get(&watched.process.agent.0)?;
            Some((watched.process, TreeMemory { rss_bytes, processes: 1, ..TreeMemory::default() }))
        };
        Look {
            own_rss_bytes: *self.own.lock().unwrap(),
            host: Some(HostMemory { total_bytes: 1 << 30, available_bytes: 1 << 29 }),
            trees: watched.iter().filter_map(tree).collect(),
            ..Look::default()
        }
    }

    fn details(&self, _: &[Watched]) -> Details {
        Details::default()
    }
}

impl Fake {
    fn own(&self, bytes: u64) {
        *self.own.lock().unwrap() = Some(bytes);
    }

    fn block(&self, blocked: bool) {
        *self.blocked.lock().unwrap() = blocked;
        self.unblocked.notify_all();
    }

    fn agent(&self, slot: u32, bytes: u64) {
        self.agents.lock().unwrap().insert(slot, bytes);
    }
}

fn service(name: &str, priority: Priority) -> AgentSpec {
    let mut spec =
        AgentSpec::service_named(AgentName::new(name).unwrap(), Program::Shell("exec sleep 1000".to_owned()));
    spec.priority = priority;
    spec.service_mut().unwrap().ready.check = ReadyCheck::After(Duration::from_millis(10));
    spec
}

/// A fleet with a budget of 1,000 bytes that is checked every 20 ms.
fn with_fleet<F: Future<Output = ()>>(agents: Vec<AgentSpec>, look: impl FnOnce(Handle, Arc<Fake>) -> F) {
    werkpilot_process::become_subreaper().unwrap();
    let state = TempDir::new().unwrap();
    let mut settings: Settings = patient();
    settings.memory.budget = Some(1_000);
    settings.memory.interval = Duration::from_millis(20);
    let registry = Registry { agents, ..Registry::default() };
    let fake = Arc::new(Fake::default());
    fake.own(10);
    let system = actix::System::new();
    system.block_on(async {
        let memory: Option<Arc<dyn SampleSource>> = Some(fake.clone());
        let handle = start(Options { memory, ..options(registry, settings, state.path()) }).unwrap();
        look(handle.clone(), fake).await;
        handle.shut_down("the end of the test");
    });
    system.run().unwrap();
}

async fn wait_for_level(handle: &Handle, level: Level) {
    wait_for(&format!("{level}"), || async { handle.memory().await.unwrap().level == level }).await;
}

async fn wait_for_status(handle: &Handle, agent: &str, status: Status) {
    let is = || async { handle.agent(agent).await.unwrap().agent.status == status };
    wait_for(&format!("{agent} is {status}"), is).await;
}

/// Lets so many more checks be made.
async fn wait_for_looks(fake: &Fake, more: u32) {
    let wanted = fake.looks.load(Ordering::Relaxed) + more;
    wait_for("more checks", || async { fake.looks.load(Ordering::Relaxed) >= wanted }).await;
}

async fn topics(handle: &Handle, family: &[&str]) -> Vec<&'static str> {
    let events = handle.events(0, 10_000).await.unwrap();
    events.iter().map(|recorded| recorded.event.topic()).filter(|topic| family.contains(topic)).collect()
}

const MEMORY: [&str; 5] = ["memory.warning", "memory.critical", "memory.recovered", "agent.disabled", "agent.enabled"];

#[test]
fn every_rung_is_told_and_carried_out() {
    let agents = vec![service("vital", Priority::Critical), service("large", Priority::Normal)];
    with_fleet(agents, |handle, fake| async move {
        wait_for_status(&handle, "large", Status::Running).await;
        fake.agent(0, 400);
        fake.agent(1, 200);
        fake.own(100);
        wait_for("figures", || async { handle.memory().await.unwrap().used_bytes == 700 }).await;
        assert_eq!(topics(&handle, &MEMORY).await, [""; 0]);
        fake.own(200);
        wait_for_level(&handle, Level::Warning).await;
        assert_eq!(topics(&handle, &MEMORY).await, ["memory.warning"]);
        fake.own(460);
        wait_for_status(&handle, "large", Status::DisabledByMemory).await;
        wait_for_level(&handle, Level::Critical).await;
        assert_eq!(topics(&handle, &MEMORY).await, ["memory.warning", "memory.critical", "agent.disabled"]);
        assert_eq!(handle.agent("vital").await.unwrap().agent.status, Status::Running);
        let state = handle.memory().await.unwrap();
        assert_eq!(state.shed[0].name.as_str(), "large");
        let profiles = handle.memory_profiles().await.unwrap();
        let profile = handle.memory_profile(&profiles[0].id).await.unwrap();
        assert_eq!(
            (profile["agents"][1]["name"].as_str(), profile["agents"][1]["bytes"].as_u64()),
            (Some("large"), Some(200))
        );
        fake.own(349);
        wait_for_status(&handle, "large", Status::Running).await;
        assert_eq!(topics(&handle, &MEMORY).await[3..5], ["memory.recovered", "agent.enabled"]);
        assert_eq!(*fake.nice.lock().unwrap(), Some(19), "it looks when nobody else wants to run");
    });
}

#[test]
fn an_unreadable_world_changes_nothing() {
    let agents = vec![service("vital", Priority::Critical), service("large", Priority::Normal)];
    with_fleet(agents, |handle, fake| async move {
        wait_for_status(&handle, "large", Status::Running).await;
        fake.agent(0, 790);
        fake.agent(1, 200);
        fake.own(10);
        wait_for_status(&handle, "large", Status::DisabledByMemory).await;
        wait_for("it has ended", || async { handle.agent("large").await.unwrap().agent.pids.is_empty() }).await;
        wait_for_looks(&fake, 2).await;
        fake.unreadable.store(true, Ordering::Relaxed);
        wait_for_looks(&fake, 5).await;
        let state = handle.memory().await.unwrap();
        assert_eq!((state.level, state.shed.len(), state.unreadable_processes), (Level::Critical, 1, 1));
        assert_eq!(state.used_bytes, 800, "what it was");
        assert_eq!(handle.agent("large").await.unwrap().agent.status, Status::DisabledByMemory);
        fake.agent(0, 100);
        fake.unreadable.store(false, Ordering::Relaxed);
        wait_for_status(&handle, "large", Status::Running).await;
    });
}

#[test]
fn a_check_that_takes_its_time_or_dies_holds_nobody_up() {
    let job = AgentSpec::job_named(AgentName::new("job").unwrap(), Program::Shell("true".to_owned()));
    with_fleet(vec![job], |handle, fake| async move {
        fake.block(true);
        let looks = fake.looks.load(Ordering::Relaxed);
        wait_for("a check that does not end", || async { fake.looks.load(Ordering::Relaxed) > looks }).await;
        let request = || RunRequest { agent: "job".to_owned(), payload: None, force: false, by: "test".to_owned() };
        handle.run(request()).await.unwrap();
        wait_for("its end", || async { topics(&handle, &["execution.succeeded"]).await.len() == 1 }).await;
        assert_eq!(fake.looks.load(Ordering::Relaxed), looks + 1, "one check at a time");
        fake.block(false);
        fake.panics.store(true, Ordering::Relaxed);
        wait_for_looks(&fake, 3).await;
        fake.panics.store(false, Ordering::Relaxed);
        fake.own(850);
        wait_for_level(&handle, Level::Warning).await;
    });
}

#[test]
fn over_memory_max_in_two_checks_a_job_fails_and_a_service_is_restarted() {
    let mut job = AgentSpec::job_named(AgentName::new("job").unwrap(), Program::Shell("exec sleep 1000".to_owned()));
    job.job_mut().unwrap().retry = Backoff { max: 0, ..Backoff::default() };
    job.memory_max = Some(50);
    let mut leak = service("leak", Priority::Normal);
    leak.memory_max = Some(50);
    with_fleet(vec![job, leak], |handle, fake| async move {
        wait_for_status(&handle, "leak", Status::Running).await;
        fake.agent(1, 60);
        let is_limit = |event: &Event| matches!(event, Event::AgentFailed { exit: Exit::MemoryLimit, .. });
        let failed = || async { handle.events(0, 10_000).await.unwrap().iter().any(|r| is_limit(&r.event)) };
        wait_for("it is ended", failed).await;
        fake.agent(1, 10);
        wait_for_status(&handle, "leak", Status::Running).await;
        fake.agent(0, 60);
        let request = RunRequest { agent: "job".to_owned(), payload: None, force: false, by: "test".to_owned() };
        handle.run(request).await.unwrap();
        let ended = || async {
            let events = handle.events(0, 10_000).await.unwrap();
            events.iter().any(|recorded| {
                matches!(&recorded.event, Event::ExecutionEnded { end: End::Failed, exit: Some(Exit::MemoryLimit), .. })
            })
        };
        wait_for("the end of the job", ended).await;
        assert_eq!(topics(&handle, &MEMORY).await, [""; 0], "memory is not short");
    });
}

#[test]
fn a_person_who_starts_a_shed_agent_is_right() {
    let agents = vec![service("vital", Priority::Critical), service("large", Priority::Normal)];
    with_fleet(agents, |handle, fake| async move {
        wait_for_status(&handle, "large", Status::Running).await;
        fake.agent(0, 800);
        fake.agent(1, 200);
        wait_for_status(&handle, "large", Status::DisabledByMemory).await;
        wait_for("it has ended", || async { handle.agent("large").await.unwrap().agent.pids.is_empty() }).await;
        handle.command("large", Command::Start { force: false }, "me").await.unwrap();
        wait_for_status(&handle, "large", Status::Running).await;
        wait_for_looks(&fake, 5).await;
        assert_eq!(handle.agent("large").await.unwrap().agent.status, Status::Running);
        assert_eq!(
            handle.memory().await.unwrap().next,
            "nothing more can be freed: no agent of priority 3 is left that may be disabled"
        );
    });
}
