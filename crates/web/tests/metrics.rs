//! `/metrics`: the predecessor's JSON, and OpenMetrics that a strict parser takes.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{Plan, Request, job, service, wait_for};
use serde_json::{Map, Value};

fn fleet() -> Plan {
    let mut sales = job("agent-sales", "exit 1");
    "Sells \"things\"".clone_into(&mut sales.description);
    "sales".clone_into(&mut sales.department);
    let mut later = job("agent-later", "true");
    later.job_mut().unwrap().triggers.schedule = Some("0 3 * * *".to_owned());
    Plan::real(vec![service("agent-db", "exec sleep 60"), job("agent-report", "true"), sales, later])
}

async fn settle(site: &common::Site) {
    for agent in ["agent-report", "agent-sales"] {
        assert_eq!(site.post(&format!("/api/v1/agents/{agent}/trigger"), &Value::Null).await.status, 202);
    }
    wait_for("an end of each kind", async || {
        let json = site.get("/metrics").await.json();
        json["metrics"]["agent-report"].is_object()
            && json["deadLetterQueue"][0].is_object()
            && json["agents"][0]["status"] == "running"
            && json["agents"][1]["score"].is_number()
    })
    .await;
}

/// The types in place of the values; of a list the first one.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(list) => list.iter().take(1).map(shape).collect(),
        Value::Object(object) => {
            object.iter().map(|(name, value)| (name.clone(), shape(value))).collect::<Map<_, _>>().into()
        }
    }
}

#[test]
fn the_json_has_the_predecessors_shape() {
    fleet().run(|site| async move {
        settle(&site).await;
        let answer = site.get("/metrics").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        let mut json = answer.json();
        // Counts by word depend on how far each agent is: their names are the API of the enums, not of the page.
        for words in ["statuses", "events"] {
            assert!(json["system"][words].take().is_object());
        }
        let report = json["agents"][1].clone();
        json["agents"] = vec![report].into();
        insta::assert_json_snapshot!(shape(&json));
    });
}

#[test]
fn a_scraper_gets_open_metrics() {
    fleet().run(|site| async move {
        settle(&site).await;
        let accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let answer = site.tcp(&Request::new("GET", "/metrics").header("Accept", accept)).await;
        assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        let samples = check_open_metrics(answer.text());
        let value =
            |series: &str| samples.get(series).copied().unwrap_or_else(|| panic!("no {series} in {samples:#?}"));
        assert_eq!(value("werkpilot_agent_up{agent=\"agent-db\"}").to_bits(), 1.0_f64.to_bits());
        assert_eq!(
            value("werkpilot_agent_status{agent=\"agent-sales\",status=\"error\"}").to_bits(),
            1.0_f64.to_bits()
        );
        assert_eq!(value("werkpilot_executions_total{end=\"succeeded\"}").to_bits(), 1.0_f64.to_bits());
        assert_eq!(value("werkpilot_executions_total{end=\"failed\"}").to_bits(), 1.0_f64.to_bits());
        assert_eq!(value("werkpilot_dead_letters_total").to_bits(), 1.0_f64.to_bits());
        assert_eq!(value("werkpilot_agent_restarts_total{agent=\"agent-sales\"}").to_bits(), 1.0_f64.to_bits());
        let p50 = value("werkpilot_agent_execution_duration_seconds{agent=\"agent-report\",quantile=\"0.5\"}");
        assert!(p50 > 0.0 && p50 < 5.0, "{p50}");
        assert!(value("werkpilot_agent_next_run_timestamp_seconds{agent=\"agent-later\"}") > 1.7e9);
        assert!(samples.keys().all(|series| !series.contains("department")), "labels are bounded");
    });
}

#[test]
fn an_old_scraper_gets_the_older_text() {
    fleet().run(|site| async move {
        let accept = "text/plain;version=0.0.4;q=1,*/*;q=0.1";
        let answer = site.tcp(&Request::new("GET", "/metrics").header("Accept", accept)).await;
        assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let text = answer.text();
        assert!(
            text.contains("# TYPE werkpilot_dead_letters_total counter\nwerkpilot_dead_letters_total 0\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE werkpilot_build_info gauge\nwerkpilot_build_info{version="), "{text}");
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
        for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let kind = line.rsplit(' ').next().unwrap();
            assert!(["counter", "gauge", "summary"].contains(&kind), "{line}");
        }
    });
}

/// Checks a text by the rules of OpenMetrics 1.0 that concern us, and gives its samples by series.
fn check_open_metrics(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with its end mark");
    assert!(!body.contains("# EOF"));
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    let (mut family, mut kind, mut described) = (String::new(), String::new(), String::new());
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            assert!(name.starts_with("werkpilot_") && is_name(name), "{line}");
            match what {
                "HELP" => {
                    assert!(!value.contains(['\\', '"']), "{line}");
                    assert!(families.insert(name.to_owned()), "each family comes once: {name}");
                    name.clone_into(&mut described);
                }
                "TYPE" => {
                    assert_eq!(name, described, "help comes before type");
                    assert!(["gauge", "counter", "info", "summary"].contains(&value), "{line}");
                    (family, kind) = (name.to_owned(), value.to_owned());
                }
                "UNIT" => assert!(name == family && family.ends_with(&format!("_{value}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) =
            series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels.strip_suffix('}').unwrap()));
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        assert_eq!(name, format!("{family}{suffix}"), "samples follow their family");
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (key, value) = label.split_once("=\"").expect("a label");
            assert!(is_name(key) && !value.trim_end_matches('"').contains('"'), "{line}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && (kind != "counter" || value >= 0.0), "{line}");
        assert!(samples.insert(series.to_owned(), value).is_none(), "each series comes once: {series}");
    }
    // A counter's samples must not clash with another family's name.
    for name in &families {
        assert!(!families.contains(&format!("{name}_total")) && !families.contains(&format!("{name}_info")), "{name}");
    }
    samples
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}
