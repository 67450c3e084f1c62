//! History: what ran is told, filtered, paged and explained; also after a restart, and without an orchestrator.

use serde_json::{Value, json};
use werkpilot_tests::{Werkpilot, wait_until};

const REGISTRY: &str = "[[agent]]\nname = \"good\"\nkind = \"job\"\nshell = \"echo fine; echo noise >&2\"\n\
                        [[agent]]\nname = \"bad\"\nkind = \"job\"\nshell = \"echo no route to host; exit 3\"\n\
                        retry = { max = 1, initial = \"10ms\", jitter = 0.0 }\n";
const CONFIG: &str = "[breaker]\ndead_letters = 1000\n";

fn fleet() -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", REGISTRY)], CONFIG)
}

/// Ids of the executions that this command answers, newest first.
#[track_caller]
fn runs(fleet: &Werkpilot, arguments: &[&str]) -> Vec<String> {
    let answer = fleet.cli(&[&["history", "--json"], arguments].concat()).expect(0).json();
    let executions = answer["executions"].as_array().expect("a list");
    executions.iter().map(|execution| execution["runId"].as_str().expect("an id").to_owned()).collect()
}

fn ran(fleet: &Werkpilot, agent: &str) -> String {
    let run = fleet.trigger(agent);
    fleet.end_of(&run);
    run
}

/// What has to be told of these two, whoever is asked.
#[track_caller]
fn check(fleet: &Werkpilot, good: &str, bad: &str) {
    assert_eq!(runs(fleet, &[]), [bad, good]);
    assert_eq!(runs(fleet, &["--agent", "good"]), [good]);
    assert_eq!(runs(fleet, &["--state", "failed,timed_out"]), [bad]);
    assert_eq!(runs(fleet, &["--text", "CODE 3"]), [bad]);
    assert_eq!(runs(fleet, &["--text", good]), [good]);
    assert_eq!(runs(fleet, &["--trigger", "manual", "--since", "1h"]).len(), 2);
    assert!(runs(fleet, &["--trigger", "schedule"]).is_empty());
    assert!(runs(fleet, &["--until", "1h"]).is_empty());
    assert_eq!(fleet.cli(&["history", "--state", "broken"]).code, 64);

    let whole = fleet.cli(&["history", bad, "--json"]).expect(0).json();
    assert_eq!((&whole["agent"], &whole["state"], &whole["attempts"]), (&json!("bad"), &json!("failed"), &json!(2)));
    assert_eq!(whole["exit"], json!({ "kind": "code", "value": 3 }));
    assert_eq!(whole["trigger"]["kind"], "manual");
    assert_eq!(whole["attemptList"].as_array().map(Vec::len), Some(2), "{whole}");
    for time in ["queuedAt", "startedAt", "endedAt"] {
        assert!(whole[time].is_string(), "{time} is missing: {whole}");
    }
    assert_eq!(whole["log"]["folder"], "logs/bad", "{whole}");
    for span in ["waitedMs", "durationMs"] {
        assert!(whole[span].is_number(), "{span} is missing: {whole}");
    }
    let text = fleet.cli(&["history", bad]).expect(0).out;
    assert!(text.contains("attempt 2") && text.contains("exited with code 3"), "{text}");

    let why = fleet.cli(&["why", bad]).expect(0).out;
    assert!(why.contains("failed") && why.contains("exited with code 3"), "{why}");

    let log = fleet.cli(&["logs", good]).expect(0).out;
    assert!(log.contains("O fine") && log.contains("E noise") && !log.contains("no route"), "{log}");
    let log = fleet.cli(&["logs", bad]).expect(0).out;
    assert_eq!(log.matches("no route to host").count(), 2, "{log}");

    let events = fleet.cli(&["events", "--run", bad, "--json"]).expect(0).json();
    let topics: Vec<&str> = events["events"].as_array().unwrap().iter().filter_map(|e| e["type"].as_str()).collect();
    assert_eq!(topics.iter().filter(|topic| **topic == "agent.failed").count(), 2, "{topics:?}");
    assert!(topics.contains(&"execution.failed"), "{topics:?}");
    let events = fleet.cli(&["events", "--since", "1h", "--type", "execution.succeeded"]).expect(0).out;
    assert!(events.contains(good) && !events.contains(bad), "{events}");
}

