//! Every status, at least once.

use insta::assert_snapshot;

use super::*;
use crate::agent::{AttemptView, IllnessView, InstanceView};
use crate::dead_letters::Attempt;
use crate::dispatcher::{Before, Holder, Place, Rank};
use crate::exit::Exit;
use crate::memory::Level;
use crate::optimizer::{Decision, DecisionState};
use crate::reason::{DependencyProblem, UnhealthyDependency};
use crate::spec::{Priority, ReadyCheck, StopPolicy};

fn instance(status: Status, reason: Option<Reason>) -> InstanceView {
    InstanceView {
        instance: 0,
        status,
        process: None,
        run: None,
        since: Some(steady_ago(90)),
        restarts: 2,
        reason,
        next_attempt: None,
        illness: None,
    }
}

fn exited(code: i32) -> Reason {
    Reason::Exited { exit: Exit::Code(code) }
}

fn dependency(account: AgentAccount) -> DependencyAccount {
    let (dep, reason) = (account.spec.name.clone(), DependencyProblem::Status(account.status));
    let problem = UnhealthyDependency { dep, reason, error: account.error.clone() };
    DependencyAccount { problem, account: Some(Box::new(account)) }
}

fn unhealthy(account: &AgentAccount) -> Reason {
    Reason::UnhealthyDependencies { dependencies: account.unhealthy.iter().map(|u| u.problem.clone()).collect() }
}

fn failed(code: i32) -> Attempt {
    let (started_at, duration) = (ago(10), Duration::from_secs(7));
    Attempt { attempt: 1, started_at, duration, exit: Exit::Code(code) }
}

#[test]
fn idle() {
    let mut idle = job("report", Status::Idle);
    spec(&mut idle).job_mut().unwrap().triggers.schedule = Some("*/5 * * * *".to_owned());
    idle.last = Some(last("succeeded", None));
    idle.due = Some(NOW.wall + Duration::from_mins(2));
    idle.facts.push(fact(180, "execution.succeeded", "Execution 1 of \"report\" succeeded"));
    assert_snapshot!(text(&idle));
    idle.paused = true;
    idle.catching_up = 3;
    assert_snapshot!(text(&idle));
}

#[test]
fn idle_without_a_trigger_and_with_an_unhealthy_dependency() {
    let mut idle = job("report", Status::Idle);
    let mut database = service("db", Status::Missing);
    database.instances = vec![instance(
        Status::Missing,
        Some(Reason::CommandMissing { message: "start /no/db: no such file".to_owned() }),
    )];
    idle.unhealthy = vec![dependency(database)];
    idle.last = Some(last("skipped", Some("unhealthy dependencies: db (missing)")));
    assert_snapshot!(text(&idle));
}

#[test]
fn running_job_with_a_timeout_and_one_that_is_being_ended() {
    let mut running = job("report", Status::Running);
    running.live = vec![runs(1, 2)];
    running.last = Some(last("failed", Some("the only attempt failed: exited with code 1")));
    let stop = StopPolicy { timeout: Duration::from_secs(10), ..StopPolicy::default() };
    let attempt = AttemptView { timeout_at: Some(in_secs(30)), stop, ending: None };
    running.live[0].attempt = Some(attempt.clone());
    assert_snapshot!(text(&running));
    let ending = Some(Reason::TimedOut { timeout: Duration::from_mins(1) });
    running.live[0].attempt = Some(AttemptView { ending, ..attempt });
    assert_snapshot!(text(&running));
}

