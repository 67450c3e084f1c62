//! When memory gets short: with real memory under a small budget.

use serde_json::{Value, json};
use werkpilot_tests::{PATIENCE, Setup, Werkpilot, wait_for, wait_until};

/// The settings of `make demo-memory`, with checks five times as often.
const SHORT: &str = "[memory]\nbudget = \"560MiB\"\ninterval = \"200ms\"\nrecover_percent = 60\nwarning_percent = 65\n\
                     critical_percent = 88\n";
const AGENTS: [&str; 4] = ["night-ledger", "night-import", "night-search", "night-thumbnails"];

/// The fleet of examples/memory, all of which runs.
fn night(config: &str) -> Werkpilot {
    let setup = Setup::of_repository("examples/memory");
    setup.write("werkpilot.toml", config);
    let fleet = setup.start();
    for agent in AGENTS {
        fleet.wait_for_status(agent, "running");
    }
    fleet
}

/// How it is about memory.
fn memory(fleet: &Werkpilot) -> Value {
    fleet.get("/api/v1/memory")
}

/// Waits until so many more checks are over.
fn wait_for_checks(fleet: &Werkpilot, checks: u32) {
    for _ in 0..checks {
        let before = memory(fleet)["at"].clone();
        wait_until("another check", || memory(fleet)["at"] != before);
    }
}

fn config_with(recover: u8, warning: u8, critical: u8) -> String {
    format!(
        "[memory]\nbudget = \"500MiB\"\ninterval = \"200ms\"\nrecover_percent = {recover}\nwarning_percent = {warning}\n\
         critical_percent = {critical}\n"
    )
}

#[test]
fn a_warning_a_shed_agent_and_its_return() {
    let fleet = night(SHORT);
    let is_large = |agent: &Value| agent["memoryBytes"].as_u64().is_some_and(|bytes| bytes > 110 << 20);
    let before = wait_for("a measured fleet", PATIENCE, || {
        let memory = memory(&fleet);
        (memory["agents"].as_array()?.len() == 4 && is_large(&memory["agents"][0])).then_some(memory)
    });
    assert_eq!((&before["level"], &before["shed"]), (&json!("normal"), &json!([])), "{before}");
    assert_eq!((&before["budgetBytes"], &before["budgetFrom"]), (&json!(560 << 20), &json!("config")));
    assert_eq!(before["agents"][0]["name"], "night-search", "the largest first: {before}");
    assert_eq!(before["next"], "at 65 % memory is given back and memory.warning is told");

    fleet.touch("import.1");
    let warning = wait_for("memory.warning", PATIENCE, || fleet.events("memory.warning").pop());
    let data = &warning["data"];
    assert!(data["percent"].as_f64().is_some_and(|percent| (65.0..88.0).contains(&percent)), "{warning}");
    assert_eq!(
        (&data["cause"], &data["threshold_percent"], &data["budget_bytes"]),
        (&json!("budget"), &json!(65), &json!(560 << 20))
    );
    wait_for_checks(&fleet, 2);
    assert_eq!(memory(&fleet)["next"], "at 88 % agents of priority 3 are disabled, night-search first");
    assert!(fleet.events("memory.critical").is_empty() && fleet.events("agent.disabled").is_empty());

    fleet.touch("import.2");
    let disabled = fleet.wait_for_event("night-search", "agent.disabled");
    assert_eq!(disabled["reason"]["code"], "memory_pressure", "{disabled}");
    assert_eq!(disabled["reason"]["threshold_percent"], 88, "{disabled}");
    fleet.wait_for_status("night-search", "disabled_by_memory");
    wait_until("it has ended", || fleet.pids("night-search").is_empty());
    wait_for_checks(&fleet, 3);
    let short = memory(&fleet);
    assert_eq!((&short["shed"][0]["name"], short["shed"].as_array().map(Vec::len)), (&json!("night-search"), Some(1)));
    assert_eq!(short["next"], "night-search is enabled again once less than 60 % is used");
    assert_eq!(fleet.events("memory.critical").len(), 1);
    for agent in ["night-ledger", "night-import", "night-thumbnails"] {
        assert_eq!(fleet.status(agent), "running", "that was enough");
    }
    let why = fleet.cli(&["why", "night-search"]).expect(0).out;
    assert!(why.contains("memory is short: ") && why.contains("less than 60 % of memory"), "{why}");
    let agent = fleet.agent("night-search");
    assert_eq!(agent["memoryBytes"], Value::Null, "{agent}");
    assert!(agent["memoryPeakBytes"].as_u64().is_some_and(|bytes| bytes > 110 << 20), "{agent}");

    for part in ["import.1", "import.2"] {
        std::fs::remove_file(fleet.file(part)).unwrap();
    }
    let enabled = fleet.wait_for_event("night-search", "agent.enabled");
    assert_eq!(enabled["reason"]["code"], "memory_recovered", "{enabled}");
    fleet.wait_for_status("night-search", "running");
    assert_eq!(fleet.events("memory.recovered").len(), 1);
    assert_eq!(memory(&fleet)["shed"], json!([]));
    assert_eq!(fleet.agent("night-search")["restarts"], 0, "it was no failure");
}

