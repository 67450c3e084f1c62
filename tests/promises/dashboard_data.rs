//! What the pages show: what needs attention and why, how it went lately, the graph, where settings are from, and what a
//! reload would change.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use werkpilot_core::time::Timestamp;
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, wait_for, wait_until};

/// One fault of each kind, and who waits because of them.
const FAULTS: &str = r#"
[[agent]]
name = "fails"
kind = "job"
priority = 1
shell = "exit 3"
retry = { max = 0 }

[[agent]]
name = "slow"
kind = "job"
command = ["sleep", "1000"]
timeout = "100ms"
retry = { max = 0 }

[[agent]]
name = "gone"
kind = "service"
command = ["/nowhere/gone"]

[[agent]]
name = "crashes"
shell = "exit 7"
retry = { initial = "10ms", factor = 1.0, cap = "10ms", jitter = 0.0 }

[[agent]]
name = "tries"
shell = "exit 8"
retry = { initial = "1h", factor = 1.0, cap = "1h", jitter = 0.0 }

[[agent]]
name = "ill"
restart = "never"
command = ["sleep", "1000"]
ready = { after = "10ms" }
health = { exec = ["sh", "-c", "exit 1"], interval = "100ms", failures = 1 }

[[agent]]
name = "late"
command = ["sleep", "1000"]
ready = { log = "never written", timeout = "10m" }

[[agent]]
name = "off"
kind = "job"
command = ["true"]
enabled = false

[[agent]]
name = "well"
command = ["sleep", "1000"]
ready = { after = "10ms" }
orphan_ttl = "5m"

[[agent]]
name = "waits"
command = ["sleep", "1000"]
dependencies = ["gone"]

[[agent]]
name = "waits-too"
command = ["sleep", "1000"]
dependencies = ["waits"]

[[agent]]
name = "needs-off"
kind = "job"
command = ["true"]
dependencies = ["off"]
"#;

fn overview(fleet: &Werkpilot) -> Value {
    fleet.get("/api/v1/overview")
}

/// The items of a kind.
fn items(fleet: &Werkpilot, kind: &str) -> Vec<Value> {
    let overview = overview(fleet);
    let all = overview["attention"].as_array().expect("a list").clone();
    all.into_iter().filter(|item| item["kind"] == kind).collect()
}

/// The only item of a kind, as soon as it is there.
#[track_caller]
fn item(fleet: &Werkpilot, kind: &str) -> Value {
    wait_for(&format!("an item about {kind}"), PATIENCE, || items(fleet, kind).into_iter().next())
}

/// An item about an agent, with what it has to say.
#[track_caller]
fn tells(fleet: &Werkpilot, kind: &str, agent: &str, severity: &str, reason: &str, hint: &str) -> Value {
    let item = wait_for(&format!("{kind} of {agent}"), PATIENCE, || {
        items(fleet, kind).into_iter().find(|item| item["agent"] == agent)
    });
    assert_eq!(item["severity"], severity, "{item}");
    assert!(item["reason"].as_str().is_some_and(|told| told.contains(reason)), "{reason}: {item}");
    assert!(item["hint"].as_str().is_some_and(|told| told.contains(hint)), "{hint}: {item}");
    assert_eq!(item["link"], format!("#/agents/{agent}"));
    item
}