#[test]
fn running_but_restarted_lately() {
    let mut running = service("db", Status::Running);
    running.instances = vec![instance(Status::Running, None)];
    running.pids = vec![4_711];
    let restart = |secs, reason: &str| Restart { at: ago(secs), reason: reason.to_owned() };
    running.restarts =
        vec![restart(300, "exited with code 1"), restart(200, "killed by SIGKILL"), restart(95, "exited with code 1")];
    running.probes = vec![ProbeAccount {
        instance: 0,
        kind: "http",
        target: Some("http://127.0.0.1:1/health".to_owned()),
        failures: 1,
        allowed: 3,
        last_error: Some((ago(2), "refused".to_owned())),
        next: Some(NOW.wall + Duration::from_secs(8)),
    }];
    running.decision = Some(Decision {
        id: 3,
        report: 2,
        at: ago(3_600),
        agent: name("db"),
        from: Priority::Normal,
        to: Priority::Important,
        registry: Priority::Normal,
        because: "three agents wait for it".to_owned(),
        state: DecisionState::Standing,
        changed_at: None,
        changed_by: None,
    });
    running.breaker = BreakerState::HalfOpen { cooldown: Duration::from_mins(15) };
    assert_snapshot!(text(&running));
}

#[test]
fn queued_for_a_worker_and_behind_whom() {
    let mut queued = job("report", Status::Queued);
    let mut live = waits(1, Reason::WaitingForWorker { workers: 2 });
    let before = Before { run: run(2), agent: name("orders"), by: Rank::Priority, priority: 1, effective_priority: 1 };
    live.standing.place = Some(Place { ahead: 3, priority: 3, level: 3, before: Some(before) });
    let mut other = waits(5, Reason::WaitingForWorker { workers: 2 });
    other.standing.place = Some(Place { ahead: 4, priority: 3, level: 3, before: None });
    queued.live = vec![live, other];
    let holder =
        |number, agent: &str, secs| Holder { run: run(number), agent: name(agent), running: Duration::from_secs(secs) };
    queued.holders = vec![holder(3, "import", 600), holder(4, "export", 2)];
    assert_snapshot!(text(&queued));
    let why = of_agent(&queued, NOW);
    assert_eq!(codes(&why), [(0, "waiting_for_worker"), (1, "in_line"), (1, "workers_held")]);
    assert_eq!(why.chain[1].data["before"]["by"], "priority");
    assert_eq!(why.chain[2].data["holders"][0]["running_ms"], 600_000.0);
}

#[test]
fn queued_for_a_dependency_down_to_the_root_cause() {
    let mut database = service("db", Status::DisabledByFailure);
    let status = Status::DisabledByFailure;
    database.closed = Some(Reason::Disabled { status, why: "11 restarts within 10m".to_owned() });
    database.breaker = BreakerState::Open { until: in_secs(240), cooldown: Duration::from_mins(15) };
    let mut cache = service("cache", Status::Queued);
    cache.unhealthy = vec![dependency(database)];
    let mut start = waits(2, unhealthy(&cache));
    start.standing.instance = Some(0);
    cache.instances = vec![instance(Status::Queued, None)];
    cache.live = vec![start];
    let mut web = service("web", Status::Queued);
    web.unhealthy = vec![dependency(cache)];
    let mut start = waits(3, unhealthy(&web));
    start.standing.instance = Some(0);
    web.instances = vec![instance(Status::Queued, None)];
    web.live = vec![start];
    assert_snapshot!(text(&web));
    let why = of_agent(&web, NOW);
    let names: Vec<_> = why.chain.iter().filter_map(|cause| cause.agent.as_ref()).map(AgentName::as_str).collect();
    assert_eq!(names, ["cache", "db"]);
    assert_eq!(codes(&why), [(0, "unhealthy_dependencies"), (1, "dependency"), (2, "dependency")]);
    assert_eq!(why.chain[2].data["cause"]["code"], "disabled");
}

#[test]
fn queued_for_the_execution_before() {
    let mut queued = job("report", Status::Queued);
    let mut live = waits(1, Reason::WaitingForPrevious);
    live.standing.previous = Some(Holder { run: run(2), agent: name("report"), running: Duration::from_secs(75) });
    queued.live = vec![live];
    assert_snapshot!(text(&queued));
}

#[test]
fn starting() {
    let mut starting = service("db", Status::Starting);
    spec(&mut starting).service_mut().unwrap().ready.check = ReadyCheck::Notify;
    starting.instances = vec![InstanceView { since: Some(steady_ago(3)), ..instance(Status::Starting, None) }];
    assert_snapshot!(text(&starting));
}

