//! Where the keys of an agent are from, their values, and what is different after a change.

use serde_json::{Value, json};
use werkpilot_config::{AgentConfig, AgentKey, Loaded, key_changes};
use werkpilot_core::spec::AgentSpec;

use crate::support::{Folder, env, loaded};

const SALES: &str = r#"# Sales
[[agent]]
name = "sales"
department = "shop"
command = ["python3", "sales.py"]
schedule = "*/5 * * * *"
env = { TOKEN = "s3cret", COLOUR = "blue" }
secrets = { DB = "/run/secrets/db" }

[[agent]]
name = "cache"
shell = "exec cache"
health = { tcp = "127.0.0.1:1", failures = 2 }
dependencies = ["sales"]
"#;

fn agent<'a>(loaded: &'a Loaded, name: &str) -> &'a AgentSpec {
    loaded.registry.agents.iter().find(|agent| agent.name.as_str() == name).unwrap()
}

fn config(loaded: &Loaded, name: &str) -> AgentConfig {
    let spec = agent(loaded, name);
    let strategy = loaded.registry.strategies.get(&spec.department).copied().unwrap_or_default();
    loaded.origins.agent(spec, strategy, &loaded.sources).unwrap()
}

fn key<'a>(config: &'a AgentConfig, key: &str) -> &'a AgentKey {
    config.keys.iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("no {key}"))
}

fn told(config: &AgentConfig, name: &str) -> (Value, String, Option<u32>) {
    let AgentKey { value, source, line, .. } = key(config, name);
    (value.clone(), source.clone(), *line)
}

#[test]
fn each_key_has_its_value_and_the_line_that_set_it() {
    let folder = Folder::with(&[("a.toml", SALES)]);
    let loaded = folder.load().unwrap();
    let sales = config(&loaded, "sales");
    assert_eq!(
        (sales.file.as_deref().map(|f| folder.tidy(f)).as_deref(), sales.line),
        (Some("registry/a.toml"), Some(2))
    );
    assert_eq!(told(&sales, "department"), (json!("shop"), "file".to_owned(), Some(4)));
    assert_eq!(told(&sales, "command"), (json!(["python3", "sales.py"]), "file".to_owned(), Some(5)));
    assert_eq!(told(&sales, "schedule"), (json!("*/5 * * * *"), "file".to_owned(), Some(6)));
    assert_eq!(told(&sales, "priority"), (json!(3), "default".to_owned(), None));
    assert_eq!(told(&sales, "timezone"), (json!("UTC"), "default".to_owned(), None));
    assert!(key(&sales, "schedule").effect.starts_with("When it runs"));
    let cache = config(&loaded, "cache");
    assert_eq!(cache.line, Some(10));
    let health = json!({ "tcp": "127.0.0.1:1", "interval": "5m", "timeout": "5s", "failures": 2 });
    assert_eq!(told(&cache, "health"), (health, "file".to_owned(), Some(13)));
    assert_eq!(told(&cache, "kind"), (json!("service"), "default".to_owned(), None));
    assert_eq!(told(&cache, "dependencies"), (json!(["sales"]), "file".to_owned(), Some(14)));
    let names = |config: &AgentConfig| config.keys.iter().map(|entry| entry.key).collect::<Vec<_>>();
    assert!(names(&sales).contains(&"overlap") && !names(&sales).contains(&"health"), "a job has keys of jobs");
    assert!(names(&cache).contains(&"shell") && !names(&cache).contains(&"command"));
}

#[test]
fn of_variables_and_secrets_there_are_names_only() {
    let loaded = loaded(SALES);
    let sales = config(&loaded, "sales");
    assert_eq!(told(&sales, "env").0, json!(["COLOUR", "TOKEN"]));
    assert_eq!(told(&sales, "secrets").0, json!(["DB"]));
    let json = serde_json::to_string(&sales).unwrap();
    assert!(!json.contains("s3cret") && !json.contains("/run/secrets"), "{json}");
}

