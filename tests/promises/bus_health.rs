//! Ready and healthy is who answers on the bus, as a micro-service of the agent's name, with its own credentials.

use std::time::{Duration, Instant};

use serde_json::json;
use werkpilot_tests::{BusAccess, PATIENCE, Peer, Setup, Werkpilot, wait_for, wait_until};

/// Begins again at once, and has all the time it needs otherwise.
fn service(name: &str, more: &str) -> String {
    format!(
        "[[agent]]\nname = \"{name}\"\ncommand = [\"sleep\", \"1000\"]\n\
         retry = {{ initial = \"10ms\", factor = 1.0, cap = \"10ms\", jitter = 0.0 }}\n{more}\n"
    )
}

const BY_BUS: &str = "ready = { bus = true, timeout = \"5m\" }";

fn start(registry: &str) -> Werkpilot {
    let setup = Setup::new(&[("fleet.toml", registry)], "[boot]\nlayer_timeout = \"100ms\"\n");
    setup.start()
}

/// Once the second one comes, the first one is known to have had no effect.
#[track_caller]
fn wait_for_questions(peer: &mut Peer) {
    for _ in 0..2 {
        assert!(peer.message().subject.starts_with(b"$SRV.PING."));
    }
}

#[test]
fn a_service_is_ready_once_its_micro_service_answers_and_not_before() {
    let fleet = start(&(service("sales", BY_BUS) + &service("clerk", "ready = { after = \"10ms\" }")));
    fleet.wait_for_status("clerk", "running");
    // To be connected and to listen is not to answer.
    let mut mute = fleet.peer("sales");
    mute.subscribe("$SRV.PING.sales");
    wait_for_questions(&mut mute);
    assert_eq!(fleet.status("sales"), "starting");
    assert_eq!(fleet.get("/api/v1/agents/sales/health")["healthy"], false);
    let told = fleet.cli(&["request", "sales"]).expect(75);
    assert!(told.err.contains("unavailable: starting"), "{}", told.err);
    let _service = fleet.peer("sales").answer_pings("sales");
    fleet.wait_for_status("sales", "running");
    assert_eq!(fleet.events_of("sales", "agent.ready").len(), 1);
}

#[test]
fn the_answer_to_the_ping_of_all_services_is_no_answer_to_its_own() {
    let fleet = start(&service("sales", BY_BUS));
    let mut sales = fleet.peer("sales");
    sales.subscribe("$SRV.PING");
    let _service = sales.answer_with(|_| b"{}".to_vec());
    let mut watcher = fleet.peer("sales");
    watcher.subscribe("$SRV.PING.sales");
    wait_for_questions(&mut watcher);
    assert_eq!(fleet.status("sales"), "starting");
}

#[test]
fn a_service_that_does_not_answer_in_time_is_ended_and_started_again() {
    let fleet = start(&service("sales", "ready = { bus = true, timeout = \"300ms\" }"));
    let first = fleet.wait_for_event("sales", "agent.started");
    let restarting = fleet.wait_for_event("sales", "agent.restarting");
    assert_eq!(restarting["reason"], json!({ "code": "not_ready", "timeout_ms": 300.0 }));
    wait_until("a second start", || fleet.events_of("sales", "agent.started").len() >= 2);
    assert_ne!(fleet.events_of("sales", "agent.started")[1]["pid"], first["pid"]);
    assert!(fleet.events_of("sales", "agent.ready").is_empty());
}

#[test]
fn one_instance_s_answer_does_not_make_another_ready() {
    let fleet = start(&service("sales", &format!("{BY_BUS}\ninstances = 2")));
    let pids = wait_for("two instances", PATIENCE, || Some(fleet.pids("sales")).filter(|pids| pids.len() == 2));
    let _first = Peer::connect(&BusAccess::of(pids[0])).answer_pings("sales");
    wait_until("the first one is ready", || fleet.events_of("sales", "agent.ready").len() == 1);
    // The other one is asked as well, and says nothing.
    let mut second = Peer::connect(&BusAccess::of(pids[1]));
    second.subscribe("$SRV.PING.sales");
    wait_for_questions(&mut second);
    assert_eq!(fleet.status("sales"), "starting");
    assert_eq!(fleet.events_of("sales", "agent.ready").len(), 1);
    let _second = Peer::connect(&BusAccess::of(pids[1])).answer_pings("sales");
    fleet.wait_for_status("sales", "running");
    assert_eq!(fleet.events_of("sales", "agent.ready").len(), 2);
}

#[test]
fn a_service_that_stops_answering_is_restarted_and_may_be_only_marked() {
    let health = "ready = { after = \"10ms\" }\n\
                  health = { bus = true, interval = \"100ms\", timeout = \"300ms\", failures = 2 }";
    // The first probe comes within an interval, so a service that is looked after by bus answers soon.
    let fleet = start(&(service("sales", health) + &service("marked", &format!("{health}\nrestart = \"never\""))));
    let marked = fleet.wait_for_pid("marked");
    fleet.wait_for_status("marked", "unhealthy");
    assert_eq!(fleet.agent("marked")["lastHealthCheck"]["healthy"], false);
    let mute = fleet.wait_for_event("sales", "agent.health.changed");
    assert_eq!((&mute["healthy"], &mute["reason"]["code"]), (&json!(false), &json!("probes_failed")));
    assert_eq!(mute["reason"]["failures"], 2, "{mute}");
    assert_eq!(mute["reason"]["last"], "it did not answer $SRV.PING.sales on the bus");
    wait_until("a successor", || fleet.events_of("sales", "agent.started").len() >= 2);

    // One that answers is well, for as long as it does.
    let service = fleet.peer("marked").answer_pings("marked");
    fleet.wait_for_status("marked", "running");
    wait_until("it is told to be well", || {
        fleet.events_of("marked", "agent.health.changed").last().is_some_and(|changed| changed["healthy"] == true)
    });
    drop(service);
    let begun = Instant::now();
    fleet.wait_for_status("marked", "unhealthy");
    println!("unhealthy after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(fleet.pids("marked"), [marked]);
}

#[test]
fn a_service_that_answers_keeps_running() {
    let more = "ready = { bus = true, timeout = \"5m\" }\n\
                health = { bus = true, interval = \"100ms\", timeout = \"20s\", failures = 1 }";
    let fleet = start(&service("sales", more));
    let pid = fleet.wait_for_pid("sales");
    let _service = fleet.peer("sales").answer_pings("sales");
    fleet.wait_for_status("sales", "running");
    let mut seen = Vec::new();
    wait_until("five probes", || {
        let check = &fleet.agent("sales")["lastHealthCheck"];
        assert!(check.is_null() || check["healthy"] == true, "{check}");
        seen.push(check.to_string());
        seen.dedup();
        seen.len() > 5
    });
    assert_eq!((fleet.status("sales").as_str(), fleet.pids("sales")), ("running", vec![pid]));
    assert!(fleet.events_of("sales", "agent.health.changed").is_empty());
}
