//! The shutdown: six steps, and nothing left.

use std::time::Instant;

use serde_json::json;
use werkpilot_tests::{Werkpilot, processes, wait_until};

const STEPS: [&str; 6] = [
    "[1/6] Stopping cron jobs...",
    "[2/6] Stopping health monitoring...",
    "[3/6] Waiting for running agents to complete...",
    "[4/6] Terminating remaining agent processes...",
    "[5/6] Stopping dashboard server...",
    "[6/6] Final cleanup...",
];

/// The lines of the log, without time and weight.
fn told(fleet: &Werkpilot) -> Vec<String> {
    let log = fleet.log_text();
    let lines = log.lines().filter_map(|line| Some(line.split_once(' ')?.1.split_once(' ')?.1.trim().to_owned()));
    lines.collect()
}

fn steps(lines: &[String]) -> Vec<&str> {
    lines.iter().filter(|line| line.starts_with('[')).map(String::as_str).collect()
}

const ENDLESS: &str = "[[agent]]\nname = \"endless\"\nkind = \"job\"\ncommand = [\"sleep\", \"1000\"]\n";

#[test]
fn six_steps_are_told_in_order_with_who_completed_and_who_was_forced() {
    let registry = "[[agent]]\nname = \"db\"\nready = { after = \"10ms\" }\ncommand = [\"sleep\", \"1000\"]\n\
                    [[agent]]\nname = \"quick\"\nkind = \"job\"\nshell = \"until [ -e go ]; do sleep 0.05; done; touch done\"\n\
                    [[agent]]\nname = \"stubborn\"\nkind = \"job\"\nstop = { timeout = \"500ms\" }\n\
                    shell = \"trap '' TERM; touch deaf; while :; do sleep 1; done\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "[shutdown]\ngrace = \"3s\"\n");
    fleet.trigger("quick");
    fleet.trigger("stubborn");
    wait_until("it ignores SIGTERM", || fleet.file("deaf").exists());
    fleet.wait_for_pid("quick");
    fleet.signal(processes::Signal::TERM);
    fleet.wait_for_log(STEPS[2]);
    // Who asks is answered until step 5.
    assert_eq!(fleet.tcp("GET", "/livez", &[]).status, 200);
    assert_eq!(fleet.tcp("GET", "/readyz", &[]).status, 503);
    assert_eq!(fleet.metrics()["system"]["phase"], "shutting_down");
    assert_eq!(fleet.events("shutdown.started")[0]["data"], json!({ "reason": "SIGTERM" }));
    fleet.cli(&["run", "quick"]).expect(75);
    fleet.touch("go");
    assert_eq!(fleet.wait_for_end().code(), Some(0));

    let lines = told(&fleet);
    assert_eq!(steps(&lines), STEPS);
    let find = |start: &str| {
        lines.iter().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start}: {lines:#?}"))
    };
    let graceful = find("Completed gracefully (2): ");
    assert!(graceful.contains("db") && graceful.contains("quick"), "{graceful}");
    assert_eq!(find("Forced (1): "), "Forced (1): stubborn");
    assert!(find("Shutdown complete after ").contains("; uptime "));
    assert!(fleet.file("done").exists(), "the job finished in step 3");
    let interrupted = lines.iter().find(|line| line.contains("\"stubborn\" interrupted"));
    assert!(interrupted.is_some(), "{lines:#?}");
    assert!(!fleet.log_text().contains("Dead letter"), "what the shutdown cut off is no dead letter");
}

#[test]
fn a_service_is_stopped_after_those_that_depend_on_it_and_after_running_jobs() {
    let trapping = |name: &str| {
        format!(
            "[[agent]]\nname = \"{name}\"\nready = {{ log = \"up\" }}\n\
             shell = \"trap 'echo {name} >> order; exit 0' TERM; echo up; while :; do sleep 0.05; done\"\n"
        )
    };
    let registry = trapping("db")
        + &trapping("api")
        + "dependencies = [\"db\"]\n"
        + "[[agent]]\nname = \"report\"\nkind = \"job\"\ndependencies = [\"api\"]\n\
           shell = \"until [ -e go ]; do sleep 0.05; done; echo report >> order\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[shutdown]\ngrace = \"60s\"\n");
    fleet.wait_for_status("api", "running");
    fleet.trigger("report");
    fleet.wait_for_pid("report");
    fleet.signal(processes::Signal::TERM);
    fleet.wait_for_log(STEPS[2]);
    assert_eq!(fleet.read("order"), "");
    fleet.touch("go");
    assert!(fleet.wait_for_end().success());
    assert_eq!(fleet.read("order"), "report\napi\ndb\n");
    assert!(told(&fleet).contains(&"Completed gracefully (3): report, api, db".to_owned()), "{:#?}", told(&fleet));
}

