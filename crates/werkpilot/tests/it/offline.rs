//! Commands that need an orchestrator, without one.

use crate::support::{Fleet, all};

#[test]
fn without_an_orchestrator_every_question_is_69_and_says_how_to_start_one() {
    let fleet = Fleet::new("");
    for args in [
        &["status"][..],
        &["agents"],
        &["start", "a"],
        &["stop", "a"],
        &["restart", "a"],
        &["enable", "a"],
        &["disable", "a"],
        &["pause"],
        &["resume"],
        &["run", "a"],
        &["logs", "a"],
        &["queue"],
        &["dlq", "list"],
        &["dlq", "show", "1"],
        &["why", "a"],
        &["reload"],
        &["down"],
        &["next"],
        &["simulate"],
        &["graph"],
    ] {
        let (code, told) = fleet.fail(&[args, &["--state-dir", "state"]].concat());
        assert_eq!(code, 69, "{args:?}: {told}");
        assert!(told.lines().count() == 2 && told.contains(" hint: start one with `werkpilot up`"), "{args:?}: {told}");
    }
}

#[test]
fn errors_are_a_line_what_and_a_line_what_to_do() {
    let fleet = Fleet::new("");
    insta::assert_snapshot!(fleet.fail(&["status", "--state-dir", "state"]).1, @r"
    error: no orchestrator is running on state
     hint: start one with `werkpilot up`, or say which one is meant with --state-dir DIR or --config FILE
    ");
    insta::assert_snapshot!(fleet.fail(&["graph", "--state-dir", "state"]).1, @r"
    error: no orchestrator is running on state
     hint: start one with `werkpilot up`, or name a registry with --registry DIR
    ");
    insta::assert_snapshot!(fleet.fail(&["status", "--state-dir", "state", "--json"]).1, @r#"{"error":"no orchestrator is running on state","exitCode":69,"hint":"start one with `werkpilot up`, or say which one is meant with --state-dir DIR or --config FILE","report":null}"#);
}

#[test]
fn the_orchestrator_is_looked_for_where_the_settings_put_its_state() {
    let fleet = Fleet::new("");
    fleet.write("pilot.toml", "[state]\ndir = \"deep/state\"\n");
    let (code, told) = fleet.fail(&["status", "--config", "pilot.toml"]);
    assert_eq!(code, 69);
    assert!(told.contains("no orchestrator is running on deep/state"), "{told}");
}

#[test]
fn the_state_folder_may_be_named_by_a_variable() {
    let fleet = Fleet::new("");
    let told = |args: &[&str]| all(&fleet.command(args).env("WERKPILOT_STATE_DIR", "variable").output().unwrap());
    assert!(told(&["status"]).contains("no orchestrator is running on variable"));
    assert!(told(&["status", "--state-dir", "option"]).contains("no orchestrator is running on option"));
    assert!(
        told(&["config", "--files"]).contains("state.dir                   \"variable\"        $WERKPILOT_STATE_DIR")
    );
}

#[test]
fn a_state_folder_that_cannot_be_made_is_73() {
    let fleet = Fleet::new("[[agent]]\nname = \"a\"\nshell = \"true\"\nstartup = true\n");
    fleet.write("file", "");
    let (code, told) = fleet.fail(&["up", "--state-dir", "file/state"]);
    assert_eq!(code, 73, "{told}");
    assert!(told.contains("hint: name another state folder"), "{told}");
}
