use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::exit::Exit;
use crate::ids::RunId;
use crate::memory::Level;
use crate::reason::{DependencyProblem, Reason, UnhealthyDependency};
use crate::status::Status;
use crate::vitals::DiskSpace;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn ago(secs: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() - secs * 1_000)
}

fn agent(text: &str, status: Status) -> AgentStanding {
    AgentStanding { error: Some("exited with code 3".to_owned()), ..AgentStanding::new(name(text), false, 3, status) }
}

fn unhealthy(dep: &str, reason: DependencyProblem) -> UnhealthyDependency {
    UnhealthyDependency { dep: name(dep), reason, error: None }
}

/// Queued because of these, which have a status each.
fn waiting(text: &str, on: &[(&str, Status)]) -> AgentStanding {
    let unhealthy: Vec<_> = on.iter().map(|(dep, status)| unhealthy(dep, DependencyProblem::Status(*status))).collect();
    let reason = Reason::UnhealthyDependencies { dependencies: unhealthy.clone() };
    let waits = Some(Waits { reason, since: ago(600) });
    AgentStanding { unhealthy, waits, error: None, ..agent(text, Status::Queued) }
}

fn fleet(agents: Vec<AgentStanding>) -> FleetAccount {
    FleetAccount { agents, ..FleetAccount::default() }
}

fn only(account: &FleetAccount) -> Item {
    let attention = of(account, NOW);
    assert_eq!(attention.total, 1, "{attention:?}");
    attention.items.into_iter().next().unwrap()
}

// ---- agents ----

#[rstest]
#[case(Status::Running, 1, None)]
#[case(Status::Idle, 1, None)]
#[case(Status::Starting, 1, None)]
#[case(Status::Queued, 1, None)]
#[case(Status::Stopping, 1, None)]
#[case(Status::Stopped, 1, None)]
#[case(Status::BackingOff, 1, Some((Severity::Notice, Kind::BackingOff)))]
#[case(Status::Unhealthy, 1, Some((Severity::Critical, Kind::Unhealthy)))]
#[case(Status::Unhealthy, 2, Some((Severity::Warning, Kind::Unhealthy)))]
#[case(Status::Error, 1, Some((Severity::Critical, Kind::Error)))]
#[case(Status::Error, 3, Some((Severity::Warning, Kind::Error)))]
#[case(Status::Timeout, 3, Some((Severity::Warning, Kind::Timeout)))]
#[case(Status::Missing, 3, Some((Severity::Critical, Kind::Missing)))]
#[case(Status::DisabledByMemory, 3, Some((Severity::Warning, Kind::Memory)))]
#[case(Status::DisabledByFailure, 3, Some((Severity::Critical, Kind::DisabledByFailure)))]
#[case(Status::Disabled, 1, None)]
fn each_status_has_its_severity(
    #[case] status: Status,
    #[case] priority: u8,
    #[case] wanted: Option<(Severity, Kind)>,
) {
    let attention = of(&fleet(vec![AgentStanding { priority, ..agent("a", status) }]), NOW);
    assert_eq!(attention.items.first().map(|item| (item.severity, item.kind)), wanted);
    for item in attention.items {
        assert!(!item.title.is_empty() && !item.reason.is_empty(), "{item:?}");
        assert!(item.hint.contains("`werkpilot "), "it says what to do in words of a command: {item:?}");
    }
}

#[test]
fn a_service_that_failed_again_and_again_is_not_well_because_it_lives_at_the_moment() {
    let crashed = Some(Reason::Exited { exit: Exit::Code(1) });
    let service = |failures_in_a_row, status| {
        let well = AgentStanding::new(name("relay"), true, 3, status);
        AgentStanding { failures_in_a_row, cause: crashed.clone(), ..well }
    };
    for status in [Status::Running, Status::Starting] {
        assert_eq!(of(&fleet(vec![service(2, status)]), NOW).total, 0, "an accident");
        let item = only(&fleet(vec![service(3, status)]));
        assert_eq!((item.severity, item.kind), (Severity::Warning, Kind::BackingOff));
        assert_eq!(item.title, "relay failed 3 times in a row and was started again");
        assert_eq!(item.reason, "exited with code 1");
    }
    let job = AgentStanding { service: false, ..service(3, Status::Running) };
    assert_eq!(of(&fleet(vec![job]), NOW).total, 0, "a job's attempts end in a success or an error");
}

