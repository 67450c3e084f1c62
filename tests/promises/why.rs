//! Why: for every agent and execution there is a cause chain, the same for people and programs; after a restart, and
//! without an orchestrator, too.

use serde_json::{Value, json};
use werkpilot_tests::{Werkpilot, wait_until};

const REGISTRY: &str = r#"
[[agent]]
name = "report"
kind = "job"
shell = "echo no route to host; exit 3"
retry = { max = 0 }

[[agent]]
name = "flapping"
command = ["false"]
retry = { initial = "10ms", factor = 1.0, jitter = 0.0 }

[[agent]]
name = "shop"
command = ["sleep", "1000"]
dependencies = ["flapping"]

[[agent]]
name = "nightly"
command = ["true"]
schedule = "0 3 * * *"

[[agent]]
name = "long"
kind = "job"
command = ["sleep", "1000"]

[[agent]]
name = "again"
kind = "job"
shell = "[ -e ran ] && exit 0; touch ran; exec sleep 1000"
on_lost = "rerun"
"#;
const CONFIG: &str = "[breaker]\ndead_letters = 2\nagent_restarts = 2\n[boot]\nlayer_timeout = \"1s\"\n";

fn fleet() -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", REGISTRY)], CONFIG)
}

/// The explanation for programs, checked against the one for people.
#[track_caller]
fn why(fleet: &Werkpilot, subject: &str) -> Value {
    let json = fleet.cli(&["why", subject, "--json"]).expect(0).json();
    let text = fleet.cli(&["why", subject]).expect(0).out;
    let first = text.lines().next().unwrap_or_default();
    // Times pass between the two questions; what is said does not change.
    assert_eq!(without_times(first), without_times(json["summary"].as_str().unwrap()), "{text}\n{json:#}");
    assert!(json["text"].as_str().unwrap().starts_with(json["summary"].as_str().unwrap()), "{json:#}");
    for part in ["chain", "notes"] {
        for cause in json[part].as_array().unwrap().iter().skip(usize::from(part == "chain")) {
            let told = without_times(cause["text"].as_str().unwrap());
            assert!(without_times(&text).contains(&told), "{told} is not in {text}");
            assert!(cause["code"].is_string() && cause["data"].is_object(), "{cause}");
        }
    }
    for advice in json["actions"].as_array().unwrap() {
        assert!(text.contains(advice["command"].as_str().unwrap()), "{text}");
    }
    json
}

/// The words without digits and units of time, so that two moments can be compared.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| {
        let word = word.trim_matches(|c: char| "():;,".contains(c));
        word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with(['s', 'm', 'h', 'd', 'Z'])
    };
    text.split_whitespace().filter(|word| !is_time(word) && *word != "for").collect::<Vec<_>>().join(" ")
}

fn codes(why: &Value) -> Vec<&str> {
    why["chain"].as_array().unwrap().iter().filter_map(|cause| cause["code"].as_str()).collect()
}

#[track_caller]
fn note<'a>(why: &'a Value, code: &str) -> &'a Value {
    let notes = why["notes"].as_array().unwrap();
    notes.iter().find(|note| note["code"] == code).unwrap_or_else(|| panic!("no note {code}: {why:#}"))
}

#[test]
fn agents_are_explained_down_to_the_root_cause_with_what_comes_next() {
    let fleet = fleet();
    fleet.wait_for_status("flapping", "disabled_by_failure");
    wait_until("the dead letter", || !fleet.events_of("flapping", "dlq.added").is_empty());
    let flapping = why(&fleet, "flapping");
    assert_eq!((&flapping["subject"], &flapping["state"]), (&json!("agent"), &json!("disabled_by_failure")));
    assert_eq!(codes(&flapping)[..2], ["disabled", "restarted_lately"], "{flapping:#}");
    assert_eq!(flapping["chain"][1]["data"]["restarts"], 2);
    assert_eq!(flapping["next"][0]["what"], "trial");
    assert!(flapping["next"][0]["inMs"].as_f64() > Some(600_000.0), "{flapping:#}");

    fleet.wait_for_status("shop", "queued");
    let shop = why(&fleet, "shop");
    let root = ["unhealthy_dependencies", "dependency", "restarted_lately", "dead_letter"];
    assert_eq!(codes(&shop), root, "{shop:#}");
    assert!(shop["chain"][2]["text"].as_str().unwrap().ends_with("exited with code 1"), "{shop:#}");
    assert_eq!((&shop["chain"][1]["agent"], &shop["chain"][1]["depth"]), (&json!("flapping"), &json!(1)));
    assert!(shop["summary"].as_str().unwrap().contains("root cause: flapping is disabled_by_failure: 3 restarts"));
    assert!(shop["next"].as_array().unwrap().iter().any(|next| next["agent"] == "flapping"), "{shop:#}");

    let nightly = why(&fleet, "nightly");
    assert_eq!((codes(&nightly), &nightly["next"][0]["what"]), (vec!["awaits_trigger"], &json!("due")));
    assert_eq!(nightly["next"][0]["at"].as_str().map(|at| at.ends_with("T03:00:00.000Z")), Some(true));

    // The one form is the API's, too.
    let api = fleet.get("/api/v1/why/nightly");
    assert_eq!((&api["summary"].is_string(), &api["chain"]), (&true, &nightly["chain"]));
}

