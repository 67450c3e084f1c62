//! The reload: the difference, as a whole or not at all.

use serde_json::json;
use werkpilot_tests::{Werkpilot, processes, wait_until};

fn sleeper(name: &str, more: &str) -> String {
    format!("[[agent]]\nname = \"{name}\"\nready = {{ after = \"10ms\" }}\ncommand = [\"sleep\", \"1000\"]\n{more}\n")
}

/// keep, change and gone.
fn three() -> Werkpilot {
    let registry = sleeper("keep", "") + &sleeper("change", "") + &sleeper("gone", "");
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    for name in ["keep", "change", "gone"] {
        fleet.wait_for_status(name, "running");
    }
    fleet
}

fn next_three() -> String {
    sleeper("keep", "") + &sleeper("change", "env = { COLOUR = \"blue\" }") + &sleeper("new", "")
}

/// Looks that only the difference was applied.
fn only_the_difference(fleet: &Werkpilot, [keep, change, gone]: [i32; 3]) {
    fleet.wait_for_status("new", "running");
    fleet.wait_for_successor("change", change);
    wait_until("the end of gone", || !processes::alive(gone));
    assert_eq!(fleet.pids("keep"), [keep]);
    wait_until("gone is gone", || fleet.request("GET", "/api/v1/agents/gone", None).status == 404);
    let reloaded = fleet.events("config.reloaded");
    assert_eq!(reloaded.len(), 1, "{reloaded:?}");
    assert_eq!(
        reloaded[0]["data"],
        json!({ "added": ["new"], "removed": ["gone"], "changed": ["change"], "settings": [] })
    );
    assert_eq!(fleet.agent("change")["restarts"], 0, "a new definition is no failure");
}

fn pids(fleet: &Werkpilot) -> [i32; 3] {
    ["keep", "change", "gone"].map(|name| fleet.pids(name)[0])
}

/// Without watching: what is tested is the one way and not the other.
fn three_unwatched() -> Werkpilot {
    let registry = sleeper("keep", "") + &sleeper("change", "") + &sleeper("gone", "");
    let fleet = werkpilot_tests::Setup::new(&[("fleet.toml", &registry)], "").arg("--no-watch").start();
    for name in ["keep", "change", "gone"] {
        fleet.wait_for_status(name, "running");
    }
    fleet
}

#[test]
fn sighup_applies_only_the_difference() {
    let fleet = three_unwatched();
    let before = pids(&fleet);
    fleet.write("registry/fleet.toml", &next_three());
    fleet.signal(processes::Signal::HUP);
    only_the_difference(&fleet, before);
}

#[test]
fn whoever_asks_while_an_agent_that_was_taken_out_is_still_being_ended_gets_an_answer() {
    // Its place is the last one, which the fleet has not any more.
    let stubborn = "[[agent]]\nname = \"stubborn\"\nready = { log = \"up\" }\nstop = { timeout = \"3s\" }\n\
                    shell = \"trap '' TERM; echo up; while :; do sleep 0.1; done\"\n";
    let fleet = Werkpilot::start(&[("a.toml", &sleeper("keep", "")), ("b.toml", stubborn)], "");
    fleet.wait_for_status("stubborn", "running");
    let pid = fleet.pids("stubborn")[0];
    fleet.write("registry/b.toml", "");
    wait_until("the reload", || !fleet.events("config.reloaded").is_empty());
    assert!(processes::alive(pid), "it has three seconds to end");
    for path in [
        "/metrics",
        "/api/v1/overview",
        "/api/v1/agents",
        "/api/v1/agent-changes",
        "/api/v1/graph?format=json",
        "/api/v1/queue",
        "/api/v1/schedule",
        "/api/v1/memory",
        "/api/v1/bus",
        "/api/v1/reload",
        "/api/v1/agents/keep",
        "/api/v1/why/keep",
    ] {
        assert_eq!(fleet.request("GET", path, None).status, 200, "{path}");
    }
    for path in ["agents/stubborn", "agents/stubborn/health", "agents/stubborn/impact", "why/stubborn"] {
        let status = fleet.request("GET", &format!("/api/v1/{path}"), None).status;
        assert!([200, 404, 409].contains(&status), "{path}: {status}");
    }
    assert_eq!(fleet.request("POST", "/api/v1/agents/stubborn/restart", None).status, 409);
    assert!(processes::alive(pid), "all of that was asked before its end");
    wait_until("its end", || !processes::alive(pid));
    assert_eq!(fleet.pids("keep").len(), 1);
}

