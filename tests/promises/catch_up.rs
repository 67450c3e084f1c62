//! Scheduled times that went by while nothing ran: which of them run after the next start, and that none runs twice.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_store::{Change, Class, Store};
use werkpilot_tests::{PATIENCE, Werkpilot, wait_until};

/// An agent that is due each second and writes down for which time it ran, and under which id.
fn agent(name: &str, keys: &str) -> String {
    let shell = format!("echo \"$WERKPILOT_SCHEDULED_TIME $WERKPILOT_RUN_ID\" >> {name}.ran");
    format!("[[agent]]\nname = \"{name}\"\nschedule = \"* * * * * *\"\nshell = '{shell}'\n{keys}\n")
}

/// A run: its second and its id.
type Ran = (i64, String);

fn second(time: &str) -> i64 {
    serde_json::from_value::<Timestamp>(json!(time)).expect(time).as_secs()
}

fn ran(fleet: &Werkpilot, name: &str) -> Vec<Ran> {
    let text = fleet.read(&format!("{name}.ran"));
    // The last line may be half there.
    let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
    let line = |line: &str| line.split_once(' ').map(|(time, run)| (second(time), run.to_owned()));
    whole.lines().map(|text| line(text).expect(text)).collect()
}

fn seconds(runs: &[Ran]) -> Vec<i64> {
    runs.iter().map(|(second, _)| *second).collect()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// Waits until the wall clock is there.
fn wait_for_second(second: i64) {
    wait_until("a second to come", || now() >= second);
}

/// Ends it, lets some seconds go by, and starts it again: the seconds of its end and of its start.
fn away(fleet: &mut Werkpilot, seconds: i64) -> (i64, i64) {
    assert!(fleet.terminate().success());
    let down = now();
    wait_for_second(down + seconds + 1);
    let up = now();
    fleet.start_again();
    fleet.wait_for_boot();
    (down, up)
}

fn missed(fleet: &Werkpilot, name: &str) -> Option<Value> {
    fleet.events_of(name, "agent.schedule.missed").pop()
}

fn id_of(name: &str, second: i64) -> String {
    RunId::of_schedule(&AgentName::new(name).unwrap(), Timestamp::from_secs(second), 0).to_string()
}

/// The times within a downtime that an agent ran for.
fn between(fleet: &Werkpilot, name: &str, down: i64, up: i64) -> Vec<i64> {
    seconds(&ran(fleet, name)).into_iter().filter(|at| (down + 1..up).contains(at)).collect()
}

/// Waits until an agent has run for a time at or after this one.
fn wait_for_run(fleet: &Werkpilot, name: &str, at: i64) {
    wait_until(&format!("a run of {name} for {at}"), || ran(fleet, name).iter().any(|(second, _)| *second >= at));
}

#[test]
fn after_a_downtime_all_the_latest_or_none_of_the_missed_times_run_as_the_agent_wants_it() {
    let registry: String = [
        agent("all", "catch_up = \"all\""),
        agent("latest", "catch_up = \"latest\""),
        agent("none", ""),
        agent("window", "catch_up = \"all\"\ncatch_up_window = \"2s\""),
    ]
    .concat();
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 8\n");
    let names = ["all", "latest", "none", "window"];
    for name in names {
        wait_until("two runs", || ran(&fleet, name).len() >= 2);
    }
    let (down, up) = away(&mut fleet, 4);
    for name in names {
        wait_for_run(&fleet, name, now() + 1);
    }

    // Each second from the first to the last, in order, once, under the id that follows from it.
    let all = ran(&fleet, "all");
    let (first, last) = (all[0].0, all[all.len() - 1].0);
    assert_eq!(seconds(&all), (first..=last).collect::<Vec<_>>());
    assert_eq!(all[0].1, id_of("all", first));
    let event = missed(&fleet, "all").expect("an event");
    assert!(event["runs"].as_u64().unwrap() >= 4 && event["left_out"] == 0, "{event}");

    let event = missed(&fleet, "latest").expect("an event");
    assert_eq!((&event["runs"], &event["from"]), (&json!(1), &event["to"]), "{event}");
    assert!(event["left_out"].as_u64().unwrap() >= 3, "{event}");
    let latest = second(event["to"].as_str().unwrap());
    let runs = ran(&fleet, "latest");
    assert!(runs.contains(&(latest, id_of("latest", latest))), "{runs:?} has no {latest}");
    assert_eq!(runs.iter().filter(|(at, _)| (down + 1..latest).contains(at)).count(), 0, "{runs:?}");
    assert_eq!(runs.len(), seconds(&runs).into_iter().collect::<BTreeSet<_>>().len(), "once each: {runs:?}");

    assert_eq!((between(&fleet, "none", down, up), missed(&fleet, "none")), (Vec::new(), None));

    let event = missed(&fleet, "window").expect("an event");
    let (from, to) = (second(event["from"].as_str().unwrap()), second(event["to"].as_str().unwrap()));
    assert!(from >= up - 2 && to - from <= 2, "{event}, up at {up}");
    let runs = seconds(&ran(&fleet, "window"));
    assert!((from..=to).all(|at| runs.contains(&at)), "{runs:?} lack some of {from} to {to}");
    assert!(!runs.iter().any(|at| (down + 1..from).contains(at)), "{runs:?} have some of {down} to {from}");
}

#[test]
fn however_often_it_is_ended_while_it_catches_up_no_time_is_lost_and_none_runs_twice() {
    let registry = agent("all", "catch_up = \"all\"\non_lost = \"ignore\"").replace(".ran'", ".ran; sleep 0.4'");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    wait_until("two runs", || ran(&fleet, "all").len() >= 2);
    away(&mut fleet, 5);
    let mut cut_off = BTreeSet::new();
    for round in 0..6 {
        let before = ran(&fleet, "all").len();
        wait_until("it is catching up", || ran(&fleet, "all").len() > before);
        if round % 2 == 0 {
            fleet.kill_and_restart();
        } else {
            fleet.restart();
        }
        let ends = fleet.events_of("all", "execution.ended");
        let interrupted = ends.iter().filter(|data| data["end"] == "interrupted");
        cut_off.extend(interrupted.filter_map(|data| data["run"].as_str().map(str::to_owned)));
    }
    let end = now() + 1;
    wait_for_run(&fleet, "all", end);
    let runs = ran(&fleet, "all");
    let (first, last) = (runs[0].0, runs[runs.len() - 1].0);
    let mut times = seconds(&runs);
    // One that was ended before it could write its line has had its turn.
    times.extend((first..=last).filter(|at| !seconds(&runs).contains(at) && cut_off.contains(&id_of("all", *at))));
    times.sort_unstable();
    assert_eq!(times, (first..=last).collect::<Vec<_>>(), "cut off: {cut_off:?}\n{runs:?}");
    assert!(seconds(&runs).is_sorted(), "{runs:?}");
    let ids: BTreeSet<_> = runs.iter().map(|(_, run)| run).collect();
    assert_eq!(ids.len(), runs.len());
}

#[test]
fn a_schedule_that_was_changed_or_did_not_catch_up_before_starts_afresh() {
    let registry = [agent("changed", "catch_up = \"all\""), agent("late", "")].concat();
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    for name in ["changed", "late"] {
        wait_until("two runs", || ran(&fleet, name).len() >= 2);
    }
    assert!(fleet.terminate().success());
    let down = now();
    let changed = agent("changed", "catch_up = \"all\"").replace("* * * * * *", "*/1 * * * * *");
    fleet.write("registry/fleet.toml", &[changed, agent("late", "catch_up = \"all\"")].concat());
    wait_for_second(down + 3);
    let up = now();
    fleet.start_again();
    fleet.wait_for_boot();
    for name in ["changed", "late"] {
        wait_for_run(&fleet, name, up + 1);
        assert_eq!((between(&fleet, name, down, up), missed(&fleet, name)), (Vec::new(), None), "{name}");
    }

    // From now on both do.
    away(&mut fleet, 2);
    for name in ["changed", "late"] {
        wait_until("an event", || missed(&fleet, name).is_some());
    }
}

#[test]
fn an_agent_that_is_switched_off_catches_up_with_nothing() {
    let registry = agent("off", "catch_up = \"all\"");
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "");
    wait_until("two runs", || ran(&fleet, "off").len() >= 2);
    fleet.cli(&["disable", "off"]).expect(0);
    wait_until("nothing is live", || fleet.agent("off")["live"].as_array().is_none_or(Vec::is_empty));
    let before = ran(&fleet, "off").len();
    let _ = away(&mut fleet, 2);
    wait_until("an event", || missed(&fleet, "off").is_some());
    let event = missed(&fleet, "off").unwrap();
    assert_eq!((&event["runs"], &event["reason"]["code"]), (&json!(0), &json!("by_operator")), "{event}");
    assert!(event["left_out"].as_u64().unwrap() >= 2, "{event}");
    // What went by while it was off does not come when it is on.
    let on = now();
    fleet.cli(&["enable", "off"]).expect(0);
    wait_until("it runs again", || ran(&fleet, "off").len() > before);
    let runs = ran(&fleet, "off");
    assert!(runs[before].0 >= on, "{runs:?}, on at {on}");
}

