//! The boot: layer by layer, and what is said about it.

use werkpilot_tests::{Werkpilot, wait_until};

/// A service that is ready when a file `go-<name>` is there.
fn gated(name: &str, more: &str) -> String {
    format!(
        "[[agent]]\nname = \"{name}\"\nready = {{ log = \"up and running\", timeout = \"5m\" }}\n\
         shell = \"until [ -e go-{name} ]; do sleep 0.05; done; echo up and running; exec sleep 1000\"\n{more}\n"
    )
}

fn position(text: &str, part: &str) -> usize {
    text.find(part).unwrap_or_else(|| panic!("no `{part}` in:\n{text}"))
}

#[test]
fn four_layers_start_in_order_and_each_only_when_the_services_below_are_ready() {
    let names = ["storage", "agent-db", "agent-analytics", "agent-sales"];
    let mut registry = gated(names[0], "");
    for pair in names.windows(2) {
        registry += &gated(pair[1], &format!("dependencies = [\"{}\"]", pair[0]));
    }
    let fleet = werkpilot_tests::Setup::new(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"5m\"\n").launch();
    for (depth, name) in names.into_iter().enumerate() {
        fleet.wait_for_pid(name);
        assert_eq!(fleet.status(name), "starting");
        for later in &names[depth + 1..] {
            assert!(fleet.pids(later).is_empty(), "{later} was started before {name} was ready");
        }
        assert_eq!(fleet.tcp("GET", "/readyz", &[]).status, 503);
        fleet.touch(&format!("go-{name}"));
    }
    fleet.wait_for_boot();

    let completed = &fleet.events("boot.completed")[0]["data"];
    assert_eq!(completed["layers"], 4);
    assert_eq!(completed["late"], serde_json::json!([]));
    assert_eq!(completed["critical_path"], serde_json::json!(names));
    let log = fleet.log_text();
    let mut last = 0;
    for (layer, name) in names.into_iter().enumerate() {
        let started = position(&log, &format!("Boot layer {layer}: starting {name}\n"));
        let ready = position(&log, &format!("Boot layer {layer}: ready after "));
        assert!(last <= started && started < ready, "layer {layer} is out of order:\n{log}");
        last = ready;
    }
    let completed = position(&log, "Boot completed: 4 agents in 4 layers after ");
    let path = position(&log, "; critical path: storage → agent-db → agent-analytics → agent-sales\n");
    assert!(last < completed && completed < path, "{log}");
}

#[test]
fn a_layer_that_is_late_is_named_and_the_boot_goes_on_without_it() {
    let registry = gated("slow", "")
        + &gated("needs-slow", "dependencies = [\"slow\"]")
        + "[[agent]]\nname = \"later\"\nlayer = 1\nstartup = true\ncommand = [\"true\"]\n";
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"300ms\"\n");

    let log = fleet.log_text();
    assert!(log.contains("Boot layer 0: going on after "), "{log}");
    assert!(log.contains(" without slow, not ready yet\n"), "{log}");
    let late = fleet.events("boot.completed")[0]["data"]["late"].clone();
    assert!(late.as_array().is_some_and(|late| late.contains(&"slow".into())), "{late}");
    fleet.wait_for_event("later", "execution.ended");
    // Who needs it waits for it, and says so.
    assert_eq!(fleet.status("needs-slow"), "queued");
    let reason = fleet.agent("needs-slow")["reason"].clone();
    assert_eq!(reason, "unhealthy dependencies: slow (starting)");

    fleet.touch("go-slow");
    fleet.touch("go-needs-slow");
    fleet.wait_for_status("slow", "running");
    fleet.wait_for_status("needs-slow", "running");
}

#[test]
fn a_startup_job_runs_once_when_its_layer_is_reached() {
    let registry = gated("agent-db", "")
        + "[[agent]]\nname = \"migrations\"\nstartup = true\ncommand = [\"sh\", \"-c\", \"echo ran >> runs\"]\n\
           dependencies = [\"agent-db\"]\n\
           [[agent]]\nname = \"early\"\nlayer = 0\nstartup = true\ncommand = [\"touch\", \"early\"]\n";
    let fleet = werkpilot_tests::Setup::new(&[("fleet.toml", &registry)], "[boot]\nlayer_timeout = \"5m\"\n").launch();
    wait_until("the job of the first layer", || fleet.file("early").exists());
    assert_eq!(fleet.read("runs"), "");
    fleet.touch("go-agent-db");
    fleet.wait_for_boot();
    let ended = fleet.wait_for_event("migrations", "execution.ended");
    assert_eq!(ended["end"], "succeeded");
    assert_eq!(ended["trigger"]["kind"], "startup");
    assert_eq!(fleet.read("runs"), "ran\n");
}
