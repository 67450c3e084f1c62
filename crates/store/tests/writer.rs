//! Group commit, lag, a bad disk, a dead writer.

mod common;

use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{close, end, event, intent, letter, open, run, told, wait_for};
use werkpilot_core::event::End;
use werkpilot_store::writer::Cause;
use werkpilot_store::{Change, Class, Health, OpenError, Store, StoreError};

#[test]
fn many_durable_batches_share_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (sender, answers) = mpsc::channel();
    for number in 0..2_000 {
        let sender = sender.clone();
        let done = Box::new(move |result: Result<(), StoreError>| sender.send((number, result.is_ok())).unwrap());
        store.writer().submit(vec![intent(number, "a")], Class::Durable, done).unwrap();
    }
    let heard: Vec<_> = answers.iter().take(2_000).collect();
    assert!(heard.iter().all(|(_, kept)| *kept));
    assert!(heard.is_sorted(), "in the order in which they were handed in");
    let stats = store.writer().stats();
    assert_eq!((stats.batches, stats.changes), (2_000, 2_000));
    assert!(stats.commits < 500, "{} commits", stats.commits);
    assert_eq!(store.reader().unwrap().counts().unwrap().executions, 2_000);
}

#[test]
fn a_lazy_batch_waits_for_company_and_not_long() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let begun = Instant::now();
    let (done, answer) = told();
    store.writer().submit(vec![intent(1, "a")], Class::Lazy, done).unwrap();
    answer.recv().unwrap().unwrap();
    let lag = begun.elapsed();
    assert!(lag > Duration::from_millis(30), "it did not wait for company: {lag:?}");
    assert!(lag < Duration::from_secs(1), "{lag:?}");
    // A durable one takes it along.
    let (done, answer) = told();
    store.writer().submit(vec![intent(2, "a")], Class::Lazy, done).unwrap();
    store.writer().keep(vec![intent(3, "a")]).unwrap();
    answer.try_recv().unwrap().unwrap();
}

#[test]
fn a_conflict_takes_back_its_own_batch_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let answers: Vec<_> = [vec![intent(1, "a")], vec![intent(2, "b"), end(9, End::Lost)], vec![end(1, End::Failed)]]
        .into_iter()
        .map(|batch| {
            let (done, answer) = told();
            store.writer().submit(batch, Class::Lazy, done).unwrap();
            answer
        })
        .collect();
    store.writer().flush().unwrap();
    let kept: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap().is_ok()).collect();
    assert_eq!(kept, [true, false, true]);
    assert_eq!(store.reader().unwrap().execution(run(2)).unwrap(), None);
}

#[test]
fn a_full_disk_refuses_what_must_be_kept_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = store.writer();
    writer.keep(vec![intent(1, "a")]).unwrap();
    writer.limit_pages(1).unwrap();
    let big = |id| {
        let mut row = letter(id, "a", "s");
        row.payload = Some(vec![7; 100_000]);
        Change::AddLetter(Box::new(row))
    };
    let refused = writer.keep(vec![big(1)]);
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    let Health::Degraded { reason, .. } = writer.health() else { panic!("not degraded") };
    assert!(reason.contains("full"), "{reason}");
    // What may lag waits, and is there once space is back.
    let (done, answer) = told();
    writer.submit(vec![big(2)], Class::Lazy, done).unwrap();
    writer.limit_pages(0).unwrap();
    answer.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    wait_for("health", || writer.health() == Health::Healthy);
    writer.keep(vec![big(3)]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.counts().unwrap().letters, 2);
    assert_eq!(reader.letter(1).unwrap(), None, "what was refused is not there");
    assert_eq!(writer.stats().refused, 1);
}