#[test]
fn executions_are_explained_after_a_restart_and_without_an_orchestrator_as_before() {
    let mut fleet = fleet();
    let run = fleet.trigger("report");
    fleet.end_of(&run);
    wait_until("the dead letter", || !fleet.events_of("report", "dlq.added").is_empty());
    let check = |fleet: &Werkpilot| {
        let told = why(fleet, &run);
        assert_eq!(
            (&told["subject"], &told["state"], &told["runId"]),
            (&json!("execution"), &json!("failed"), &json!(run))
        );
        assert_eq!(told["chain"][0]["data"]["attempts"], 1, "{told:#}");
        assert!(told["summary"].as_str().unwrap().contains("the only attempt failed: exited with code 3"), "{told:#}");
        assert!(note(&told, "dead_letter")["data"]["id"].is_u64(), "{told:#}");
        assert_eq!(note(&told, "triggered_by")["data"]["trigger"]["kind"], "manual");
        assert!(!told["facts"].as_array().unwrap().is_empty());
    };
    check(&fleet);
    fleet.restart();
    check(&fleet);
    fleet.terminate();
    check(&fleet);

    // Agents, too, as far as the disk knows them.
    let report = why(&fleet, "report");
    assert_eq!((&report["state"], codes(&report)), (&json!("stopped"), vec!["no_orchestrator"]));
    assert_eq!(note(&report, "last_run")["data"]["end"], "failed");
    let mistyped = fleet.cli(&["why", "reprot"]).expect(66);
    assert!(mistyped.err.contains("did you mean report?"), "{}", mistyped.err);
    fleet.cli(&["why", "0192f0c1-2b7e-7c3a-9d55-0123456789ab"]).expect(66);
}

#[test]
fn what_a_crash_cut_off_says_what_became_of_it() {
    let mut fleet = fleet();
    let (long, again) = (fleet.trigger("long"), fleet.trigger("again"));
    wait_until("both run", || fleet.status("long") == "running" && fleet.file("ran").exists());
    let running = why(&fleet, &long);
    assert_eq!((&running["state"], codes(&running)), (&json!("running"), vec!["executing"]));
    wait_until("both are on disk", || {
        let started = |run: &str| fleet.cli(&["history", run, "--json"]).json()["startedAt"].is_string();
        started(&long) && started(&again)
    });
    fleet.kill9();
    let cut = why(&fleet, &long);
    assert_eq!((&cut["state"], codes(&cut)), (&json!("running"), vec!["no_orchestrator"]));
    assert_eq!(cut["next"][0]["what"], "interrupted");
    fleet.start_again();
    fleet.wait_for_boot();
    let long = why(&fleet, &long);
    assert_eq!((&long["state"], codes(&long)), (&json!("interrupted"), vec!["orchestrator_ended"]));
    assert!(note(&long, "dead_letter")["data"]["id"].is_u64(), "{long:#}");
    wait_until("the second run", || {
        let why = fleet.get(&format!("/api/v1/why/{again}"));
        why["notes"].as_array().unwrap().iter().any(|note| note["code"] == "run_again")
    });
    let again = why(&fleet, &again);
    let second = note(&again, "run_again")["runId"].as_str().unwrap().to_owned();
    assert_eq!(fleet.end_of(&second)["end"], "succeeded");
    assert_eq!(codes(&why(&fleet, &second)), ["triggered_by"]);
}

#[test]
fn who_is_unknown_is_told_with_what_was_meant_and_who_is_gone_as_gone() {
    let fleet = fleet();
    let run = fleet.trigger("report");
    fleet.end_of(&run);
    let unknown = fleet.cli(&["why", "nightyl"]).expect(66);
    assert!(unknown.err.contains("did you mean nightly?"), "{}", unknown.err);
    for nobody in ["0192f0c1-2b7e-7c3a-9d55-0123456789ab", "NOBODY", "no/such thing", "ä"] {
        fleet.cli(&["why", nobody]).expect(66);
    }
    fleet.request("GET", "/api/v1/why/nobody", None).expect(404);
    let registry = REGISTRY.replacen("name = \"report\"", "name = \"summary\"", 1);
    fleet.write("registry/fleet.toml", &registry);
    fleet.cli(&["reload"]).expect(0);
    let gone = why(&fleet, "report");
    assert_eq!((&gone["state"], codes(&gone)), (&json!("missing"), vec!["not_in_registry"]));
    assert_eq!(note(&gone, "last_run")["data"]["run"], json!(run));
}