#[test]
fn the_command_reload_applies_the_difference_and_tells_it() {
    let fleet = three_unwatched();
    let before = pids(&fleet);
    fleet.write("registry/fleet.toml", &next_three());
    let told = fleet.cli(&["reload"]).expect(0).out;
    assert_eq!(told, "added: new\nremoved: gone\nchanged: change\nunchanged: 1 agent\n");
    only_the_difference(&fleet, before);
    let again = fleet.cli(&["reload"]).expect(0).out;
    assert_eq!(again, "nothing changed\n");
}

#[test]
fn a_change_of_the_files_is_noticed_and_applied() {
    let fleet = three();
    let before = pids(&fleet);
    fleet.write("registry/fleet.toml", &next_three());
    only_the_difference(&fleet, before);
    // Other files beside the registry are none of its business.
    fleet.touch("report.json");
    fleet.write("registry/second.toml", &sleeper("second", ""));
    fleet.wait_for_status("second", "running");
    assert_eq!(fleet.events("config.reloaded").len(), 2);
}

#[test]
fn a_changed_job_ends_its_run_as_it_began_and_runs_anew_with_the_next() {
    let job = |word: &str| {
        format!(
            "[[agent]]\nname = \"report\"\nkind = \"job\"\n\
             shell = \"until [ -e go ]; do sleep 0.05; done; echo {word} >> words\"\n"
        )
    };
    let fleet = Werkpilot::start(&[("fleet.toml", &job("old"))], "");
    let run = fleet.trigger("report");
    let pid = fleet.wait_for_pid("report");
    fleet.write("registry/fleet.toml", &job("new"));
    fleet.cli(&["reload"]).expect(0);
    assert_eq!(fleet.pids("report"), [pid]);
    fleet.touch("go");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    assert_eq!(fleet.run("report")["end"], "succeeded");
    assert_eq!(fleet.read("words"), "old\nnew\n");
}

#[test]
fn thresholds_take_effect_at_once_and_what_needs_a_restart_is_named() {
    let registry: String = ["a", "b", "c"]
        .map(|name| format!("[[agent]]\nname = \"{name}\"\nkind = \"job\"\ncommand = [\"sleep\", \"1000\"]\n"))
        .concat();
    let grace = "[shutdown]\ngrace = \"100ms\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], &format!("[queue]\nworkers = 1\n{grace}"));
    for name in ["a", "b", "c"] {
        fleet.trigger(name);
    }
    fleet.wait_for_pid("a");
    assert!(fleet.pids("b").is_empty());
    fleet.write("werkpilot.toml", &format!("[queue]\nworkers = 2\n{grace}[logs]\nformat = \"json\"\n"));
    let told = fleet.cli(&["reload", "--json"]).expect(0).json();
    assert_eq!(told["settings"], json!(["logs.format", "queue.workers"]), "{told}");
    assert_eq!(told["after_restart"], json!(["logs.format"]), "{told}");
    fleet.wait_for_pid("b");
    assert!(fleet.pids("c").is_empty());
    assert_eq!(fleet.metrics()["system"]["workers"], 2);
    let config = fleet.cli(&["config", "--json"]).expect(0).out;
    assert!(config.contains("queue.workers"), "{config}");
}

#[test]
fn files_with_faults_change_nothing_and_every_fault_is_told() {
    let fleet = three_unwatched();
    let before = pids(&fleet);
    let faulty = sleeper("keep", "colour = \"blue\"") + &sleeper("new", "dependencies = [\"kep\"]");
    fleet.write("registry/fleet.toml", &faulty);
    fleet.write("werkpilot.toml", "[queue]\nworkers = \"many\"\n");
    let outcome = fleet.cli(&["reload"]).expect(78);
    for part in ["colour", "did you mean", "keep", "workers", "fleet.toml", "werkpilot.toml"] {
        assert!(outcome.err.contains(part), "{part} is not told:\n{}", outcome.err);
    }
    let answer = fleet.request("POST", "/api/v1/reload", None).expect(422).json();
    assert_eq!(answer["faults"]["count"], 3, "{answer}");
    fleet.signal(processes::Signal::HUP);
    wait_until("three events", || fleet.events("config.rejected").len() == 3);
    assert_eq!(fleet.events("config.rejected")[0]["data"]["faults"], 3);
    assert!(fleet.log_text().contains("Reload asked for by SIGHUP rejected:"), "{}", fleet.log_text());
    assert_eq!(pids(&fleet), before);
    assert!(fleet.events("config.reloaded").is_empty());
    assert_eq!(fleet.metrics()["agents"].as_array().map(Vec::len), Some(3));

    // Once they are right, they take effect.
    fleet.write("werkpilot.toml", "");
    fleet.write("registry/fleet.toml", &next_three());
    fleet.cli(&["reload"]).expect(0);
    only_the_difference(&fleet, before);
}
