//! Why: one fleet per status, with real processes.

mod common;

use std::time::Duration;

use werkpilot_core::agent::{Command, Event as ToAgent};
use werkpilot_core::dispatcher::Admission;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{
    AgentSpec, Backoff, Condition, Dependency, Health, OnUnhealthyDependency, Probe, Program, ReadyCheck, RestartPolicy,
};
use werkpilot_core::status::Status;
use werkpilot_runtime::why::Why;
use werkpilot_runtime::{ControlError, Handle, RunRequest};

use common::{patient, wait_for, with_fleet, with_kept_fleet};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_mins(1);

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn backoff(max: u32, initial: Duration) -> Backoff {
    Backoff { max, initial, factor: 1.0, cap: initial, jitter: 0.0 }
}

fn job(agent: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::job_named(name(agent), Program::Shell(line.to_owned()));
    spec.job_mut().unwrap().retry = backoff(0, SHORT);
    spec
}

fn service(agent: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::service_named(name(agent), Program::Shell(line.to_owned()));
    let service = spec.service_mut().unwrap();
    service.ready.check = ReadyCheck::After(SHORT);
    service.backoff = backoff(0, SHORT);
    spec.stop.timeout = Duration::from_millis(500);
    spec
}

fn depends(mut spec: AgentSpec, on: &str) -> AgentSpec {
    spec.dependencies = vec![Dependency { agent: name(on), condition: Condition::Healthy }];
    spec
}

async fn run(handle: &Handle, agent: &str) -> RunId {
    let request = RunRequest { agent: agent.to_owned(), payload: None, force: false, by: "ada".to_owned() };
    match handle.run(request).await.unwrap() {
        Admission::Accepted(run) | Admission::Skipped(run, _) | Admission::Refused(run, _) => run,
    }
}

async fn ended(handle: &Handle, agent: &str) -> RunId {
    let run = run(handle, agent).await;
    tokio::time::timeout(Duration::from_secs(10), handle.wait(run)).await.unwrap().unwrap();
    run
}

/// Waits until the agent has this status, and explains it.
async fn why(handle: &Handle, agent: &str, status: Status) -> Why {
    let state = async || handle.why(agent).await.unwrap().state;
    wait_for(&format!("{agent} is {status}"), || async { state().await == status.as_str() }).await;
    let why = handle.why(agent).await.unwrap();
    assert!(why.summary.starts_with(&format!("{agent} is {status}")), "{}", why.summary);
    assert!(why.to_text().starts_with(&why.summary));
    why
}

fn codes(why: &Why) -> Vec<&str> {
    why.chain.iter().map(|cause| cause.code.as_str()).collect()
}

fn notes(why: &Why) -> Vec<&str> {
    why.notes.iter().map(|cause| cause.code.as_str()).collect()
}

#[track_caller]
fn assert_next(why: &Why, what: &str, timed: bool) {
    let next = why.next.first().unwrap_or_else(|| panic!("nothing follows: {why:?}"));
    assert_eq!((next.what, next.at.is_some(), next.in_ms.is_some()), (what, timed, timed), "{why:?}");
}

#[track_caller]
fn assert_advised(why: &Why, command: &str) {
    assert!(why.actions.iter().any(|advice| advice.command == command), "{command}: {:?}", why.actions);
}

#[test]
fn stopped() {
    with_fleet(vec![service("db", "exec sleep 100")], |handle| async move {
        why(&handle, "db", Status::Running).await;
        handle.command("db", Command::Stop, "ada").await.unwrap();
        let why = why(&handle, "db", Status::Stopped).await;
        assert_eq!(codes(&why), ["stopped_by_operator", "by_operator"]);
        assert!(why.chain[1].text.contains("ada") && why.since.is_some(), "{why:?}");
        assert_next(&why, "nothing", false);
        assert_advised(&why, "werkpilot start db");
    });
}