#[test]
fn what_needs_attention_is_named_with_its_reason_and_what_to_do() {
    let settings = "[boot]\nlayer_timeout = \"300ms\"\n[breaker]\nagent_restarts = 2\n";
    let fleet = Setup::new(&[("fleet.toml", FAULTS)], settings).arg("--no-watch").start();
    for job in ["fails", "slow"] {
        fleet.run(job);
    }
    fleet.wait_for_status("crashes", "disabled_by_failure");
    fleet.wait_for_status("ill", "unhealthy");

    let gone = tells(&fleet, "missing", "gone", "critical", "/nowhere/gone", "then `werkpilot start gone`");
    assert_eq!((&gone["affected"], &gone["affectedTotal"]), (&json!(["waits", "waits-too"]), &json!(2)), "{gone}");
    assert!(gone["reason"].as_str().unwrap().ends_with("2 agents wait for it: waits, waits-too"), "{gone}");
    let breaker = tells(&fleet, "disabled_by_failure", "crashes", "critical", "restarts within", "one trial in ");
    assert!(breaker["since"].is_string(), "{breaker}");
    tells(&fleet, "error", "fails", "critical", "exited with code 3", "`werkpilot run fails`");
    tells(&fleet, "timeout", "slow", "warning", "longer than its timeout of 100ms", "`werkpilot logs slow`");
    tells(&fleet, "unhealthy", "ill", "warning", "exit", "`werkpilot restart ill`");
    tells(&fleet, "backing_off", "tries", "notice", "exited with code 8", "next try in ");
    tells(&fleet, "boot_late", "late", "warning", "layer_timeout", "`werkpilot logs late`");
    tells(&fleet, "disabled", "off", "warning", "needs-off", "`werkpilot enable off`");
    let keys = item(&fleet, "not_effective");
    assert!(
        keys["reason"].as_str().unwrap().contains("fleet.toml:")
            && keys["reason"].as_str().unwrap().contains("well.orphan_ttl")
    );

    let all = overview(&fleet);
    let named: Vec<&str> = all["attention"].as_array().unwrap().iter().filter_map(|i| i["agent"].as_str()).collect();
    for calm in ["well", "waits", "waits-too", "needs-off"] {
        assert!(!named.contains(&calm), "{calm} is told with its root: {named:?}");
    }
    assert_eq!(all["attentionTotal"].as_u64(), Some(all["attention"].as_array().unwrap().len() as u64));
    let severities: Vec<&str> =
        all["attention"].as_array().unwrap().iter().filter_map(|item| item["severity"].as_str()).collect();
    let rank = |severity: &&str| ["critical", "warning", "notice"].iter().position(|known| known == severity);
    assert!(severities.is_sorted_by_key(rank), "the worst first: {severities:?}");

    let late: Vec<&Value> =
        all["boot"]["layers"].as_array().unwrap().iter().flat_map(|layer| layer["late"].as_array().unwrap()).collect();
    assert!(late.contains(&&json!("late")), "{}", all["boot"]);
    assert!(all["boot"]["durationMs"].as_f64().is_some_and(|ms| ms >= 300.0));
    assert_eq!(fleet.tcp("GET", "/api/v1/overview", &[]).status, 200, "without a token on loopback");
}

#[test]
fn the_orchestrators_own_troubles_are_named_and_go_away_with_their_cause() {
    let registry = "[[agent]]\nname = \"long\"\nkind = \"job\"\noverlap = \"queue_all\"\ncommand = [\"sleep\", \"1000\"]\n\
                    [[agent]]\nname = \"crashes\"\nshell = \"exit 7\"\nready = { after = \"10ms\" }\n\
                    retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n";
    let settings = "[queue]\nworkers = 1\ncapacity = 2\n[breaker]\nmax_restarts = 3\n[shutdown]\ngrace = \"1s\"\n";
    let fleet = Setup::new(&[("fleet.toml", registry)], settings).arg("--no-watch").start();
    let breaker = item(&fleet, "breaker");
    wait_until("the limit of restarts", || item(&fleet, "breaker")["severity"] == "critical");
    assert!(breaker["hint"].as_str().unwrap().contains("[breaker] max_restarts"), "{breaker}");
    wait_until("who waits for room", || item(&fleet, "breaker")["affected"] == json!(["crashes"]));
    let tile = &overview(&fleet)["breaker"];
    assert_eq!((&tile["restarts"], &tile["maxRestarts"], &tile["state"]), (&json!(3), &json!(3), &json!("open")));
    assert_eq!(tile["window_ms"], 3_600_000.0);

    for _ in 0..3 {
        fleet.trigger("long");
    }
    wait_until("a full queue", || item(&fleet, "queue")["severity"] == "critical");
    let queue = &overview(&fleet)["queue"];
    assert_eq!((&queue["waiting"], &queue["capacity"], &queue["workers"]), (&json!(2), &json!(2), &json!(1)));
    assert!(queue["oldestWaitingMs"].as_f64().is_some());

    fleet.cli(&["pause"]).expect(0);
    let paused = item(&fleet, "paused");
    assert!(paused["reason"].as_str().unwrap().starts_with("paused by ") && paused["since"].is_string(), "{paused}");
    assert_eq!(paused["hint"], "`werkpilot resume` lets them work again");
    fleet.cli(&["resume"]).expect(0);
    wait_until("nothing is paused", || items(&fleet, "paused").is_empty());
}