#[test]
fn a_second_signal_ends_the_patience() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", ENDLESS)], "[shutdown]\ngrace = \"10m\"\n");
    fleet.trigger("endless");
    fleet.wait_for_pid("endless");
    fleet.signal(processes::Signal::TERM);
    fleet.wait_for_log(STEPS[2]);
    assert!(!fleet.log_text().contains(STEPS[3]));
    let begun = Instant::now();
    fleet.signal(processes::Signal::TERM);
    assert!(fleet.wait_for_end().success());
    assert!(begun.elapsed().as_secs() < 60, "it waited {:?}", begun.elapsed());
    let lines = told(&fleet);
    assert_eq!(steps(&lines), STEPS);
    assert!(lines.contains(&"Forced (1): endless".to_owned()), "{lines:#?}");
}

#[test]
fn a_reload_during_the_shutdown_is_left_out_and_does_no_harm() {
    let mut fleet = Werkpilot::start(&[("fleet.toml", ENDLESS)], "[shutdown]\ngrace = \"10m\"\n");
    fleet.trigger("endless");
    fleet.wait_for_pid("endless");
    fleet.signal(processes::Signal::TERM);
    fleet.wait_for_log(STEPS[2]);
    fleet.write("registry/more.toml", "[[agent]]\nname = \"new\"\ncommand = [\"sleep\", \"1000\"]\n");
    fleet.signal(processes::Signal::HUP);
    fleet.wait_for_log("Reload asked for by SIGHUP during shutdown: left out");
    fleet.cli(&["reload"]).expect(75);
    assert_eq!(fleet.metrics()["agents"].as_array().map(Vec::len), Some(1));
    fleet.signal(processes::Signal::INT);
    assert!(fleet.wait_for_end().success());
    assert_eq!(steps(&told(&fleet)), STEPS);
}

#[test]
fn what_waits_in_the_queue_is_cancelled_and_down_waits_for_the_end() {
    let registry = "[[agent]]\nname = \"first\"\nkind = \"job\"\nshell = \"until [ -e go ]; do sleep 0.05; done\"\n\
                    [[agent]]\nname = \"second\"\nkind = \"job\"\ncommand = [\"touch\", \"ran\"]\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "[queue]\nworkers = 1\n");
    fleet.trigger("first");
    fleet.wait_for_pid("first");
    fleet.trigger("second");
    let mut down = fleet.cli_command(&["down", "--wait"]).spawn().unwrap();
    fleet.wait_for_log(STEPS[2]);
    let cancelled = fleet.wait_for_event("second", "execution.ended");
    assert_eq!((&cancelled["end"], &cancelled["reason"]["code"]), (&json!("cancelled"), &json!("shutting_down")));
    assert_eq!(down.try_wait().unwrap(), None);
    fleet.touch("go");
    assert!(fleet.wait_for_end().success());
    let down = werkpilot_tests::wait_for("the end of `down`", werkpilot_tests::PATIENCE, || down.try_wait().unwrap());
    assert!(down.success());
    assert!(!fleet.file("ran").exists());
    assert!(fleet.log_text().contains("Shutdown started: werkpilot down by cli:tester"), "{}", fleet.log_text());
    fleet.cli(&["status"]).expect(69);
}

#[test]
fn a_service_that_ignores_its_stop_signal_is_killed_with_its_whole_group_and_said_to_be_forced() {
    let registry = "[[agent]]\nname = \"deaf\"\nready = { log = \"up\" }\nstop = { timeout = \"300ms\" }\n\
                    shell = \"trap '' TERM; sleep 1000 & echo up; while :; do sleep 1; done\"\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "[shutdown]\ngrace = \"20s\"\n");
    assert!(fleet.terminate().success());
    assert!(fleet.leftovers().is_empty());
    let lines = told(&fleet);
    assert_eq!(steps(&lines), STEPS);
    assert!(lines.iter().any(|line| line.contains("\"deaf\" stopped") && line.ends_with("by force)")), "{lines:#?}");
    assert!(lines.contains(&"Forced (1): deaf".to_owned()), "{lines:#?}");
}