#[test]
fn what_waits_for_the_disk_is_bounded_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = store.writer();
    writer.keep(vec![intent(1, "a")]).unwrap();
    writer.limit_pages(1).unwrap();
    let mut row = letter(1, "a", "s");
    row.payload = Some(vec![7; 100_000]);
    let block = || Change::AddLetter(Box::new(row.clone()));
    assert!(writer.keep(vec![block()]).is_err());
    let (sender, answers) = mpsc::channel();
    for number in 2..22_002 {
        let sender = sender.clone();
        let mut done: werkpilot_store::Done =
            Box::new(move |result: Result<(), StoreError>| sender.send((number, result.is_ok())).unwrap_or_default());
        let mut batch = vec![Change::AddEvent(Box::new(event(number, "t", None, None)))];
        if number == 2 {
            // The next try fails on it.
            batch.push(block());
        }
        while let Err(back) = writer.submit(batch, Class::Lazy, done) {
            assert_eq!(back.cause, Cause::Full);
            (batch, done) = (back.batch, back.done);
            std::thread::yield_now();
        }
    }
    wait_for("dropping", || writer.stats().dropped + writer.stats().batches >= 2_000);
    writer.limit_pages(0).unwrap();
    drop(sender);
    let heard: Vec<_> = answers.iter().take(22_000).collect();
    let dropped = heard.iter().filter(|(_, kept)| !kept).count() as u64;
    wait_for("health", || writer.health() == Health::Healthy);
    assert_eq!(dropped, writer.stats().dropped + writer.stats().conflicts);
    assert!(heard.last().unwrap().1, "the newest ones stay");
}

#[test]
fn a_dead_writer_says_so_and_another_one_takes_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    let old = store.writer().clone();
    old.keep(vec![intent(1, "a")]).unwrap();
    let (done, answer) = told();
    old.submit(vec![intent(2, "a")], Class::Lazy, done).unwrap();
    old.crash().unwrap();
    assert!(matches!(answer.recv().unwrap(), Err(StoreError::WriterGone)));
    wait_for("the end of the old one", || old.tidy() == Err(Cause::Gone));
    store.restart_writer().unwrap().keep(vec![intent(3, "a")]).unwrap();
    let reader = store.reader().unwrap();
    let there: Vec<_> = [1, 2, 3].map(|number| reader.execution(run(number)).unwrap().is_some()).into();
    assert_eq!(there, [true, false, true]);
    close(store);
}

const CHILD: &str = "WERKPILOT_TEST_FSIZE";

/// Run as a child: writes until the file size limit stops it, then has the limit lifted.
#[test]
fn child_of_the_file_size_test() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let store = open(dir.as_ref());
    let before = getrlimit(Resource::Fsize);
    let limit = rustix::process::Rlimit { current: Some(600_000), maximum: before.maximum };
    setrlimit(Resource::Fsize, limit).unwrap();
    let mut kept = Vec::new();
    let refused = (1..10_000).find(|id| {
        let result = store.writer().keep(vec![Change::AddLetter(Box::new(letter(*id, "a", "s")))]);
        if result.is_ok() {
            kept.push(*id);
        }
        result.is_err()
    });
    let refused = refused.expect("the limit was never reached");
    assert!(matches!(store.writer().health(), Health::Degraded { .. }));
    setrlimit(Resource::Fsize, before).unwrap();
    wait_for("health", || store.writer().health() == Health::Healthy);
    store.writer().keep(vec![Change::AddLetter(Box::new(letter(refused, "a", "s")))]).unwrap();
    let reader = store.reader().unwrap();
    assert!(kept.iter().all(|id| reader.letter(*id).unwrap().is_some()));
    assert_eq!(reader.counts().unwrap().letters, kept.len() as u64 + 1);
    close(store);
}

#[test]
fn a_write_that_the_kernel_refuses_is_never_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // SIGXFSZ is ignored by the shell, and so by the child: the write fails with EFBIG instead.
    let status = Command::new("/bin/sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact child_of_the_file_size_test"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, dir.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn the_second_store_on_a_folder_is_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let begun = Instant::now();
    let error = Store::open(dir.path(), common::at(1)).unwrap_err();
    assert!(matches!(error, OpenError::Lock(_)));
    assert!(error.to_string().contains(&format!("(pid {}, since 2026-01-01T00:00:00.000Z)", std::process::id())));
    assert!(begun.elapsed() < Duration::from_secs(1));
    close(store);
    close(open(dir.path()));
}
