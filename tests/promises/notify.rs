//! Notifications: webhooks and commands that are told of events, signed, repeated, bounded, and never in the way.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use werkpilot_tests::endpoint::{self, Manner};
use werkpilot_tests::{Endpoint, Setup, Werkpilot, wait_until};

const JOBS: &str = "[[agent]]\nname = \"good\"\nkind = \"job\"\ncommand = [\"true\"]\ndepartment = \"sales\"\n\
                    [[agent]]\nname = \"bad\"\nkind = \"job\"\ncommand = [\"false\"]\nretry = { max = 0 }\n";
/// No dead letter ever opens a breaker: these tests need failures.
const CALM: &str = "[breaker]\ndead_letters = 1000000\n";

fn fleet(settings: &str) -> Werkpilot {
    Werkpilot::start(&[("fleet.toml", JOBS)], &format!("{CALM}{settings}"))
}

/// A target that is tried again soon.
fn target(name: &str, url: &str, more: &str) -> String {
    format!(
        "[[notify]]\nname = \"{name}\"\nurl = \"{url}\"\n\
         retry = {{ initial = \"20ms\", factor = 1.0, cap = \"20ms\", jitter = 0.0, max = 100000 }}\n{more}\n"
    )
}

/// A target as the API shows it.
#[track_caller]
fn shown(fleet: &Werkpilot, name: &str) -> Value {
    let all = fleet.get("/api/v1/notifications");
    let targets = all["targets"].as_array().expect("a list");
    targets.iter().find(|target| target["name"] == name).unwrap_or_else(|| panic!("no {name} in {all}")).clone()
}

fn count(fleet: &Werkpilot, name: &str, counter: &str) -> u64 {
    shown(fleet, name)[counter].as_u64().unwrap_or_else(|| panic!("no {counter}"))
}

