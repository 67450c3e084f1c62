//! The ready-made fleet and the examples do what they say.

use werkpilot_tests::Setup;

#[test]
fn first_steps_visits_its_server() {
    let mut fleet = Setup::of_repository("examples/first-steps").start();
    fleet.wait_for_status("server", "running");
    let visited = fleet.wait_for_event("visitor", "execution.succeeded");
    assert_eq!(visited["attempts"], 1);
    assert!(fleet.terminate().success());
}

#[test]
fn dead_letter_fails_three_times_is_kept_and_holds_up_the_others() {
    let mut fleet = Setup::of_repository("examples/dead-letter").start();
    let letter = fleet.wait_for_event("fails", "dlq.added");
    assert_eq!(letter["id"], 1);
    let shown = fleet.cli(&["dlq", "show", "1"]);
    assert!(shown.out.contains("no route to the printer"), "{}", shown.out);
    let skipped = fleet.wait_for_event("prints", "agent.dependencies.unhealthy");
    assert_eq!(skipped["unhealthyDeps"][0]["dep"], "fails");
    let why = fleet.cli(&["why", "waits"]);
    assert!(why.out.contains("fails"), "{}", why.out);
    assert!(fleet.terminate().success());
}

#[test]
fn the_predecessors_registry_runs_as_it_is() {
    let mut fleet = Setup::of_repository("examples/predecessor").start();
    fleet.wait_for_status("agent-db", "running");
    assert_eq!(fleet.status("agent-old"), "disabled");
    let run = fleet.trigger("agent-analytics");
    assert_eq!(fleet.end_of(&run)["end"], "succeeded");
    assert_eq!(fleet.agent("agent-sales")["layer"], 2);
    assert!(fleet.terminate().success());
}

#[test]
fn the_ready_made_fleet_shows_what_it_promises_and_ends_in_six_steps() {
    let mut fleet = Setup::of_repository("registry").start();
    let agents = fleet.get("/api/v1/agents");
    assert!(agents["agents"].as_array().expect("a list").len() >= 12);
    for agent in ["agent-sales", "agent-analytics", "agent-db"] {
        fleet.agent(agent);
    }
    fleet.wait_for_event("agent-invoices", "dlq.added");
    fleet.wait_for_event("agent-scraper", "agent.restarting");
    assert_eq!(fleet.metrics()["deadLetterQueue"][0]["agentName"], "agent-invoices");
    assert!(fleet.terminate().success());
    let log = fleet.log_text();
    for step in 1..=6 {
        assert!(log.contains(&format!("[{step}/6] ")), "step {step} is missing:\n{log}");
    }
    assert!(log.contains("Forced (1): agent-ledger"), "{log}");
}
