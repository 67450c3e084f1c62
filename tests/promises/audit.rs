//! Who changed what is written down, in a chain that shows tampering; a request that is made again is done once; and no
//! secret is anywhere but where it was put.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use werkpilot_tests::processes::Signal;
use werkpilot_tests::{Answer, Setup, Werkpilot, wait_until};

/// Writes a line per run; says what it got.
const REGISTRY: &str = "[[agent]]\nname = \"job\"\nkind = \"job\"\nshell = \"cat >> got; echo x >> ran\"\n\
                        [[agent]]\nname = \"bad\"\nkind = \"job\"\nretry = { max = 0 }\n\
                        shell = \"cat > /dev/null; echo x >> tried; [ -e mended ]\"\n\
                        [[agent]]\nname = \"service\"\nshell = \"exec sleep 1000\"\n";

fn entries(fleet: &Werkpilot, query: &str) -> Vec<Value> {
    let page = fleet.get(&format!("/api/v1/audit?limit=1000{query}"));
    assert_eq!((&page["verified"], &page["broken"]), (&json!(true), &Value::Null), "{page}");
    page["entries"].as_array().cloned().unwrap_or_default()
}

/// The newest entry of this action.
#[track_caller]
fn entry(fleet: &Werkpilot, action: &str) -> Value {
    let all = entries(fleet, "");
    let found = all.iter().find(|entry| entry["action"] == action);
    found.cloned().unwrap_or_else(|| panic!("no entry of {action}: {all:?}"))
}

fn with_key(fleet: &Werkpilot, path: &str, key: &str, body: &Value) -> Answer {
    fleet.try_with("POST", path, &[("Idempotency-Key", key)], Some(body)).expect("an answer")
}

fn lines(fleet: &Werkpilot, file: &str) -> usize {
    fleet.read(file).lines().count()
}

