//! What `simulate` foretells is what the scheduler then does: a fleet runs, the seconds to come are asked for, and what
//! happens in them is compared, run by run.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use werkpilot_core::time::Timestamp;
use werkpilot_tests::{Werkpilot, wait_for, wait_until};

/// All that these fleets do comes again after so many milliseconds, and ends within the first half of them.
const CYCLE: i64 = 4_000;
/// Milliseconds by which the wall clock may be off the steady one.
const TWO_CLOCKS: u64 = 50;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn time(value: &Value) -> Option<i64> {
    serde_json::from_value::<Timestamp>(value.clone()).ok().map(Timestamp::as_millis)
}

/// Asks for two whole cycles that are about to begin, while nothing runs.
fn foretold(fleet: &Werkpilot) -> (i64, i64, Value) {
    wait_until("the second half of a cycle", || now() % CYCLE > 5 * CYCLE / 8 && now() % CYCLE < 6 * CYCLE / 8);
    let from = (now() / CYCLE + 1) * CYCLE;
    let to = from + 2 * CYCLE;
    let text = |at: i64| Timestamp::from_millis(at).to_string();
    let arguments = ["simulate", "--from", &text(from), "--to", &text(to), "--timeline", "1000", "--json"];
    let foretold = fleet.cli(&arguments).expect(0).json();
    assert!(now() < from, "it was asked in time");
    (from, to, foretold)
}

/// Per agent: the time that each execution was scheduled for, and its end.
type Ends = BTreeMap<String, Vec<(i64, String)>>;

fn ends(executions: &Value, end: &str, span: (i64, i64)) -> Ends {
    let mut all = Ends::new();
    for execution in executions.as_array().unwrap() {
        let Some(at) = time(&execution["scheduledFor"]).filter(|at| (span.0..span.1).contains(at)) else { continue };
        let agent = execution["agent"].as_str().unwrap().to_owned();
        all.entry(agent).or_default().push((at, execution[end].as_str().unwrap_or_default().to_owned()));
    }
    for ends in all.values_mut() {
        ends.sort();
    }
    all
}

fn happened(fleet: &Werkpilot) -> Value {
    fleet.get("/api/v1/executions?limit=1000")["executions"].clone()
}

/// Waits until all that was foretold for this span has its end, and compares.
fn compare(fleet: &Werkpilot, foretold: &Value, span: (i64, i64)) {
    let planned = ends(&foretold["timeline"]["entries"], "end", span);
    let count = |ends: &Ends| ends.values().map(Vec::len).sum::<usize>();
    wait_until("the end of the span", || now() > span.1);
    let real = wait_for("the ends of all executions", werkpilot_tests::PATIENCE, || {
        let real = ends(&happened(fleet), "state", span);
        (count(&real) >= count(&planned) || now() > span.1 + 10_000).then_some(real)
    });
    assert!(is_as_foretold(&real, &planned), "what happened: {real:#?}\nwhat was foretold: {planned:#?}");
}

/// The same executions with the same ends, at the same times but for what the two clocks differ from which an interval's
/// times are read.
fn is_as_foretold(real: &Ends, planned: &Ends) -> bool {
    let same = |(real, planned): (&(i64, String), &(i64, String))| {
        real.1 == planned.1 && real.0.abs_diff(planned.0) <= TWO_CLOCKS
    };
    real.keys().eq(planned.keys())
        && real.iter().all(|(agent, ends)| {
            let planned = &planned[agent];
            ends.len() == planned.len() && ends.iter().zip(planned).all(same)
        })
}

/// In which order executions of the schedule began, as the events tell it.
fn order_of_starts(fleet: &Werkpilot, span: (i64, i64)) -> Vec<(i64, String)> {
    let executions = happened(fleet);
    let scheduled: BTreeMap<&str, i64> = executions
        .as_array()
        .unwrap()
        .iter()
        .filter(|execution| execution["trigger"]["kind"] == "schedule")
        .filter_map(|execution| Some((execution["runId"].as_str()?, time(&execution["scheduledFor"])?)))
        .filter(|(_, at)| (span.0..span.1).contains(at))
        .collect();
    let started = fleet.events("execution.started");
    let of = |event: &Value| {
        let data = &event["data"];
        Some((*scheduled.get(data["run"].as_str()?)?, data["agent"].as_str()?.to_owned()))
    };
    started.iter().filter_map(of).collect()
}

