//! Retention, backup, restore, vacuum, and files of old versions.

mod common;

use std::fs;
use std::path::Path;
use std::sync::mpsc;

use common::{agent, at, audit, close, decision, ended, entry, event, intent, key, letter, open, report, run, token};
use werkpilot_core::dead_letters::Step;
use werkpilot_core::event::End;
use werkpilot_core::optimizer::Decision;
use werkpilot_store::maintenance::{self, MaintenanceError};
use werkpilot_store::reader::{AuditFilter, HistoryFilter};
use werkpilot_store::{Change, FILE, LetterAction, LockError, Pruned, Reader, Retention, Store};

fn fill(store: &Store, numbers: std::ops::RangeInclusive<u64>) {
    let rows = numbers.flat_map(|number| {
        let name = ["a", "b"][usize::try_from(number % 2).unwrap()];
        [
            Change::InsertExecution(Box::new(ended(number, name, End::Succeeded))),
            Change::AddEvent(Box::new(event(number, "execution.succeeded", Some(name), Some(number)))),
            Change::AddLetter(Box::new(letter(number, name, "s"))),
        ]
    });
    store.writer().keep(rows.collect()).unwrap();
}

fn prune(store: &Store, retention: &Retention) -> Vec<Pruned> {
    let mut steps = Vec::new();
    loop {
        let (sender, answer) = mpsc::channel();
        store.writer().prune(retention.clone(), Box::new(move |result| sender.send(result).unwrap())).unwrap();
        let step = answer.recv().unwrap().unwrap();
        let more = step.more;
        steps.push(step);
        if !more {
            return steps;
        }
    }
}

#[test]
fn retention_goes_by_age_and_count_in_small_steps() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=2_000);
    store.writer().keep(vec![intent(5_000, "a")]).unwrap();
    let begin = LetterAction::Take(Step::BeginReplay { run: run(6_000), force: false });
    store.writer().keep(vec![Change::Letter { id: 1, action: begin, at: at(0) }]).unwrap();
    let retention = Retention {
        executions_before: Some(at(205)),
        executions_per_agent: Some(300),
        events_before: Some(at(101)),
        events: Some(700),
        letters_before: Some(at(51)),
        letters: Some(100),
        ..Retention::default()
    };
    let steps = prune(&store, &retention);
    assert!(steps.iter().all(|step| step.executions <= 500 && step.events <= 500 && step.letters.len() <= 1_000));
    assert_eq!(steps.iter().map(|step| step.executions).sum::<u64>(), 1_400);
    assert_eq!(steps.iter().map(|step| step.events).sum::<u64>(), 1_300);
    let evicted: Vec<u64> = steps.iter().flat_map(|step| &step.letters).map(|letter| letter.id).collect();
    assert_eq!(evicted, (2..=1_901).collect::<Vec<_>>(), "the one being replayed stays, and each is told");
    let reader = store.reader().unwrap();
    let counts = reader.counts().unwrap();
    assert_eq!((counts.executions, counts.live, counts.events, counts.letters), (601, 1, 700, 100));
    assert_eq!(reader.evicted_letters().unwrap(), 1_900);
    let filter = HistoryFilter { agent: Some(agent("a")), limit: 1_000, ..HistoryFilter::default() };
    let kept = reader.history(&filter).unwrap().rows;
    assert_eq!((kept.len(), kept[0].run, kept[299].run), (300, run(2_000), run(1_402)), "the newest ones stay");
    store.writer().tidy().unwrap();
    store.writer().flush().unwrap();
    close(store);
    assert!(maintenance::check(dir.path()).unwrap().problems.is_empty());
}

#[test]
fn a_hundred_thousand_letters_go_through_a_capacity_of_a_hundred() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for batch in 0..100 {
        let adds = (batch * 1_000 + 1..=batch * 1_000 + 1_000).flat_map(|id| {
            let evict = |id| Change::Letter { id, action: LetterAction::Evict, at: at(0) };
            let add = Change::AddLetter(Box::new(letter(id, "a", "s")));
            [Some(add), (id > 100).then(|| evict(id - 100))].into_iter().flatten()
        });
        store.writer().keep(adds.collect()).unwrap();
    }
    let reader = store.reader().unwrap();
    assert_eq!((reader.counts().unwrap().letters, reader.evicted_letters().unwrap()), (100, 99_900));
    assert!(reader.letter(99_900).unwrap().is_none() && reader.letter(99_901).unwrap().is_some());
}