#[test]
fn every_way_to_change_something_is_written_down_with_who_and_what() {
    let fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    fleet.cli(&["stop", "service"]).expect(0);
    let stopped = entry(&fleet, "POST /api/v1/agents/{name}/stop");
    assert!(stopped["who"].as_str().unwrap().starts_with("cli:"), "{stopped}");
    assert_eq!(
        (&stopped["way"], &stopped["target"], &stopped["status"]),
        (&json!("control_socket"), &json!("service"), &json!(200))
    );
    assert_eq!(stopped["before"]["status"], "running");
    assert!(stopped["after"]["now"]["status"].is_string(), "{stopped}");

    let run = fleet.request("POST", "/api/v1/agents/job/trigger", Some(&json!({ "payload": "order 17" }))).expect(202);
    let triggered = entry(&fleet, "POST /api/v1/agents/{name}/trigger");
    assert_eq!(triggered["after"]["execution"], run.json()["runId"]);
    assert_eq!(triggered["after"]["payload"]["bytes"], 8, "{triggered}");
    assert!(!triggered.to_string().contains("order 17"));

    fleet.request("POST", "/api/v1/agents/nobody/stop", None).expect(404);
    let missed = entry(&fleet, "POST /api/v1/agents/{name}/stop");
    assert_eq!((&missed["target"], &missed["status"], &missed["after"]), (&json!("nobody"), &json!(404), &Value::Null));
    assert!(missed["detail"].as_str().unwrap().contains("there is no agent nobody"), "{missed}");

    fleet.cli(&["pause"]).expect(0);
    let paused = entry(&fleet, "POST /api/v1/pause");
    assert_eq!((&paused["before"], &paused["after"]), (&json!({ "paused": false }), &json!({ "paused": true })));
    fleet.cli(&["resume"]).expect(0);

    // Over the network, with a token.
    let made = fleet.request("POST", "/api/v1/tokens", Some(&json!({ "name": "ci", "role": "operator" }))).expect(201);
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    let token = entry(&fleet, "POST /api/v1/tokens");
    assert_eq!((&token["after"]["name"], &token["after"]["role"]), (&json!("ci"), &json!("operator")), "{token}");
    assert!(!entries(&fleet, "").iter().any(|entry| entry.to_string().contains(&secret)), "a secret is written down");
    let bearer = format!("Bearer {secret}");
    fleet.tcp("POST", "/api/v1/agents/service/start", &[("Authorization", &bearer)]).expect(200);
    let started = entry(&fleet, "POST /api/v1/agents/{name}/start");
    assert_eq!(
        (&started["who"], &started["way"], &started["peer"]),
        (&json!("token:ci"), &json!("token"), &json!("127.0.0.1"))
    );
    fleet.tcp("GET", "/api/v1/audit", &[("Authorization", &bearer)]).expect(403);
    let before = entries(&fleet, "").len();
    fleet.tcp("POST", "/api/v1/shutdown", &[("Authorization", &bearer)]).expect(403);
    fleet.tcp("POST", "/api/v1/shutdown", &[]);
    assert_eq!(entries(&fleet, "").len(), before, "who may not, changes nothing");

    // Without anybody: a signal, a file.
    fleet.write("registry/fleet.toml", &REGISTRY.replace("sleep 1000", "sleep 1001"));
    wait_until("the changed file", || !entries(&fleet, "&action=reload").is_empty());
    let reload = entry(&fleet, "reload");
    assert_eq!(
        (&reload["way"], &reload["after"]["agents"]["changed"]),
        (&json!("file"), &json!(["service"])),
        "{reload}"
    );
    fleet.write(
        "werkpilot.toml",
        &format!("{}\n[queue]\ncapacity = 17\n", fs::read_to_string(fleet.dir().join("werkpilot.toml")).unwrap()),
    );
    fleet.signal(Signal::HUP);
    wait_until("the reload", || {
        let all = entries(&fleet, "&action=reload");
        all.iter().any(|entry| entry["after"]["settings"]["queue.capacity"] == 17)
    });
    let all = entries(&fleet, "&action=reload");
    let changed = all.iter().find(|entry| entry["after"]["settings"]["queue.capacity"] == 17).unwrap();
    assert!(changed["before"]["settings"]["queue.capacity"].is_number(), "{changed}");
    fleet.write("registry/fleet.toml", "[[agent]]\nname = 3\n");
    wait_until("the rejected file", || {
        entries(&fleet, "&action=reload").iter().any(|entry| entry["detail"].is_string())
    });

    // Found by who, and shown by the command line, by name and page by page.
    assert_eq!(entries(&fleet, "&who=token:ci").len(), 1);
    let shown = fleet.cli(&["audit", "--who", "token:ci"]).expect(0).out;
    assert!(shown.contains("token:ci (127.0.0.1)") && shown.contains("service"), "{shown}");
    // In words, which find it, too; programs get the route beside them.
    assert!(shown.contains("started an agent") && !shown.contains("POST"), "{shown}");
    let found = fleet.cli(&["audit", "--action", "Started an agent", "--json"]).expect(0).json();
    let found = found["entries"].as_array().unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    let told = (&found[0]["action"], &found[0]["what"]);
    assert_eq!(told, (&json!("POST /api/v1/agents/{name}/start"), &json!("started an agent")));
    let page = fleet.cli(&["audit", "--limit", "2", "--json"]).expect(0).json();
    assert_eq!(page["entries"].as_array().map(Vec::len), Some(2));
    let next = page["next"].as_str().expect("there are more").to_owned();
    let rest = fleet.cli(&["audit", "--cursor", &next, "--json"]).expect(0).json();
    assert_eq!(rest["entries"].as_array().map(Vec::len), Some(entries(&fleet, "").len() - 2));
}

#[test]
fn the_chain_verifies_after_a_crash_and_without_an_orchestrator() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    let mut told = 0;
    for round in 0..3 {
        std::thread::scope(|scope| {
            let busy: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..1_000_000).take_while(|_| post(&fleet, "/api/v1/pause")).count()))
                .collect();
            wait_until("some changes", || entries_on_disk(&fleet) > told + 20);
            fleet.signal(Signal::KILL);
            // What was answered is there.
            let answered: usize = busy.into_iter().map(|thread| thread.join().unwrap()).sum();
            told += answered;
        });
        fleet.wait_for_end();
        assert!(entries_on_disk(&fleet) >= told, "round {round}: {} of {told}", entries_on_disk(&fleet));
        told = entries_on_disk(&fleet);
        fleet.cli(&["state", "check"]).expect(0);
        let offline = fleet.cli(&["audit", "--limit", "100000", "--json"]).expect(0).json();
        assert_eq!((offline["entries"].as_array().map(Vec::len), &offline["verified"]), (Some(told), &json!(true)));
        fleet.start_again();
        fleet.wait_for_boot();
    }
    assert!(!fleet.log_text().contains("tampered"));
}