#[test]
fn a_zone_and_a_strategy_are_from_where_they_were_set() {
    let departments = "\n[department.shop]\nstrategy = \"one_for_all\"\n";
    let settings = "[schedule]\ntimezone = \"Europe/Zurich\"\n";
    let files = [("a.toml", SALES), ("departments.toml", departments), ("werkpilot.toml", settings)];
    let folder = Folder::with(&files);
    let sales = config(&folder.load().unwrap(), "sales");
    assert_eq!(told(&sales, "strategy"), (json!("one_for_all"), "departments.toml".to_owned(), Some(2)));
    assert_eq!(told(&sales, "timezone"), (json!("Europe/Zurich"), "werkpilot.toml".to_owned(), Some(2)));
    let loaded = folder.load_with(&env(&[("WERKPILOT_SCHEDULE_TIMEZONE", "Asia/Tokyo")])).unwrap();
    let sales = config(&loaded, "sales");
    assert_eq!(told(&sales, "timezone"), (json!("Asia/Tokyo"), "environment".to_owned(), None));
    assert_eq!(key(&sales, "timezone").variable.as_deref(), Some("WERKPILOT_SCHEDULE_TIMEZONE"));
}

#[test]
fn the_predecessors_keys_have_lines_too() {
    let text = "[\n  {\n    \"name\": \"old\",\n    \"file\": \"old.py\",\n    \"schedule\": \"@daily\"\n  }\n]\n";
    let loaded = Folder::with(&[("agent-registry.json", text)]).load().unwrap();
    let old = config(&loaded, "old");
    assert_eq!((told(&old, "command").1, told(&old, "command").2), ("file".to_owned(), Some(4)));
    assert_eq!(told(&old, "timezone").1, "host");
}

#[test]
fn every_setting_says_what_it_does_and_when_it_applies() {
    let loaded = loaded(SALES);
    let json = serde_json::to_value(&loaded.sources).unwrap();
    for setting in json.as_array().unwrap() {
        assert!(setting["effect"].as_str().is_some_and(|effect| effect.ends_with('.')), "{setting}");
        assert!(["at_once", "after_restart"].contains(&setting["applies"].as_str().unwrap()), "{setting}");
    }
}

#[test]
fn a_change_is_told_with_both_values_and_without_secrets() {
    let folder = Folder::with(&[("a.toml", SALES)]);
    let before = folder.load().unwrap();
    let edited = SALES.replace("s3cret", "0ther").replace("*/5", "*/7").replace("\"/run/secrets/db\"", "\"/x\"");
    std::fs::write(folder.path("a.toml"), edited).unwrap();
    let after = folder.load().unwrap();
    let changes = key_changes(agent(&before, "sales"), agent(&after, "sales"));
    let json = serde_json::to_value(&changes).unwrap();
    assert_eq!(
        json,
        json!([
            { "key": "env", "before": ["COLOUR", "TOKEN"], "after": ["COLOUR", "TOKEN (new value)"] },
            { "key": "secrets", "before": ["DB"], "after": ["DB (new value)"] },
            { "key": "schedule", "before": "*/5 * * * *", "after": "*/7 * * * *" },
        ])
    );
}

#[test]
fn keys_that_do_nothing_yet_can_be_told_from_other_notices() {
    let loaded = loaded(&format!("{SALES}orphan_ttl = \"1m\"\n[department.none]\nstrategy = \"one_for_one\"\n"));
    let told: Vec<bool> = loaded.notices.iter().map(werkpilot_config::Notice::is_not_effective).collect();
    assert_eq!(told, [true, false], "{:?}", loaded.notices);
}

#[test]
fn no_fault_shows_the_value_of_a_variable() {
    let text =
        "[[agent]]\nname = \"a\"\ncommand = [\"true\"]\nenv = { PIN = 90210, KEY = \"c4nary\", 1X = \"c4nary\" }\n";
    let faults = Folder::with(&[("a.toml", text)]).load().unwrap_err();
    let told = format!("{}{}", faults.render(false), serde_json::to_string(&faults).unwrap());
    assert!(told.contains("env.PIN") && told.contains("write it in quotes"), "{told}");
    assert!(!told.contains("90210") && !told.contains("c4nary"), "{told}");
}
