//! `check`, `config`, `next` and `graph` on files.

use serde_json::Value;

use crate::support::{Fleet, all, text};

const FLEET: &str = r#"
[[agent]]
name = "db"
department = "data"
shell = "sleep 60"

[[agent]]
name = "sales"
shell = "true"
schedule = "0 0 1 1 *"
dependencies = ["db"]
"#;

const BROKEN: &str = r#"
[[agent]]
name = "sales"
comand = ["true"]
dependencies = ["sails"]
schedule = "61 * * * *"
"#;

#[test]
fn a_registry_in_order_is_summed_up() {
    let checked = Fleet::new(FLEET).ask(&["check"]);
    assert!(checked.starts_with("In order: 2 agents in 2 departments, 2 boot layers (1 file)\n"), "{checked}");
}

#[test]
fn a_broken_registry_is_78_and_every_fault_is_told() {
    let (code, told) = Fleet::new(BROKEN).fail(&["check"]);
    assert_eq!(code, 78);
    insta::assert_snapshot!(told);
}

#[test]
fn faults_are_told_in_json_too() {
    let output = Fleet::new(BROKEN).run(&["check", "--json"]);
    let faults: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(faults["faults"].as_array().unwrap().len() as u64, faults["count"].as_u64().unwrap());
    assert_eq!(told["exitCode"], 78);
}

#[test]
fn a_broken_registry_starts_nothing() {
    let fleet = Fleet::new(BROKEN);
    let (code, told) = fleet.fail(&["up"]);
    assert_eq!(code, 78);
    assert!(told.contains("nothing was started"), "{told}");
    assert!(!fleet.path().join(".werkpilot").exists());
}

#[test]
fn a_registry_that_is_not_there_says_how_to_begin() {
    let (code, told) = Fleet::new(FLEET).fail(&["check", "--registry", "nowhere"]);
    assert_eq!(code, 78);
    insta::assert_snapshot!(told);
}

#[test]
fn a_key_without_effect_is_worth_knowing() {
    let checked = Fleet::new(&format!("{FLEET}orphan_ttl = \"1h\"\n")).ask(&["check"]);
    assert!(checked.contains("Worth knowing:\n  registry/agents.toml:12: sales.orphan_ttl: "), "{checked}");
}

#[test]
fn agents_of_one_user_are_worth_knowing() {
    let checked = Fleet::new(FLEET).ask(&["check"]);
    let told = "  registry: user: 2 agents run as the user of the orchestrator: they can read each other's credentials on \
                the bus; who must not needs a `user` of its own\n";
    assert!(checked.contains(told), "{checked}");
    let alone = FLEET.replace("name = \"db\"", "name = \"db\"\nuser = \"root\"");
    let checked = Fleet::new(&alone).ask(&["check"]);
    assert!(!checked.contains("each other"), "{checked}");
}

#[test]
fn settings_tell_where_they_are_from() {
    let fleet = Fleet::new(FLEET);
    fleet.write("werkpilot.toml", "[queue]\ncapacity = 5\n");
    let output = fleet.command(&["config", "--state-dir", "s"]).env("WERKPILOT_QUEUE_WORKERS", "3").output().unwrap();
    let config = text(&output.stdout);
    for line in [
        "queue.workers               3                 $WERKPILOT_QUEUE_WORKERS",
        "queue.capacity              5                 werkpilot.toml:2",
        "queue.ageing                \"5m\"              default",
        "state.dir                   \"s\"               command line",
    ] {
        assert!(config.contains(line), "{line} is not in {}", all(&output));
    }
}

#[test]
fn faults_of_the_settings_are_78() {
    let fleet = Fleet::new(FLEET);
    fleet.write("wrong.toml", "[queue]\ncapacity = -1\n");
    assert_eq!(fleet.fail(&["config", "--config", "wrong.toml"]).0, 78);
    assert_eq!(fleet.fail(&["up", "--set", "queue.capacity=many"]).0, 78);
}

#[test]
fn the_plan_of_a_registry_needs_no_orchestrator() {
    let fleet = Fleet::new(FLEET);
    let next: Value =
        serde_json::from_str(&fleet.ask(&["next", "--registry", "registry", "--hours", "8784", "--json"])).unwrap();
    assert_eq!(next["runs"][0]["agent"], "sales");
    insta::assert_snapshot!(fleet.ask(&["graph", "--registry", "registry"]), @r"
    layer 0
      db
    layer 1
      sales  needs db
    ");
    assert!(fleet.ask(&["graph", "--registry", "registry", "--format", "dot"]).contains("\"sales\" -> \"db\";"));
    assert!(fleet.ask(&["graph", "--registry", "registry", "--format", "mermaid"]).contains("a1 --> a0"));
}