/// Writing fails beyond this size, as on a full disk.
fn limit_files(fleet: &Werkpilot, bytes: &str) {
    let arguments = [format!("--pid={}", fleet.pid()), format!("--fsize={bytes}:")];
    assert!(Command::new("prlimit").args(arguments).status().is_ok_and(|status| status.success()), "prlimit");
}

#[test]
fn a_disk_that_takes_nothing_is_the_first_thing_that_is_told() {
    let registry = "[[agent]]\nname = \"tick\"\nevery = \"100ms\"\ncommand = [\"true\"]\n";
    let fleet = Setup::new(&[("fleet.toml", registry)], "").survive_file_size_limit().start();
    limit_files(&fleet, "4096");
    let store = item(&fleet, "store");
    assert_eq!((&store["severity"], &store["agent"]), (&json!("critical"), &Value::Null), "{store}");
    assert!(!store["reason"].as_str().unwrap().is_empty() && store["hint"].as_str().unwrap().contains("[state] dir"));
    assert_eq!(overview(&fleet)["attention"][0]["kind"], "store", "the worst first");
    limit_files(&fleet, "unlimited");
    wait_until("the disk is well again", || items(&fleet, "store").is_empty());
}

#[test]
fn a_shortage_of_memory_is_told_with_those_who_are_disabled_and_marked_in_the_history() {
    let registry = "[[agent]]\nname = \"large\"\nready = { log = \"filled\" }\n\
                    shell = \"held=$(head -c 60000000 /dev/zero | tr '\\\\0' x); echo filled; sleep 1000; :\"\n";
    let settings = "[memory]\nbudget = \"10MiB\"\ninterval = \"200ms\"\nrecover_percent = 1\nwarning_percent = 2\ncritical_percent = 3\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], settings);
    fleet.wait_for_status("large", "disabled_by_memory");
    let memory = item(&fleet, "memory");
    assert_eq!((&memory["severity"], &memory["affected"]), (&json!("critical"), &json!(["large"])), "{memory}");
    assert!(memory["hint"].as_str().unwrap().contains("`werkpilot start large`"), "{memory}");
    let all = fleet.get("/api/v1/memory/history");
    assert!(all["step_ms"].as_f64().is_some_and(|step| step >= 1_000.0));
    let points = all["points"].as_array().unwrap();
    assert!(
        !points.is_empty() && points.len() <= 120 && points.iter().all(|point| point[1].as_u64() > Some(0)),
        "{all}"
    );
    let kinds = |history: &Value| -> Vec<String> {
        let marks = history["marks"].as_array().unwrap();
        marks.iter().filter_map(|mark| Some(mark["kind"].as_str()?.to_owned())).collect()
    };
    assert!(kinds(&all).contains(&"memory.critical".to_owned()), "{all}");
    let large = fleet.get("/api/v1/memory/history?agent=large");
    assert!(kinds(&large).contains(&"agent.disabled".to_owned()), "{large}");
    assert_eq!(fleet.request("GET", "/api/v1/memory/history?agent=nobody", None).status, 404);
}