fn post(fleet: &Werkpilot, path: &str) -> bool {
    fleet.try_with("POST", path, &[], None).is_ok_and(|answer| answer.status == 200)
}

fn entries_on_disk(fleet: &Werkpilot) -> usize {
    usize::try_from(fleet.on_disk().verify_audit().expect("a log").entries).unwrap()
}

#[test]
fn what_was_tampered_with_is_found_and_stops_nobody() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    for _ in 0..5 {
        assert!(post(&fleet, "/api/v1/pause"));
    }
    fleet.terminate();
    let database = fleet.dir().join("state/werkpilot.db");
    let conn = Connection::open(&database).unwrap();
    conn.execute_batch("DELETE FROM audit WHERE id = 3").unwrap();
    drop(conn);
    let checked = fleet.cli(&["state", "check"]).expect(65);
    assert!(checked.out.contains("audit entry 3 is missing"), "{}", checked.out);
    let shown = fleet.cli(&["audit"]).expect(65);
    assert!(shown.err.contains("audit entry 3 is missing"), "{}", shown.err);
    fleet.start_again();
    fleet.wait_for_boot();
    fleet.wait_for_log("The audit log was tampered with: audit entry 3 is missing");
    let page = fleet.get("/api/v1/audit");
    assert_eq!(page["verified"], false);
    assert!(page["broken"].as_str().unwrap().contains("entry 3"), "{page}");
    fleet.terminate();
    // A changed word has another checksum: that is damage, as in any other table.
    let conn = Connection::open(&database).unwrap();
    conn.execute("UPDATE audit SET who = 'nobody' WHERE id = 4", []).unwrap();
    drop(conn);
    let checked = fleet.cli(&["state", "check"]).expect(65);
    assert!(checked.out.contains("1 of") && checked.out.contains("rows of audit do not match"), "{}", checked.out);
    fs::remove_file(&database).unwrap();
}

#[test]
fn a_trigger_with_a_key_runs_once_however_often_it_is_asked_for() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "");
    let path = "/api/v1/agents/job/trigger";
    let body = json!({ "payload": "one\n" });
    let first = with_key(&fleet, path, "order-17", &body).expect(202);
    assert_eq!(first.header("idempotency-replayed"), None);
    let again = with_key(&fleet, path, "order-17", &body).expect(202);
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &first.body));
    let run = first.json()["runId"].as_str().unwrap().to_owned();
    fleet.end_of(&run);
    fleet.restart();
    let late = with_key(&fleet, path, "order-17", &body).expect(202);
    assert_eq!((late.header("idempotency-replayed"), &late.body), (Some("true"), &first.body));
    fleet.kill_and_restart();
    assert_eq!(with_key(&fleet, path, "order-17", &body).expect(202).body, first.body);
    assert_eq!(lines(&fleet, "ran"), 1);

    // Another request, or no key at all.
    let other = with_key(&fleet, path, "order-17", &json!({ "payload": "two\n" })).expect(422);
    assert!(other.body.contains("another request"), "{}", other.body);
    with_key(&fleet, path, "not visible", &body).expect(400);
    with_key(&fleet, "/api/v1/agents/nobody/trigger", "nobody", &body).expect(404);
    // Nobody of that name was there: the key is as good as new.
    let missed = with_key(&fleet, "/api/v1/agents/nobody/trigger", "nobody", &body).expect(404);
    assert_eq!(missed.header("idempotency-replayed"), None);

    // At the same time.
    let runs: BTreeSet<String> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| with_key(&fleet, path, "at-once", &body))).collect();
        let answers = asked.into_iter().map(|thread| thread.join().unwrap());
        let decided = answers.filter(|answer| match answer.status {
            202 => true,
            409 => {
                assert!(answer.body.contains("is in progress"), "{}", answer.body);
                false
            }
            other => panic!("{other}: {}", answer.body),
        });
        decided.map(|answer| answer.json()["runId"].as_str().unwrap().to_owned()).collect()
    });
    assert_eq!(runs.len(), 1, "{runs:?}");
    fleet.end_of(runs.first().unwrap());
    assert_eq!(lines(&fleet, "ran"), 2);
    // An answer that is given again is no change.
    let triggers = entries(&fleet, "&action=job").into_iter().filter(|entry| entry["status"] == 202).count();
    assert_eq!(triggers, 2);
}

