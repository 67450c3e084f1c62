//! Percentiles and scores: worked out from real runs, told by the API and the CLI, and the same after a kill -9.

use serde_json::{Value, json};
use werkpilot_core::percentiles::{Slot, SlotRow};
use werkpilot_core::time::Timestamp;
use werkpilot_tests::peer::text;
use werkpilot_tests::{Werkpilot, wait_until};

const REGISTRY: &str = "[[agent]]\nname = \"quick\"\nkind = \"job\"\nshell = \"sleep 0.02\"\n\
                        [[agent]]\nname = \"flaky\"\nkind = \"job\"\nshell = \"exit 3\"\n\
                        retry = { max = 1, initial = \"10ms\", jitter = 0.0 }\n\
                        [[agent]]\nname = \"idle\"\nkind = \"job\"\nshell = \"true\"\n\
                        [[agent]]\nname = \"sales\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n";

fn fleet() -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", REGISTRY)], "")
}

fn ran(fleet: &Werkpilot, agent: &str, times: usize) {
    for _ in 0..times {
        let run = fleet.trigger(agent);
        fleet.end_of(&run);
    }
}

/// A figure over the whole time, told to whoever asks on loopback.
fn figures(fleet: &Werkpilot, name: &str, resolution: &str) -> Value {
    fleet.tcp("GET", &format!("/api/v1/figures/{name}?resolution={resolution}"), &[]).expect(200).json()
}

/// How many values the points of a figure have together.
fn count(figures: &Value) -> u64 {
    figures["points"].as_array().expect("points").iter().filter_map(|point| point["count"].as_u64()).sum()
}

/// The same of what is on disk, in minutes.
fn kept(fleet: &Werkpilot, name: &str) -> u64 {
    let reader = fleet.on_disk();
    let (since, until) = (Timestamp::from_millis(0), Timestamp::from_millis(i64::MAX));
    let rows = reader.digests(name, Slot::Minute.as_str(), since, until).expect("rows");
    let digests = rows.into_iter().map(|row| {
        let row = SlotRow { slot: Slot::Minute, at: row.slot_at, data: row.data.into_boxed_slice() };
        row.digest().expect("a digest").count()
    });
    digests.sum()
}

fn kept_score(fleet: &Werkpilot, agent: &str) -> Option<f64> {
    let reader = fleet.on_disk();
    reader.scores(0).expect("scores").into_iter().find(|row| row.agent.as_str() == agent)?.score
}

#[track_caller]
fn check(fleet: &Werkpilot, runs: u64) {
    for resolution in ["minute", "hour", "day"] {
        let figures = figures(fleet, "duration:quick", resolution);
        assert_eq!((count(&figures), figures["whole"]["count"].as_u64()), (runs, Some(runs)), "{figures}");
        assert_eq!((&figures["name"], &figures["resolution"]), (&json!("duration:quick"), &json!(resolution)));
        for point in figures["points"].as_array().expect("points") {
            let ms = |key: &str| point[key].as_f64().unwrap_or_else(|| panic!("no {key}: {point}"));
            assert!(ms("p50_ms") >= 20.0 && ms("p50_ms") <= ms("p95_ms") && ms("p95_ms") <= ms("p99_ms"), "{point}");
            assert!(ms("mean_ms") >= 20.0 && point["at"].is_string(), "{point}");
        }
    }
    let quick = fleet.agent("quick");
    assert_eq!(quick["count"].as_u64(), Some(runs));
    assert!(quick["p50"].as_f64().is_some_and(|ms| ms >= 20.0), "{quick}");
    wait_until("the scores", || fleet.agent("quick")["score"] == 100.0 && fleet.agent("flaky")["score"].is_number());
    let parts = json!({ "success": 1.0, "latency": null, "stability": 1.0, "punctuality": null });
    assert_eq!(fleet.agent("quick")["scoreParts"], parts);
    let flaky = fleet.agent("flaky");
    let parts = json!({ "success": 0.0, "latency": null, "stability": 0.5, "punctuality": null });
    assert_eq!((&flaky["score"], &flaky["scoreParts"]), (&json!(14.29), &parts));
    assert_eq!(flaky["scores"].as_array().map(Vec::len), Some(1), "one day: {flaky}");
    let day = &flaky["scores"][0];
    assert_eq!((&day["score"], &day["scoreParts"]), (&json!(14.29), &parts), "{day}");
    assert!(day["day"].as_str().is_some_and(|day| day.len() == 10), "{day}");
}