#[test]
fn the_strip_and_the_throughput_tell_the_last_ends_also_after_a_restart() {
    let registry = "[[agent]]\nname = \"mixed\"\nkind = \"job\"\nshell = \"cat; test ! -e bad\"\nretry = { max = 0 }\n\
                    [[agent]]\nname = \"never\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"up\"\ncommand = [\"sleep\", \"1000\"]\nready = { after = \"10ms\" }\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "[breaker]\ndead_letters = 100\n");
    fleet.run("mixed");
    fleet.run("mixed");
    fleet.touch("bad");
    fleet.run("mixed");
    let strip = |fleet: &Werkpilot, agent: &str| fleet.agent(agent)["recent"].clone();
    assert_eq!((strip(&fleet, "mixed"), strip(&fleet, "never")), (json!("ssf"), json!("")));
    wait_until("a service that is up", || strip(&fleet, "up") == "u");
    fleet.cli(&["stop", "up"]).expect(0);
    wait_until("a service that was stopped", || strip(&fleet, "up") == "ud");
    let ends = |fleet: &Werkpilot| {
        let minutes = overview(fleet)["throughput"].as_array().expect("minutes").clone();
        assert_eq!(minutes.len(), 60);
        let sum = |key: &str| minutes.iter().filter_map(|minute| minute[key].as_u64()).sum::<u64>();
        (sum("succeeded"), sum("failed"), sum("other"))
    };
    assert_eq!(ends(&fleet), (2, 1, 0));
    let since = |fleet: &Werkpilot| -> Timestamp {
        serde_json::from_value(item(fleet, "error")["since"].clone()).expect("a time")
    };
    let before = since(&fleet);
    fleet.restart();
    wait_until("the strip of before", || strip(&fleet, "mixed") == "ssf");
    assert_eq!(ends(&fleet), (2, 1, 0));
    // The event of its end is recorded a moment after what the history has.
    let after = since(&fleet);
    let apart = after.since(before).max(before.since(after));
    assert!(apart < Duration::from_secs(1), "{before} and {after}");
    fleet.kill_and_restart();
    wait_until("the strip of before", || strip(&fleet, "mixed") == "ssf");
    fleet.run("mixed");
    assert_eq!((strip(&fleet, "mixed"), ends(&fleet)), (json!("ssff"), (2, 2, 0)));
}

#[test]
fn a_service_that_crashed_again_and_again_stays_in_sight_with_its_last_words_until_it_has_lived_long_enough() {
    let registry = "[[agent]]\nname = \"relay\"\nhealthy_for = \"6s\"\nready = { after = \"10ms\" }\n\
                    shell = \"test -e ok || { echo 'bind: address in use' >&2; echo bye; exit 1; }; exec sleep 1000\"\n\
                    retry = { initial = \"200ms\", factor = 1.0, cap = \"200ms\", jitter = 0.0 }\n";
    let mut fleet = Werkpilot::start(
        &[("fleet.toml", registry)],
        "[breaker]\nagent_restarts = 1000\nmax_restarts = 0\n[boot]\nlayer_timeout = \"100ms\"\n",
    );
    wait_until("three crashes", || fleet.agent("relay")["restarts"].as_u64() >= Some(3));
    fleet.touch("ok");
    wait_until("a life that goes on", || fleet.agent("relay")["status"] == "running");
    let relay = item(&fleet, "backing_off");
    let title = relay["title"].as_str().expect("a title");
    assert!(title.starts_with("relay failed ") && title.ends_with(" times in a row and was started again"), "{relay}");
    assert_eq!(
        (&relay["severity"], &relay["reason"], &relay["lastWords"]["text"]),
        (&json!("warning"), &json!("exited with code 1"), &json!("bind: address in use"))
    );
    fleet.kill_and_restart();
    assert_eq!(fleet.agent("relay")["lastWords"]["text"], "bind: address in use", "it outlives a crash");
    wait_until("it has lived for long enough", || items(&fleet, "backing_off").is_empty());
    assert_eq!(fleet.agent("relay")["status"], "running");
}