#[test]
fn a_crash_between_the_request_and_its_answer_runs_nothing_twice() {
    for failpoint in [
        "key.before:1",
        "key.after:1",
        "accept.before:1",
        "accept.after:1",
        "start.after:1",
        "key.before:2",
        "key.after:2",
    ] {
        let setup = Setup::new(&[("fleet.toml", REGISTRY)], "").env("WERKPILOT_FAILPOINT", failpoint);
        let mut fleet = setup.start();
        let (path, body) = ("/api/v1/agents/job/trigger", json!({ "payload": "one\n" }));
        let cut = fleet.try_with("POST", path, &[("Idempotency-Key", "k")], Some(&body));
        // A failpoint behind the answer may leave it standing.
        let told = cut.ok().filter(|answer| answer.status == 202).map(|answer| answer.json()["runId"].clone());
        fleet.wait_for_end();
        fleet.unset("WERKPILOT_FAILPOINT");
        fleet.start_again();
        fleet.wait_for_boot();
        let answer = with_key(&fleet, path, "k", &body).expect(202).json();
        if let Some(told) = told {
            assert_eq!(answer["runId"], told, "{failpoint}");
        }
        let again = with_key(&fleet, path, "k", &body).expect(202);
        assert_eq!(again.json()["runId"], answer["runId"], "{failpoint}");
        let ended = || fleet.get("/api/v1/executions?agent=job&limit=100")["executions"].as_array().unwrap().clone();
        wait_until("its end", || !ended().is_empty() && fleet.get("/api/v1/agents/job")["live"] == json!([]));
        let ended = ended();
        assert_eq!(ended.len(), 1, "{failpoint}: {ended:?}");
        assert_eq!(ended[0]["runId"], answer["runId"], "{failpoint}");
        // What was cut off while it ran is a dead letter, as it is without a key.
        match ended[0]["state"].as_str().unwrap() {
            "succeeded" => assert_eq!(lines(&fleet, "ran"), 1, "{failpoint}"),
            "interrupted" => assert!(lines(&fleet, "ran") <= 1, "{failpoint}"),
            other => panic!("{failpoint}: {other}"),
        }
        fleet.cli(&["state", "check"]).expect(0);
    }
}

#[test]
fn replays_with_a_key_are_done_once() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", REGISTRY)], "[breaker]\ndead_letters = 1000\n");
    let total = |fleet: &Werkpilot| fleet.get("/api/v1/dead-letters")["total"].as_u64().unwrap();
    for number in 1..=4 {
        fleet
            .request("POST", "/api/v1/agents/bad/trigger", Some(&json!({ "payload": format!("{number}") })))
            .expect(202);
        wait_until("the dead letter", || total(&fleet) == number);
    }
    fleet.write("mended", "");
    fs::rename(fleet.dir().join("mended"), fleet.file("mended")).unwrap();
    let first = with_key(&fleet, "/api/v1/dead-letters/1/replay", "one", &json!({})).expect(202);
    fleet.end_of(first.json()["runId"].as_str().unwrap());
    fleet.kill_and_restart();
    let again = with_key(&fleet, "/api/v1/dead-letters/1/replay", "one", &json!({})).expect(202);
    assert_eq!((again.header("idempotency-replayed"), &again.body), (Some("true"), &first.body));
    assert_eq!(lines(&fleet, "tried"), 5);
    let replay = entry(&fleet, "POST /api/v1/dead-letters/{id}/replay");
    assert_eq!(
        (&replay["before"]["state"], &replay["before"]["payload"]["bytes"]),
        (&json!("open"), &json!(1)),
        "{replay}"
    );

    let many = json!({ "all": true, "rate": 100.0 });
    let set = with_key(&fleet, "/api/v1/dead-letters/replay", "many", &many).expect(202);
    let same = with_key(&fleet, "/api/v1/dead-letters/replay", "many", &many).expect(202);
    assert_eq!(same.json()["id"], set.json()["id"]);
    wait_until("the set", || lines(&fleet, "tried") == 8);
    // One that has begun and not ended would be run again after the restart, as its `on_lost` says.
    wait_until("their ends", || fleet.agent("bad")["status"] == "idle");
    fleet.restart();
    let late = with_key(&fleet, "/api/v1/dead-letters/replay", "many", &many).expect(202);
    assert_eq!((late.header("idempotency-replayed"), &late.body), (Some("true"), &set.body));
    assert_eq!(lines(&fleet, "tried"), 8);
}

