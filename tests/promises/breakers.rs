//! The breakers: of one agent, and of all together.

use serde_json::json;
use werkpilot_tests::{Werkpilot, processes, wait_until};

#[test]
fn dead_letters_in_a_row_disable_a_job_and_a_trial_that_goes_well_enables_it() {
    let registry = "[[agent]]\nname = \"report\"\nevery = \"200ms\"\nretry = { max = 0 }\nshell = \"[ -e good ]\"\n";
    let config = "[breaker]\ndead_letters = 2\ncooldown = \"2s\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], config);
    let opened = fleet.wait_for_event("report", "breaker.opened");
    assert_eq!(opened["reason"], json!({ "code": "too_many_dead_letters", "count": 2 }));
    assert_eq!(opened["cooldown_ms"], 2_000.0);
    wait_until("two dead letters", || fleet.events_of("report", "dlq.added").len() == 2);
    fleet.wait_for_status("report", "disabled_by_failure");
    // Before that an execution may have been skipped because the one before it took its time.
    let skipped =
        |reason: &str| fleet.events_of("report", "agent.skipped").iter().any(|data| data["reason"]["code"] == reason);
    wait_until("an execution that is skipped as it is disabled", || skipped("disabled"));

    // The first trial fails, and the cooldown is doubled.
    fleet.wait_for_event("report", "breaker.half_open");
    wait_until("it opens again", || fleet.events_of("report", "breaker.opened").len() == 2);
    assert_eq!(fleet.events_of("report", "breaker.opened")[1]["cooldown_ms"], 4_000.0);
    assert_eq!(fleet.events_of("report", "breaker.opened")[1]["reason"], json!({ "code": "trial_failed" }));
    wait_until("three dead letters", || fleet.events_of("report", "dlq.added").len() == 3);
    fleet.touch("good");
    let closed = fleet.wait_for_event("report", "breaker.closed");
    assert_eq!(closed["reason"]["code"], "trial_succeeded");
    wait_until("it runs as before", || {
        fleet.events_of("report", "execution.ended").iter().filter(|data| data["end"] == "succeeded").count() >= 3
    });
}

#[test]
fn a_person_who_starts_a_disabled_agent_closes_its_breaker() {
    let registry = "[[agent]]\nname = \"report\"\nkind = \"job\"\nretry = { max = 0 }\nshell = \"[ -e good ]\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[breaker]\ndead_letters = 1\n");
    assert_eq!(fleet.run("report")["end"], "failed");
    fleet.wait_for_status("report", "disabled_by_failure");
    fleet.cli(&["start", "report"]).expect(0);
    fleet.wait_for_event("report", "breaker.closed");
    wait_until("it is no longer disabled", || fleet.status("report") != "disabled_by_failure");
    assert_eq!(fleet.run("report")["end"], "failed");
    fleet.wait_for_status("report", "disabled_by_failure");
    fleet.touch("good");
    fleet.cli(&["run", "report", "--wait"]).expect(0);
    fleet.wait_for_status("report", "idle");
}

#[test]
fn a_service_that_flaps_is_disabled_with_a_dead_letter_and_tried_again_after_the_cooldown() {
    let registry = "[[agent]]\nname = \"flapping\"\nready = { after = \"10ms\" }\nhealthy_for = \"500ms\"\n\
                    shell = \"echo broken pipe; [ -e good ] && exec sleep 1000\"\n\
                    retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n";
    let config = "[breaker]\nagent_restarts = 3\nagent_window = \"10m\"\ncooldown = \"3s\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], config);
    let opened = fleet.wait_for_event("flapping", "breaker.opened");
    assert_eq!(opened["reason"], json!({ "code": "too_many_restarts", "restarts": 4, "window_ms": 600_000.0 }));
    fleet.wait_for_status("flapping", "disabled_by_failure");
    assert_eq!(fleet.events_of("flapping", "agent.started").len(), 4);
    fleet.touch("good");
    fleet.wait_for_event("flapping", "dlq.added");
    let letter = fleet.cli(&["dlq", "show", "1", "--json"]).expect(0).json();
    assert!(letter["error"].as_str().unwrap().contains("4 restarts within 10m"), "{letter}");
    assert!(letter["executionData"]["logTail"].to_string().contains("broken pipe"), "{letter}");
    fleet.wait_for_event("flapping", "breaker.half_open");
    fleet.wait_for_event("flapping", "breaker.closed");
    fleet.wait_for_status("flapping", "running");
}

