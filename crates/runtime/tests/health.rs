//! The health monitor with hands that only write down what they are told, in virtual time: probes, graces, the overall check.

mod common;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;
use werkpilot_core::agent::{Event as ToAgent, Launch, ProcessKey};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Health, Probe, Program, ReadyCheck, Registry, RestartPolicy, StopPolicy};
use werkpilot_core::status::Status;
use werkpilot_core::vitals::{Part, PartState, Trouble};
use werkpilot_runtime::hands::Hands;
use werkpilot_runtime::observe::health::{Crash, ProbeEnded};
use werkpilot_runtime::view::AgentHealth;
use werkpilot_runtime::{Handle, Options, start};

use common::options;

const SECOND: Duration = Duration::from_secs(1);

/// What the hands were told.
#[derive(Default)]
struct Told {
    launched: Vec<ProcessKey>,
    stopped: Vec<ProcessKey>,
    /// Commands of probes that have not ended, and whether they were killed.
    probes: HashMap<u32, bool>,
    most_at_once: usize,
    probes_ever: usize,
}

#[derive(Clone, Default)]
struct Notebook(Arc<Mutex<Told>>);

impl Notebook {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    /// The probes in flight.
    fn in_flight(&self) -> Vec<u32> {
        self.told().probes.keys().copied().collect()
    }
}

impl Hands for Notebook {
    fn launch(&self, launch: Launch) {
        self.told().launched.push(launch.process);
    }

    fn stop(&self, process: ProcessKey, _: StopPolicy) {
        self.told().stopped.push(process);
    }

    fn probe(&self, serial: u32, _: RunId, _: Arc<AgentSpec>, _: Vec<String>) {
        let mut told = self.told();
        assert_eq!(told.probes.insert(serial, false), None, "a serial is used once");
        told.probes_ever += 1;
        told.most_at_once = told.most_at_once.max(told.probes.len());
    }

    fn kill_probe(&self, serial: u32) {
        if let Some(killed) = self.told().probes.get_mut(&serial) {
            *killed = true;
        }
    }

    fn hook(&self, _: u32, _: RunId, _: Arc<AgentSpec>, _: Arc<[u8]>, _: Vec<(String, String)>) {}

    fn kill_hook(&self, _: u32) {}
}

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn job(agent: &str, command: &str) -> AgentSpec {
    AgentSpec::job_named(name(agent), Program::Command(vec![command.to_owned()]))
}

/// A service that is probed by a command, once per `interval`, for at most a second each.
fn probed(agent: &str, interval: Duration, restart: RestartPolicy) -> AgentSpec {
    let mut spec = AgentSpec::service_named(name(agent), Program::Command(vec!["pause".to_owned()]));
    let service = spec.service_mut().unwrap();
    service.ready.check = ReadyCheck::After(Duration::ZERO);
    let probe = Probe::Exec(vec!["probe".to_owned()]);
    service.health = Some(Health { probe, interval, timeout: SECOND, failures: 2 });
    service.restart = restart;
    spec
}