#[test]
fn unhealthy_with_its_probe_and_when_it_is_restarted() {
    let mut ill = service("db", Status::Unhealthy);
    let reason = Reason::ProbesFailed { failures: 3, last: "refused".to_owned() };
    let illness = IllnessView { since: ago(4), reasons: vec![reason.clone()], ends_at: Some(in_secs(6)) };
    ill.instances = vec![InstanceView { illness: Some(illness), ..instance(Status::Unhealthy, Some(reason)) }];
    ill.probes = vec![ProbeAccount {
        instance: 0,
        kind: "tcp",
        target: Some("127.0.0.1:5432".to_owned()),
        failures: 3,
        allowed: 3,
        last_error: Some((ago(4), "refused".to_owned())),
        next: None,
    }];
    ill.affected = vec![name("web"), name("report")];
    assert_snapshot!(text(&ill));
}

#[test]
fn backing_off_job_and_service() {
    let mut retrying = job("report", Status::BackingOff);
    let delay = Duration::from_secs(4);
    let mut live = waits(1, Reason::BackingOff { delay, cause: Box::new(exited(3)) });
    (live.standing.live.attempt, live.standing.until, live.standing.failed) = (2, Some(in_secs(1)), Some(failed(3)));
    retrying.live = vec![live];
    assert_snapshot!(text(&retrying));
    let mut restarting = service("db", Status::BackingOff);
    let wait =
        InstanceView { next_attempt: Some(in_secs(8)), since: None, ..instance(Status::BackingOff, Some(exited(1))) };
    restarting.instances = vec![instance(Status::Running, None), InstanceView { instance: 1, ..wait }];
    restarting.facts = vec![fact(2, "agent.failed", "Agent \"db\" failed (attempt 3): exited with code 1")];
    assert_snapshot!(text(&restarting));
}

#[test]
fn backing_off_until_there_is_room_for_restarts_of_all() {
    let mut waiting = service("db", Status::BackingOff);
    waiting.instances = vec![instance(Status::Queued, None)];
    let mut start = waits(1, Reason::WaitingForRestartRoom { max_restarts: 50, window: Duration::from_hours(1) });
    (start.standing.instance, start.standing.wants_room) = (Some(0), true);
    waiting.live = vec![start];
    waiting.room = RestartRoom { used: 50, room_at: Some(in_secs(600)), ..waiting.room };
    waiting.room_used_by = vec![(name("flapping"), 40), (name("db"), 10)];
    assert_snapshot!(text(&waiting));
}

#[test]
fn stopping() {
    let mut stopping = service("db", Status::Stopping);
    stopping.instances = vec![instance(Status::Stopping, Some(Reason::ByOperator { by: "cli:ada".to_owned() }))];
    assert_snapshot!(text(&stopping));
    let mut stopping = job("report", Status::Stopping);
    stopping.live = vec![runs(1, 1)];
    stopping.live[0].standing.cancelled = Some(Reason::ByOperator { by: "cli:ada".to_owned() });
    assert_snapshot!(text(&stopping));
}

#[test]
fn stopped_by_an_operator_by_its_policy_and_before_its_layer() {
    let mut stopped = service("db", Status::Stopped);
    stopped.closed = Some(Reason::StoppedByOperator);
    stopped.instances = vec![instance(Status::Stopped, Some(Reason::ByOperator { by: "cli:ada".to_owned() }))];
    stopped.facts = vec![fact(60, "agent.stopped", "Agent \"db\" stopped: asked for by cli:ada")];
    assert_snapshot!(text(&stopped));
    let mut ended = service("once", Status::Stopped);
    ended.instances = vec![instance(Status::Stopped, Some(Reason::NotRestarted { exit: Exit::Clean }))];
    assert_snapshot!(text(&ended));
    let mut early = service("late", Status::Stopped);
    early.layer = Some(2);
    early.instances = vec![instance(Status::Stopped, None)];
    assert_snapshot!(text(&early));
    early.layer = None;
    early.shutting_down = true;
    assert_snapshot!(text(&early));
}