#[test]
fn what_a_program_said_before_it_failed_comes_with_its_item() {
    let words = LastWords { text: "KeyError: 'total'".to_owned(), run_id: RunId::from_parts(1, 1), at: ago(5) };
    let failed = AgentStanding { last_words: Some(words.clone()), ..agent("a", Status::Error) };
    assert_eq!(only(&fleet(vec![failed])).last_words, Some(words));
}

#[test]
fn what_is_calm_has_no_item_and_what_is_not_calm_may_have_one() {
    for status in Status::ALL {
        let agent = agent("a", status);
        if agent.is_calm() {
            assert_eq!(of(&fleet(vec![agent]), NOW).total, 0, "{status}");
        }
    }
}

#[test]
fn a_missing_command_is_named() {
    let cause = Some(Reason::CommandMissing { message: "execute /opt/gone: No such file or directory".to_owned() });
    let item = only(&fleet(vec![AgentStanding { cause, error: None, ..agent("a", Status::Missing) }]));
    assert_eq!(item.title, "a can't start: its command is missing");
    assert_eq!(item.reason, "failed to execute /opt/gone: No such file or directory");
    assert_eq!(item.hint, "put the command there, or correct it in the registry, then `werkpilot run a`");
    assert_eq!((item.agent, &*item.link), (Some(name("a")), "#/agents/a"));
}

#[test]
fn an_open_breaker_tells_when_its_trial_comes() {
    let cause = Some(Reason::TooManyDeadLetters { count: 3 });
    let trial_at = Some(ago(-720));
    let agent = AgentStanding { cause, trial_at, since: Some(ago(60)), ..agent("a", Status::DisabledByFailure) };
    let item = only(&fleet(vec![agent]));
    assert_eq!(item.reason, "3 dead letters in a row; last: exited with code 3");
    assert!(item.hint.ends_with("`werkpilot enable a` closes the breaker now; one trial in 12m"), "{}", item.hint);
    assert_eq!(item.since, Some(ago(60)));
}

#[test]
fn who_backs_off_again_and_again_is_a_warning_and_tells_the_next_try() {
    let next_attempt = Some(ago(-5));
    let twice = AgentStanding { failures_in_a_row: 2, next_attempt, ..agent("a", Status::BackingOff) };
    assert_eq!(only(&fleet(vec![twice.clone()])).severity, Severity::Notice);
    let item = only(&fleet(vec![AgentStanding { failures_in_a_row: 7, ..twice }]));
    assert_eq!((item.severity, &*item.title), (Severity::Warning, "a failed 7 times in a row and is tried again"));
    assert_eq!(item.hint, "next try in 5s; `werkpilot logs a` has what it wrote");
}

#[test]
fn a_service_that_its_policy_left_is_a_notice_and_one_that_was_stopped_is_nothing() {
    let left = Some(Reason::NotRestarted { exit: Exit::Code(3) });
    let item = only(&fleet(vec![AgentStanding { service: true, cause: left, ..agent("a", Status::Stopped) }]));
    assert_eq!((item.severity, item.kind), (Severity::Notice, Kind::Stopped));
    let stopped = AgentStanding { cause: Some(Reason::StoppedByOperator), ..agent("a", Status::Stopped) };
    assert_eq!(of(&fleet(vec![stopped]), NOW).total, 0);
}

#[test]
fn a_service_that_was_late_at_the_boot_is_told_until_it_is_ready() {
    let late = AgentStanding { late: true, ..agent("a", Status::Starting) };
    assert_eq!(only(&fleet(vec![late.clone()])).kind, Kind::BootLate);
    assert_eq!(of(&fleet(vec![AgentStanding { status: Status::Running, ..late }]), NOW).total, 0);
}

// ---- roots ----

#[test]
fn a_root_cause_comes_once_with_those_who_wait_for_it() {
    let mut agents = vec![agent("db", Status::Error)];
    for n in 1..=7 {
        agents.push(waiting(&format!("w{n}"), &[("db", Status::Error)]));
    }
    let item = only(&fleet(agents));
    assert_eq!(item.agent, Some(name("db")));
    assert_eq!(item.reason, "exited with code 3; 7 agents wait for it: w1, w2, w3, w4, w5 and 2 more");
    assert_eq!((item.affected.len(), item.affected_total), (7, 7));
}

#[test]
fn the_root_is_found_through_those_in_between() {
    let agents = vec![
        waiting("c", &[("b", Status::Queued)]),
        waiting("b", &[("a", Status::Queued)]),
        waiting("a", &[("db", Status::Stopped)]),
        agent("db", Status::Stopped),
    ];
    let item = only(&fleet(agents));
    assert_eq!((item.kind, &*item.title), (Kind::Stopped, "db is stopped, and others need it"));
    assert!(item.reason.ends_with("; 3 agents wait for it: c, b, a"), "{}", item.reason);
    assert!(item.hint.contains("`werkpilot start db`"));
}