#[test]
fn when_the_breaker_of_a_service_opens_its_healthy_instances_do_not_run_on() {
    // One instance finds the place free and stays, the other one ends until the breaker opens.
    let registry = "[[agent]]\nname = \"pool\"\ninstances = 2\nready = { after = \"10ms\" }\n\
                    shell = \"mkdir place && exec sleep 1000\"\n\
                    retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n";
    let config = "[breaker]\nagent_restarts = 3\ncooldown = \"1s\"\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], config);
    let stopped = fleet.wait_for_event("pool", "agent.stopped");
    assert_eq!(stopped["reason"]["code"], "disabled", "{stopped}");
    assert_eq!(stopped["reason"]["why"], "4 restarts within 10m", "{stopped}");
    wait_until("nothing of it runs", || fleet.pids("pool").is_empty());
    // The trial is one of all instances: nobody finds the place free now.
    wait_until("it opens again", || fleet.events_of("pool", "breaker.opened").len() >= 2);
    assert_eq!(fleet.events_of("pool", "breaker.opened")[1]["reason"], json!({ "code": "trial_failed" }));
    wait_until("a dead letter for each time", || fleet.events_of("pool", "dlq.added").len() >= 2);
    wait_until("nothing of it runs", || fleet.pids("pool").is_empty());
}

#[test]
fn all_automatic_restarts_together_are_bounded_and_the_rest_waits_until_there_is_room() {
    let agents: String = ["a", "b", "c"]
        .map(|name| {
            format!(
                "[[agent]]\nname = \"{name}\"\ncommand = [\"sleep\", \"1000\"]\nready = {{ after = \"10ms\" }}\n\
                 retry = {{ initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }}\n"
            )
        })
        .concat();
    let fleet = Werkpilot::start(&[("fleet.toml", &agents)], "[breaker]\nmax_restarts = 2\nwindow = \"6s\"\n");
    for name in ["a", "b"] {
        let pid = fleet.wait_for_pid(name);
        processes::signal(pid, processes::Signal::KILL);
        fleet.wait_for_successor(name, pid);
    }
    let c = fleet.wait_for_pid("c");
    processes::signal(c, processes::Signal::KILL);
    fleet.wait_for_status("c", "backing_off");
    let reason = "2 automatic restarts within 6s used up ([breaker] max_restarts)";
    wait_until("the reason", || fleet.agent("c")["reason"] == reason);
    assert_eq!(fleet.metrics()["system"]["restartsLastHour"], 2);
    wait_until("the breaker is told of", || {
        fleet.events("breaker.opened").iter().any(|event| event["data"]["agent"].is_null())
    });
    fleet.wait_for_successor("c", c);
    assert_eq!(fleet.metrics()["system"]["restartsLastHour"], 3);
    wait_until("its end is told of", || !fleet.events("breaker.closed").is_empty());
}

#[test]
fn what_a_person_starts_is_not_bound_by_the_global_breaker() {
    let registry = "[[agent]]\nname = \"a\"\ncommand = [\"sleep\", \"1000\"]\nready = { after = \"10ms\" }\n\
                    retry = { initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "[breaker]\nmax_restarts = 1\nwindow = \"1h\"\n");
    let first = fleet.wait_for_pid("a");
    processes::signal(first, processes::Signal::KILL);
    let second = fleet.wait_for_successor("a", first);
    processes::signal(second, processes::Signal::KILL);
    fleet.wait_for_status("a", "backing_off");
    fleet.cli(&["start", "a"]).expect(0);
    fleet.wait_for_status("a", "running");
}
