//! A running orchestrator and the commands that talk to it: a smoke test of each. What the fleet does is proved by the
//! promise tests.

use std::io::{BufRead, BufReader};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Fleet, Orchestrator, all, wait_for};

const FLEET: &str = r#"
[[agent]]
name = "db"
department = "data"
shell = "echo ready; exec sleep 600"
ready = { after = "0s" }

[[agent]]
name = "sales"
shell = "cat; exit 0"
schedule = "0 0 1 1 *"
dependencies = ["db"]

[[agent]]
name = "bad"
shell = "echo oops >&2; exit 3"
schedule = "0 0 1 1 *"
retry = { max = 1, initial = "1ms" }

[[agent]]
name = "slow"
shell = "exec sleep 600"
schedule = "0 0 1 1 *"
timeout = "50ms"
retry = { max = 0 }
"#;

fn booted(fleet: &Fleet) -> Orchestrator<'_> {
    let orchestrator = fleet.up();
    orchestrator.wait_for_log("Boot completed");
    orchestrator
}

fn json(fleet: &Fleet, args: &[&str]) -> Value {
    serde_json::from_str(&fleet.ask(&[args, &["--json"]].concat())).unwrap()
}

#[test]
fn the_overview_shows_who_runs_and_where() {
    let fleet = Fleet::new(FLEET);
    let orchestrator = booted(&fleet);
    let status = fleet.ask(&["status"]);
    assert!(status.contains(&format!("pid {}", orchestrator.pid())), "{status}");
    assert!(status.contains("http://127.0.0.1:") && status.contains("4 in all: 1 running, 3 idle"), "{status}");
    assert!(status.contains("Nothing needs attention."), "{status}");
    let agents = fleet.ask(&["agents", "--kind", "service"]);
    assert_eq!(agents.lines().count(), 2, "{agents}");
    assert_eq!(json(&fleet, &["agents"])["agents"].as_array().unwrap().len(), 4);
    assert_eq!(json(&fleet, &["queue"])["waiting"], Value::Array(Vec::new()));
    assert!(fleet.ask(&["why", "db"]).starts_with("db is running"));
    assert!(fleet.ask(&["graph"]).contains("sales  needs db"));
    assert_eq!(json(&fleet, &["next", "--hours", "8784"])["runs"].as_array().unwrap().len(), 3);
    let config = fleet.ask(&["config"]);
    let of_listen = |line: &str| line.contains("\"127.0.0.1:0\"") && line.ends_with("command line");
    assert!(config.lines().any(of_listen), "{config}");
}

#[test]
fn a_run_that_is_waited_for_tells_its_end_by_its_exit_code() {
    let fleet = Fleet::new(FLEET);
    let _orchestrator = booted(&fleet);
    assert!(fleet.ask(&["run", "sales", "--payload", "hello", "--wait"]).starts_with("sales succeeded"));
    wait_for("the output", || fleet.ask(&["logs", "sales"]).ends_with(" O hello\n"));
    assert_eq!(fleet.run(&["run", "bad", "--wait"]).status.code(), Some(1));
    assert_eq!(fleet.run(&["run", "slow", "--wait"]).status.code(), Some(124));
    let list = fleet.ask(&["dlq", "list"]);
    assert!(list.starts_with("2 dead letters"), "{list}");
    let letter = fleet.ask(&["dlq", "show", "1"]);
    assert!(letter.contains("failed       2 attempts") && letter.contains("log:\n  oops\n"), "{letter}");
}

#[test]
fn a_payload_may_come_from_a_file() {
    let fleet = Fleet::new(FLEET);
    let _orchestrator = booted(&fleet);
    fleet.write("payload", "from a file\n");
    fleet.ask(&["run", "sales", "--payload", "@payload", "--wait"]);
    wait_for("the output", || fleet.ask(&["logs", "sales"]).ends_with(" O from a file\n"));
    assert_eq!(fleet.fail(&["run", "sales", "--payload", "@nowhere"]).0, 66);
}