#[test]
fn percentiles_and_scores_are_of_real_runs_and_the_same_after_a_crash() {
    let mut fleet = fleet();
    ran(&fleet, "quick", 3);
    ran(&fleet, "flaky", 1);
    check(&fleet, 3);
    let idle = fleet.agent("idle");
    assert_eq!((&idle["score"], &idle["scoreParts"], &idle["p50"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((count(&figures(&fleet, "duration:idle", "minute")), &idle["scores"]), (0, &json!([])));
    assert!(count(&figures(&fleet, "waiting", "minute")) >= 3);

    wait_until("all of it on disk", || kept(&fleet, "duration:quick") == 3);
    wait_until("the scores on disk", || kept_score(&fleet, "flaky") == Some(14.29));
    fleet.kill_and_restart();
    check(&fleet, 3);
    ran(&fleet, "quick", 2);
    check(&fleet, 5);
    fleet.restart();
    check(&fleet, 5);
}

#[test]
fn a_service_has_a_score_by_the_time_that_it_is_ready_and_no_percentiles() {
    let fleet = fleet();
    fleet.wait_for_status("sales", "running");
    wait_until("the score", || fleet.agent("sales")["score"].is_number());
    let sales = fleet.agent("sales");
    assert_eq!((&sales["p50"], &sales["count"]), (&Value::Null, &json!(0)));
    let parts = &sales["scoreParts"];
    assert!(parts["success"].as_f64().is_some_and(|success| success > 0.0 && success <= 1.0), "{sales}");
    let known = (&parts["latency"], &parts["stability"], &parts["punctuality"]);
    assert_eq!(known, (&Value::Null, &json!(1.0), &Value::Null));
    // A restart that nobody asked for is held against it.
    let pid = fleet.wait_for_pid("sales");
    let raw = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(raw, rustix::process::Signal::KILL).expect("it is there");
    wait_until("a lower score", || fleet.agent("sales")["scoreParts"]["stability"] == 0.5);

    let mut sales = fleet.peer("sales");
    sales.subscribe("rpc.sales");
    let _answering = sales.answer_with(|_| b"42".to_vec());
    let mut operator = fleet.operator();
    for _ in 0..4 {
        assert_eq!(text(&operator.request("rpc.sales", b"")), "42");
    }
    wait_until("the latencies", || count(&figures(&fleet, "request:sales", "minute")) == 4);
}

#[test]
fn what_began_in_time_is_punctual() {
    let registry = "[[agent]]\nname = \"tick\"\nevery = \"1s\"\nshell = \"true\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    wait_until("a punctual run", || fleet.agent("tick")["scoreParts"]["punctuality"] == 1.0);
    assert_eq!(fleet.agent("tick")["score"], 100.0);
}

#[test]
fn a_question_that_makes_no_sense_is_answered_with_what_does() {
    let fleet = fleet();
    let problem = fleet.tcp("GET", "/api/v1/figures/duration:quik", &[]).expect(404).json();
    assert_eq!(problem["detail"], "there is no figure duration:quik; did you mean duration:quick?");
    assert!(problem["hint"].as_str().is_some_and(|hint| hint.contains("request:AGENT")), "{problem}");
    for path in ["nonsense", "duration:", "restarts", "paused", "duration:nobody", "request:Not%20A%20Name"] {
        fleet.tcp("GET", &format!("/api/v1/figures/{path}"), &[]).expect(404);
    }
    // What can't be read, and what can be read and makes no sense.
    for (query, status) in [
        ("resolution=second", 400),
        ("since=yesterday", 400),
        ("since=2026-11-21T08:00:00Z&until=2026-11-21T07:00:00Z", 422),
        ("since=2020-01-01T00:00:00Z", 422),
        ("resolution=hour&since=2020-01-01T00:00:00Z", 422),
    ] {
        let problem = fleet.tcp("GET", &format!("/api/v1/figures/waiting?{query}"), &[]).expect(status).json();
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{query}: {problem}");
    }
    let empty = "/api/v1/figures/waiting?since=2020-01-01T00:00:00Z&until=2020-01-01T01:00:00Z";
    assert_eq!(fleet.tcp("GET", empty, &[]).expect(200).json()["points"], json!([]));
}

#[test]
fn people_see_the_scores_in_tables() {
    let fleet = fleet();
    ran(&fleet, "flaky", 1);
    wait_until("the score", || fleet.agent("flaky")["score"].is_number());
    let agents = fleet.cli(&["agents", "--kind", "job"]).expect(0).out;
    assert!(agents.lines().next().is_some_and(|head| head.contains("SCORE")), "{agents}");
    let flaky = agents.lines().find(|line| line.starts_with("flaky")).expect("a line");
    assert!(flaky.split_whitespace().any(|word| word == "14"), "{flaky}");
    let status = fleet.cli(&["status"]).expect(0).out;
    assert!(status.contains("the lowest is flaky with 14"), "{status}");
}