#[test]
fn dead_letters_of_the_last_hour_are_told_by_what_they_have_in_common() {
    let bad = |name: &str| {
        format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\nretry = {{ max = 0 }}\nshell = \"test -e {name}.ok\"\n")
    };
    let fleet = Werkpilot::start(&[("fleet.toml", &(bad("a") + &bad("b")))], "[breaker]\ndead_letters = 100\n");
    for agent in ["a", "a", "b", "a"] {
        fleet.run(agent);
    }
    wait_until("the last of them", || overview(&fleet)["deadLetters"]["total"] == 4);
    let letters = item(&fleet, "dead_letters");
    assert_eq!(letters["title"], "4 new dead letters of a, b within the last hour");
    assert_eq!((&letters["affected"], &letters["link"]), (&json!(["a", "b"]), &json!("#/dead-letters")));
    assert!(letters["hint"].as_str().unwrap().contains("`werkpilot dlq show 4`"), "{letters}");
    let tile = &overview(&fleet)["deadLetters"];
    assert_eq!((&tile["total"], &tile["groups"]), (&json!(4), &json!(1)));
}

#[test]
fn the_graph_is_data_and_tells_what_stopping_an_agent_means() {
    let registry = "[[agent]]\nname = \"db\"\ndepartment = \"data\"\ncommand = [\"sleep\", \"1000\"]\nready = { after = \"10ms\" }\n\
                    [[agent]]\nname = \"api\"\ncommand = [\"sleep\", \"1000\"]\nready = { after = \"10ms\" }\ndependencies = [\"db\"]\n\
                    [[agent]]\nname = \"report\"\nkind = \"job\"\ncommand = [\"true\"]\ndependencies = [\"db\"]\n\
                    [[agent]]\nname = \"mail\"\nafter = \"report\"\ncommand = [\"true\"]\n\
                    [[agent]]\nname = \"seed\"\nkind = \"job\"\ncommand = [\"true\"]\n\
                    dependencies = [{ agent = \"db\", condition = \"started\" }]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    fleet.wait_for_status("api", "running");
    let graph = fleet.get("/api/v1/graph?format=json");
    assert_eq!(graph["layers"], json!([["db", "mail"], ["api", "report", "seed"]]));
    let db = &graph["nodes"][0];
    assert_eq!((&db["name"], &db["department"], &db["kind"]), (&json!("db"), &json!("data"), &json!("service")));
    assert_eq!((&db["status"], &db["layer"], &db["priority"]), (&json!("running"), &json!(0), &json!(3)));
    let edges = graph["edges"].as_array().unwrap();
    assert!(edges.contains(&json!({ "from": "seed", "to": "db", "condition": "started" })), "{graph}");
    assert_eq!((edges.len(), &graph["criticalPath"]), (3, &json!(["db", "api"])));
    assert!(fleet.request("GET", "/api/v1/graph", None).body.starts_with("layer 0"), "for people it is drawn");

    let impact = fleet.get("/api/v1/graph/db/impact");
    let told: Vec<(&str, u64, &str)> = impact["affected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["name"].as_str().unwrap(), a["distance"].as_u64().unwrap(), a["effect"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("api", 1, "goes on running, but could not start again without db"),
            ("report", 1, "its executions are skipped until db is back"),
            ("mail", 2, "is not triggered: it runs after each success of report"),
        ],
        "{impact}"
    );
    assert_eq!(fleet.get("/api/v1/agents/db/impact"), impact);
    assert_eq!(fleet.request("GET", "/api/v1/graph/nobody/impact", None).status, 404);
    // It is as it was told.
    fleet.cli(&["stop", "db"]).expect(0);
    fleet.wait_for_status("db", "stopped");
    assert_eq!(fleet.run("report")["end"], "skipped");
    assert_eq!(fleet.run("seed")["end"], "succeeded");
    assert_eq!(fleet.status("api"), "running");
}

const SOLD: &str = "# Sales\n[[agent]]\nname = \"sales\"\ndepartment = \"shop\"\nschedule = \"0 4 * * *\"\ncommand = [\"true\"]\n\
                    env = { TOKEN = \"c4nary-env\" }\nsecrets = { DB = \"/c4nary/secret\" }\n";

