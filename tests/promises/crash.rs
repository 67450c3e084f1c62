//! A crash at every step of an execution: what was acknowledged is there, everything gets one end, nothing runs twice.

use std::collections::BTreeMap;

use werkpilot_core::event::End;
use werkpilot_store::reader::{HistoryFilter, LetterFilter};
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState};
use werkpilot_store::row::letter::{LetterRow, LetterState};
use werkpilot_tests::{Outcome, Setup, Werkpilot, processes, wait_until};

const FAILPOINT: &str = "WERKPILOT_FAILPOINT";
/// Both write down what they were given before they succeed and fail.
const REGISTRY: &str = "[[agent]]\nname = \"worker\"\nkind = \"job\"\nshell = \"p=$(cat); echo $p >> done\"\n\
                        [[agent]]\nname = \"broken\"\nkind = \"job\"\nretry = { max = 0 }\n\
                        shell = \"p=$(cat); echo $p >> done; exit 1\"\n";
const CONFIG: &str = "[breaker]\ndead_letters = 1000\n[dead_letters]\ncapacity = 1000\n";

/// More than that for `make soak`.
fn times() -> u32 {
    std::env::var("WERKPILOT_SOAK_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

struct State {
    executions: Vec<ExecutionRow>,
    letters: Vec<LetterRow>,
    open: usize,
}

fn state(fleet: &Werkpilot) -> State {
    let reader = fleet.on_disk();
    let history = reader.history(&HistoryFilter { limit: 1_000, ..Default::default() }).expect("its history");
    let letters = reader.letters(&LetterFilter { limit: 1_000, ..Default::default() }).expect("its dead letters");
    let open = reader.live().expect("live ones").len() + reader.triggers().expect("promised ones").len();
    State { executions: history.rows, letters: letters.rows, open }
}

/// Triggers both agents in turns until the orchestrator is gone, and says what was acknowledged.
fn trigger_until_it_dies(fleet: &mut Werkpilot) -> Vec<String> {
    let mut promised = Vec::new();
    for number in 0.. {
        assert!(number < 100, "it does not die");
        let (agent, payload) = (if number % 2 == 0 { "worker" } else { "broken" }, format!("payload-{number}"));
        if fleet.cli(&["run", agent, "--payload", &payload]).code != 0 {
            break;
        }
        promised.push(payload);
    }
    let status = fleet.wait_for_end();
    assert!(!status.success(), "{status}");
    promised
}

/// What has to be true after the next start has done what was left.
#[track_caller]
fn check(fleet: &Werkpilot, promised: &[String]) {
    wait_until("everything has an end", || state(fleet).open == 0);
    let state = state(fleet);
    let done = fleet.read("done");
    let mut effects: BTreeMap<&str, usize> = BTreeMap::new();
    for line in done.lines() {
        *effects.entry(line).or_default() += 1;
    }
    assert!(effects.values().all(|times| *times == 1), "something ran twice: {effects:?}");
    assert!(effects.keys().all(|line| line.starts_with("payload-")), "it got less than it was given: {effects:?}");
    let mut ends: BTreeMap<String, Vec<End>> = BTreeMap::new();
    for row in &state.executions {
        let ExecutionState::Ended(end) = row.state else { panic!("{row:?}") };
        ends.entry(row.run.to_string()).or_default().push(end);
    }
    assert!(ends.values().all(|ends| ends.len() == 1), "{ends:?}");
    for payload in promised {
        let ran = effects.contains_key(payload.as_str());
        let letter = state.letters.iter().any(|row| row.payload.as_deref() == Some(payload.as_bytes()));
        assert!(ran || letter, "{payload} was acknowledged and is nowhere\n{:?}", state.executions);
    }
    // A letter for everything that failed or was cut off, and for nothing else.
    let bad = |row: &&ExecutionRow| matches!(row.state, ExecutionState::Ended(End::Failed | End::Interrupted));
    assert_eq!(state.executions.iter().filter(bad).count(), state.letters.len(), "{:?}", state.letters);
}

fn crash_at(step: &str) {
    for turn in 1..=times() {
        let count = 1 + (turn % 4);
        let setup = Setup::new(&[("fleet.toml", REGISTRY)], CONFIG).env(FAILPOINT, &format!("{step}:{count}"));
        let mut fleet = setup.start();
        let promised = trigger_until_it_dies(&mut fleet);
        fleet.unset(FAILPOINT);
        fleet.start_again();
        fleet.wait_for_boot();
        check(&fleet, &promised);
        // Whatever happened, it works.
        assert_eq!(fleet.run("worker")["end"], "succeeded");
    }
}

#[test]
fn a_crash_while_a_trigger_is_written_down() {
    crash_at("accept.before");
}

#[test]
fn a_crash_when_a_trigger_is_on_disk_and_not_acknowledged() {
    crash_at("accept.after");
}

#[test]
fn a_crash_while_a_start_is_written_down() {
    crash_at("start.before");
}

#[test]
fn a_crash_when_a_start_is_on_disk() {
    crash_at("start.after");
}

#[test]
fn a_crash_while_an_end_is_written_down() {
    crash_at("finish.before");
}

#[test]
fn a_crash_when_an_end_is_on_disk() {
    crash_at("finish.after");
}

#[test]
fn a_crash_while_a_dead_letter_is_written_down() {
    crash_at("dead_letter.before");
}

#[test]
fn a_crash_when_a_dead_letter_is_on_disk() {
    crash_at("dead_letter.after");
}

/// Letters of an agent that succeeds as soon as the file is there are replayed until the orchestrator dies of it.
fn crash_in_a_replay(step: &str) {
    const LETTERS: u64 = 4;
    let registry = "[[agent]]\nname = \"broken\"\nkind = \"job\"\nretry = { max = 0 }\n\
                    shell = \"p=$(cat); [ -e good ] && echo $p >> done\"\n";
    for turn in 1..=times() {
        let count = 1 + (turn % 3);
        let setup = Setup::new(&[("fleet.toml", registry)], CONFIG).env(FAILPOINT, &format!("{step}:{count}"));
        let mut fleet = setup.start();
        for number in 1..=LETTERS {
            fleet.cli(&["run", "broken", "--wait", "--payload", &format!("payload-{number}")]).expect(1);
        }
        wait_until("all letters", || state(&fleet).letters.len() == 4);
        fleet.touch("good");
        let promised: Vec<u64> = (1..=LETTERS).take_while(|id| replay(&fleet, *id).code == 0).collect();
        assert!(promised.len() < 4, "it does not die");
        fleet.wait_for_end();
        fleet.unset(FAILPOINT);
        fleet.start_again();
        fleet.wait_for_boot();
        wait_until("everything has an end", || state(&fleet).open == 0);
        let in_between = |row: &LetterRow| row.state == LetterState::Replaying;
        wait_until("no letter is being replayed", || !state(&fleet).letters.iter().any(in_between));
        let state = state(&fleet);
        assert_eq!(state.letters.len(), 4, "all letters are there, and no new one");
        let done = if fleet.file("done").exists() { fleet.read("done") } else { String::new() };
        for row in &state.letters {
            let payload = String::from_utf8(row.payload.clone().expect("its payload")).expect("text");
            let ran = done.lines().filter(|line| **line == payload).count();
            assert!(ran <= 1, "{payload} was replayed twice: {done}");
            assert!(ran == 0 || promised.contains(&row.id) || row.replays > 0, "{row:?}");
            assert!(!promised.contains(&row.id) || ran == 1 || row.state == LetterState::Open, "{row:?}");
            if row.state == LetterState::Open && ran == 0 {
                replay(&fleet, row.id).expect(0);
            }
        }
        wait_until("every payload is done", || fleet.read("done").lines().count() == 4);
    }
}

fn replay(fleet: &Werkpilot, id: u64) -> Outcome {
    fleet.cli(&["dlq", "replay", &id.to_string()])
}

#[test]
fn a_crash_while_a_replay_is_written_down() {
    crash_in_a_replay("replay.before");
}

#[test]
fn a_crash_when_a_replay_is_on_disk_and_not_acknowledged() {
    crash_in_a_replay("replay.after");
}

#[test]
fn crashes_at_any_moment_under_load() {
    for turn in 0..2 * times() {
        let registry = "[[agent]]\nname = \"worker\"\nkind = \"job\"\noverlap = \"allow\"\nshell = \"p=$(cat); echo $p >> done\"\n\
                        [[agent]]\nname = \"service\"\ncommand = [\"sleep\", \"1000\"]\nready = { after = \"10ms\" }\ninstances = 19\n";
        let mut fleet = Werkpilot::start(&[("fleet.toml", registry)], CONFIG);
        let mut promised = Vec::new();
        for number in 0..10 + 3 * turn {
            let payload = format!("payload-{number}");
            fleet.cli(&["run", "worker", "--payload", &payload]).expect(0);
            promised.push(payload);
        }
        fleet.kill9();
        let before = fleet.leftovers();
        fleet.start_again();
        fleet.wait_for_boot();
        let survivors: Vec<i32> = fleet.leftovers().into_iter().filter(|pid| before.contains(pid)).collect();
        assert_eq!(survivors, [0; 0], "nothing of the last start runs on");
        check(&fleet, &promised);
        wait_until("all instances", || fleet.pids("service").len() == 19);
        wait_until("no zombie", || processes::zombies_of(fleet.pid()).is_empty());
    }
}