#[test]
fn idle_and_paused() {
    let mut report = job("report", "true");
    report.job_mut().unwrap().triggers.schedule = Some("0 0 1 1 *".to_owned());
    with_fleet(vec![report, job("by-hand", "true")], |handle| async move {
        assert!(handle.booted().await);
        let idle = why(&handle, "report", Status::Idle).await;
        assert_eq!((codes(&idle), notes(&idle)), (vec!["awaits_trigger"], vec!["never_ran"]));
        assert_next(&idle, "due", true);
        assert_next(&why(&handle, "by-hand", Status::Idle).await, "nothing", false);
        let run = ended(&handle, "report").await;
        handle.pause(true, "ada").await.unwrap();
        let paused = why(&handle, "report", Status::Idle).await;
        assert_eq!(codes(&paused), ["paused", "awaits_trigger"]);
        assert_eq!((notes(&paused), paused.notes[0].run_id), (vec!["last_run"], Some(run)));
        assert!(paused.next[0].condition.as_ref().unwrap().contains("skipped"), "{paused:?}");
        assert_advised(&paused, "werkpilot resume");
    });
}

fn one_worker() -> Settings {
    let mut settings = patient();
    settings.queue.workers = Some(1);
    settings
}

#[test]
fn queued_for_a_worker_and_behind_whom() {
    let jobs = vec![job("first", "sleep 100"), job("second", "true"), job("third", "true")];
    with_kept_fleet(jobs, one_worker(), |handle| async move {
        let first = run(&handle, "first").await;
        let second = run(&handle, "second").await;
        let third = run(&handle, "third").await;
        let why_third = why(&handle, "third", Status::Queued).await;
        assert_eq!(codes(&why_third), ["waiting_for_worker", "in_line", "workers_held"]);
        assert_eq!((why_third.chain[1].run_id, &why_third.chain[1].agent), (Some(second), &Some(name("second"))));
        assert_eq!(why_third.chain[1].data["ahead"], 1);
        assert_eq!(why_third.chain[2].data["holders"][0]["runId"], first.to_string());
        assert_advised(&why_third, "werkpilot queue");
        let of_run = handle.why(&third.to_string()).await.unwrap();
        assert_eq!((codes(&of_run), &*of_run.state), (codes(&why_third), "waiting"));
        assert_eq!((notes(&of_run), of_run.subject), (vec!["triggered_by"], "execution"));
        assert!(of_run.next.iter().any(|next| next.what == "ageing" && next.at.is_some()), "{of_run:?}");
        handle.cancel(first, "ada").await.unwrap();
        handle.wait(third).await.unwrap();
    });
}

#[test]
fn queued_for_a_dependency_and_its_root_cause() {
    let mut db = service("db", "exit 3");
    db.service_mut().unwrap().restart = RestartPolicy::Never;
    // However long it takes to end, it is never ready before.
    db.service_mut().unwrap().ready.check = ReadyCheck::Log("never".to_owned());
    let (cache, web) =
        (depends(service("cache", "exec sleep 100"), "db"), depends(service("web", "exec sleep 100"), "cache"));
    let mut report = depends(job("report", "true"), "db");
    report.job_mut().unwrap().on_unhealthy_dependency = OnUnhealthyDependency::Wait;
    let mut settings = patient();
    settings.boot.layer_timeout = SHORT;
    with_kept_fleet(vec![db, cache, web, report], settings, |handle| async move {
        let db = why(&handle, "db", Status::Error).await;
        assert_eq!(codes(&db), ["not_restarted"]);
        let run = run(&handle, "report").await;
        let waits = why(&handle, "report", Status::Queued).await;
        assert_eq!(codes(&waits), ["unhealthy_dependencies", "dependency"]);
        assert_eq!(waits.chain[1].data["cause"]["code"], "not_restarted");
        assert!(waits.summary.contains("root cause: db is error: exited with code 3"), "{}", waits.summary);
        assert_advised(&waits, "werkpilot run report --force");
        let of_run = handle.why(&run.to_string()).await.unwrap();
        assert_eq!((codes(&of_run), of_run.next[0].what), (codes(&waits), "starts"));
        wait_for("the end of the boot", || async { handle.booted().await }).await;
        let web = why(&handle, "web", Status::Queued).await;
        let depths: Vec<usize> = web.chain.iter().map(|cause| cause.depth).collect();
        assert_eq!((codes(&web), depths), (vec!["unhealthy_dependencies", "dependency", "dependency"], vec![0, 1, 2]));
        assert!(web.summary.contains("root cause: db is error"), "{}", web.summary);
        let db = why(&handle, "db", Status::Error).await;
        assert!(db.notes.iter().any(|note| note.code == "affects" && note.text.contains("cache, report")), "{db:?}");
    });
}