fn types(received: &[endpoint::Received]) -> Vec<String> {
    received.iter().map(|one| one.json()["type"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_webhook_gets_signed_cloud_events_of_what_it_wants_and_nothing_else() {
    let (all, failures, sales) = (Endpoint::start(), Endpoint::start(), Endpoint::start());
    let settings = [
        target("all", &all.url("/hooks?token=1"), "events = [\">\"]\nsecret_file = \"key\""),
        target(
            "failures",
            &failures.url("/"),
            "events = [\"execution.*\", \"agent.>\"]\nagents = [\"b*\"]\nmin_weight = \"warning\"",
        ),
        target(
            "sales",
            &sales.url(""),
            "events = [\"execution.succeeded\", \"execution.failed\"]\ndepartments = [\"sal*\"]",
        ),
    ];
    let setup = Setup::new(&[("fleet.toml", JOBS)], &format!("{CALM}{}", settings.concat()));
    setup.write("key", "a key of many words\n");
    let fleet = setup.start();
    let runs = [fleet.trigger("good"), fleet.trigger("bad")];
    for run in &runs {
        fleet.end_of(run);
    }
    wait_until("both ends", || {
        types(&all.received()).iter().filter(|kind| kind.starts_with("execution.") && kind.len() > 18).count() >= 1
    });
    wait_until("the end of the bad one", || types(&all.received()).contains(&"execution.failed".to_owned()));
    wait_until("the end of the good one", || types(&all.received()).contains(&"execution.succeeded".to_owned()));

    let received = all.received();
    let kept = fleet.get("/api/v1/events?after=0&limit=1000");
    for (message, event) in received.iter().zip(kept["events"].as_array().unwrap()) {
        let body = message.json();
        assert!(message.is_signed_with("a key of many words"), "{message:?}");
        assert_eq!(
            (message.line.as_str(), message.header("content-type")),
            ("POST /hooks?token=1 HTTP/1.1", "application/cloudevents+json; charset=utf-8")
        );
        assert!(message.header("user-agent").starts_with("werkpilot/"));
        // In order, none missing, and the same as in the history.
        assert_eq!((&body["specversion"], &body["id"]), (&json!("1.0"), &json!(event["seq"].to_string())));
        assert_eq!(
            (&body["type"], &body["data"], &body["message"], &body["time"]),
            (&event["type"], &event["data"], &event["message"], &event["time"])
        );
        assert_eq!(body.get("subject"), event["data"].get("agent").filter(|agent| agent.is_string()));
    }
    let mut ids: Vec<_> = received.iter().map(|message| message.header("werkpilot-delivery").to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), received.len(), "each delivery has an id of its own");
    wait_until("the failures", || failures.received().len() == 2);
    assert_eq!(types(&failures.received()), ["agent.failed", "execution.failed"]);
    assert!(failures.received().iter().all(|message| message.header("werkpilot-signature").is_empty()));
    assert_eq!(types(&sales.wait_for(1)), ["execution.succeeded"]);
    assert_eq!(sales.received()[0].line, "POST / HTTP/1.1");
}

#[test]
fn what_an_endpoint_does_not_take_is_tried_again_as_it_was_and_the_others_wait_their_turn() {
    let endpoint = Endpoint::start();
    let fleet = fleet(&target("ops", &endpoint.url("/"), "events = [\"execution.succeeded\"]"));
    endpoint.set(Manner::Status(500, ""));
    let first = fleet.trigger("good");
    fleet.end_of(&first);
    let tries = endpoint.wait_for(3);
    assert!(
        tries.iter().all(|one| one.body == tries[0].body
            && one.header("werkpilot-delivery") == tries[0].header("werkpilot-delivery"))
    );
    let second = fleet.trigger("good");
    fleet.end_of(&second);
    wait_until("a fault in the counters", || count(&fleet, "ops", "failed") >= 3);
    let ops = shown(&fleet, "ops");
    assert!(ops["lastError"]["message"].as_str().unwrap().contains("it answered 500"), "{ops}");
    assert_eq!((&ops["sent"], &ops["queued"], &ops["dropped"]), (&json!(0), &json!(2), &json!(0)), "{ops}");
    let before = endpoint.received().len();
    endpoint.set(Manner::Status(200, ""));
    wait_until("both", || count(&fleet, "ops", "sent") == 2);
    let runs: Vec<_> = endpoint.received()[before..].iter().map(|one| one.json()["data"]["run"].clone()).collect();
    assert_eq!(runs[runs.len() - 2..], [json!(first), json!(second)]);
    let ops = shown(&fleet, "ops");
    assert_eq!((&ops["queued"], &ops["failuresInARow"]), (&json!(0), &json!(0)));
    assert!(ops["lastSuccess"].is_string());

    // What will never be taken is not tried again.
    endpoint.set(Manner::Status(422, ""));
    fleet.run("good");
    wait_until("a rejected one", || count(&fleet, "ops", "dropped") == 1);
    assert_eq!(fleet.events("system.notifications.dropped").len(), 1);
}

#[test]
fn an_endpoint_that_hangs_or_babbles_holds_up_nobody() {
    let (hanging, babbling, good) = (Endpoint::start(), Endpoint::start(), Endpoint::start());
    let events = "events = [\"execution.succeeded\"]\ntimeout = \"300ms\"";
    let settings = [("hanging", &hanging), ("babbling", &babbling), ("good", &good)];
    let settings: String = settings.iter().map(|(name, endpoint)| target(name, &endpoint.url("/"), events)).collect();
    let fleet = fleet(&settings);
    hanging.set(Manner::Hang);
    babbling.set(Manner::Babble);
    for number in 1..=10 {
        fleet.run("good");
        good.wait_for(number);
        assert!(fleet.request("GET", "/livez", None).status == 200);
    }
    wait_until("the hanging one to be given up", || count(&fleet, "hanging", "failed") >= 2);
    let told = |name| shown(&fleet, name)["lastError"]["message"].as_str().unwrap().to_owned();
    assert!(told("hanging").contains("did not answer within 300 ms"), "{}", told("hanging"));
    wait_until("the babbling one to be given up", || count(&fleet, "babbling", "failed") >= 2);
    assert!(told("babbling").contains("no HTTP"), "{}", told("babbling"));
    let begun = Instant::now();
    let mut fleet = fleet;
    assert!(fleet.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "the shutdown took {:?}", begun.elapsed());
    assert!(fleet.log_text().contains("Notifications that could not be delivered any more"));
}

#[test]
fn an_endpoint_that_is_down_costs_the_oldest_and_is_told_once_and_when_it_is_over() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let slow = "retry = { initial = \"500ms\", factor = 1.0, cap = \"500ms\", jitter = 0.0, max = 100000 }";
    let fleet = fleet(&format!(
        "[[notify]]\nname = \"ops\"\nurl = \"http://{address}/\"\nevents = [\"execution.succeeded\", \"system.>\"]\nqueue = 5\n{slow}\n\
         [[notify]]\nname = \"other\"\ncommand = [\"sh\", \"-c\", \"cat >> told; echo >> told\"]\nevents = [\"system.>\"]\n"
    ));
    let runs: Vec<String> = (0..12).map(|_| fleet.trigger("good")).collect();
    for run in &runs {
        fleet.end_of(run);
    }
    wait_until("seven dropped", || count(&fleet, "ops", "dropped") == 7);
    assert_eq!(count(&fleet, "ops", "queued"), 5);
    assert_eq!(fleet.events("system.notifications.dropped").len(), 1);
    let error = shown(&fleet, "ops")["lastError"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("no connection to http://127.0.0.1:") && error.contains("refused"), "{error}");

    let endpoint = Endpoint::at(address, None);
    let received = endpoint.wait_for(5);
    wait_until("five sent", || count(&fleet, "ops", "sent") == 5);
    let ids: Vec<u64> = received.iter().map(|one| one.json()["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    assert!(
        received.iter().all(|one| one.json()["type"] == "execution.succeeded"),
        "it is not told of its own silence"
    );
    let dropped: u64 = received.iter().filter_map(|one| one.json()["werkpilotdropped"].as_u64()).sum();
    assert_eq!(dropped, 7, "what was lost is told with what goes");
    let healed = fleet.events("system.notifications.recovered");
    assert_eq!((healed.len(), &healed[0]["data"]["dropped"]), (1, &json!(7)));
    // Another target hears of both.
    let told = || fs::read_to_string(fleet.dir().join("told")).unwrap_or_default();
    wait_until("the other one to be told", || told().contains("system.notifications.recovered"));
    assert!(told().contains("system.notifications.dropped"));
    assert_eq!(fleet.events("system.notifications.dropped").len(), 1);
}

#[test]
fn a_command_finds_the_event_on_its_stdin_and_is_killed_when_it_hangs() {
    let hook = |name: &str, script: &str, more: &str| {
        format!(
            "[[notify]]\nname = \"{name}\"\nevents = [\"execution.succeeded\"]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n{more}\n"
        )
    };
    let quick = "retry = { max = 1, initial = \"10ms\", cap = \"10ms\" }";
    let settings = [
        hook(
            "file",
            "cat > event; echo $WERKPILOT_EVENT_TYPE $WERKPILOT_EVENT_AGENT $WERKPILOT_DELIVERY > variables",
            "",
        ),
        hook("hanging", "sleep 1000 & sleep 1000", &format!("timeout = \"200ms\"\n{quick}")),
        hook("failing", "echo never seen; exit 3", quick),
    ];
    let fleet = fleet(&format!(
        "{}[[notify]]\nname = \"missing\"\nevents = [\"execution.succeeded\"]\ncommand = [\"/nowhere/at-all\"]\n{quick}\n",
        settings.concat()
    ));
    let run = fleet.trigger("good");
    fleet.end_of(&run);
    wait_until("the event in a file", || count(&fleet, "file", "sent") == 1);
    let event: Value = serde_json::from_str(&fs::read_to_string(fleet.dir().join("event")).unwrap()).unwrap();
    assert_eq!((&event["type"], &event["data"]["run"]), (&json!("execution.succeeded"), &json!(run)));
    let variables = fs::read_to_string(fleet.dir().join("variables")).unwrap();
    assert!(variables.starts_with("execution.succeeded good ") && variables.trim().len() > 50, "{variables}");
    for (name, error) in [("hanging", "was killed"), ("failing", "3"), ("missing", "/nowhere/at-all")] {
        wait_until(&format!("{name} to be given up"), || count(&fleet, name, "dropped") == 1);
        let target = shown(&fleet, name);
        assert_eq!((&target["failed"], &target["kind"]), (&json!(2), &json!("command")), "{target}");
        assert!(target["lastError"]["message"].as_str().unwrap().contains(error), "{target}");
    }
}

#[test]
fn what_the_rate_leaves_out_is_told_with_a_number() {
    let endpoint = Endpoint::start();
    let fleet = fleet(&target(
        "ops",
        &endpoint.url("/"),
        "events = [\"execution.succeeded\"]\nrate = { max = 2, per = \"2s\" }",
    ));
    let runs: Vec<String> = (0..7).map(|_| fleet.trigger("good")).collect();
    for run in &runs {
        fleet.end_of(run);
    }
    let left_out =
        || endpoint.received().iter().filter_map(|one| one.json()["werkpilotsuppressed"].as_u64()).sum::<u64>();
    wait_until("the number of those left out", || {
        let ops = shown(&fleet, "ops");
        ops["suppressed"].as_u64() == Some(left_out())
            && left_out() > 0
            && ops["sent"].as_u64().unwrap() + left_out() == 7
    });
    let received = endpoint.received();
    assert!(types(&received)[..2] == ["execution.succeeded"; 2], "{:?}", types(&received));
    let summary = received.iter().find(|one| one.json()["type"] == "system.notifications.summary").expect("a summary");
    assert!(summary.json()["message"].as_str().unwrap().contains("were left out"), "{:?}", summary.json());
}

#[test]
fn a_reload_changes_targets_at_once_and_what_waits_goes_to_the_new_address() {
    let (good, later) = (Endpoint::start(), Endpoint::start());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let slow = "events = [\"execution.succeeded\"]\nretry = { initial = \"1h\", cap = \"1h\" }";
    let ops = |url: &str| format!("[[notify]]\nname = \"ops\"\nurl = \"{url}\"\n{slow}\n");
    let fleet = fleet(
        &(ops(&format!("http://{closed}/")) + &target("gone", &good.url("/"), "events = [\"execution.succeeded\"]")),
    );
    let first = fleet.run("good");
    good.wait_for(1);
    wait_until("a failed try", || count(&fleet, "ops", "failed") == 1);

    fleet.write(
        "werkpilot.toml",
        &format!("{CALM}{}{}", ops(&good.url("/new")), target("later", &later.url("/"), "events = [\"execution.*\"]")),
    );
    let report = fleet.request("POST", "/api/v1/reload", None).expect(200).json();
    // Its own watch of the files may have been faster.
    let told = fleet.events("config.reloaded").iter().any(|event| event["data"]["settings"] == json!(["notify"]));
    assert!(told || report["settings"] == json!(["notify"]), "{report}");
    wait_until("what waited at the new address", || good.received().iter().any(|one| one.line.contains("/new")));
    let moved = good.received().into_iter().find(|one| one.line.contains("/new")).unwrap();
    assert_eq!(moved.json()["data"]["run"], first["run"]);
    let before = good.received().iter().filter(|one| !one.line.contains("/new")).count();
    fleet.run("good");
    wait_until("the new target", || types(&later.received()).contains(&"execution.succeeded".to_owned()));
    wait_until("the moved one", || count(&fleet, "ops", "sent") == 2);
    assert_eq!(
        good.received().iter().filter(|one| !one.line.contains("/new")).count(),
        before,
        "who is gone hears nothing"
    );

    // Faults change nothing.
    fleet.write("werkpilot.toml", "[[notify]]\nname = \"ops\"\nurl = \"canary://canary\"\nevents = [\">\"]\n");
    let answer = fleet.request("POST", "/api/v1/reload", None).expect(422);
    assert!(answer.body.contains("must begin with http") && !answer.body.contains("canary"), "{}", answer.body);
    fleet.run("good");
    wait_until("the old ones to go on", || count(&fleet, "ops", "sent") == 3);
}

#[test]
fn a_test_tells_of_each_target_whether_it_arrived_and_what_to_do_if_not() {
    let (good, bad) = (Endpoint::start(), Endpoint::start());
    bad.set(Manner::Status(403, ""));
    let settings = [
        target("good", &good.url("/x"), "events = [\"dlq.added\"]"),
        target("bad", &bad.url("/x"), "events = [\"dlq.added\"]"),
        "[[notify]]\nname = \"hook\"\nevents = [\"dlq.added\"]\ncommand = [\"sh\", \"-c\", \"cat > event\"]\n"
            .to_owned(),
        "[[notify]]\nname = \"broken\"\nevents = [\"dlq.added\"]\ncommand = [\"false\"]\n".to_owned(),
    ];
    let mut fleet = fleet(&settings.concat());
    let one = fleet.cli(&["notify", "--test", "good"]).expect(0);
    assert!(one.out.starts_with("good: http://127.0.0.1:") && one.out.contains("status 204"), "{}", one.out);
    let test = good.received()[0].json();
    assert_eq!((&test["type"], &test["data"]["by"]), (&json!("system.notifications.test"), &json!("cli:tester")));

    let all = fleet.cli(&["notify", "--test", "--json"]).expect(1).json();
    let results = all["results"].as_array().unwrap();
    let brief: Vec<_> = results
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["ok"].as_bool().unwrap(), &one["status"]))
        .collect();
    assert_eq!(
        brief,
        [
            ("good", true, &json!(204)),
            ("bad", false, &json!(403)),
            ("hook", true, &json!(0)),
            ("broken", false, &json!(1))
        ]
    );
    assert!(results.iter().all(|one| one["latencyMs"].as_f64().is_some_and(|ms| ms > 0.0)), "{all}");
    let told = fleet.cli(&["notify", "--test", "bad"]).expect(1).out;
    assert!(told.contains("it answered 403") && told.contains("hint: check user, password or token"), "{told}");
    assert!(fs::read_to_string(fleet.dir().join("event")).unwrap().contains("system.notifications.test"));

    // A test is no notification: nothing is counted, and the event log does not know of it.
    assert_eq!((count(&fleet, "good", "sent"), count(&fleet, "bad", "failed")), (0, 0));
    assert!(fleet.events("system.notifications.test").is_empty());
    let unknown = fleet.cli(&["notify", "--test", "goood"]).expect(66);
    assert!(unknown.err.contains("did you mean good?") && unknown.err.contains("werkpilot notify"), "{}", unknown.err);
    let list = fleet.cli(&["notify"]).expect(0).out;
    assert!(list.starts_with("TARGET") && list.contains("dlq.added") && list.lines().count() == 5, "{list}");

    fleet.terminate();
    let nobody = fleet.cli(&["notify", "--test"]).expect(69);
    assert!(nobody.err.contains("no orchestrator is running") && nobody.err.contains("werkpilot up"), "{}", nobody.err);
}