#[test]
fn who_used_what_is_kept_and_shown_to_who_may_see_it() {
    let fleet = night(SHORT);
    assert_eq!(fleet.get("/api/v1/memory/profiles"), json!({ "profiles": [], "next": null }));
    fleet.touch("import.1");
    fleet.touch("import.2");
    let critical = wait_for("memory.critical", PATIENCE, || fleet.events("memory.critical").pop());
    let id = critical["data"]["profile"].as_str().expect("a profile").to_owned();
    let listed = fleet.get("/api/v1/memory/profiles");
    assert_eq!((&listed["profiles"][0]["id"], &listed["profiles"][0]["heapProfile"]), (&json!(id), &json!(false)));
    let path = format!("/api/v1/memory/profiles/{id}");
    let profile = fleet.get(&path);
    assert_eq!((&profile["level"], &profile["shed"]), (&json!("critical"), &json!(["night-search"])), "{profile}");
    let names: Vec<&str> = profile["agents"].as_array().unwrap().iter().filter_map(|a| a["name"].as_str()).collect();
    assert_eq!((&names[..2], names.len()), (&["night-import", "night-search"][..], 4), "the largest first");
    let search = profile["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == "night-search").unwrap();
    assert!(
        search["rollup"]["anonymous"].as_u64().is_some_and(|bytes| bytes > 110 << 20),
        "before it was shed: {search}"
    );
    assert_eq!((&search["priority"], &search["kind"]), (&json!(3), &json!("service")));
    let no_heap = profile["heapProfile"]["none"].as_str().unwrap();
    assert!(no_heap.contains("--features heap-profiles") || no_heap.contains("prof:true"), "{no_heap}");
    assert_eq!(fleet.tcp("GET", &path, &[]).status, 401, "only with a role");
    assert_eq!(fleet.tcp("GET", "/api/v1/memory", &[]).status, 200);
    let unknown = fleet.request("GET", "/api/v1/memory/profiles/20200101T000000.000Z", None);
    assert_eq!((unknown.status, &unknown.json()["type"]), (404, &json!("urn:werkpilot:unknown-profile")));
}

#[test]
fn a_service_over_its_memory_max_is_restarted_with_the_reason() {
    let registry = "[[agent]]\nname = \"leak\"\nmemory_max = \"40MiB\"\nready = { log = \"filled\" }\n\
                    shell = \"held=$(head -c 60000000 /dev/zero | tr '\\\\0' x); echo filled; sleep 1000; :\"\n\
                    retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n\
                    [[agent]]\nname = \"slim\"\nmemory_max = \"40MiB\"\ncommand = [\"sleep\", \"1000\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[memory]\ninterval = \"200ms\"\n");
    let restarting = fleet.wait_for_event("leak", "agent.restarting");
    let reason = &restarting["reason"];
    assert_eq!((&reason["code"], &reason["limit_bytes"]), (&json!("memory_limit"), &json!(40 << 20)), "{restarting}");
    assert!(reason["used_bytes"].as_u64().is_some_and(|bytes| bytes > 40 << 20), "{restarting}");
    let failed = fleet.wait_for_event("leak", "agent.failed");
    assert_eq!(failed["exit"], json!({ "kind": "memory_limit" }));
    wait_until("it is started again", || fleet.events_of("leak", "agent.started").len() >= 2);
    assert_eq!(fleet.events_of("slim", "agent.started").len(), 1);
    assert!(fleet.events("memory.critical").is_empty());
}