#[test]
fn who_fails_by_itself_is_told_by_itself_also_below_another() {
    let below = AgentStanding {
        unhealthy: vec![unhealthy("db", DependencyProblem::Status(Status::Error))],
        ..agent("below", Status::Error)
    };
    let attention = of(&fleet(vec![agent("db", Status::Error), below]), NOW);
    let agents: Vec<_> = attention.items.iter().filter_map(|item| item.agent.clone()).collect();
    assert_eq!(agents, [name("below"), name("db")]);
    assert!(attention.items.iter().all(|item| item.affected_total == 0));
}

#[test]
fn a_job_at_rest_that_would_be_skipped_is_told_with_the_root() {
    let at_rest = AgentStanding {
        unhealthy: vec![unhealthy("db", DependencyProblem::Status(Status::Disabled))],
        ..agent("report", Status::Idle)
    };
    let item = only(&fleet(vec![agent("db", Status::Disabled), at_rest]));
    assert_eq!((item.severity, item.kind), (Severity::Warning, Kind::Disabled));
    assert!(item.reason.ends_with("1 agent waits for it: report"), "{}", item.reason);
}

#[test]
fn what_has_not_happened_yet_is_no_fault_until_somebody_waits_long_for_it() {
    let not_yet = |status, since| AgentStanding {
        unhealthy: vec![unhealthy("import", DependencyProblem::NotSucceeded)],
        waits: Some(Waits {
            reason: Reason::UnhealthyDependencies {
                dependencies: vec![unhealthy("import", DependencyProblem::NotSucceeded)],
            },
            since,
        }),
        ..agent("report", status)
    };
    assert_eq!(of(&fleet(vec![not_yet(Status::Idle, ago(9_000))]), NOW).total, 0);
    assert_eq!(of(&fleet(vec![not_yet(Status::Queued, ago(10))]), NOW).total, 0);
    let item = only(&fleet(vec![not_yet(Status::Queued, ago(420))]));
    assert_eq!((item.kind, &*item.title), (Kind::Waiting, "report waits for 7m"));
    assert_eq!(
        item.hint,
        "`werkpilot why import` tells about what it waits for; `werkpilot run report --force` does not wait"
    );
}

#[test]
fn a_chain_as_long_as_a_registry_and_a_circle_in_an_account_come_to_an_end() {
    let mut agents = vec![agent("a0", Status::Missing)];
    for n in 1..10_000 {
        let status = if n == 1 { Status::Missing } else { Status::Queued };
        agents.push(waiting(&format!("a{n}"), &[(&format!("a{}", n - 1), status)]));
    }
    agents.reverse();
    assert_eq!(only(&fleet(agents)).affected_total, 9_999);
    let circle = vec![waiting("a", &[("b", Status::Queued)]), waiting("b", &[("a", Status::Queued)])];
    assert_eq!(of(&fleet(circle), NOW).total, 2, "each waits for long, and nobody is the root");
}

// ---- the orchestrator ----

fn system(change: impl FnOnce(&mut SystemStanding)) -> FleetAccount {
    let mut account = FleetAccount::default();
    change(&mut account.system);
    account
}