#[test]
fn starting_and_before_its_layer() {
    let mut db = service("db", "exec sleep 100");
    db.service_mut().unwrap().ready.check = ReadyCheck::Notify;
    let web = depends(service("web", "exec sleep 100"), "db");
    with_fleet(vec![db, web], |handle| async move {
        let starting = why(&handle, "db", Status::Starting).await;
        assert_eq!(codes(&starting), ["not_ready_yet"]);
        assert!(starting.summary.contains("READY=1"), "{}", starting.summary);
        assert_next(&starting, "not_ready", true);
        let early = why(&handle, "web", Status::Stopped).await;
        assert_eq!((codes(&early), early.next[0].what), (vec!["waiting_for_layer"], "starts"));
    });
}

#[test]
fn running_job_with_its_timeout_and_one_that_waits_for_it() {
    let mut report = job("report", "trap '' TERM; while :; do sleep 0.1; done");
    report.job_mut().unwrap().timeout = Some(LONG);
    report.stop.timeout = Duration::from_secs(2);
    with_fleet(vec![report], |handle| async move {
        let first = run(&handle, "report").await;
        let running = why(&handle, "report", Status::Running).await;
        assert_eq!((codes(&running), running.chain[0].run_id), (vec!["executing"], Some(first)));
        assert_next(&running, "timeout", true);
        let second = run(&handle, "report").await;
        let waits = handle.why(&second.to_string()).await.unwrap();
        assert_eq!((codes(&waits), waits.chain[1].run_id), (vec!["waiting_for_previous", "previous"], Some(first)));
        assert!(notes(&why(&handle, "report", Status::Running).await).contains(&"more_wait"));
        handle.cancel(second, "ada").await.unwrap();
        wait_for("its program", || async { !handle.agent("report").await.unwrap().agent.pids.is_empty() }).await;
        handle.cancel(first, "ada").await.unwrap();
        let stopping = why(&handle, "report", Status::Stopping).await;
        assert_eq!(codes(&stopping), ["by_operator", "asked_to_end", "executing"]);
        assert_next(&stopping, "kill", false);
    });
}

#[test]
fn running_but_restarted_lately() {
    let folder = tempfile::TempDir::new().unwrap();
    let line = format!("cd {}; [ -e ran ] && exec sleep 100; touch ran; exit 3", folder.path().display());
    with_fleet(vec![service("db", &line)], |handle| async move {
        wait_for("a restart", || async { handle.agent("db").await.unwrap().agent.restarts == 1 }).await;
        let running = why(&handle, "db", Status::Running).await;
        assert_eq!((codes(&running), notes(&running)), (vec!["up"], vec!["restarted_lately"]));
        assert!(running.notes[0].text.ends_with("once within 1h: exited with code 3"), "{running:?}");
        assert_eq!(running.notes[0].data["restarts"], 1);
    });
}

#[test]
fn unhealthy() {
    let mut db = service("db", "exec sleep 100");
    let body = db.service_mut().unwrap();
    let (probe, interval) = (Probe::Exec(vec!["false".to_owned()]), Duration::from_millis(50));
    body.health = Some(Health { probe, interval, timeout: LONG, failures: 1 });
    body.restart = RestartPolicy::Never;
    with_fleet(vec![db], |handle| async move {
        let ill = why(&handle, "db", Status::Unhealthy).await;
        assert_eq!(codes(&ill), ["probes_failed", "probe"]);
        assert!(ill.since.is_some() && ill.chain[1].data["target"] == "false", "{ill:?}");
        assert_next(&ill, "left", false);
        assert_advised(&ill, "werkpilot restart db");
    });
}

#[test]
fn backing_off() {
    let mut report = job("report", "exit 3");
    report.job_mut().unwrap().retry = backoff(3, LONG);
    let mut db = service("db", "exit 4");
    db.service_mut().unwrap().backoff = backoff(0, LONG);
    with_fleet(vec![report, db], |handle| async move {
        let run = run(&handle, "report").await;
        let retrying = why(&handle, "report", Status::BackingOff).await;
        assert_eq!((codes(&retrying), retrying.chain[0].run_id), (vec!["backing_off", "attempt_failed"], Some(run)));
        assert!(retrying.summary.contains("exited with code 3; next: attempt 2 of 4 in"), "{}", retrying.summary);
        assert_next(&retrying, "retry", true);
        let restarting = why(&handle, "db", Status::BackingOff).await;
        assert_eq!(codes(&restarting), ["exited"]);
        assert_next(&restarting, "start", true);
    });
}