#[test]
fn a_backup_is_made_while_it_runs_and_brings_back_what_was() {
    let dir = tempfile::tempdir().unwrap();
    let backup = dir.path().join("backup.db");
    let state = dir.path().join("state");
    let store = open(&state);
    fill(&store, 1..=10);
    let report = maintenance::backup(&state, &backup).unwrap();
    assert!(report.tables.iter().any(|table| table.table == "executions" && table.rows == 10));
    assert!(matches!(maintenance::backup(&state, &backup), Err(MaintenanceError::Exists { .. })));
    fill(&store, 11..=20);
    let running = maintenance::restore(&state, &backup, at(1)).unwrap_err();
    assert!(matches!(running, MaintenanceError::Lock(LockError::Locked { .. })), "{running}");
    assert!(matches!(maintenance::vacuum(&state, at(1)), Err(MaintenanceError::Lock(_))));
    close(store);

    let old = maintenance::restore(&state, &backup, at(7)).unwrap().unwrap();
    let store = open(&state);
    assert_eq!(store.reader().unwrap().counts().unwrap().executions, 10);
    close(store);
    let aside = tempfile::tempdir().unwrap();
    fs::rename(old, aside.path().join(FILE)).unwrap();
    assert_eq!(Reader::open(aside.path()).unwrap().counts().unwrap().executions, 20, "the old one is kept");
}

#[test]
fn a_damaged_backup_is_not_put_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=10);
    let backup = dir.path().join("backup.db");
    maintenance::backup(dir.path(), &backup).unwrap();
    close(store);
    let mut bytes = fs::read(&backup).unwrap();
    let place = bytes.windows(9).position(|bytes| bytes == b"payload 7").unwrap();
    bytes[place] ^= 1;
    fs::write(&backup, bytes).unwrap();
    let error = maintenance::restore(dir.path(), &backup, at(1)).unwrap_err();
    assert!(matches!(error, MaintenanceError::Damaged { .. }), "{error}");
    let store = open(dir.path());
    assert_eq!(store.reader().unwrap().counts().unwrap().letters, 10);
}

#[test]
fn a_vacuum_gives_space_back_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=2_000);
    prune(
        &store,
        &Retention { executions_per_agent: Some(5), letters: Some(5), events: Some(5), ..Retention::default() },
    );
    close(store);
    let vacuumed = maintenance::vacuum(dir.path(), at(1)).unwrap();
    assert!(vacuumed.bytes_after * 5 < vacuumed.bytes_before, "{vacuumed:?}");
    assert_eq!(open(dir.path()).reader().unwrap().counts().unwrap().executions, 10);
}

/// Files that released versions wrote. Each must load for ever; made by `make_the_fixture`.
#[test]
fn the_file_of_the_first_schema_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1.db");
    fs::copy(fixture, dir.path().join(FILE)).unwrap();
    let store = open(dir.path());
    let reader = store.reader().unwrap();
    assert_eq!(reader.execution(run(4)).unwrap().unwrap(), ended(4, "a", End::Succeeded));
    assert_eq!(reader.letter(5).unwrap().unwrap(), letter(5, "b", "s"));
    assert_eq!(reader.last_events(1).unwrap(), [event(5, "execution.succeeded", Some("b"), Some(5))]);
    fill(&store, 6..=7);
    close(store);
}

#[test]
fn the_file_of_the_second_schema_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-2.db");
    fs::copy(fixture, dir.path().join(FILE)).unwrap();
    let store = open(dir.path());
    let reader = store.reader().unwrap();
    assert_eq!(reader.execution(run(4)).unwrap().unwrap(), ended(4, "a", End::Succeeded));
    assert_eq!(reader.reports(None, 10).unwrap(), [report(2), report(1)]);
    assert_eq!(reader.report(1).unwrap().unwrap(), report(1));
    assert_eq!(reader.decisions().unwrap(), [decision(1, "a"), decision(2, "b")]);
    let decisions = reader.decisions().unwrap();
    assert_eq!(decisions[0].data.read::<Decision>().unwrap().agent, agent("a"));
    store.writer().keep(vec![Change::AddReport(Box::new(report(3)))]).unwrap();
    close(store);
}