fn planned_order(foretold: &Value) -> Vec<(i64, String)> {
    let entries = foretold["timeline"]["entries"].as_array().unwrap().iter();
    let mut starts: Vec<(u64, i64, String)> = entries
        .filter(|entry| entry["trigger"] == "schedule")
        .filter_map(|entry| {
            let agent = entry["agent"].as_str()?.to_owned();
            Some((entry["order"].as_u64()?, time(&entry["scheduledFor"])?, agent))
        })
        .collect();
    starts.sort();
    starts.into_iter().map(|(_, at, agent)| (at, agent)).collect()
}

#[test]
fn what_runs_what_is_skipped_and_why_comes_as_it_was_foretold() {
    let registry = r#"
[[agent]]
name = "tick"
schedule = "*/2 * * * * *"
command = ["true"]

[[agent]]
name = "slow"
schedule = "0-59/4,1-59/4 * * * * *"
command = ["sleep", "2"]

[[agent]]
name = "often"
every = "800ms"
command = ["true"]

[[agent]]
name = "follower"
after = "tick"
command = ["true"]

[[agent]]
name = "broken"
schedule = "*/4 * * * * *"
command = ["false"]
retry = { max = 0 }

[[agent]]
name = "needs"
schedule = "*/4 * * * * *"
command = ["true"]
dependencies = ["broken"]

[[agent]]
name = "idle"
schedule = "*/4 * * * * *"
command = ["true"]
enabled = false
"#;
    let config = "[queue]\nworkers = 8\n[breaker]\ndead_letters = 1000\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], config);
    wait_until("a run of slow, and one of broken", || {
        let ended = |agent| !fleet.events_of(agent, "execution.ended").is_empty();
        ended("slow") && ended("broken") && ended("follower")
    });
    let (from, to, foretold) = foretold(&fleet);
    let agent = |name: &str| foretold["agents"].as_array().unwrap().iter().find(|of| of["agent"] == name).unwrap();
    assert_eq!((&agent("slow")["runs"], &agent("slow")["skipped"]), (&2.into(), &2.into()), "{foretold:#}");
    assert_eq!(agent("slow")["takes"]["known"], true);
    assert_eq!((&agent("broken")["failed"], &agent("needs")["skipped"]), (&2.into(), &2.into()));
    assert_eq!(agent("needs")["notRun"][0]["code"], "unhealthy_dependencies");
    assert_eq!(agent("idle")["notRun"][0]["code"], "disabled_in_registry");
    assert_eq!(agent("slow")["missed"]["overlapped"], 2);

    compare(&fleet, &foretold, (from, to));
    assert_eq!(order_of_starts(&fleet, (from, to)), planned_order(&foretold));
    // What follows has no time of its own: as often as what it follows succeeds.
    let follows = |executions: &Value, end: &str, kind: fn(&Value) -> &Value| {
        let within = |at: Option<i64>| at.is_some_and(|at| (from..to).contains(&at));
        let of = executions.as_array().unwrap().iter().filter(|one| kind(&one["trigger"]) == "after");
        of.filter(|one| within(time(&one["queuedAt"])) && one[end] == "succeeded").count()
    };
    let planned = follows(&foretold["timeline"]["entries"], "end", |kind| kind);
    wait_until("as many followers", || follows(&happened(&fleet), "state", |kind| &kind["kind"]) == planned);
    assert_eq!(planned, 4);
}

#[test]
fn who_waits_for_whom_and_who_is_refused_comes_as_it_was_foretold() {
    let agent = |name: &str, more: &str| {
        format!("[[agent]]\nname = \"{name}\"\nschedule = \"*/4 * * * * *\"\ncommand = [\"sleep\", \"0.3\"]\n{more}\n")
    };
    let registry: String = [
        agent("a", ""),
        agent("b", "priority = 1\ndependencies = [\"c\"]"),
        agent("c", "priority = 1"),
        agent("d", "priority = 2"),
        agent("e", ""),
        agent("f", ""),
    ]
    .concat();
    let fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 1\ncapacity = 3\n");
    wait_until("a first run of a", || !fleet.events_of("a", "execution.ended").is_empty());
    let (from, to, foretold) = foretold(&fleet);
    let order = planned_order(&foretold);
    let names: Vec<&str> = order.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["c", "b", "d", "a", "c", "b", "d", "a"]);
    assert_eq!((&foretold["totals"]["refused"], &foretold["collisions"]["seconds"]), (&4.into(), &2.into()));
    let longest = foretold["waiting"]["maxMs"].as_f64().unwrap();
    assert!((900.0..4_000.0).contains(&longest), "three runs of 0.3 s come first: {longest}");
    assert_eq!(foretold["attention"][0]["concern"], "refused");

    compare(&fleet, &foretold, (from, to));
    assert_eq!(order_of_starts(&fleet, (from, to)), order);
    let events = fleet.events("execution.started");
    let last = |agent: &str| events.iter().rev().find(|event| event["data"]["agent"] == agent).cloned();
    let waited = last("a").unwrap()["data"]["waited_ms"].as_f64().unwrap();
    assert!(waited >= 900.0, "so it was: {waited}");
}