#[test]
fn what_ran_is_told_and_after_a_restart_as_before_and_without_an_orchestrator_too() {
    let mut fleet = fleet();
    let (good, bad) = (ran(&fleet, "good"), ran(&fleet, "bad"));
    check(&fleet, &good, &bad);
    let last = fleet.agent("bad")["lastRun"].clone();
    assert_eq!(last["runId"], json!(bad));

    fleet.restart();
    check(&fleet, &good, &bad);
    assert_eq!(fleet.agent("bad")["lastRun"]["runId"], last["runId"]);
    assert_eq!(fleet.agent("bad")["lastRun"]["end"], last["end"]);
    // Who waits for an execution that ended long ago is told at once.
    let end = fleet.end_of(&bad);
    assert_eq!((&end["end"], &end["agent"], &end["run"]), (&json!("failed"), &json!("bad"), &json!(bad)));

    fleet.kill_and_restart();
    check(&fleet, &good, &bad);

    fleet.terminate();
    check(&fleet, &good, &bad);
    let none = fleet.cli(&["history", "0192f0c1-2b7e-7c3a-9d55-0123456789ab"]).expect(66);
    assert!(none.err.contains("there is no execution"), "{}", none.err);
}

#[test]
fn pages_tell_each_execution_once() {
    let fleet = fleet();
    let ran: Vec<String> = (0..7).map(|_| ran(&fleet, "good")).collect();
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let after = cursor.iter().flat_map(|cursor| ["--cursor", cursor.as_str()]).collect::<Vec<_>>();
        let arguments = [&["history", "--json", "--limit", "3"][..], &after].concat();
        let page = fleet.cli(&arguments).expect(0).json();
        let ids = page["executions"].as_array().unwrap().iter().map(|e| e["runId"].as_str().unwrap().to_owned());
        seen.extend(ids);
        cursor = page["next"].as_str().map(ToOwned::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let newest_first: Vec<String> = ran.into_iter().rev().collect();
    assert_eq!(seen, newest_first);
}

#[test]
fn events_go_on_with_their_numbers_and_none_is_missing() {
    let mut fleet = fleet();
    ran(&fleet, "good");
    fleet.restart();
    ran(&fleet, "bad");
    // What a crash may lose of them is promised elsewhere.
    let newest = fleet.get("/api/v1/events?limit=1")["newest"].as_u64().expect("a number");
    wait_until("the events on disk", || fleet.on_disk().newest_event().expect("a number") >= newest);
    fleet.kill_and_restart();
    ran(&fleet, "good");
    let answer = fleet.get("/api/v1/events?after=0&limit=1000");
    let events = answer["events"].as_array().unwrap();
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(answer["newest"].as_u64(), numbers.last().copied());
    assert_eq!(fleet.events("boot.completed").len(), 3);
    assert!(events.iter().all(|event| event["message"].as_str().is_some_and(|text| !text.is_empty())), "{answer}");
    // From page to page, backwards.
    let (mut count, mut before) = (0, String::new());
    loop {
        let page = fleet.get(&format!("/api/v1/events?limit=5{before}"));
        count += page["events"].as_array().unwrap().len();
        let Some(next) = page["next"].as_u64() else { break };
        before = format!("&before={next}");
    }
    assert_eq!(count, numbers.len());
}

#[test]
fn old_executions_are_forgotten_by_number() {
    let config = format!("{CONFIG}[history]\nmax_runs_per_agent = 3\n");
    let fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], &config);
    let ran: Vec<String> = (0..5).map(|_| ran(&fleet, "good")).collect();
    wait_until("a history of three", || runs(&fleet, &[]).len() == 3);
    assert_eq!(runs(&fleet, &[]), [ran[4].as_str(), &ran[3], &ran[2]]);
}

#[test]
fn the_history_is_for_who_may_use_the_control_socket() {
    let fleet = fleet();
    let run = ran(&fleet, "good");
    let list = fleet.get("/api/v1/executions?agent=good&limit=1");
    assert_eq!(list["executions"][0]["runId"], Value::from(run.clone()));
    let output = fleet.request("GET", &format!("/api/v1/executions/{run}/logs"), None).expect(200);
    assert_eq!(output.header("werkpilot-agent"), Some("good"));
    assert_eq!(output.body.lines().count(), 2, "{}", output.body);
    let unknown = "/api/v1/executions/0192f0c1-2b7e-7c3a-9d55-0123456789ab";
    for (path, status) in [("/api/v1/executions?state=broken", 400), (unknown, 404)] {
        fleet.request("GET", path, None).expect(status);
    }
    for path in ["/api/v1/executions", unknown, &format!("/api/v1/executions/{run}/logs")] {
        fleet.tcp("GET", path, &[]).expect(401);
    }
}