#[test]
fn a_change_on_a_bad_disk_happens_and_is_written_down_later() {
    let fleet = Setup::new(&[("fleet.toml", REGISTRY)], "").survive_file_size_limit().start();
    assert!(post(&fleet, "/api/v1/pause"));
    limit_files(&fleet, Some(4_096));
    wait_until("a degraded store", || {
        post(&fleet, "/api/v1/pause");
        fleet.get("/readyz")["store"]["state"] == "degraded"
    });
    fleet.cli(&["stop", "service"]).expect(0);
    fleet.wait_for_log("The audit log is held in memory");
    fleet.wait_for_status("service", "stopped");
    limit_files(&fleet, None);
    fleet.wait_for_log("The audit log is on disk again");
    let stopped = entry(&fleet, "POST /api/v1/agents/{name}/stop");
    assert_eq!((&stopped["target"], &stopped["status"]), (&json!("service"), &json!(200)));
    assert_eq!(fleet.get("/api/v1/audit")["waiting"], 0);
    wait_until("a healthy store", || fleet.get("/readyz")["store"]["state"] == "ok");
    fleet.cli(&["state", "check"]).expect(0);
}

/// Files of the orchestrator can't grow beyond so many bytes; `None`: as large as they like.
fn limit_files(fleet: &Werkpilot, bytes: Option<u64>) {
    let limit = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let mut prlimit = std::process::Command::new("prlimit");
    let status = prlimit.args([format!("--pid={}", fleet.pid()), format!("--fsize={limit}:")]).status();
    assert!(status.is_ok_and(|status| status.success()), "prlimit");
}

/// Values that are nobody's business, in every place where one can be put.
const CANARIES: [&str; 3] = ["canary-in-env-7f3a", "canary-in-file-91bc", "canary-in-secret-d204"];

