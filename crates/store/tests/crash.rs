//! Killed in the middle: what was acknowledged is there, and a batch is there whole or not at all.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use common::{close, end, event, intent, letter, open, run, trigger};
use werkpilot_core::dead_letters::Step;
use werkpilot_core::event::End;
use werkpilot_store::row::execution::ExecutionState;
use werkpilot_store::row::letter::LetterState;
use werkpilot_store::{Change, Class, ExecutionStart, LetterAction, maintenance};

const CHILD: &str = "WERKPILOT_TEST_CRASH";

/// One unit of work: an accepted trigger, its execution with start and end, an event, and a dead letter that is being
/// replayed. Its end takes the trigger away again.
fn work(number: u64) -> Vec<Change> {
    let start = ExecutionStart { run: run(number), at: common::at(0), attempt: 1, process: None, log: None };
    let begin = LetterAction::Take(Step::BeginReplay { run: run(1_000_000_000 + number), force: false });
    vec![
        Change::AcceptTrigger(Box::new(trigger(number, "a"))),
        intent(number, "a"),
        Change::StartExecution(start),
        Change::AddEvent(Box::new(event(number, "execution.failed", Some("a"), Some(number)))),
        Change::AddLetter(Box::new(letter(number, "a", "s"))),
        Change::Letter { id: number, action: begin, at: common::at(1) },
        end(number, End::Failed),
    ]
}

/// Run as a child: writes durable batches and prints the number of each that was acknowledged, until it is killed.
#[test]
fn child_of_the_kill_tests() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(dir.as_ref());
    let first = store.reader().unwrap().newest_letter().unwrap() + 1;
    let (sender, acknowledged) = mpsc::channel();
    let mut out = std::io::stderr().lock();
    writeln!(out, "ready").unwrap();
    let mut pending = 0;
    for number in first.. {
        let sender = sender.clone();
        let done = Box::new(move |result: Result<(), _>| {
            result.unwrap();
            sender.send(number).unwrap();
        });
        store.writer().submit(work(number), Class::Durable, done).unwrap();
        pending += 1;
        // Up to 8 at a time, so that commits are grouped.
        while pending >= 8 {
            let number = acknowledged.recv().unwrap();
            writeln!(out, "{number}").unwrap();
            pending -= 1;
        }
    }
}

fn child(dir: &Path, failpoint: Option<&str>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child_of_the_kill_tests", "--nocapture"]).env(CHILD, dir);
    if let Some(failpoint) = failpoint {
        command.env("WERKPILOT_FAILPOINT", failpoint);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it acknowledged until it was gone.
fn acknowledged(child: &mut Child, kill_after: Option<usize>) -> BTreeSet<u64> {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut heard = BTreeSet::new();
    let mut left = kill_after;
    while let Some(Ok(line)) = lines.next() {
        heard.extend(line.parse::<u64>());
        if let Some(count) = &mut left {
            if *count == 0 {
                child.kill().unwrap();
                left = None;
            } else {
                *count -= 1;
            }
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    heard
}

fn examine(dir: &Path, heard: &BTreeSet<u64>) {
    let report = maintenance::check(dir).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let store = open(dir);
    let reader = store.reader().unwrap();
    let newest = reader.newest_letter().unwrap();
    assert!(heard.last().is_none_or(|last| *last <= newest));
    for number in 1..=newest {
        let execution = reader.execution(run(number)).unwrap().expect("no gap");
        assert_eq!(execution.state, ExecutionState::Ended(End::Failed));
        let letter = reader.letter(number).unwrap().expect("no gap");
        assert_eq!((letter.run, letter.state), (run(number), LetterState::Replaying));
    }
    let counts = reader.counts().unwrap();
    assert_eq!((counts.executions, counts.letters, counts.events), (newest, newest, newest));
    assert_eq!((counts.live, counts.triggers), (0, 0));
    close(store);
}

#[test]
fn what_was_acknowledged_is_there_after_each_of_fifty_kills() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let mut child = child(dir.path(), None);
        let heard = acknowledged(&mut child, Some(1 + round * 7 % 40));
        examine(dir.path(), &heard);
    }
}

#[cfg(debug_assertions)]
#[test]
fn at_every_failpoint_a_batch_is_there_whole_or_not_at_all() {
    for name in ["accept", "start", "finish", "dead_letter", "replay"] {
        let dir = tempfile::tempdir().unwrap();
        for (side, count) in [("before", 1), ("after", 1), ("before", 17), ("after", 17)] {
            let mut child = child(dir.path(), Some(&format!("{name}.{side}:{count}")));
            let heard = acknowledged(&mut child, None);
            assert!(count > 1 || heard.is_empty(), "acknowledged before {name}.{side}: {heard:?}");
            examine(dir.path(), &heard);
        }
    }
}

#[test]
fn a_letter_that_was_being_replayed_still_is_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.writer().keep(vec![Change::AddLetter(Box::new(letter(1, "a", "s")))]).unwrap();
    let action = LetterAction::Take(Step::BeginReplay { run: run(2), force: false });
    store.writer().keep(vec![Change::Letter { id: 1, action, at: common::at(9) }, intent(2, "a")]).unwrap();
    store.close(Duration::from_secs(20)).unwrap();
    let store = open(dir.path());
    let reader = store.reader().unwrap();
    let letter = reader.letter_replayed_by(run(2)).unwrap().unwrap();
    assert_eq!((letter.id, letter.state.as_str()), (1, "replaying"));
    assert_eq!(reader.live().unwrap()[0].run, run(2));
}
