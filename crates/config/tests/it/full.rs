//! Every key of both files is read, and does something.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value as Json;
use toml::{Table, Value};
use werkpilot_config::{Loaded, Overrides, load, schema};
use werkpilot_core::settings::Settings;

use crate::support::Folder;

const AGENTS: &str = include_str!("fixtures/full/agents.toml");
const DEPARTMENTS: &str = include_str!("fixtures/full/departments.toml");
const SETTINGS: &str = include_str!("fixtures/werkpilot.toml");

fn load_full(agents: &str, departments: &str, settings: &str) -> Option<Loaded> {
    let folder = Folder::with(&[("agents.toml", agents), ("departments.toml", departments)]);
    std::fs::write(folder.path("werkpilot.toml"), settings).unwrap();
    folder.load().ok().map(|mut loaded| {
        let root = folder.root().to_owned();
        let under = |path: &mut std::path::PathBuf| {
            if let Ok(rest) = path.strip_prefix(&root) {
                *path = Path::new("/srv").join(rest);
            }
        };
        for agent in &mut loaded.registry.agents {
            under(&mut agent.cwd);
            agent.environment.file.iter_mut().for_each(under);
            agent.environment.secrets.values_mut().for_each(under);
        }
        under(&mut loaded.settings.state.dir);
        loaded
    })
}

/// The paths of all keys in a document, lists by position: `agent.0.retry.max`.
fn paths(value: &Value, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Table(table) => table.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) if list.iter().any(Value::is_table) => {
            list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => return,
    };
    for (key, child) in children {
        let path: Vec<String> = prefix.iter().cloned().chain([key]).collect();
        paths(child, &path, found);
        found.push(path);
    }
}

fn without(document: &Table, path: &[String]) -> Table {
    let mut document = Value::Table(document.clone());
    let (key, parents) = path.split_last().unwrap();
    let mut place = &mut document;
    for step in parents {
        place = match place {
            Value::Table(table) => &mut table[step],
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            _ => unreachable!("a path leads through tables and lists"),
        };
    }
    match place {
        Value::Table(table) => drop(table.remove(key)),
        Value::Array(list) => drop(list.remove(key.parse::<usize>().unwrap())),
        _ => unreachable!("a path leads through tables and lists"),
    }
    document.as_table().unwrap().clone()
}

#[test]
fn every_key_of_the_registry_is_read_and_does_something() {
    let whole = load_full(AGENTS, DEPARTMENTS, "").expect("no faults").registry;
    let document: Table = AGENTS.parse().unwrap();
    let mut found = Vec::new();
    paths(&Value::Table(document.clone()), &[], &mut found);
    assert!(found.len() > 90, "{}", found.len());
    for path in found {
        let less = load_full(&without(&document, &path).to_string(), DEPARTMENTS, "");
        assert!(less.is_none_or(|less| less.registry != whole), "{} does nothing", path.join("."));
    }
}

#[test]
fn every_setting_is_read_and_does_something() {
    let whole = load_full(AGENTS, DEPARTMENTS, SETTINGS).expect("no faults").settings;
    let document: Table = SETTINGS.parse().unwrap();
    let mut found = Vec::new();
    paths(&Value::Table(document.clone()), &[], &mut found);
    for path in found {
        let less = load_full(AGENTS, DEPARTMENTS, &without(&document, &path).to_string());
        assert!(less.is_none_or(|less| less.settings != whole), "{} does nothing", path.join("."));
    }
}

/// The dotted names of all properties, those of nested tables included, without positions.
fn properties(schema: &Json, prefix: &str, found: &mut BTreeSet<String>) {
    for inner in ["anyOf", "oneOf"].iter().filter_map(|key| schema[key].as_array()).flatten() {
        properties(inner, prefix, found);
    }
    if schema["items"].is_object() {
        properties(&schema["items"], prefix, found);
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        found.insert(name.clone());
        properties(inner, &name, found);
    }
}

/// The same of a document; free keys (`env`, `secrets`, departments) are left out.
fn keys_of(document: &str, free: &[&str]) -> BTreeSet<String> {
    let mut found = Vec::new();
    paths(&Value::Table(document.parse().unwrap()), &[], &mut found);
    let dotted = found.iter().map(|path| {
        let steps: Vec<&str> = path.iter().map(String::as_str).filter(|step| step.parse::<usize>().is_err()).collect();
        steps.join(".")
    });
    dotted.filter(|name| !free.iter().any(|free| name.starts_with(&format!("{free}.")))).collect()
}

#[test]
fn the_schemas_have_the_keys_that_the_parser_takes_and_no_others() {
    // The fixtures set every key (`health`, `ready` and `dependencies` over several agents), and load without a fault;
    // what is in no fixture, and what the parser does not know, would show here.
    let mut registry = BTreeSet::new();
    properties(&schema::registry(), "", &mut registry);
    registry.remove("department");
    assert_eq!(keys_of(AGENTS, &["agent.env", "agent.secrets"]), registry);
    let mut config = BTreeSet::new();
    properties(&schema::config(), "", &mut config);
    assert_eq!(keys_of(SETTINGS, &[]), config);
}

#[test]
fn every_word_of_the_schema_is_taken() {
    let schema = schema::registry();
    let agent = &schema["properties"]["agent"]["items"]["properties"];
    for (key, property) in agent.as_object().unwrap() {
        for word in property["enum"].as_array().into_iter().flatten() {
            let word = word.as_str().unwrap();
            let trigger = if key == "kind" || key == "restart" { "" } else { "schedule = \"@daily\"\n" };
            let text = format!("[[agent]]\nname = \"a\"\ncommand = [\"true\"]\n{trigger}{key} = \"{word}\"\n");
            let folder = Folder::with(&[("a.toml", &text)]);
            assert!(folder.load().is_ok(), "{key} = {word}: {}", folder.faults());
        }
    }
}

#[test]
fn the_schema_tells_the_defaults_that_the_parser_has() {
    let defaults = Settings::default();
    let loaded = load_full(AGENTS, DEPARTMENTS, "").unwrap();
    assert_eq!(loaded.settings.queue, defaults.queue);
    insta::assert_debug_snapshot!(loaded.registry.agents.last().unwrap());
}

#[test]
fn the_full_registry_becomes_this() {
    let loaded = load_full(AGENTS, DEPARTMENTS, SETTINGS).unwrap();
    insta::assert_debug_snapshot!(loaded.registry);
}

#[test]
fn keys_that_do_nothing_yet_are_noticed_where_they_are_set() {
    let folder =
        Folder::with(&[("agents.toml", AGENTS), ("departments.toml", DEPARTMENTS), ("werkpilot.toml", SETTINGS)]);
    let loaded = folder.load().unwrap();
    let notices: Vec<String> = loaded.notices.iter().map(|notice| folder.tidy(&notice.to_string())).collect();
    insta::assert_snapshot!(notices.join("\n"));
    assert_eq!(loaded.files.len(), 3);
}

#[test]
fn a_registry_may_be_a_single_file() {
    let folder = Folder::with(&[("a.toml", "[[agent]]\nname = \"a\"\ncommand = [\"x\"]\n"), ("b.toml", "nonsense")]);
    let loaded = load(Some(&folder.path("a.toml")), None, &Overrides::default()).unwrap();
    assert_eq!(loaded.registry.agents.len(), 1);
    assert_eq!(loaded.registry.agents[0].cwd, folder.registry());
}
