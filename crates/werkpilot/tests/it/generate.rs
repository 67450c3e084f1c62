//! What is made from the program itself.

use crate::support::Fleet;

#[test]
fn the_schemas_are_those_that_are_checked_in() {
    let fleet = Fleet::new("");
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for of in ["registry", "config", "agent-registry"] {
        let checked_in = std::fs::read_to_string(folder.join(format!("{of}.schema.json"))).unwrap();
        assert_eq!(fleet.ask(&["schema", of]), checked_in, "{of}");
    }
}

#[test]
fn shells_get_completions() {
    let fleet = Fleet::new("");
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = fleet.ask(&["completions", shell]);
        assert!(script.contains("werkpilot") && script.contains("restart"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_per_command() {
    let fleet = Fleet::new("");
    assert!(fleet.ask(&["man"]).contains(".TH werkpilot 1"));
    fleet.ask(&["man", "pages/man1"]);
    for page in ["werkpilot.1", "werkpilot-up.1", "werkpilot-dlq-show.1", "werkpilot-completions.1"] {
        assert!(fleet.path().join("pages/man1").join(page).exists(), "{page}");
    }
}