#[test]
fn the_file_of_the_third_schema_still_loads() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-3.db");
    fs::copy(fixture, dir.path().join(FILE)).unwrap();
    let store = open(dir.path());
    let reader = store.reader().unwrap();
    assert_eq!(reader.decisions().unwrap().len(), 2);
    assert_eq!(reader.tokens().unwrap(), [token(1), token(2)]);
    assert_eq!([1, 2].map(|number| reader.key(key(number).key).unwrap()), [1, 2].map(|number| Some(key(number))));
    store.writer().keep(vec![audit(4)]).unwrap();
    let page = reader.audit(&AuditFilter { limit: 10, ..AuditFilter::default() }).unwrap();
    assert!(page.entries.iter().map(|sealed| &sealed.entry).eq([4, 3, 2, 1].map(entry).iter()));
    assert_eq!((reader.verify_audit().unwrap().broken, page.broken), (None, None), "the chain goes on");
    close(store);
}

#[test]
fn a_backup_of_the_first_schema_is_checked_read_and_put_back() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1.db");
    let dir = tempfile::tempdir().unwrap();
    fs::copy(&fixture, dir.path().join(FILE)).unwrap();
    let report = maintenance::check(dir.path()).unwrap();
    assert_eq!((report.schema, report.problems.as_slice(), report.tables.len()), (1, &[][..], 11));
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!((reader.reports(None, 10).unwrap(), reader.decisions().unwrap()), (vec![], vec![]));
    assert_eq!(reader.report(1).unwrap(), None);
    assert_eq!((reader.tokens().unwrap(), reader.key(key(1).key).unwrap()), (vec![], None));
    assert_eq!(reader.audit(&AuditFilter::default()).unwrap().entries, []);
    let state = tempfile::tempdir().unwrap();
    maintenance::restore(state.path(), &fixture, at(7)).unwrap();
    close(open(state.path()));
    let report = maintenance::check(state.path()).unwrap();
    assert_eq!((report.schema, report.problems.as_slice(), report.tables.len()), (3, &[][..], 17));
}

#[test]
fn a_database_that_is_counted_anew_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=500);
    let mut table = 0;
    loop {
        let (sender, answer) = mpsc::channel();
        store.writer().analyze(table, Box::new(move |more| sender.send(more).unwrap())).unwrap();
        if !answer.recv().unwrap().unwrap() {
            break;
        }
        table += 1;
    }
    assert_eq!(table, 3);
    assert_eq!(
        store.reader().unwrap().history(&HistoryFilter { limit: 5, ..HistoryFilter::default() }).unwrap().rows.len(),
        5
    );
    let (bytes, free) = store.reader().unwrap().size().unwrap();
    assert!(bytes > 100_000 && free < bytes, "{bytes} {free}");
    close(store);
    assert!(maintenance::check(dir.path()).unwrap().problems.is_empty());
    close(open(dir.path()));
}

/// Writes the fixture of the newest schema where `WERKPILOT_TEST_FIXTURE` says. Only once per schema.
#[test]
fn make_the_fixture() {
    let Some(to) = std::env::var_os("WERKPILOT_TEST_FIXTURE") else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    fill(&store, 1..=5);
    let reports = [report(1), report(2)].map(|row| Change::AddReport(Box::new(row)));
    let decisions = [decision(1, "a"), decision(2, "b")].map(|row| Change::PutDecision(Box::new(row)));
    store.writer().keep(reports.into_iter().chain(decisions).collect()).unwrap();
    let tokens = [1, 2].map(|number| Change::PutToken(Box::new(token(number))));
    let keys = [1, 2].map(|number| Change::PutKey(Box::new(key(number))));
    let entries = [1, 2, 3].map(audit);
    store.writer().keep(tokens.into_iter().chain(keys).chain(entries).collect()).unwrap();
    maintenance::backup(dir.path(), Path::new(&to)).unwrap();
    close(store);
}