#[test]
fn what_is_not_there_is_66_and_what_is_no_job_is_64() {
    let fleet = Fleet::new(FLEET);
    let _orchestrator = booted(&fleet);
    let (code, told) = fleet.fail(&["stop", "dbb"]);
    insta::assert_snapshot!(format!("{code}\n{told}"), @r"
    66
    error: there is no agent dbb; did you mean db?
     hint: `werkpilot agents` lists them
    ");
    assert_eq!(fleet.fail(&["why", "nobody"]).0, 66);
    assert_eq!(fleet.fail(&["dlq", "show", "7"]).0, 66);
    assert_eq!(fleet.fail(&["run", "db"]).0, 64);
}

#[test]
fn agents_are_controlled_one_by_one() {
    let fleet = Fleet::new(FLEET);
    let _orchestrator = booted(&fleet);
    let status =
        |agent: &str| {
            json(&fleet, &["agents"])["agents"].as_array().unwrap().iter()
        .find(|it| it["name"] == agent).unwrap()["status"].as_str().unwrap().to_owned()
        };
    fleet.ask(&["stop", "db"]);
    wait_for("the stop", || status("db") == "stopped");
    let skipped = fleet.run(&["run", "sales", "--wait"]);
    assert_eq!(skipped.status.code(), Some(75), "{}", all(&skipped));
    assert!(all(&skipped).contains("sales skipped, 0 attempts: "), "{}", all(&skipped));
    fleet.ask(&["run", "sales", "--force", "--wait"]);
    fleet.ask(&["start", "db"]);
    wait_for("the start", || status("db") == "running");
    fleet.ask(&["disable", "bad"]);
    wait_for("the end of bad", || status("bad") == "disabled");
    fleet.ask(&["enable", "bad"]);
    wait_for("bad again", || status("bad") == "idle");
    fleet.ask(&["pause"]);
    assert!(fleet.ask(&["status"]).contains("triggers      paused"));
    fleet.ask(&["resume"]);
    assert!(!fleet.ask(&["status"]).contains("paused"));
}

#[test]
fn a_second_orchestrator_on_the_same_state_is_75_and_names_the_first() {
    let fleet = Fleet::new(FLEET);
    let orchestrator = booted(&fleet);
    let (code, told) = fleet.fail(&["up", "--set", "dashboard.listen=127.0.0.1:0", "--set", "bus.listen=127.0.0.1:0"]);
    assert_eq!(code, 75, "{told}");
    assert!(told.contains(&format!("an orchestrator (pid {}, since 2", orchestrator.pid())), "{told}");
}

#[test]
fn a_port_in_use_is_69_and_says_who_to_look_for() {
    let fleet = Fleet::new(FLEET);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("dashboard.listen={}", taken.local_addr().unwrap());
    let (code, told) = fleet.fail(&["up", "--set", &listen]);
    assert_eq!(code, 69, "{told}");
    assert!(told.contains("is in use by") && told.contains("ss -ltnp"), "{told}");
}

#[test]
fn changed_files_are_noticed_and_faults_leave_everything_as_it_is() {
    let fleet = Fleet::new(FLEET);
    let orchestrator = booted(&fleet);
    fleet.write("registry/more.toml", "[[agent]]\nname = \"new\"\nshell = \"true\"\nschedule = \"0 0 1 1 *\"\n");
    orchestrator.wait_for_log("Configuration reloaded: 1 added");
    assert_eq!(fleet.ask(&["reload"]), "nothing changed\n");
    fleet.write("registry/more.toml", "[[agent]]\n");
    let (code, told) = fleet.fail(&["reload"]);
    assert_eq!(code, 78, "{told}");
    assert!(told.contains("error: the files have faults; nothing was changed"), "{told}");
    assert_eq!(json(&fleet, &["agents"])["agents"].as_array().unwrap().len(), 5);
    orchestrator.signal(Signal::HUP);
    orchestrator.wait_for_log("Reload asked for by SIGHUP rejected");
}

#[test]
fn a_log_is_followed_until_the_orchestrator_ends() {
    let fleet = Fleet::new(FLEET);
    let _orchestrator = booted(&fleet);
    let mut command = fleet.command(&["logs", "sales", "-f"]);
    let mut follow = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
    for word in ["one", "two"] {
        fleet.ask(&["run", "sales", "--payload", word, "--wait"]);
        assert!(lines.next().unwrap().ends_with(&format!(" O {word}")));
    }
    fleet.ask(&["down"]);
    assert_eq!(lines.next(), None);
    assert!(follow.wait().unwrap().success());
}

#[test]
fn down_waits_for_the_end_if_that_is_wanted() {
    let fleet = Fleet::new(FLEET);
    let orchestrator = booted(&fleet);
    fleet.ask(&["down", "--wait"]);
    let log = orchestrator.log();
    assert!(orchestrator.ended().success());
    for step in 1..=6 {
        assert!(log.contains(&format!("[{step}/6]")), "{log}");
    }
    assert_eq!(fleet.fail(&["status"]).0, 69);
}

#[test]
fn a_signal_ends_it_cleanly_and_its_log_is_in_the_form_that_was_asked_for() {
    let fleet = Fleet::new(FLEET);
    fleet.write("werkpilot.toml", "[logs]\nformat = \"json\"\n");
    let orchestrator = booted(&fleet);
    orchestrator.signal(Signal::INT);
    orchestrator.wait_for_log("Shutdown complete");
    for line in orchestrator.log().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(record["time"].is_string() && record["level"].is_string() && record["message"].is_string(), "{line}");
    }
    assert!(orchestrator.ended().success());
}

#[test]
fn a_service_manager_is_told_when_it_is_ready_that_it_is_alive_and_when_it_stops() {
    let fleet = Fleet::new(FLEET);
    let manager = std::os::unix::net::UnixDatagram::bind(fleet.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let mut command =
        fleet.command(&["up", "--set", "dashboard.listen=127.0.0.1:0", "--set", "bus.listen=127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", fleet.path().join("notify")).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
    let orchestrator = fleet.start(command);
    let hear = || {
        let mut buffer = [0; 64];
        let read = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    };
    assert_eq!(hear(), "READY=1");
    for _ in 0..3 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    orchestrator.signal(Signal::TERM);
    let last = std::iter::repeat_with(hear).find(|said| said != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(orchestrator.ended().success());
}