#[test]
fn each_key_of_an_agent_tells_where_it_is_from() {
    let departments = "[department.shop]\nstrategy = \"one_for_all\"\n";
    let fleet = Setup::new(&[("fleet.toml", SOLD), ("departments.toml", departments)], "[queue]\ncapacity = 7\n")
        .env("WERKPILOT_SCHEDULE_TIMEZONE", "Asia/Tokyo")
        .start();
    let answer = fleet.request("GET", "/api/v1/agents/sales/config", None).expect(200);
    assert!(!answer.body.contains("c4nary"), "names only: {}", answer.body);
    let config = answer.json();
    assert_eq!((&config["name"], &config["line"]), (&json!("sales"), &json!(2)));
    assert!(config["file"].as_str().unwrap().ends_with("registry/fleet.toml"), "{config}");
    let key = |name: &str| config["keys"].as_array().unwrap().iter().find(|key| key["key"] == name).unwrap().clone();
    let told = |name: &str| (key(name)["value"].clone(), key(name)["source"].clone(), key(name)["line"].clone());
    assert_eq!(told("schedule"), (json!("0 4 * * *"), json!("file"), json!(5)));
    assert_eq!(told("env"), (json!(["TOKEN"]), json!("file"), json!(7)));
    assert_eq!(told("secrets"), (json!(["DB"]), json!("file"), json!(8)));
    assert_eq!(told("priority"), (json!(3), json!("default"), Value::Null));
    assert_eq!(told("strategy"), (json!("one_for_all"), json!("departments.toml"), json!(1)));
    assert_eq!(told("timezone"), (json!("Asia/Tokyo"), json!("environment"), Value::Null));
    assert_eq!(key("timezone")["variable"], "WERKPILOT_SCHEDULE_TIMEZONE");
    assert!(key("schedule")["effect"].as_str().unwrap().starts_with("When it runs"));
    assert_eq!(fleet.tcp("GET", "/api/v1/agents/sales/config", &[]).status, 401, "only for who is logged in");

    let settings = fleet.get("/api/v1/config");
    let capacity = settings.as_array().unwrap().iter().find(|s| s["key"] == "queue.capacity").unwrap();
    assert_eq!((&capacity["value"], &capacity["origin"]["line"]), (&json!(7), &json!(2)));
    assert_eq!((&capacity["effect"], &capacity["applies"]), (&json!("Waiting executions at most."), &json!("at_once")));
}

