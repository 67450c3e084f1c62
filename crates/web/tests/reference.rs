//! What is checked in about metrics is what the code tells: docs/metrics.md (`UPDATE_METRICS=1` writes it), and the queries
//! of the dashboard.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use werkpilot_web::openmetrics;

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(docs("grafana/werkpilot.json")).unwrap()).unwrap()
}

#[test]
fn the_checked_in_list_of_metrics_is_up_to_date() {
    let page = openmetrics::reference();
    let path = docs("metrics.md");
    if std::env::var_os("UPDATE_METRICS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let checked_in = fs::read_to_string(&path).unwrap_or_default();
    assert!(checked_in == page, "docs/metrics.md is stale: `make metrics` writes it");
}

/// Words of a query that are names of our metrics.
fn metrics_of(query: &str) -> impl Iterator<Item = &str> {
    query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("werkpilot_"))
}

#[test]
fn the_dashboard_asks_only_for_metrics_that_there_are() {
    let names: BTreeSet<String> = openmetrics::names().into_iter().collect();
    let text = dashboard().to_string();
    let unknown: BTreeSet<&str> = metrics_of(&text).filter(|metric| !names.contains(*metric)).collect();
    assert!(unknown.is_empty(), "docs/grafana/werkpilot.json asks for {unknown:?}");
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard = dashboard();
    assert_eq!((&dashboard["uid"], &dashboard["title"]), (&"werkpilot".into(), &"Werkpilot".into()));
    assert!(dashboard.get("id").is_none(), "Grafana gives it an id of its own");
    let variables: Vec<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect();
    assert_eq!(variables, ["datasource", "agent"]);
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title}");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(places.insert((x, y)), "{title} covers another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let mut refs = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(refs.insert(target["refId"].as_str().unwrap()), "{title}");
            assert!(metrics_of(target["expr"].as_str().unwrap()).next().is_some(), "{title}");
        }
    }
}