#[test]
fn backing_off_until_all_restarts_have_room() {
    let mut settings = patient();
    settings.breaker.max_restarts = 1;
    with_kept_fleet(vec![service("db", "exit 4")], settings, |handle| async move {
        let room = async || codes(&handle.why("db").await.unwrap()).first() == Some(&"waiting_for_restart_room");
        wait_for("no room", || async { room().await }).await;
        let waits = why(&handle, "db", Status::BackingOff).await;
        assert_eq!(codes(&waits), ["waiting_for_restart_room", "restarts_of_all"]);
        assert_eq!(waits.chain[1].data["used"], 1);
        assert_next(&waits, "room", true);
    });
}

#[test]
fn stopping() {
    let mut db = service("db", "trap '' TERM; while :; do sleep 0.1; done");
    db.stop.timeout = Duration::from_secs(3);
    with_fleet(vec![db], |handle| async move {
        why(&handle, "db", Status::Running).await;
        handle.command("db", Command::Restart, "ada").await.unwrap();
        let stopping = why(&handle, "db", Status::Stopping).await;
        assert_eq!(codes(&stopping), ["by_operator", "asked_to_end"]);
        assert_next(&stopping, "kill", false);
    });
}

#[test]
fn error_with_its_dead_letter() {
    with_kept_fleet(vec![job("report", "exit 3")], patient(), |handle| async move {
        let run = ended(&handle, "report").await;
        wait_for("a letter", || async { handle.dead_letters().await.unwrap().total == 1 }).await;
        let error = why(&handle, "report", Status::Error).await;
        assert_eq!(codes(&error), ["last_end", "last_run", "dead_letter"]);
        assert!(error.summary.contains("exited with code 3"), "{}", error.summary);
        assert_advised(&error, "werkpilot dlq show 1");
        let of_run = handle.why(&run.to_string()).await.unwrap();
        assert_eq!((&*of_run.state, codes(&of_run)), ("failed", vec!["retries_exhausted"]));
        assert_eq!(notes(&of_run), ["triggered_by", "dead_letter", "agent_now"]);
        assert_advised(&of_run, "werkpilot dlq replay 1");
        assert!(of_run.facts.iter().any(|fact| fact.topic == "execution.failed"), "{of_run:?}");
    });
}

#[test]
fn timeout() {
    let mut report = job("report", "sleep 100");
    report.job_mut().unwrap().timeout = Some(Duration::from_millis(100));
    with_fleet(vec![report], |handle| async move {
        let run = ended(&handle, "report").await;
        let timeout = why(&handle, "report", Status::Timeout).await;
        assert_eq!(codes(&timeout)[..2], ["last_end", "last_run"]);
        assert!(timeout.summary.contains("took longer than its timeout of 100ms"), "{}", timeout.summary);
        let of_run = handle.why(&run.to_string()).await.unwrap();
        assert_eq!((&*of_run.state, codes(&of_run)), ("timed_out", vec!["timed_out"]));
    });
}

#[test]
fn missing() {
    let ghost = |kind: fn(AgentName, Program) -> AgentSpec, agent: &str| {
        kind(name(agent), Program::Command(vec!["/no/such/program".to_owned()]))
    };
    let (job, service) = (ghost(AgentSpec::job_named, "ghost"), ghost(AgentSpec::service_named, "spirit"));
    with_fleet(vec![job, service], |handle| async move {
        ended(&handle, "ghost").await;
        let missing = why(&handle, "ghost", Status::Missing).await;
        assert!(codes(&missing)[0] == "last_end" && missing.summary.contains("/no/such/program"), "{missing:?}");
        let missing = why(&handle, "spirit", Status::Missing).await;
        assert_eq!(codes(&missing), ["command_missing"]);
        assert_next(&missing, "nothing", false);
    });
}

