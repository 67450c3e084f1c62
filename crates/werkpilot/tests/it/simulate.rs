//! `simulate` on files.

use serde_json::Value;

use crate::support::Fleet;

const FLEET: &str = r#"
[[agent]]
name = "load"
schedule = "*/15 * * * *"
command = ["true"]

[[agent]]
name = "report"
schedule = "*/15 * * * *"
command = ["true"]
dependencies = ["load"]

[[agent]]
name = "web"
command = ["sleep", "60"]
"#;

#[test]
fn a_registry_is_simulated_without_an_orchestrator() {
    let fleet = Fleet::new(FLEET);
    let day =
        ["simulate", "--registry", "registry", "--state-dir", "state", "--from", "2026-11-22", "--to", "2026-11-23"];
    let json: Value = serde_json::from_str(&fleet.ask(&[&day[..], &["--json"]].concat())).unwrap();
    assert_eq!((&json["totals"]["triggers"], &json["totals"]["succeeded"]), (&192.into(), &192.into()));
    assert_eq!(json["hours"].as_array().map(Vec::len), Some(24));
    assert_eq!(fleet.ask(&[&day[..], &["--json"]].concat()), fleet.ask(&[&day[..], &["--json"]].concat()));
    let one = fleet.ask(&[&day[..], &["--workers", "1", "--assume", "20m"]].concat());
    assert!(one.contains("Needs attention:\n") && one.contains("1 worker, seed 1"), "{one}");
}

#[test]
fn a_registry_without_jobs_and_a_changed_clock_are_no_trouble() {
    assert_eq!(Fleet::new("").fail(&["simulate", "--registry", "registry", "--state-dir", "state"]).0, 78);
    let fleet = Fleet::new("[[agent]]\nname = \"web\"\ncommand = [\"sleep\", \"60\"]\n");
    let text = fleet.ask(&["simulate", "--registry", "registry", "--state-dir", "state"]);
    assert!(text.contains("Nothing needs attention.\n\n0 triggers: 0 runs\n"), "{text}");
    let spring =
        "[[agent]]\nname = \"night\"\nschedule = \"30 2 * * *\"\ntimezone = \"Europe/Zurich\"\ncommand = [\"true\"]\n";
    let fleet = Fleet::new(spring);
    let day = ["simulate", "--registry", "registry", "--state-dir", "state", "--from", "2026-03-29", "--timeline"];
    let text = fleet.ask(&day);
    assert!(text.contains("2026-03-29T01:00:00.000Z"), "{text}");
}

#[test]
fn wrong_spans_and_unknown_agents_are_told() {
    let fleet = Fleet::new(FLEET);
    let fail =
        |more: &[&str]| fleet.fail(&[&["simulate", "--registry", "registry", "--state-dir", "state"], more].concat());
    let (code, told) = fail(&["--from", "2026-11-22", "--to", "2026-11-22"]);
    assert_eq!(code, 64);
    assert!(told.contains("the end has to be after the begin") && told.contains(" hint: "), "{told}");
    assert_eq!(fail(&["--from", "2026-11-22", "--to", "2026-12-24"]).0, 64);
    assert_eq!(fail(&["--workers", "0"]).0, 64);
    let (code, told) = fail(&["--agent", "repord"]);
    assert_eq!(code, 66);
    assert!(told.contains("there is no agent repord; did you mean report?"), "{told}");
}
