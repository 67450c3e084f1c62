//! The optimizer: what it proposes from a week of history, what it applies, and that it can be undone and cut off.

use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use werkpilot_core::dead_letters::Attempt;
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState};
use werkpilot_store::{Change, Json, Store};
use werkpilot_tests::{Setup, Werkpilot, wait_until};

const REGISTRY: &str = "[[agent]]\nname = \"small\"\nkind = \"job\"\nshell = \"true\"\n\
                        [[agent]]\nname = \"large\"\nkind = \"job\"\nshell = \"true\"\n";
const APPLY: &str = "[optimizer]\napply = true\n[queue]\nworkers = 2\n";

fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap())
}

fn execution(number: u64, agent: &str, queued_at: Timestamp, waited: Duration, duration: Duration) -> Change {
    let started_at = queued_at + waited;
    let attempt = Attempt { attempt: 1, started_at, duration, exit: Exit::Clean };
    let run = RunId::from_parts(queued_at.as_millis().unsigned_abs(), u128::from(number) << 4);
    Change::InsertExecution(Box::new(ExecutionRow {
        state: ExecutionState::Ended(End::Succeeded),
        started_at: Some(started_at),
        ended_at: Some(started_at + duration),
        attempt: 1,
        attempts: Some(Json::of(&[attempt])),
        waited: Some(waited),
        duration: Some(duration),
        exit: Some(Exit::Clean),
        ..ExecutionRow::intent(run, AgentName::new(agent).unwrap(), Trigger::Every, queued_at)
    }))
}

/// Two days of a small job that waits 40 s for its worker, behind a large one.
fn with_history(setup: &Setup) {
    let begin = Timestamp::from_millis(now().as_millis() - 2 * 86_400_000);
    let secs = Duration::from_secs;
    let executions = (0..150_u64).flat_map(|number| {
        let at = begin + secs(number * 1_000);
        let small = execution(number, "small", at, secs(40), secs(1));
        [small, execution(1_000 + number, "large", at, Duration::ZERO, secs(300))]
    });
    let dir = setup.dir().join("state");
    std::fs::create_dir(&dir).unwrap();
    let store = Store::open(Path::new(&dir), begin).unwrap();
    store.writer().keep(executions.collect()).unwrap();
    store.close(secs(20)).unwrap();
}

fn fleet(config: &str) -> Werkpilot {
    let setup = Setup::new(&[("fleet.toml", REGISTRY)], config);
    with_history(&setup);
    setup.start()
}

fn optimize(fleet: &Werkpilot) -> Value {
    fleet.cli(&["optimize", "--json"]).expect(0).json()
}

/// The proposals of a report, in a line each.
fn proposals(report: &Value, kind: &str) -> Vec<String> {
    let all = report["proposals"].as_array().unwrap().iter().filter(|proposal| proposal["kind"] == kind);
    all.map(|proposal| format!("{} {} → {}", proposal["agent"].as_str().unwrap(), proposal["from"], proposal["to"]))
        .collect()
}