#[test]
fn without_targets_the_command_says_how_to_begin() {
    let fleet = fleet("");
    assert!(fleet.cli(&["notify"]).expect(0).out.contains("[[notify]]"));
    let test = fleet.cli(&["notify", "--test"]).expect(66);
    assert!(test.err.contains("[[notify]]"), "{}", test.err);
    assert_eq!(fleet.get("/api/v1/notifications"), json!({ "targets": [], "next": null }));
    assert_eq!(fleet.tcp("GET", "/api/v1/notifications", &[]).status, 401);
}

/// All that is written anywhere below a folder, but for these files.
fn written(folder: &Path, but: &[&str]) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            found.extend(written(&path, but));
        } else if path.is_file() && !but.contains(&name.as_str()) {
            found.push((name, fs::read(&path).unwrap_or_default()));
        }
    }
    found
}

#[test]
fn neither_the_key_nor_anything_of_an_address_but_its_place_is_ever_shown() {
    let (redirecting, closed) = (Endpoint::start(), TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    redirecting.set(Manner::Status(302, "Location: /canary-elsewhere\r\n"));
    let good = Endpoint::start();
    let secret = |address: std::net::SocketAddr| {
        format!("http://canary-user:canary-password@{address}/canary-path?canary=canary")
    };
    let events = "events = [\">\"]\nsecret_file = \"key\"\nqueue = 3";
    let settings = [
        target("good", &secret(good.address()), events),
        target("redirecting", &secret(redirecting.address()), events),
        target("closed", &secret(closed), events),
        target("tls", &secret(good.address()).replace("http", "https"), events),
        target("nowhere", "https://canary-user:canary-password@nowhere.invalid/canary-path?canary", events),
    ];
    let setup =
        Setup::new(&[("fleet.toml", JOBS)], &format!("{CALM}{}", settings.concat())).env("WERKPILOT_LOG", "trace");
    setup.write("key", "canary-key");
    let mut fleet = setup.start();
    fleet.run("good");
    let authorization = "Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk";
    let first = good.wait_for(1).remove(0);
    assert_eq!(first.line, "POST /canary-path?canary=canary HTTP/1.1");
    assert!(first.header("authorization") == authorization && first.is_signed_with("canary-key"), "{first:?}");
    for name in ["redirecting", "closed", "tls"] {
        wait_until(&format!("faults of {name}"), || {
            count(&fleet, name, "failed") > 1 && count(&fleet, name, "dropped") > 0
        });
    }
    assert!(redirecting.received().iter().all(|one| one.line.contains("/canary-path")), "a redirect is not followed");
    let mut shown = vec![
        ("config", fleet.cli(&["config"]).out),
        ("config --json", fleet.cli(&["config", "--json"]).out),
        ("config --files", fleet.cli(&["config", "--files", "--config", "werkpilot.toml"]).out),
        ("notify", fleet.cli(&["notify"]).out),
        ("notify --json", fleet.cli(&["notify", "--json"]).out),
        ("events", fleet.get("/api/v1/events?limit=1000").to_string()),
        ("metrics", fleet.tcp("GET", "/metrics", &[("Accept", "text/plain")]).body),
        ("page", fleet.tcp("GET", "/", &[]).body),
    ];
    let test = fleet.cli(&["notify", "--test"]);
    shown.extend([("notify --test", test.out), ("its stderr", test.err)]);
    // Faults of the file that has the secrets.
    fleet.write("werkpilot.toml", &format!("{CALM}{}secret = 'canary'\n", settings.concat()));
    shown.push(("faults", fleet.request("POST", "/api/v1/reload", None).expect(422).body));
    shown.push(("check", fleet.cli(&["check", "--config", "werkpilot.toml"]).err));
    fleet.wait_for_log("rejected");
    fleet.terminate();
    shown.push(("the log", fleet.log_text()));
    for (what, text) in &shown {
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{what} shows a secret:\n{text}");
    }
    for (name, bytes) in written(fleet.dir(), &["werkpilot.toml", "key"]) {
        let found = String::from_utf8_lossy(&bytes);
        assert!(!found.contains("canary") && !found.contains("Y2FuYXJ5"), "{name} has a secret");
    }
    assert!(shown[0].1.contains(&format!("http://{}/…", good.address())), "{}", shown[0].1);
}

#[test]
fn the_last_words_of_a_shutdown_are_told_too() {
    let endpoint = Endpoint::start();
    let mut fleet = fleet(&target("ops", &endpoint.url("/"), "events = [\"shutdown.started\", \"execution.*\"]"));
    fleet.run("good");
    assert!(fleet.terminate().success());
    assert_eq!(types(&endpoint.received()).last().map(String::as_str), Some("shutdown.started"));
    assert!(!fleet.log_text().contains("could not be delivered any more"));
}

#[test]
fn tls_is_checked_against_the_authorities_of_the_system() {
    let endpoint = Endpoint::start_tls();
    let settings = target("ops", &endpoint.url("/"), "events = [\"execution.succeeded\"]\nsecret_file = \"key\"");
    let authority = endpoint::certificate("ca.pem");
    let setup = Setup::new(&[("fleet.toml", JOBS)], &settings).env("SSL_CERT_FILE", authority.to_str().unwrap());
    setup.write("key", "k");
    let fleet = setup.start();
    fleet.run("good");
    let received = endpoint.wait_for(1);
    assert!(received[0].is_signed_with("k"));
    assert!(received[0].header("host").starts_with("localhost:"));

    // Another one does not know this authority.
    let other = Werkpilot::start(&[("fleet.toml", JOBS)], &settings.replace("secret_file = \"key\"", ""));
    let test = other.cli(&["notify", "--test"]).expect(1).out;
    assert!(test.contains("no TLS with") || test.contains("no certificates"), "{test}");
    assert!(test.contains("SSL_CERT_FILE"), "{test}");
    assert_eq!(endpoint.received().len(), 1);
}