#[test]
fn bad_questions_are_told_and_a_registry_alone_is_simulated_with_its_history() {
    let registry =
        "[[agent]]\nname = \"sales\"\nschedule = \"*/10 * * * *\"\nstartup = true\ncommand = [\"sleep\", \"0.2\"]\n";
    let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let ask = |query: &str| fleet.request("GET", &format!("/api/v1/simulate{query}"), None);
    // What has just ended is on disk, and so in the history, a moment later.
    let day = wait_for("a first success in the history", werkpilot_tests::PATIENCE, || {
        let day = ask("?from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z").expect(200).json();
        (day["agents"][0]["takes"]["known"] == true).then_some(day)
    });
    assert_eq!(day["totals"]["runs"], 144);
    assert_eq!(day["timeline"], Value::Null);
    ask("?from=2026-11-22T00:00:00Z&to=2026-11-22T00:00:00Z").expect(422);
    ask("?from=2026-11-22T00:00:00Z&to=2026-12-24T00:00:00Z").expect(422);
    ask("?workers=0").expect(400);
    ask("?workers=many").expect(400);
    ask("?to=tomorrow").expect(400);
    ask("?form=2026-11-22T00:00:00Z").expect(400);
    let unknown = ask("?agent=slaes").expect(404).json();
    assert_eq!(unknown["detail"], "there is no agent slaes; did you mean sales?");
    fleet.tcp("GET", "/api/v1/simulate", &[]).expect(401);

    fleet.cli(&["simulate", "--from", "2026-11-22", "--to", "2026-11-21"]).expect(64);
    fleet.cli(&["simulate", "--from", "2026-11-22", "--to", "2027-11-21"]).expect(64);
    fleet.cli(&["simulate", "--from", "soon"]).expect(64);
    fleet.cli(&["simulate", "--agent", "slaes"]).expect(66);
    fleet.cli(&["simulate", "--registry", "nowhere"]).expect(78);
    let text = fleet.cli(&["simulate", "--from", "2026-11-22"]).expect(0).out;
    assert!(text.contains("Nothing needs attention.") && text.contains("144 triggers: 144 runs"), "{text}");

    assert!(fleet.terminate().success());
    fleet.cli(&["simulate"]).expect(69);
    // With a boot of its own, and what is known on disk.
    let offline = ["simulate", "--registry", "registry", "--from", "2026-11-22", "--timeline", "--json"];
    let offline = fleet.cli(&offline).expect(0).json();
    // At midnight it boots, and is due.
    assert_eq!((&offline["totals"]["runs"], &offline["totals"]["skipped"]), (&144.into(), &1.into()));
    assert_eq!(offline["timeline"]["entries"][0]["trigger"], "startup");
    assert_eq!(offline["agents"][0]["takes"]["known"], true);
    fleet.cli(&["simulate", "--registry", "registry", "--agent", "slaes"]).expect(66);
}

#[test]
fn one_simulation_at_a_time_is_made_and_too_much_is_cut_off() {
    let registry = "[[agent]]\nname = \"often\"\nschedule = \"* * * * * *\"\ncommand = [\"true\"]\nenabled = false\n";
    let fleet = Werkpilot::start(&[("fleet.toml", registry)], "");
    let ask = |to: &str| {
        let path = format!("/api/v1/simulate?from=2026-12-01T00:00:00Z&to={to}");
        fleet.request("GET", &path, None)
    };
    let month = std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            // It may meet one of the short ones.
            wait_for("a month", werkpilot_tests::PATIENCE, || {
                let month = ask("2027-01-01T00:00:00Z");
                (month.status == 200).then(|| month.json())
            })
        });
        let refused = wait_for("a refusal", werkpilot_tests::PATIENCE, || {
            let short = ask("2026-12-01T00:00:01Z");
            (short.status == 503).then_some(short)
        });
        assert_eq!(refused.json()["type"], "urn:werkpilot:simulating");
        // Nobody else waits for it.
        assert_eq!(fleet.agent("often")["status"], "disabled");
        first.join().unwrap()
    });
    assert!(month["cutOffAt"].is_string(), "{month:#}");
    assert_eq!(month["attention"][0]["concern"], "cut_off");
    assert_eq!(month["totals"]["triggers"], month["totals"]["skipped"]);
    ask("2026-12-01T00:00:01Z").expect(200);
}