#[test]
fn a_dry_run_tells_what_it_would_propose_and_why_and_keeps_nothing() {
    let fleet = fleet(APPLY);
    let report = fleet.cli(&["optimize", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((&report["id"], &report["care"], &report["applied"]), (&Value::Null, &Value::Null, &json!([])));
    assert_eq!(report["window"]["executions"], 300);
    assert_eq!(proposals(&report, "priority"), ["small 3 → 2"]);
    let small = &report["proposals"].as_array().unwrap().iter().find(|one| one["kind"] == "priority").unwrap();
    assert_eq!(small["evidence"]["numbers"]["waitingP95Ms"], 40_000.0, "{small}");
    assert!(small["effect"]["numbers"]["waitingP95Ms"].as_f64().unwrap() < 40_000.0, "{small}");
    let timeouts: Vec<&Value> =
        report["proposals"].as_array().unwrap().iter().filter(|one| one["kind"] == "timeout").collect();
    assert_eq!(timeouts.iter().map(|one| one["toMs"].as_f64().unwrap()).collect::<Vec<_>>(), [900_000.0, 10_000.0]);
    let baseline = &report["baselines"][1];
    assert_eq!(
        (&baseline["agent"], &baseline["p50Ms"], &baseline["ends"]["succeeded"]),
        (&json!("small"), &json!(1_000.0), &json!(150))
    );

    let text = fleet.cli(&["optimize", "--dry-run"]).expect(0).out;
    assert!(text.contains("nothing is kept") && text.contains("small: priority 2 instead of 3"), "{text}");
    let none = fleet.cli(&["report"]).expect(66);
    assert!(none.err.contains("there is no report yet") && none.err.contains("werkpilot optimize"), "{}", none.err);
    assert_eq!(fleet.agent("small")["priority"], 3);
    assert!(fleet.events("optimization.completed").is_empty());
    assert_eq!(fleet.get("/api/v1/decisions")["decisions"], json!([]));
}

#[test]
fn without_apply_it_proposes_and_changes_nothing() {
    let fleet = fleet("");
    let report = optimize(&fleet);
    assert_eq!((&report["id"], &report["apply"], &report["applied"]), (&json!(1), &json!(false), &json!([])));
    assert_eq!(proposals(&report, "priority"), ["small 3 → 2"]);
    assert_eq!(fleet.agent("small")["priority"], 3);
    assert_eq!(fleet.agent("small")["priorityFrom"], Value::Null);
    let completed = fleet.events("optimization.completed");
    assert_eq!(
        (completed.len(), &completed[0]["data"]["report"], &completed[0]["data"]["applied"]),
        (1, &json!(1), &json!(0))
    );
    assert_eq!(report["care"]["problem"], Value::Null);
    assert!(report["care"]["analyzed"].as_u64().unwrap() > 0 && report["care"]["logs"] == true, "{}", report["care"]);

    // The next one is compared with it.
    let again = optimize(&fleet);
    assert_eq!((&again["id"], &again["baselines"][0]["change"]["p95Percent"]), (&json!(2), &json!(0.0)));
    let list = fleet.cli(&["report", "--list", "--json"]).expect(0).json();
    let ids: Vec<&Value> = list["reports"].as_array().unwrap().iter().map(|report| &report["id"]).collect();
    assert_eq!(ids, [&json!(2), &json!(1)]);
    assert_eq!(fleet.cli(&["report", "--json"]).expect(0).json()["id"], 2);
    assert_eq!(fleet.cli(&["report", "1", "--json"]).expect(0).json(), report);
    fleet.cli(&["report", "3"]).expect(66);
}

#[test]
fn what_is_applied_outlives_restarts_until_it_is_undone() {
    let mut fleet = fleet(APPLY);
    let report = optimize(&fleet);
    assert_eq!(
        report["applied"],
        json!([
            { "decision": 1, "proposal": report["applied"][0]["proposal"], "agent": "small", "from": 3, "to": 2 },
        ])
    );
    let check = |fleet: &Werkpilot| {
        let agent = fleet.agent("small");
        assert_eq!((&agent["priority"], &agent["spec"]["priority"]), (&json!(2), &json!(3)));
        assert_eq!((&agent["priorityFrom"]["id"], &agent["priorityFrom"]["report"]), (&json!(1), &json!(1)));
        assert_eq!(fleet.agent("large")["priority"], 3);
    };
    check(&fleet);
    let applied = fleet.wait_for_event("small", "optimization.applied");
    assert_eq!((&applied["decision"], &applied["from"], &applied["to"]), (&json!(1), &json!(3), &json!(2)));
    fleet.restart();
    check(&fleet);
    fleet.kill_and_restart();
    check(&fleet);
    assert_eq!(optimize(&fleet)["applied"], json!([]), "once is enough");

    let decisions = fleet.cli(&["optimize", "--decisions"]).expect(0).out;
    assert!(decisions.contains("2 instead of 3") && decisions.contains("standing"), "{decisions}");
    let undone = fleet.cli(&["optimize", "--undo", "1"]).expect(0).out;
    assert!(undone.contains("decision 1 is undone"), "{undone}");
    assert_eq!(fleet.agent("small")["priorityFrom"], Value::Null);
    wait_until("the old priority", || fleet.agent("small")["priority"] == 3);
    let restored = fleet.wait_for_event("small", "optimization.undone");
    assert_eq!(
        (&restored["decision"], &restored["priority"], &restored["by"]),
        (&json!(1), &json!(3), &json!("cli:tester"))
    );
    let again = fleet.cli(&["optimize", "--undo", "1"]).expect(75);
    assert!(again.err.contains("does not stand any more"), "{}", again.err);
    fleet.cli(&["optimize", "--undo", "9"]).expect(66);
    fleet.kill_and_restart();
    assert_eq!(fleet.agent("small")["priority"], 3);
    let report = optimize(&fleet);
    assert_eq!((proposals(&report, "priority"), &report["applied"]), (Vec::new(), &json!([])), "it was undone");

    // Without an orchestrator, too.
    fleet.terminate();
    let text = fleet.cli(&["report", "1"]).expect(0).out;
    assert!(text.contains("[applied, decision 1]") && text.contains("--undo 1"), "{text}");
    assert_eq!(fleet.cli(&["report", "--json"]).expect(0).json()["id"], 3);
}

#[test]
fn a_decision_is_over_once_the_registry_says_something_else() {
    let fleet = fleet(APPLY);
    optimize(&fleet);
    wait_until("the priority", || fleet.agent("small")["priority"] == 2);
    let with = |priority: &str| REGISTRY.replacen("kind = ", &format!("priority = {priority}\nkind = "), 1);
    for (priority, expected) in [("1", 1), ("3", 3)] {
        fleet.write("registry/fleet.toml", &with(priority));
        fleet.cli(&["reload"]).expect(0);
        wait_until("the registry's priority", || fleet.agent("small")["priority"] == expected);
    }
    wait_until("the end of the decision", || fleet.events_of("small", "optimization.undone").len() == 1);
    let decisions = fleet.get("/api/v1/decisions");
    assert_eq!(decisions["decisions"][0]["state"], "superseded", "{decisions}");
    assert_eq!(fleet.agent("small")["priorityFrom"], Value::Null);
}

#[test]
fn a_run_that_is_cut_off_applied_nothing_or_all_of_it() {
    for (failpoint, priority) in [("report.before:1", 3), ("report.after:1", 2)] {
        let setup = Setup::new(&[("fleet.toml", REGISTRY)], APPLY).env("WERKPILOT_FAILPOINT", failpoint);
        with_history(&setup);
        let mut fleet = setup.start();
        fleet.cli(&["optimize"]).expect(69);
        fleet.wait_for_end();
        fleet.unset("WERKPILOT_FAILPOINT");
        fleet.start_again();
        fleet.wait_for_boot();
        assert_eq!(fleet.agent("small")["priority"], priority, "{failpoint}");
        let kept = usize::from(priority == 2);
        assert_eq!(fleet.get("/api/v1/reports")["reports"].as_array().unwrap().len(), kept, "{failpoint}");
        assert_eq!(fleet.get("/api/v1/decisions")["decisions"].as_array().unwrap().len(), kept, "{failpoint}");
        let report = optimize(&fleet);
        assert_eq!(report["applied"].as_array().unwrap().len(), 1 - kept, "{failpoint}: the next one does the rest");
    }
}

#[test]
fn a_second_run_beside_the_first_one_is_refused_with_the_reason() {
    let fleet = fleet(APPLY);
    let post = || fleet.request("POST", "/api/v1/optimize", Some(&json!({})));
    let answers = thread::scope(|scope| {
        let all: Vec<_> = (0..3).map(|_| scope.spawn(post)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
    });
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409]);
    let refused = answers.iter().find(|answer| answer.status == 409).unwrap().json();
    assert!(refused["detail"].as_str().unwrap().contains("at it already"), "{refused}");
    assert_eq!(fleet.get("/api/v1/reports")["reports"].as_array().unwrap().len(), 1);
    assert_eq!(fleet.get("/api/v1/decisions")["decisions"].as_array().unwrap().len(), 1);
    fleet.tcp("POST", "/api/v1/optimize", &[]).expect(401);
}

#[test]
fn it_runs_when_its_schedule_says_so_and_a_reload_moves_that() {
    let fleet = fleet("[optimizer]\nschedule = \"* * * * * *\"\ntimezone = \"UTC\"\n");
    wait_until("two nights", || fleet.events("optimization.completed").len() >= 2);
    let list = fleet.get("/api/v1/reports");
    assert_eq!(list["reports"][0]["by"], "schedule", "{list}");
    fleet.write("werkpilot.toml", "[optimizer]\nschedule = \"0 0 29 2 *\"\n");
    fleet.cli(&["reload"]).expect(0);
    // One that was going on comes to its end.
    wait_until("a moment without a run", || fleet.cli(&["optimize", "--dry-run"]).code == 0);
    let before = fleet.events("optimization.completed").len();
    for _ in 0..3 {
        optimize(&fleet);
    }
    assert_eq!(fleet.events("optimization.completed").len(), before + 3, "no night came between");
}

#[test]
fn an_agent_that_is_disabled_by_failure_gets_a_trial() {
    let registry = "[[agent]]\nname = \"report\"\nevery = \"200ms\"\nretry = { max = 0 }\nshell = \"[ -e good ]\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[breaker]\ndead_letters = 1\n");
    fleet.wait_for_status("report", "disabled_by_failure");
    fleet.touch("good");
    let dry = fleet.cli(&["optimize", "--dry-run", "--json"]).expect(0).json();
    assert_eq!(dry["trials"], json!([]));
    let report = optimize(&fleet);
    assert_eq!(report["trials"], json!(["report"]));
    fleet.wait_for_event("report", "breaker.half_open");
    let enabled = fleet.wait_for_event("report", "agent.enabled");
    assert_eq!(enabled["reason"]["code"], "early_trial");
    let closed = fleet.wait_for_event("report", "breaker.closed");
    assert_eq!(closed["reason"]["code"], "trial_succeeded");
    let little: Vec<&Value> = report["tooLittle"].as_array().unwrap().iter().map(|little| &little["rule"]).collect();
    assert_eq!(little, [&json!("workers"), &json!("priority"), &json!("timeout")], "a young fleet says so");
}