#[test]
fn what_a_reload_would_change_is_told_before_and_is_what_it_changes() {
    let more = "[[agent]]\nname = \"gone\"\nkind = \"job\"\ncommand = [\"true\"]\n";
    let fleet =
        Setup::new(&[("fleet.toml", &format!("{SOLD}{more}"))], "[queue]\ncapacity = 7\n").arg("--no-watch").start();
    let tag = |fleet: &Werkpilot, path: &str| {
        fleet.request("GET", path, None).expect(200).header("etag").expect("an entity tag").to_owned()
    };
    let before = tag(&fleet, "/api/v1/config");
    assert_eq!(tag(&fleet, "/api/v1/reload"), before);
    let known = fleet.try_with("GET", "/api/v1/config", &[("If-None-Match", &before)], None).unwrap();
    assert_eq!((known.status, known.body.as_str()), (304, ""));
    let nothing = fleet.get("/api/v1/reload");
    assert_eq!((&nothing["valid"], &nothing["changed"], &nothing["unchanged"]), (&json!(true), &json!([]), &json!(2)));

    let changed = SOLD.replace("0 4 * * *", "0 5 * * *").replace("c4nary-env", "c4nary-new");
    let new = "[[agent]]\nname = \"new\"\nkind = \"job\"\ncommand = [\"true\"]\n[department.shop]\nstrategy = \"rest_for_one\"\n";
    fleet.write("registry/fleet.toml", &format!("{changed}{new}"));
    fleet.write("werkpilot.toml", &settings_of(&fleet).replace("capacity = 7", "capacity = 9"));
    let preview = fleet.get("/api/v1/reload");
    assert_eq!(
        (&preview["added"], &preview["removed"], &preview["unchanged"]),
        (&json!(["new"]), &json!(["gone"]), &json!(0))
    );
    assert_eq!(
        preview["changed"],
        json!([{ "agent": "sales", "keys": [
            { "key": "env", "before": ["TOKEN"], "after": ["TOKEN (new value)"] },
            { "key": "schedule", "before": "0 4 * * *", "after": "0 5 * * *" },
        ] }])
    );
    let settings: Vec<(&Value, &Value, &Value)> =
        preview["settings"].as_array().unwrap().iter().map(|s| (&s["key"], &s["before"], &s["after"])).collect();
    assert_eq!(
        settings,
        [
            (&json!("queue.capacity"), &json!(7), &json!(9)),
            (&json!("department.shop.strategy"), &json!("one_for_one"), &json!("rest_for_one")),
        ]
    );
    assert!(!preview.to_string().contains("c4nary"), "{preview}");
    assert_eq!(
        (fleet.agent("sales")["schedule"].clone(), tag(&fleet, "/api/v1/config")),
        (json!("0 4 * * *"), before.clone())
    );
    let in_effect = fleet.get("/api/v1/config").to_string();
    assert!(in_effect.contains("\"value\":7"), "looking changes nothing");

    let stale = fleet.try_with("POST", "/api/v1/reload", &[("If-Match", "\"other\"")], Some(&json!({}))).unwrap();
    assert_eq!(stale.status, 412, "{}", stale.body);
    let report = fleet
        .try_with("POST", "/api/v1/reload", &[("If-Match", &before)], Some(&json!({})))
        .unwrap()
        .expect(200)
        .json();
    assert_eq!(
        (&report["added"], &report["removed"], &report["changed"]),
        (&json!(["new"]), &json!(["gone"]), &json!(["sales"]))
    );
    assert_eq!(report["settings"], json!(["queue.capacity"]));
    assert_ne!(tag(&fleet, "/api/v1/config"), before);
    let twice = fleet.try_with("POST", "/api/v1/reload", &[("If-Match", &before)], Some(&json!({}))).unwrap();
    assert_eq!(twice.status, 412, "{}", twice.body);
    let after = fleet.get("/api/v1/reload");
    assert_eq!((&after["added"], &after["changed"], &after["settings"]), (&json!([]), &json!([]), &json!([])));
}

fn settings_of(fleet: &Werkpilot) -> String {
    std::fs::read_to_string(fleet.dir().join("werkpilot.toml")).expect("the settings")
}

#[test]
fn the_faults_of_a_rejected_reload_stay_in_sight_until_a_good_one() {
    let fleet = Setup::new(&[("fleet.toml", SOLD)], "").arg("--no-watch").start();
    assert_eq!(fleet.get("/api/v1/reload")["lastRejected"], Value::Null);
    fleet.write("registry/fleet.toml", &SOLD.replace("schedule", "shedule"));
    let preview = fleet.get("/api/v1/reload");
    assert_eq!((&preview["valid"], &preview["lastRejected"]), (&json!(false), &Value::Null), "looking rejects nothing");
    assert_eq!((&preview["faults"][0]["line"], &preview["faults"][0]["key"]), (&json!(5), &json!("sales.shedule")));
    assert!(items(&fleet, "config_rejected").is_empty());
    assert_eq!(fleet.request("POST", "/api/v1/reload", Some(&json!({}))).status, 422);
    assert_eq!(fleet.events("config.rejected").len(), 1);
    let rejected = item(&fleet, "config_rejected");
    assert!(rejected["reason"].as_str().unwrap().contains("fleet.toml:5:1: sales.shedule"), "{rejected}");
    assert!(rejected["hint"].as_str().unwrap().contains("`werkpilot check`"));
    let kept = fleet.get("/api/v1/reload")["lastRejected"].clone();
    assert_eq!((&kept["count"], &kept["faults"][0]["line"]), (&json!(1), &json!(5)), "{kept}");
    fleet.write("registry/fleet.toml", SOLD);
    assert!(fleet.get("/api/v1/reload")["lastRejected"].is_object(), "until a good reload");
    fleet.cli(&["reload"]).expect(0);
    assert_eq!(fleet.get("/api/v1/reload")["lastRejected"], Value::Null);
    assert!(items(&fleet, "config_rejected").is_empty());
}