#[test]
fn of_a_long_downtime_the_latest_thousand_run_and_hold_up_nobody() {
    let registry = [agent("many", "catch_up = \"all\"\ncatch_up_window = \"2h\""), agent("other", "")].concat();
    let mut fleet = Werkpilot::start(&[("fleet.toml", &registry)], "[queue]\nworkers = 2\n");
    wait_until("two runs", || ran(&fleet, "many").len() >= 2);
    assert!(fleet.terminate().success());
    let before = ran(&fleet, "many").len() as u64;
    let down = now() - 1_800;
    leave_position(&fleet, "many", down);
    fleet.start_again();
    fleet.wait_for_boot();
    wait_until("an event", || missed(&fleet, "many").is_some());
    let event = missed(&fleet, "many").unwrap();
    // Those that ran already are among the latest thousand.
    let runs = event["runs"].as_u64().unwrap();
    assert!(runs < 1_000 && runs >= 1_000 - before, "{event}, {before} before");
    let from = second(event["from"].as_str().unwrap());
    assert_eq!(event["left_out"], from - down - 1, "{event}");
    let up = now();
    wait_for_run(&fleet, "many", up + 1);
    let mut times = seconds(&ran(&fleet, "many"));
    times.sort_unstable();
    assert_eq!(times, (from..=times[times.len() - 1]).collect::<Vec<_>>());
    // The other one had its worker each second meanwhile.
    let others = seconds(&ran(&fleet, "other"));
    assert!((up..now() - 2).all(|at| others.contains(&at)), "{others:?} from {up}");
}

/// Puts back how far an agent's schedule is, while nothing runs.
fn leave_position(fleet: &Werkpilot, name: &str, second: i64) {
    let (at, state) = (Timestamp::from_secs(second), fleet.dir().join("state"));
    let store = Store::open(&state, at).expect("the state");
    let mut rows = store.reader().unwrap().schedules().unwrap();
    let mut row = rows.remove(rows.iter().position(|row| row.agent.as_str() == name).expect("a position"));
    row.position = at;
    let (sender, receiver) = std::sync::mpsc::channel();
    let done = Box::new(move |result| sender.send(result).expect("somebody waits"));
    assert!(store.writer().submit(vec![Change::PutSchedule(row)], Class::Durable, done).is_ok());
    receiver.recv().unwrap().expect("it is kept");
    store.writer().close(PATIENCE).expect("it is closed");
}
