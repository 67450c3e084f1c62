//! The actors with real processes.

mod common;

use std::time::Duration;

use werkpilot_core::agent::Command;
use werkpilot_core::dispatcher::Admission;
use werkpilot_core::event::{End, Event};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::{AgentSpec, Backoff, Condition, Dependency, Program, ReadyCheck, Registry, Strategy};
use werkpilot_core::status::Status;
use werkpilot_runtime::{Handle, RunRequest};

use common::{wait_for, with_fleet, with_registry};

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn shell(line: &str) -> Program {
    Program::Shell(line.to_owned())
}

fn job(agent: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::job_named(name(agent), shell(line));
    let fast = Duration::from_millis(20);
    spec.job_mut().unwrap().retry = Backoff { max: 3, initial: fast, factor: 1.0, cap: fast, jitter: 0.0 };
    spec
}

fn service(agent: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::service_named(name(agent), shell(line));
    let service = spec.service_mut().unwrap();
    service.ready.check = ReadyCheck::After(Duration::from_millis(50));
    let fast = Duration::from_millis(20);
    service.backoff = Backoff { max: 0, initial: fast, factor: 1.0, cap: fast, jitter: 0.0 };
    spec.stop.timeout = Duration::from_millis(500);
    spec
}

async fn status(handle: &Handle, agent: &str) -> Status {
    handle.agent(agent).await.unwrap().agent.status
}

async fn wait_for_status(handle: &Handle, agent: &str, wanted: Status) {
    wait_for(&format!("{agent} is {wanted}"), || async { status(handle, agent).await == wanted }).await;
}

async fn run(handle: &Handle, agent: &str) -> RunId {
    let request = RunRequest { agent: agent.to_owned(), payload: None, force: false, by: "test".to_owned() };
    match handle.run(request).await.unwrap() {
        Admission::Accepted(run) => run,
        other => panic!("not accepted: {other:?}"),
    }
}

async fn end_of(handle: &Handle, run: RunId) -> End {
    let recorded = tokio::time::timeout(Duration::from_secs(10), handle.wait(run)).await.unwrap().unwrap();
    match recorded.event {
        Event::ExecutionEnded { end, .. } => end,
        other => panic!("no end: {other:?}"),
    }
}

async fn topics(handle: &Handle) -> Vec<(&'static str, String)> {
    let events = handle.events(0, 10_000).await.unwrap();
    events.iter().map(|e| (e.event.topic(), e.event.agent().map(ToString::to_string).unwrap_or_default())).collect()
}

#[test]
fn a_job_runs_and_its_time_is_counted() {
    with_fleet(vec![job("hello", "echo hello")], |handle| async move {
        let run = run(&handle, "hello").await;
        assert_eq!(end_of(&handle, run).await, End::Succeeded);
        wait_for("percentiles", || async { handle.overview().await.unwrap().metrics.contains_key("hello") }).await;
        let (page, _) = handle
            .log_tail(werkpilot_runtime::LogQuery {
                agent: "hello".to_owned(),
                filter: werkpilot_process::logs::LineFilter::default().of_run(Some(&run)),
                lines: 10,
                ..Default::default()
            })
            .await
            .unwrap();
        assert_eq!(page.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["hello"]);
    });
}

#[test]
fn a_job_that_fails_is_retried_and_becomes_a_dead_letter() {
    with_fleet(vec![job("bad", "echo oh no >&2; exit 3")], |handle| async move {
        let run = run(&handle, "bad").await;
        assert_eq!(end_of(&handle, run).await, End::Failed);
        wait_for("dead letter", || async { handle.dead_letters().await.unwrap().total == 1 }).await;
        let letter = handle.dead_letter(1).await.unwrap();
        assert_eq!(letter.restart_count, 4);
        assert_eq!(letter.execution.attempts.len(), 4);
        assert!(letter.execution.log_tail.iter().any(|line| line.contains("oh no")), "{letter:?}");
        assert_eq!(status(&handle, "bad").await, Status::Error);
        let why = handle.why("bad").await.unwrap();
        assert!(why.to_text().contains("all 4 attempts failed"), "{}", why.to_text());
    });
}

#[test]
fn a_service_becomes_ready_and_is_restarted_after_a_crash() {
    with_fleet(vec![service("db", "exec sleep 1000")], |handle| async move {
        wait_for_status(&handle, "db", Status::Running).await;
        let before = handle.agent("db").await.unwrap().agent.pids;
        kill(before[0], "KILL");
        wait_for("a new process", || async {
            let agent = handle.agent("db").await.unwrap().agent;
            agent.status == Status::Running && !agent.pids.is_empty() && agent.pids != before
        })
        .await;
        assert_eq!(handle.agent("db").await.unwrap().agent.restarts, 1);
    });
}