#[test]
fn error_and_timeout_and_missing() {
    let mut error = job("report", Status::Error);
    error.last = Some(last("failed", Some("all 4 attempts failed, the last one exited with code 3")));
    error.letters = vec![letter(7), letter(6)];
    error.due = Some(NOW.wall + Duration::from_secs(30));
    error.affected = vec![name("sales")];
    assert_snapshot!(text(&error));
    let mut timeout = job("report", Status::Timeout);
    timeout.last = Some(last("timed_out", Some("took longer than its timeout of 1m")));
    assert_snapshot!(text(&timeout));
    let mut missing = job("ghost", Status::Missing);
    // Its last execution says nothing about that: the one before did.
    missing.last = Some(last("skipped", Some("all triggers are paused (resume them with `werkpilot resume`)")));
    missing.error = Some("failed to start /no/ghost: no such file".to_owned());
    assert_snapshot!(text(&missing));
    let mut given_up = service("db", Status::Error);
    given_up.instances = vec![instance(Status::Error, Some(Reason::NotRestarted { exit: Exit::Code(1) }))];
    assert_snapshot!(text(&given_up));
}

#[test]
fn disabled() {
    let mut disabled = job("report", Status::Disabled);
    disabled.closed = Some(Reason::ByOperator { by: "cli:ada".to_owned() });
    disabled.live = vec![runs(1, 1)];
    disabled.facts = vec![fact(60, "agent.disabled", "Agent \"report\" is disabled: asked for by cli:ada")];
    assert_snapshot!(text(&disabled));
    disabled.closed = Some(Reason::DisabledInRegistry);
    assert!(text(&disabled).starts_with("report is disabled for 1m: enabled = false in the registry; next: nothing,"));
}

#[test]
fn disabled_by_failure_with_what_opened_its_breaker_and_its_trial() {
    let mut open = job("report", Status::DisabledByFailure);
    let status = Status::DisabledByFailure;
    open.closed = Some(Reason::Disabled { status, why: "3 dead letters in a row".to_owned() });
    open.breaker = BreakerState::Open { until: in_secs(700), cooldown: Duration::from_mins(15) };
    open.letters = vec![letter(7), letter(6), letter(5), letter(4)];
    open.facts = vec![fact(200, "agent.disabled", "Agent \"report\" is disabled: 3 dead letters in a row")];
    assert_snapshot!(text(&open));
    let mut open = service("db", Status::DisabledByFailure);
    open.closed = Some(Reason::Disabled { status, why: "11 restarts within 10m".to_owned() });
    open.breaker = BreakerState::Open { until: in_secs(700), cooldown: Duration::from_mins(15) };
    open.restarts = vec![Restart { at: ago(200), reason: "exited with code 1".to_owned() }; 11];
    assert_snapshot!(text(&open));
}

#[test]
fn disabled_by_memory_with_who_else_and_when_it_comes_back() {
    let mut shed = service("cache", Status::DisabledByMemory);
    shed.closed = Some(Reason::MemoryPressure { percent: 93, threshold: 90, used_bytes: 400 << 20 });
    shed.memory = Some(MemoryAccount {
        level: Level::Warning,
        percent: 81.4,
        recover_percent: 75,
        shed: vec![name("index"), name("cache"), name("thumbs")],
        next_check: Some(NOW.wall + Duration::from_secs(40)),
        interval: Duration::from_mins(1),
    });
    shed.facts = vec![fact(100, "agent.disabled", "Agent \"cache\" is disabled: memory is short")];
    assert_snapshot!(text(&shed));
}

#[test]
fn every_status_has_a_cause_a_code_and_an_outlook_even_if_nothing_else_is_known() {
    for status in Status::ALL {
        for known_nothing in [job("a", status), service("a", status)] {
            let why = of_agent(&known_nothing, NOW);
            assert_eq!(why.state, status.as_str());
            let is_job = known_nothing.spec.job().is_some();
            // A job that runs or waits has an execution, and the other way round; a service has instances.
            if !is_job || !matches!(status, Status::Running | Status::Stopping | Status::Queued | Status::BackingOff) {
                assert!(!why.chain.is_empty() && why.summary.starts_with(&format!("a is {status}: ")), "{why:?}");
            }
        }
    }
}