#[rstest]
#[case::store(system(|s| s.store = StoreStanding::Degraded { since: Some(ago(9)), reason: "no space left".into(), refused: 2 }), Severity::Critical, Kind::Store, "no space left; 2 refusals since then")]
#[case::writer(system(|s| s.store = StoreStanding::Gone), Severity::Warning, Kind::Store, "its writer is being started again")]
#[case::actors(system(|s| s.missing_actors = vec!["queue"]), Severity::Critical, Kind::Actors, "not there: queue")]
#[case::disk(system(|s| s.disk = Some(Ok(DiskSpace { free_bytes: 200 << 20, total_bytes: 100 << 30 }))), Severity::Warning, Kind::Disk, "200 of 102400 MiB are free")]
#[case::scarce(system(|s| s.disk = Some(Ok(DiskSpace { free_bytes: 5 << 20, total_bytes: 50 << 20 }))), Severity::Critical, Kind::Disk, "5 of 50 MiB are free")]
#[case::unknown(system(|s| s.disk = Some(Err("no answer".into()))), Severity::Warning, Kind::Disk, "no answer")]
#[case::lag(system(|s| s.lag = Duration::from_secs(3)), Severity::Warning, Kind::Lag, "the event loop was late by up to 3s within the last minute")]
#[case::schedule(system(|s| s.schedule_late = Some(Duration::from_secs(6))), Severity::Critical, Kind::Schedule, "a scheduled time is over for 6s and nothing was queued")]
#[case::warning(system(|s| s.memory = MemoryStanding { level: Level::Warning, percent: 83.0, recover_percent: 75, next: "at 90 %".into() }), Severity::Warning, Kind::Memory, "at 90 %")]
#[case::critical(system(|s| s.memory = MemoryStanding { level: Level::Critical, percent: 93.0, recover_percent: 75, next: "soon".into() }), Severity::Critical, Kind::Memory, "soon")]
#[case::breaker(system(|s| s.breaker = BreakerStanding { restarts: 50, max_restarts: 50, window: Duration::from_hours(1), room_at: Some(ago(-60)) }), Severity::Critical, Kind::Breaker, "50 of 50 within 1h; there is room again in 1m")]
#[case::nearly(system(|s| s.breaker = BreakerStanding { restarts: 40, max_restarts: 50, window: Duration::from_hours(1), room_at: None }), Severity::Warning, Kind::Breaker, "40 of 50 within 1h")]
#[case::full(system(|s| s.queue = QueueStanding { waiting: 10, capacity: 10, workers: 4 }), Severity::Critical, Kind::Queue, "10 of 10 wait, and 4 executions at a time")]
#[case::near(system(|s| s.queue = QueueStanding { waiting: 8, capacity: 10, workers: 4 }), Severity::Warning, Kind::Queue, "8 of 10 wait, and 4 executions at a time")]
#[case::paused(system(|s| s.paused = Some(Paused { by: Some("ann".into()), since: Some(ago(60)) })), Severity::Warning, Kind::Paused, "paused by ann; only what people ask for is run")]
#[case::rejected(system(|s| s.rejected = Some(Rejected { at: ago(5), faults: 2, first: "x.toml:3".into() })), Severity::Warning, Kind::ConfigRejected, "2 faults, the first: x.toml:3")]
#[case::clock(system(|s| s.clock = Some(ClockSet { at: ago(5), seconds: 3_600.0, misfired: 2 })), Severity::Warning, Kind::Clock, "2 scheduled times within the step were left out")]
#[case::harmless(system(|s| s.clock = Some(ClockSet { at: ago(5), seconds: -2.0, misfired: 0 })), Severity::Notice, Kind::Clock, "no scheduled time was left out")]
#[case::keys(system(|s| s.not_effective = vec!["a.toml:2: x.orphan_ttl".into()]), Severity::Notice, Kind::NotEffective, "a.toml:2: x.orphan_ttl")]
fn each_condition_of_the_orchestrator_has_its_severity_and_reason(
    #[case] account: FleetAccount,
    #[case] severity: Severity,
    #[case] kind: Kind,
    #[case] reason: &str,
) {
    let item = only(&account);
    assert_eq!((item.severity, item.kind, &*item.reason, &item.agent), (severity, kind, reason, &None));
    assert!(!item.hint.is_empty());
}

#[rstest]
#[case(system(|s| s.breaker = BreakerStanding { restarts: 39, max_restarts: 50, ..BreakerStanding::default() }))]
#[case(system(|s| s.breaker = BreakerStanding { restarts: 390, max_restarts: 0, ..BreakerStanding::default() }))]
#[case(system(|s| s.queue = QueueStanding { waiting: 7, capacity: 10, workers: 1 }))]
#[case(system(|s| s.disk = Some(Ok(DiskSpace { free_bytes: 2 << 30, total_bytes: 100 << 30 }))))]
#[case(system(|s| s.lag = Duration::from_millis(900)))]
fn what_is_well_needs_no_attention(#[case] account: FleetAccount) {
    assert_eq!(of(&account, NOW), Attention::default());
}

#[test]
fn who_waits_for_a_worker_for_restarts_or_for_memory_is_told_with_that() {
    let reasons = [
        (Reason::WaitingForWorker { workers: 2 }, Status::Queued),
        (Reason::WaitingForRestartRoom { max_restarts: 5, window: Duration::from_mins(1) }, Status::BackingOff),
    ];
    let mut agents: Vec<_> = reasons
        .into_iter()
        .zip(["w", "r"])
        .map(|((reason, status), text)| AgentStanding {
            waits: Some(Waits { reason, since: ago(400) }),
            ..agent(text, status)
        })
        .collect();
    agents.push(agent("m", Status::DisabledByMemory));
    let mut account = fleet(agents);
    account.system.breaker = BreakerStanding { restarts: 5, max_restarts: 5, ..BreakerStanding::default() };
    let attention = of(&account, NOW);
    let told: Vec<_> = attention.items.iter().map(|item| (item.kind, item.affected[0].to_string())).collect();
    assert_eq!(told, [(Kind::Breaker, "r".to_owned()), (Kind::Memory, "m".to_owned()), (Kind::Queue, "w".to_owned())]);
}