#[test]
fn the_attempts_of_a_job_over_its_memory_max_fail_and_become_a_dead_letter() {
    let registry = "[[agent]]\nname = \"import\"\nkind = \"job\"\nmemory_max = \"40MiB\"\n\
                    shell = \"held=$(head -c 60000000 /dev/zero | tr '\\\\0' x); echo filled; sleep 1000; :\"\n\
                    retry = { max = 1, initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[memory]\ninterval = \"200ms\"\n");
    let end = fleet.run("import");
    assert_eq!((&end["end"], &end["attempts"]), (&json!("failed"), &json!(2)), "{end}");
    assert_eq!(end["exit"], json!({ "kind": "memory_limit" }));
    let restarting = fleet.wait_for_event("import", "agent.restarting");
    assert_eq!(restarting["reason"]["code"], "memory_limit");
    let letter = fleet.cli(&["dlq", "show", "1", "--json"]).expect(0).json();
    assert!(letter["error"].as_str().unwrap().contains("exceeded memory_max"), "{letter}");
}

#[test]
fn thresholds_of_a_reload_take_effect_at_once() {
    let fleet = night("[memory]\nbudget = \"500MiB\"\ninterval = \"1h\"\n");
    wait_until("the first look", || memory(&fleet)["at"].is_string());
    assert!(fleet.events("memory.warning").is_empty());
    fleet.write("werkpilot.toml", &config_with(3, 5, 10).replace("200ms", "1h"));
    fleet.cli(&["reload"]).expect(0);
    let critical = wait_for("memory.critical", PATIENCE, || fleet.events("memory.critical").pop());
    assert_eq!(critical["data"]["threshold_percent"], 10);
    fleet.wait_for_status("night-search", "disabled_by_memory");
    fleet.wait_for_status("night-thumbnails", "disabled_by_memory");
    assert_eq!(memory(&fleet)["thresholds"]["criticalPercent"], 10);
    fleet.write("werkpilot.toml", &config_with(90, 95, 99));
    fleet.cli(&["reload"]).expect(0);
    fleet.wait_for_status("night-search", "running");
    fleet.wait_for_status("night-thumbnails", "running");
    let order: Vec<Value> = fleet.events("agent.enabled").into_iter().map(|e| e["data"]["agent"].clone()).collect();
    assert_eq!(order, ["night-thumbnails", "night-search"], "one at a time, the smaller one first");
    let wrong = config_with(90, 80, 70);
    fleet.write("werkpilot.toml", &wrong);
    let refused = fleet.cli(&["reload"]);
    assert!(refused.code != 0 && refused.err.contains("the percentages don't rise"), "{}", refused.err);
    assert_eq!(memory(&fleet)["thresholds"]["recoverPercent"], 90);
}

#[test]
fn whom_a_person_starts_runs_and_is_left_alone() {
    let fleet = night(SHORT);
    fleet.touch("import.1");
    fleet.touch("import.2");
    fleet.wait_for_status("night-search", "disabled_by_memory");
    wait_until("it has ended", || fleet.pids("night-search").is_empty());
    fleet.cli(&["start", "night-search"]).expect(0);
    fleet.wait_for_status("night-search", "running");
    let enabled = fleet.wait_for_event("night-search", "agent.enabled");
    assert_eq!(enabled["reason"]["code"], "by_operator", "{enabled}");
    wait_for_checks(&fleet, 10);
    assert_eq!(fleet.events_of("night-search", "agent.disabled").len(), 1);
    assert_eq!(fleet.status("night-search"), "running");
}

#[test]
fn who_was_shed_is_so_after_a_restart_and_comes_back_in_the_same_way() {
    // The orchestrator alone is above the recovery.
    let setup = Setup::of_repository("examples/memory");
    setup.write("werkpilot.toml", &config_with(1, 2, 40));
    let mut fleet = setup.launch();
    fleet.wait_for_status("night-search", "disabled_by_memory");
    wait_until("it has ended", || fleet.pids("night-search").is_empty());
    fleet.restart();
    assert_eq!(fleet.status("night-search"), "disabled_by_memory");
    fleet.kill_and_restart();
    wait_for_checks(&fleet, 2);
    assert_eq!(fleet.status("night-search"), "disabled_by_memory");
    assert!(fleet.pids("night-search").is_empty());
    let names = |list: &Value| list.as_array().unwrap().iter().map(|agent| agent["name"].clone()).collect::<Vec<_>>();
    assert!(names(&memory(&fleet)["shed"]).contains(&json!("night-search")));
    fleet.write("werkpilot.toml", &config_with(90, 95, 99));
    fleet.cli(&["reload"]).expect(0);
    let enabled = fleet.wait_for_event("night-search", "agent.enabled");
    assert_eq!(enabled["reason"]["code"], "memory_recovered");
    fleet.wait_for_status("night-search", "running");
}
