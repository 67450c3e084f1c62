//! The API does what its document says: Schemathesis reads it from the real binary and tries, over TCP and with a token,
//! what is right, what is nearly right and what is wrong, and looks at every answer.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use werkpilot_tests::nats::tool;
use werkpilot_tests::{Setup, Werkpilot, processes, wait_until};

const FLEET: &str = r#"
[[agent]]
name = "agent-analytics"
department = "data"
description = "A service that others need."
command = ["sleep", "1000000"]

[[agent]]
name = "agent-sales"
department = "sales"
command = ["sh", "-c", "cat; echo sold; echo warned >&2"]
schedule = "*/5 * * * *"
timezone = "Europe/Zurich"
dependencies = ["agent-analytics"]

[[agent]]
name = "agent-broken"
department = "sales"
kind = "job"
command = ["false"]
retry = { max = 0 }

[[agent]]
name = "agent-nightly"
command = ["true"]
schedule = "@daily"
timezone = "UTC"
timeout = "5s"
env = { NAME = "its value is shown nowhere" }
"#;

/// Any number will do; with the same one the same is tried.
const SEED: &str = "6";

fn fleet() -> Werkpilot {
    let fleet = Setup::new(&[("fleet.toml", FLEET)], "[breaker]\ndead_letters = 1000000\n").start();
    for agent in ["agent-sales", "agent-broken", "agent-broken"] {
        fleet.run(agent);
    }
    fleet
}

#[test]
fn the_api_does_what_its_document_says() {
    let fleet = fleet();
    let token = fs::read_to_string(fleet.dir().join("state/admin.token")).expect("the first start makes it");
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemathesis/schemathesis.toml");
    let out = Command::new(tool("schemathesis/bin/schemathesis"))
        .arg("--config-file")
        .arg(&config)
        .args(["run", "--no-color", "--seed", SEED])
        .arg(format!("http://{}/api/v1/openapi.json", fleet.address()))
        // What it remembers of a run stays in the folder of the test.
        .current_dir(fleet.dir())
        .env("WERKPILOT_TOKEN", token.trim())
        .stdin(Stdio::null())
        .output()
        .expect("Schemathesis runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
    // With a token that is good for nothing, all answers would be alike.
    let bearer = format!("Bearer {}", token.trim());
    let headers = [("Authorization", bearer.as_str())];
    assert_eq!(fleet.tcp("GET", "/api/v1/config", &headers).status, 200);
    let panics =
        fleet.log_text().lines().filter(|line| line.contains("panicked")).map(str::to_owned).collect::<Vec<_>>();
    assert!(panics.is_empty(), "{panics:#?}");
}

/// Ends within its stop time-out, and not before.
const STUBBORN: &str = "[[agent]]\nname = \"stubborn\"\nkind = \"service\"\nstop = { timeout = \"3s\" }\n\
                        command = [\"sh\", \"-c\", \"trap '' TERM; while :; do sleep 0.05; done\"]\n";

#[test]
fn an_agent_that_was_just_removed_is_in_conflict_until_its_program_has_ended_and_then_is_not_there() {
    let fleet = Werkpilot::start(&[("fleet.toml", &format!("{FLEET}{STUBBORN}"))], "");
    let pid = fleet.wait_for_pid("stubborn");
    fleet.write("registry/fleet.toml", FLEET);
    assert_eq!(fleet.request("POST", "/api/v1/reload", None).status, 200);
    let answer = fleet.request("POST", "/api/v1/agents/stubborn/restart", None);
    assert_eq!(answer.status, 409, "{}", answer.json());
    assert!(answer.json()["hint"].as_str().is_some_and(|hint| hint.contains("registry")), "{}", answer.json());
    wait_until("the end of its program", || !processes::alive(pid));
    wait_until("that it is unknown", || fleet.request("POST", "/api/v1/agents/stubborn/restart", None).status == 404);
}