/// A fleet whose time passes as soon as nothing else is to be done.
fn with_fleet<F: Future<Output = ()>>(agents: Vec<AgentSpec>, look: impl FnOnce(Handle, Notebook) -> F) {
    let state = TempDir::new().unwrap();
    let registry = Registry { agents, ..Registry::default() };
    let notebook = Notebook::default();
    let system = actix::System::new();
    system.block_on(async {
        tokio::time::pause();
        let hands: Option<Box<dyn Hands>> = Some(Box::new(notebook.clone()));
        let handle = start(Options { hands, ..options(registry, Settings::default(), state.path()) }).unwrap();
        look(handle, notebook).await;
    });
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Lets all that was launched run.
async fn start_all(handle: &Handle, notebook: &Notebook, services: usize) {
    while notebook.told().launched.len() < services {
        pass(Duration::from_millis(10)).await;
    }
    let launched = notebook.told().launched.clone();
    let tell = move |house: &werkpilot_runtime::house::House| {
        for process in launched {
            house.deliver(process.agent, ToAgent::Started { process, pid: 1 });
        }
    };
    handle.consult(tell).await.unwrap();
    pass(Duration::from_millis(10)).await;
}

/// Waits until a probe is in flight, and which.
async fn next_probe(notebook: &Notebook) -> u32 {
    loop {
        if let Some(serial) = notebook.in_flight().first() {
            return *serial;
        }
        pass(Duration::from_millis(50)).await;
    }
}

fn answer(handle: &Handle, notebook: &Notebook, serial: u32, result: Result<(), String>) {
    notebook.told().probes.remove(&serial);
    handle.posts().health.tell(ProbeEnded { serial, result });
}

async fn health(handle: &Handle, agent: &str) -> AgentHealth {
    handle.agent_health(agent).await.unwrap()
}

fn bad() -> Result<(), String> {
    Err("no pulse".to_owned())
}

#[test]
fn failures_in_a_row_make_a_service_unhealthy_and_after_its_grace_it_is_ended() {
    with_fleet(vec![probed("a", 4 * SECOND, RestartPolicy::Always)], async |handle, notebook| {
        start_all(&handle, &notebook, 1).await;
        for failed in 1..=2_u32 {
            let serial = next_probe(&notebook).await;
            answer(&handle, &notebook, serial, bad());
            pass(Duration::from_millis(1)).await;
            let seen = health(&handle, "a").await;
            assert_eq!((seen.probes[0].failures_in_a_row, seen.probes[0].healthy), (failed, failed < 2));
            assert_eq!(seen.outlook[0].what, if failed < 2 { "unhealthy" } else { "restart" });
        }
        let seen = health(&handle, "a").await;
        assert_eq!(
            (seen.status, seen.now.verdict, seen.unhealthy_since.is_some()),
            (Status::Unhealthy, "unhealthy", true)
        );
        assert_eq!(seen.last_health_check.unwrap().error.as_deref(), Some("no pulse"));
        // The next probe comes within the grace, and fails, too.
        let serial = next_probe(&notebook).await;
        answer(&handle, &notebook, serial, bad());
        assert!(notebook.told().stopped.is_empty());
        pass(7 * SECOND).await;
        let (stopped, launched) = {
            let told = notebook.told();
            (told.stopped.clone(), told.launched.clone())
        };
        assert_eq!(stopped, launched);
        assert!(notebook.told().probes.values().all(|killed| *killed), "who is being ended is not probed");
    });
}

#[test]
fn a_probe_that_passes_within_the_grace_saves_the_service() {
    with_fleet(vec![probed("a", 4 * SECOND, RestartPolicy::Always)], async |handle, notebook| {
        start_all(&handle, &notebook, 1).await;
        for result in [bad(), bad(), Ok(())] {
            let serial = next_probe(&notebook).await;
            answer(&handle, &notebook, serial, result);
            pass(Duration::from_millis(1)).await;
        }
        let seen = health(&handle, "a").await;
        assert_eq!((seen.status, seen.now.verdict, seen.unhealthy_since), (Status::Running, "healthy", None));
        assert!(seen.probes[0].next_at.is_some() && seen.outlook.is_empty());
        let events = handle.events(0, 1_000).await.unwrap();
        let changed = events.iter().filter(|recorded| recorded.event.topic() == "agent.health.changed").count();
        assert_eq!((changed, notebook.told().stopped.len()), (2, 0), "both ways");
    });
}

#[test]
fn a_command_that_hangs_has_failed_when_its_time_is_over_and_is_not_started_twice() {
    with_fleet(vec![probed("a", 2 * SECOND, RestartPolicy::Never)], async |handle, notebook| {
        start_all(&handle, &notebook, 1).await;
        let serial = next_probe(&notebook).await;
        pass(SECOND + Duration::from_millis(1)).await;
        assert_eq!(notebook.told().probes.get(&serial), Some(&true), "it is killed");
        let seen = health(&handle, "a").await;
        let told = seen.probes[0].last.as_ref().unwrap().error.clone();
        assert_eq!(told.as_deref(), Some("the probe's command did not end within 1s"));
        assert!(seen.probes[0].in_flight);
        // It does not end even so.
        pass(60 * SECOND).await;
        assert_eq!(health(&handle, "a").await.probes[0].failures_in_a_row, 1);
        assert_eq!(notebook.told().probes_ever, 1);
        answer(&handle, &notebook, serial, Err("killed".to_owned()));
        pass(2 * SECOND).await;
        assert_eq!(notebook.told().probes_ever, 2, "and then it goes on");
    });
}

#[test]
fn never_more_than_64_probes_are_in_flight_and_each_has_its_turn() {
    let services = (0..200).map(|number| probed(&format!("a{number}"), SECOND, RestartPolicy::Never)).collect();
    with_fleet(services, async |handle, notebook| {
        start_all(&handle, &notebook, 200).await;
        for _ in 0..20 {
            pass(Duration::from_millis(500)).await;
            for serial in notebook.in_flight() {
                answer(&handle, &notebook, serial, Ok(()));
            }
        }
        pass(Duration::from_millis(1)).await;
        assert_eq!(notebook.told().most_at_once, 64);
        for number in 0..200 {
            assert!(health(&handle, &format!("a{number}")).await.probes[0].last.is_some(), "a{number}");
        }
    });
}

#[test]
fn probes_in_flight_when_the_monitor_dies_are_ended_and_sent_again() {
    with_fleet(vec![probed("a", 4 * SECOND, RestartPolicy::Always)], async |handle, notebook| {
        start_all(&handle, &notebook, 1).await;
        let serial = next_probe(&notebook).await;
        answer(&handle, &notebook, serial, bad());
        let serial = next_probe(&notebook).await;
        handle.posts().health.tell(Crash);
        pass(Duration::from_millis(10)).await;
        assert_eq!(notebook.told().probes.get(&serial), Some(&true), "nobody waits for it any more");
        answer(&handle, &notebook, serial, Ok(()));
        let again = next_probe(&notebook).await;
        assert_ne!(again, serial);
        assert_eq!(health(&handle, "a").await.probes[0].failures_in_a_row, 1, "what was known is known");
        answer(&handle, &notebook, again, bad());
        pass(Duration::from_millis(1)).await;
        assert_eq!(health(&handle, "a").await.status, Status::Unhealthy);
    });
}

#[test]
fn every_agent_is_checked_once_per_interval_jobs_too() {
    let mut off = job("off", "/bin/true");
    off.enabled = false;
    let agents = vec![
        job("good", "/bin/true"),
        job("gone", "/there/is/no/such/program"),
        off,
        probed("service", 3_600 * SECOND, RestartPolicy::Always),
    ];
    with_fleet(agents, async |handle, notebook| {
        start_all(&handle, &notebook, 1).await;
        let first = health(&handle, "good").await;
        assert!(first.last_overall_check.is_none() && first.next_overall_check.is_some());
        pass(Duration::from_mins(6)).await;
        let expected = [
            ("good", "healthy", Some(true)),
            ("gone", "unhealthy", Some(false)),
            ("off", "not_checkable", None),
            ("service", "healthy", Some(true)),
        ];
        for (agent, verdict, healthy) in expected {
            let seen = health(&handle, agent).await;
            assert_eq!(seen.last_overall_check.unwrap().verdict.verdict, verdict, "{agent}");
            assert_eq!(seen.last_health_check.unwrap().healthy, healthy, "{agent}");
            assert_eq!(seen.now.verdict, verdict, "{agent}: it is known now, too");
        }
        let events = handle.events(0, 1_000).await.unwrap();
        let changed = events.iter().filter(|recorded| recorded.event.topic() == "agent.health.changed");
        let changed: Vec<_> = changed.filter_map(|recorded| recorded.event.agent().cloned()).collect();
        assert_eq!(changed, [name("gone")], "once, not with every check");
        assert!(handle.health().await.unwrap().last_overall_check.is_some());
    });
}

#[test]
fn the_orchestrator_tells_what_of_it_fails() {
    with_fleet(vec![job("good", "/bin/true")], async |handle, _| {
        tokio::time::resume();
        while !handle.health().await.unwrap().ready {
            pass(Duration::from_millis(10)).await;
        }
        while handle.health().await.unwrap().event_loop.lag_ms.is_none_or(|lag| lag > 500.0) {
            pass(Duration::from_millis(10)).await;
        }
        let well = handle.health().await.unwrap();
        assert!(well.disk.is_some() && well.parts.len() == 6, "{well:?}");
        // Something keeps the loop busy for longer than a beat.
        let seen = handle.consult(|house| {
            std::thread::sleep(Duration::from_millis(2_200));
            werkpilot_runtime::view::health(house)
        });
        let seen = seen.await.unwrap();
        let failing = seen.unhealthy_because();
        assert_eq!(failing[0].part, Part::EventLoop);
        assert!(matches!(failing[0].trouble, Some(Trouble::LoopLate { lag }) if lag >= SECOND), "{failing:?}");
        assert!(seen.ready && !seen.healthy, "traffic is not turned away for it");
        while !handle.health().await.unwrap().healthy {
            pass(Duration::from_millis(50)).await;
        }
        let after = handle.health().await.unwrap();
        assert!(after.event_loop.worst_lag_ms >= Some(1_000.0), "it is remembered for a minute: {after:?}");
        assert!(after.parts.iter().all(|part| part.part == Part::Disk || part.state == PartState::Ok));
    });
}