fn kill(pid: i32, signal: &str) {
    let done = std::process::Command::new("/bin/kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(done.unwrap().success());
}

#[test]
fn a_job_with_an_unhealthy_dependency_is_skipped_with_the_reason() {
    let mut sales = job("agent-sales", "true");
    sales.dependencies = vec![Dependency { agent: name("agent-db"), condition: Condition::Healthy }];
    let mut db = service("agent-db", "exit 1");
    db.service_mut().unwrap().restart = werkpilot_core::spec::RestartPolicy::Never;
    with_fleet(vec![sales, db], |handle| async move {
        wait_for_status(&handle, "agent-db", Status::Error).await;
        let run = run(&handle, "agent-sales").await;
        assert_eq!(end_of(&handle, run).await, End::Skipped);
        let topics = topics(&handle).await;
        assert!(topics.contains(&("agent.dependencies.unhealthy", "agent-sales".to_owned())), "{topics:?}");
    });
}

#[test]
fn a_missing_command_is_missing_and_not_retried() {
    let spec = AgentSpec::job_named(name("ghost"), Program::Command(vec!["/no/such/program".to_owned()]));
    with_fleet(vec![spec], |handle| async move {
        let run = run(&handle, "ghost").await;
        assert_eq!(end_of(&handle, run).await, End::Failed);
        assert_eq!(status(&handle, "ghost").await, Status::Missing);
        assert_eq!(handle.agent("ghost").await.unwrap().agent.restarts, 0);
    });
}

#[test]
fn a_stopped_service_stays_stopped_until_it_is_started() {
    with_fleet(vec![service("db", "exec sleep 1000")], |handle| async move {
        wait_for_status(&handle, "db", Status::Running).await;
        handle.command("db", Command::Stop, "test").await.unwrap();
        wait_for_status(&handle, "db", Status::Stopped).await;
        handle.command("db", Command::Start { force: false }, "test").await.unwrap();
        wait_for_status(&handle, "db", Status::Running).await;
    });
}

#[test]
fn one_for_all_restarts_the_whole_department() {
    let mut registry = Registry {
        agents: vec![service("a", "exec sleep 1000"), service("b", "exec sleep 1000")],
        ..Default::default()
    };
    registry.strategies.insert("default".to_owned(), Strategy::OneForAll);
    with_registry(registry, |handle| async move {
        wait_for_status(&handle, "a", Status::Running).await;
        wait_for_status(&handle, "b", Status::Running).await;
        let b_before = handle.agent("b").await.unwrap().agent.pids;
        let a = handle.agent("a").await.unwrap().agent.pids[0];
        kill(a, "KILL");
        wait_for("b restarted", || async {
            let b = handle.agent("b").await.unwrap().agent;
            b.status == Status::Running && b.pids != b_before
        })
        .await;
    });
}

#[test]
fn a_stubborn_service_is_killed_after_its_grace_at_shutdown() {
    with_fleet(vec![service("stubborn", "trap '' TERM; while :; do sleep 1; done")], |handle| async move {
        wait_for_status(&handle, "stubborn", Status::Running).await;
    });
}

#[test]
fn a_panic_in_an_agents_actor_or_in_the_queue_costs_nothing() {
    with_fleet(vec![service("db", "exec sleep 1000"), job("hello", "true")], |handle| async move {
        wait_for_status(&handle, "db", Status::Running).await;
        let pids = handle.agent("db").await.unwrap().agent.pids;
        handle.crash_agent("db").await.unwrap();
        handle.crash_queue();
        wait_for("the deaths are told", || async {
            topics(&handle).await.iter().filter(|(topic, _)| *topic == "system.actor.died").count() == 2
        })
        .await;
        let run = run(&handle, "hello").await;
        assert_eq!(end_of(&handle, run).await, End::Succeeded);
        assert_eq!(handle.agent("db").await.unwrap().agent.pids, pids);
        handle.command("db", Command::Restart, "test").await.unwrap();
        wait_for("a new process", || async {
            let agent = handle.agent("db").await.unwrap().agent;
            agent.status == Status::Running && agent.pids != pids
        })
        .await;
    });
}

#[test]
fn a_startup_job_that_is_switched_off_is_skipped_at_boot_and_never_queued() {
    let off = |agent: &str| {
        let mut off = job(agent, "true");
        off.enabled = false;
        off.job_mut().unwrap().triggers.startup = true;
        off
    };
    with_fleet(vec![off("first"), service("db", "exec sleep 1000"), off("second")], |handle| async move {
        wait_for_status(&handle, "db", Status::Running).await;
        for agent in ["first", "second"] {
            let skipped = [("agent.skipped", agent.to_owned()), ("execution.skipped", agent.to_owned())];
            let told: Vec<_> = topics(&handle).await.into_iter().filter(|(_, of)| of == agent).collect();
            assert_eq!(told, skipped);
            assert_eq!(status(&handle, agent).await, Status::Disabled);
        }
        let events = handle.events(0, 10_000).await.unwrap();
        let reasons = events.iter().filter_map(|recorded| match &recorded.event {
            Event::ExecutionEnded { reason, .. } => reason.clone(),
            _ => None,
        });
        assert_eq!(reasons.collect::<Vec<_>>(), vec![Reason::DisabledInRegistry; 2]);
    });
}

#[test]
fn what_could_not_be_spawned_has_not_started_for_those_that_depend_on_it() {
    let ghost = AgentSpec::job_named(name("ghost"), Program::Command(vec!["/no/such/program".to_owned()]));
    let on = |agent: &str, dependency: &str| {
        let mut spec = job(agent, "true");
        spec.dependencies = vec![Dependency { agent: name(dependency), condition: Condition::Started }];
        spec
    };
    let fleet = vec![ghost, job("bad", "exit 1"), on("on-ghost", "ghost"), on("on-bad", "bad")];
    with_fleet(fleet, |handle| async move {
        for (dependency, dependent, end) in [("ghost", "on-ghost", End::Skipped), ("bad", "on-bad", End::Succeeded)] {
            let ran = run(&handle, dependency).await;
            assert_eq!(end_of(&handle, ran).await, End::Failed);
            let ran = run(&handle, dependent).await;
            assert_eq!(end_of(&handle, ran).await, end, "{dependent}");
        }
    });
}