// ---- dead letters ----

fn letters(signature: &str, count: usize, agents: &[&str]) -> NewLetters {
    NewLetters {
        signature: signature.to_owned(),
        count,
        agents: agents.iter().map(|agent| name(agent)).collect(),
        since: ago(60),
        newest: 9,
        error: format!("{signature}!"),
    }
}

#[test]
fn new_dead_letters_come_by_signature_the_most_frequent_first() {
    let mut account = fleet(vec![agent("a", Status::Error)]);
    account.letters = vec![letters("rare", 1, &["b"]), letters("often", 12, &["b", "c"]), letters("told", 1, &["a"])];
    let attention = of(&account, NOW);
    let titles: Vec<&str> = attention.items.iter().map(|item| item.title.as_str()).collect();
    assert_eq!(
        titles,
        ["a failed", "12 new dead letters of b, c within the last hour", "1 new dead letter of b within the last hour"]
    );
    assert_eq!((attention.items[1].agent.as_ref(), &*attention.items[1].link), (None, "#/dead-letters"));
    assert!(attention.items[2].hint.contains("`werkpilot dlq show 9`"), "{:?}", attention.items[2]);
}

// ---- order and bounds ----

#[test]
fn every_kind_is_in_the_list_of_kinds_in_its_order() {
    assert!(Kind::ALL.windows(2).all(|two| two[0] < two[1]));
    assert_eq!(serde_json::to_value(Kind::DisabledByFailure).unwrap(), "disabled_by_failure");
}

fn any_agent(at: usize) -> impl Strategy<Value = AgentStanding> {
    let on = prop::collection::vec((0..at.max(1), prop::sample::select(&Status::ALL[..])), 0..3);
    (prop::sample::select(&Status::ALL[..]), 1_u8..4, on, any::<bool>(), 0_i64..1_000).prop_map(
        move |(status, priority, on, late, since)| {
            let on: Vec<_> = on.into_iter().filter(|(on, _)| *on < at).collect();
            let names: Vec<String> = on.iter().map(|(on, _)| format!("a{on}")).collect();
            let pairs: Vec<_> = names.iter().zip(&on).map(|(name, (_, status))| (name.as_str(), *status)).collect();
            let mut agent = waiting(&format!("a{at}"), &pairs);
            agent.waits = agent.waits.filter(|_| status == Status::Queued).map(|w| Waits { since: ago(since), ..w });
            AgentStanding { priority, status, late, ..agent }
        },
    )
}

fn any_fleet() -> impl Strategy<Value = Vec<AgentStanding>> {
    (1_usize..160).prop_flat_map(|size| (0..size).map(any_agent).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn the_worst_is_first_nobody_is_twice_and_the_list_is_bounded(agents in any_fleet()) {
        let faulty = agents.iter().filter(|agent| matches!(agent.status, Status::Missing | Status::Error)).count();
        let account = fleet(agents);
        let attention = of(&account, NOW);
        prop_assert!(attention.items.len() <= SHOWN && attention.items.len() == attention.total.min(SHOWN));
        prop_assert!(attention.items.windows(2).all(|two| (two[0].severity, two[0].kind) <= (two[1].severity, two[1].kind)));
        let mut agents: Vec<_> = attention.items.iter().filter_map(|item| item.agent.clone()).collect();
        agents.sort();
        let all = agents.len();
        agents.dedup();
        prop_assert_eq!(agents.len(), all, "an agent has one item");
        prop_assert!(attention.total >= faulty, "none that fails is hidden");
        for item in &attention.items {
            prop_assert!(item.affected.len() <= LISTED && item.affected.len() <= item.affected_total);
            prop_assert!(item.affected.iter().all(|name| Some(name) != item.agent.as_ref()));
            prop_assert!(!item.hint.is_empty() && !item.reason.is_empty() && !item.title.is_empty());
            prop_assert!(item.reason.len() < 1_000);
        }
        prop_assert_eq!(of(&account, NOW), attention, "the same account, the same answer");
    }
}