#[test]
fn disabled_by_failure() {
    let mut settings = patient();
    settings.breaker.dead_letters = 1;
    with_kept_fleet(vec![job("report", "exit 3")], settings, |handle| async move {
        ended(&handle, "report").await;
        wait_for("its letter", || async { handle.dead_letters().await.unwrap().total == 1 }).await;
        let open = why(&handle, "report", Status::DisabledByFailure).await;
        assert_eq!((codes(&open), open.since.is_some()), (vec!["disabled", "dead_letter"], true));
        assert!(open.summary.contains("1 dead letters in a row; next: one trial in 1"), "{}", open.summary);
        assert_next(&open, "trial", true);
        assert_advised(&open, "werkpilot enable report");
    });
}

#[test]
fn disabled_by_memory() {
    with_fleet(vec![service("cache", "exec sleep 100")], |handle| async move {
        why(&handle, "cache", Status::Running).await;
        let reason = Reason::MemoryPressure { percent: 93, threshold: 90, used_bytes: 400 << 20 };
        let shed = move |house: &werkpilot_runtime::house::House| {
            let index = house.directory.borrow().find("cache").unwrap();
            house.deliver(index, ToAgent::MemoryIsShort { reason });
        };
        handle.consult(shed).await.unwrap();
        let shed = why(&handle, "cache", Status::DisabledByMemory).await;
        assert_eq!(codes(&shed), ["memory_pressure", "memory"]);
        assert_eq!(shed.next[0].what, "comes_back");
        assert_advised(&shed, "werkpilot start cache");
    });
}

#[test]
fn disabled() {
    let mut off = job("off", "true");
    off.enabled = false;
    with_kept_fleet(vec![off, job("report", "true")], patient(), |handle| async move {
        assert_eq!(codes(&why(&handle, "off", Status::Disabled).await), ["disabled_in_registry"]);
        handle.command("report", Command::Disable, "ada").await.unwrap();
        let disabled = why(&handle, "report", Status::Disabled).await;
        assert_eq!((codes(&disabled), disabled.since.is_some()), (vec!["by_operator"], true));
        assert!(disabled.chain[0].text.contains("ada"), "{disabled:?}");
        assert_advised(&disabled, "werkpilot enable report");
    });
}

#[test]
fn executions_that_were_skipped_refused_or_cancelled() {
    let mut db = service("db", "exit 3");
    db.service_mut().unwrap().restart = RestartPolicy::Never;
    let jobs = vec![db, depends(job("report", "true"), "db"), job("long", "sleep 100"), job("off", "true")];
    with_kept_fleet(jobs, patient(), |handle| async move {
        why(&handle, "db", Status::Error).await;
        let skipped = ended(&handle, "report").await;
        let skipped = handle.why(&skipped.to_string()).await.unwrap();
        assert_eq!((&*skipped.state, codes(&skipped)), ("skipped", vec!["unhealthy_dependencies", "dependency_was"]));
        assert!(skipped.chain[1].text.contains("db was error: exited with code 3"), "{skipped:?}");
        handle.command("off", Command::Stop, "ada").await.unwrap();
        let refused = ended(&handle, "off").await;
        let refused = handle.why(&refused.to_string()).await.unwrap();
        assert_eq!((&*refused.state, codes(&refused)), ("refused", vec!["stopped_by_operator"]));
        let cancelled = run(&handle, "long").await;
        handle.cancel(cancelled, "ada").await.unwrap();
        handle.wait(cancelled).await.unwrap();
        let cancelled = handle.why(&cancelled.to_string()).await.unwrap();
        assert_eq!((&*cancelled.state, codes(&cancelled)), ("cancelled", vec!["by_operator"]));
    });
}

#[test]
fn an_execution_that_succeeded_and_subjects_that_nobody_knows() {
    with_kept_fleet(vec![job("report", "true")], patient(), |handle| async move {
        let run = ended(&handle, "report").await;
        let why = handle.why(&run.to_string()).await.unwrap();
        assert_eq!((&*why.state, codes(&why), why.run_id), ("succeeded", vec!["triggered_by"], Some(run)));
        for (subject, meant) in [("reprot", Some("report")), ("0192f0c1-2b7e-7c3a-9d55-0123456789ab", None)] {
            let Err(ControlError::UnknownSubject { suggestion, .. }) = handle.why(subject).await else {
                panic!("{subject} is known")
            };
            assert_eq!(suggestion.as_deref(), meant);
        }
    });
}
