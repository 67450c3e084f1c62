//! What a reload changes.

use werkpilot_config::{Effect, difference, settings_difference};
use werkpilot_core::settings::Settings;

use crate::support::loaded;

const BASE: &str = r#"
[[agent]]
name = "stays"
command = ["x"]

[[agent]]
name = "changes"
command = ["x"]
every = "10s"

[[agent]]
name = "goes"
command = ["x"]

[department.default]
strategy = "one_for_all"
"#;

fn after(changes: &[(&str, &str)]) -> werkpilot_core::spec::Registry {
    let text = changes.iter().fold(BASE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from));
        text.replace(from, to)
    });
    let mut registry = loaded(&text).registry;
    registry.agents.iter_mut().for_each(|agent| agent.cwd = "/".into());
    registry
}

#[test]
fn the_same_files_change_nothing() {
    let difference = difference(&after(&[]), &after(&[]));
    assert!(difference.is_empty());
    assert_eq!(difference.unchanged.len(), 3);
}

#[test]
fn agents_are_added_removed_changed_and_left_alone() {
    let new = after(&[
        ("name = \"goes\"", "name = \"comes\""),
        ("every = \"10s\"", "every = \"20s\"\ntimeout = \"5s\"\npriority = 1"),
        ("[department.default]\nstrategy = \"one_for_all\"", "[department.sales]\nstrategy = \"rest_for_one\""),
    ]);
    insta::assert_json_snapshot!(difference(&after(&[]), &new), @r#"
    {
      "added": [
        "comes"
      ],
      "removed": [
        "goes"
      ],
      "changed": [
        {
          "name": "changes",
          "keys": [
            "every",
            "timeout",
            "priority"
          ]
        }
      ],
      "unchanged": [
        "stays"
      ],
      "strategies": [
        {
          "department": "default",
          "old": "one_for_all",
          "new": "one_for_one"
        },
        {
          "department": "sales",
          "old": "one_for_one",
          "new": "rest_for_one"
        }
      ]
    }
    "#);
}

#[test]
fn another_kind_is_one_change() {
    let difference = difference(&after(&[]), &after(&[("every = \"10s\"", "")]));
    assert_eq!(difference.changed[0].keys, ["kind"]);
}

#[test]
fn settings_say_whether_they_wait_for_a_restart() {
    let old = Settings::default();
    let mut new = Settings::default();
    new.dashboard.listen = ([127, 0, 0, 1], 4001).into();
    new.queue.workers = Some(4);
    new.state.dir = "/var/lib/werkpilot".into();
    let changes = settings_difference(&old, &new);
    let shown: Vec<String> =
        changes.iter().map(|c| format!("{} {} → {}: {:?}", c.key, c.old, c.new, c.effect)).collect();
    assert_eq!(
        shown,
        [
            "dashboard.listen \"127.0.0.1:3001\" → \"127.0.0.1:4001\": AfterRestart",
            "queue.workers \"auto\" → 4: AtOnce",
            "state.dir \".werkpilot\" → \"/var/lib/werkpilot\": AfterRestart",
        ]
    );
    assert_eq!(changes[1].effect, Effect::AtOnce);
    assert!(settings_difference(&old, &old).is_empty());
}