#[test]
fn a_secret_is_nowhere_but_where_it_was_put() {
    let registry = format!(
        "[[agent]]\nname = \"works\"\nkind = \"job\"\nshell = \"[ -n \\\"$FROM_ENV$FROM_FILE$FROM_SECRET\\\" ]\"\n{secrets}\
         [[agent]]\nname = \"fails\"\nkind = \"job\"\nretry = {{ max = 0 }}\nshell = \"echo it fails >&2; exit 3\"\n{secrets}\
         [[agent]]\nname = \"missing\"\nkind = \"job\"\nretry = {{ max = 0 }}\ncommand = [\"/no/such/program\"]\n{secrets}\
         [[agent]]\nname = \"unstartable\"\ncommand = [\"/no/such/program\"]\nretry = {{ max = 1, initial = \"10ms\" }}\n{secrets}\
         [[agent]]\nname = \"no-secret\"\nkind = \"job\"\nretry = {{ max = 0 }}\ncommand = [\"true\"]\n\
         env = {{ FROM_ENV = \"{env}\" }}\nsecrets = {{ GONE = \"/no/such/secret\" }}\n",
        secrets = format_args!(
            "env = {{ FROM_ENV = \"{}\" }}\nenv_file = \"agents.env\"\nsecrets = {{ FROM_SECRET = \"secret\" }}\n",
            CANARIES[0]
        ),
        env = CANARIES[0],
    );
    let setup = Setup::new(&[("fleet.toml", &registry)], "");
    setup.write("registry/agents.env", &format!("FROM_FILE={}\n", CANARIES[1]));
    setup.write("registry/secret", &format!("{}\n", CANARIES[2]));
    let fleet = setup.start();
    for agent in ["works", "fails", "missing", "no-secret"] {
        let answer = fleet.request("POST", &format!("/api/v1/agents/{agent}/trigger"), Some(&json!({}))).expect(202);
        fleet.end_of(answer.json()["runId"].as_str().unwrap());
    }
    assert_eq!(fleet.events_of("works", "execution.succeeded").len(), 1, "it had its secrets");
    wait_until("dead letters", || fleet.get("/api/v1/dead-letters")["total"].as_u64() >= Some(2));
    fleet.cli(&["restart", "unstartable"]);
    // A change of a secret is a change; a fault in its line names the line and not what stands there.
    fleet.write("registry/fleet.toml", &registry.replace("name = \"works\"", "name = \"works\"\npriority = 1"));
    fleet.cli(&["reload"]).expect(0);
    for broken in [
        registry.replace("FROM_ENV = \"canary", "\"FROM=ENV\" = \"canary"),
        registry.replace("env = { FROM_ENV = \"canary", "env = { FROM_ENV = 3, OTHER = \"canary"),
        registry.replace("env = { FROM_ENV = \"canary-in-env-7f3a\" }", "env = \"canary-in-env-7f3a\""),
        registry.replace("env = { FROM_ENV = \"canary-in-env-7f3a\" }", "env = { FROM_ENV = \"canary-in-env-7f3a\" "),
    ] {
        assert_ne!(broken, registry);
        fleet.write("registry/fleet.toml", &broken);
        let rejected = fleet.cli(&["reload"]).expect(78);
        assert!(rejected.err.contains("fleet.toml:"), "the line is named: {}", rejected.err);
        clean("the fault", &rejected.err);
        clean("the fault", &rejected.out);
        let answer = fleet.request("POST", "/api/v1/reload", None).expect(422);
        clean("the answer", &answer.body);
        let checked = fleet.cli(&["check", "--registry", "registry"]).expect(78);
        clean("the check", &(checked.err + &checked.out));
    }
    fleet.write("registry/fleet.toml", &registry);
    fleet.cli(&["reload"]).expect(0);

    for agent in ["works", "fails", "missing", "unstartable", "no-secret"] {
        for what in ["", "/health", "/logs", "/config"] {
            let path = format!("/api/v1/agents/{agent}{what}");
            clean(&path, &fleet.request("GET", &path, None).body);
        }
        clean("why", &fleet.request("GET", &format!("/api/v1/why/{agent}"), None).body);
    }
    let lists = [
        "/metrics",
        "/api/v1/agents",
        "/api/v1/overview",
        "/api/v1/queue",
        "/api/v1/schedule",
        "/api/v1/bus",
        "/api/v1/memory",
        "/api/v1/graph",
        "/api/v1/executions",
        "/api/v1/dead-letters",
        "/api/v1/events?limit=1000",
        "/api/v1/notifications",
        "/api/v1/reports",
        "/api/v1/decisions",
        "/api/v1/config",
        "/api/v1/reload",
        "/api/v1/audit?limit=1000",
        "/api/v1/tokens",
        "/api/v1/agent-changes",
    ];
    for path in lists {
        clean(path, &fleet.request("GET", path, None).body);
    }
    for id in 1..=5 {
        clean("a dead letter", &fleet.request("GET", &format!("/api/v1/dead-letters/{id}"), None).body);
    }
    for run in fleet.get("/api/v1/executions?limit=100")["executions"].as_array().into_iter().flatten() {
        let path = format!("/api/v1/executions/{}", run["runId"].as_str().unwrap());
        clean(&path, &fleet.request("GET", &path, None).body);
        clean(&path, &fleet.request("GET", &format!("{path}/logs"), None).body);
    }
    for arguments in
        [&["status"][..], &["agents"], &["config"], &["history"], &["events"], &["audit"], &["dlq", "list"]]
    {
        let outcome = fleet.cli(arguments);
        clean(&arguments.join(" "), &(outcome.out + &outcome.err));
    }
    clean("the log", &fleet.log_text());
    clean_files(&fleet.dir().join("state"));
}

#[track_caller]
fn clean(what: &str, text: &str) {
    for canary in CANARIES {
        let found = text.find(canary).map(|at| text[..at].chars().rev().take(200).collect::<Vec<_>>());
        let before: Option<String> = found.map(|before| before.into_iter().rev().collect());
        assert_eq!(before, None, "{canary} is in {what}, after this");
    }
}

/// Everything that is kept, byte by byte.
fn clean_files(folder: &Path) {
    for found in fs::read_dir(folder).unwrap().flatten() {
        let path = found.path();
        if path.is_dir() {
            clean_files(&path);
        } else if path.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            for canary in CANARIES {
                let here = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!here, "{canary} is in {}", path.display());
            }
        }
    }
}
