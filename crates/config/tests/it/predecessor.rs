//! `agent-registry.json`, as the predecessor had it.

use std::time::Duration;

use werkpilot_config::{Overrides, load};
use werkpilot_core::spec::{Kind, Priority, Program};

use crate::support::{Folder, env};

const REGISTRY: &str = r#"// The fleet
[
  {
    "name": "agent-sales", /* runs */ "department": "sales",
    "file": "agents/sales.js", "schedule": "*/5 * * * *",
    "priority": 1, "dependencies": ["agent-db"], "layer": 2, "enabled": true,
  },
  { "name": "agent-db", "script": "agents/db.py", "schedule": null },
  { "name": "agent-sh", "file": "/opt/agent.sh", enabled: false },
  { "name": "agent-m", "file": "m.mjs" },
  { "name": "agent-c", "file": "c.cjs" },
]
"#;

#[test]
fn the_predecessors_registry_becomes_agents() {
    let folder = Folder::with(&[("agent-registry.json", REGISTRY)]);
    let loaded = folder.load_with(&env(&[("TZ", "Europe/Zurich")])).unwrap();
    let agents = &loaded.registry.agents;
    let argv: Vec<Vec<String>> = agents.iter().map(|agent| agent.program.argv()).collect();
    let path = |name: &str| folder.registry().join(name).display().to_string();
    assert_eq!(argv[0], ["node".to_owned(), path("agents/sales.js")]);
    assert_eq!(argv[1], ["python3".to_owned(), path("agents/db.py")]);
    assert_eq!(argv[2], ["/opt/agent.sh"]);
    assert_eq!(argv[3], ["node".to_owned(), path("m.mjs")]);
    assert_eq!(argv[4], ["node".to_owned(), path("c.cjs")]);
    let sales = agents[0].job().expect("a schedule makes a job");
    assert_eq!(sales.triggers.schedule.as_deref(), Some("*/5 * * * *"));
    assert_eq!(sales.triggers.timezone, "Europe/Zurich");
    assert_eq!((agents[0].priority, agents[0].layer), (Priority::Critical, Some(2)));
    assert_eq!(agents[0].dependencies[0].agent.as_str(), "agent-db");
    assert!(matches!(agents[1].kind, Kind::Service(_)), "null is as if it were not there");
    assert!(!agents[2].enabled);
    let notices: Vec<String> = loaded.notices.iter().map(|notice| folder.tidy(&notice.to_string())).collect();
    assert_eq!(
        notices,
        ["registry/agent-registry.json:5: agent-sales.schedule: is evaluated in the host's zone, Europe/Zurich"]
    );
}

#[test]
fn its_agents_have_the_defaults_of_the_others() {
    let old = Folder::with(&[("agent-registry.json", r#"{ "agents": [{ "name": "a", "file": "/bin/true" }] }"#)]);
    let new = Folder::with(&[("a.toml", "[[agent]]\nname = \"a\"\ncommand = [\"/bin/true\"]\n")]);
    let mut old = old.load().unwrap().registry;
    let new = new.load().unwrap().registry;
    old.agents[0].cwd.clone_from(&new.agents[0].cwd);
    assert_eq!(old, new);
    assert_eq!(old.agents[0].program, Program::Command(vec!["/bin/true".to_owned()]));
    assert_eq!(old.agents[0].orphan_ttl, Duration::from_mins(10));
}

#[test]
fn it_may_be_the_registry_itself() {
    let folder = Folder::with(&[("agent-registry.json", REGISTRY)]);
    let loaded = load(Some(&folder.path("agent-registry.json")), None, &Overrides::default()).unwrap();
    assert_eq!(loaded.registry.agents.len(), 5);
}

#[test]
fn both_forms_depend_on_each_other() {
    let folder = Folder::with(&[
        ("agent-registry.json", r#"[{ "name": "a", "file": "a.js", "dependencies": ["b"] }]"#),
        ("b.toml", "[[agent]]\nname = \"b\"\ncommand = [\"b\"]\ndependencies = [\"a\"]\n"),
    ]);
    let faults = folder.load().unwrap_err();
    assert_eq!(faults.as_slice()[0].message, "goes round in a circle: b → a → b");
}

#[test]
fn its_faults_have_lines_too() {
    let faults = |text: &str| Folder::with(&[("agent-registry.json", text)]).faults();
    insta::assert_snapshot!(
        [
            faults("[\n  { \"name\": \"Agent One\", \"file\": \"a.js\", \"script\": \"b.js\", \"priority\": \"high\" },\n  { \"file\": 5, 'dependancies': ['x'] },\n  7,\n]\n"),
            faults("[\n  { \"name\": \"a\", \"file\": \"a.js\" }\n  { \"name\": \"b\" }\n]\n"),
            faults("{ \"agent\": [] }\n"),
            faults("5\n"),
            faults("[]\n"),
        ]
        .join("\n")
    );
}
