//! Damage is found or harmless, never silently wrong; foreign and newer files are refused.

mod common;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use common::{agent, at, close, ended, event, letter, open, trigger};
use rusqlite::Connection;
use werkpilot_core::event::End;
use werkpilot_store::reader::{AuditFilter, EventFilter, HistoryFilter, LetterFilter};
use werkpilot_store::row::agent::AgentState;
use werkpilot_store::{Change, FILE, OpenError, Reader, Store, StoreError, maintenance};

/// Numbers without a pattern (Knuth's MMIX generator), the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn fill(dir: &Path) {
    let store = open(dir);
    for number in 1..=120 {
        let name = ["a", "b", "c"][usize::try_from(number % 3).unwrap()];
        let end = if number % 4 == 0 { End::Failed } else { End::Succeeded };
        let mut changes = vec![
            Change::InsertExecution(Box::new(ended(number, name, end))),
            Change::AddEvent(Box::new(event(number, "execution.queued", Some(name), Some(number)))),
            Change::AddSample { agent: agent(name), duration: std::time::Duration::from_micros(number) },
            Change::PutAgent(Box::new(AgentState::new(agent(name), at(5)))),
        ];
        if number % 3 == 0 {
            changes.push(Change::AddLetter(Box::new(letter(number, name, "signature"))));
            changes.push(Change::AddReport(Box::new(common::report(number))));
            changes.push(Change::PutDecision(Box::new(common::decision(number, name))));
            changes.push(common::audit(number));
            changes.push(Change::PutToken(Box::new(common::token(number))));
            changes.push(Change::PutKey(Box::new(common::key(number))));
            changes.push(Change::AcceptTrigger(Box::new(trigger(1_000 + number, name))));
        }
        store.writer().keep(changes).unwrap();
    }
    close(store);
}

/// All that can be asked, as text.
fn everything(reader: &Reader) -> Result<String, StoreError> {
    use std::fmt::Write;
    let mut text = String::new();
    let names = [None, Some(agent("a")), Some(agent("b")), Some(agent("c"))];
    for agent in names {
        for ends in [vec![], vec![End::Failed]] {
            let filter = HistoryFilter { agent: agent.clone(), ends, limit: 1_000, ..HistoryFilter::default() };
            writeln!(text, "{:?}", reader.history(&filter)?).unwrap();
        }
        let filter = LetterFilter { agent: agent.clone(), limit: 1_000, ..LetterFilter::default() };
        writeln!(text, "{:?}", reader.letters(&filter)?).unwrap();
        let filter = EventFilter { agents: agent.into_iter().collect(), limit: 1_000, ..EventFilter::default() };
        writeln!(text, "{:?}", reader.events(&filter)?).unwrap();
    }
    let topics = vec!["execution.queued".parse().unwrap()];
    let topic = EventFilter { topics, limit: 1_000, ..EventFilter::default() };
    writeln!(text, "{:?} {:?}", reader.events(&topic)?, reader.letter_groups()?).unwrap();
    writeln!(text, "{:?} {:?} {:?}", reader.agents()?, reader.triggers()?, reader.samples()?).unwrap();
    writeln!(text, "{:?} {:?} {:?}", reader.live()?, reader.newest_event()?, reader.newest_letter()?).unwrap();
    writeln!(text, "{:?} {:?}", reader.reports(None, 100)?, reader.decisions()?).unwrap();
    let audit = AuditFilter { limit: 1_000, ..AuditFilter::default() };
    writeln!(text, "{:?} {:?} {:?}", reader.audit(&audit)?, reader.verify_audit()?, reader.tokens()?).unwrap();
    for token in reader.tokens()? {
        writeln!(text, "{:?}", token.hash).unwrap();
    }
    for number in 1..=120 {
        writeln!(text, "{:?}", reader.key(common::key(number).key)?).unwrap();
        writeln!(text, "{:?} {:?}", reader.execution(common::run(number))?, reader.letter(number)?).unwrap();
    }
    Ok(text)
}

fn flip(path: &Path, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], bit / 8).unwrap();
}

/// 250 of the thousand flips.
fn flips(seed: u64) {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let path = dir.path().join(FILE);
    let good = fs::read(&path).unwrap();
    let expected = everything(&Reader::open(dir.path()).unwrap()).unwrap();
    let mut dice = Dice(seed);
    let (mut refused, mut told) = (0, 0);
    for _ in 0..250 {
        let bit = dice.below(good.len() as u64 * 8);
        fs::write(&path, &good).unwrap();
        flip(&path, bit);
        // A tool that does not look at the file first: it gets rows that are right, or an error.
        told += u32::from(Reader::open(dir.path()).and_then(|reader| everything(&reader)).is_err());
        match Store::open(dir.path(), at(0)) {
            Err(OpenError::Lock(error)) => panic!("{error}"),
            Err(_) => refused += 1,
            Ok(store) => {
                let text = everything(&store.reader().unwrap()).unwrap();
                assert!(text == expected, "bit {bit} is silently wrong");
                close(store);
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(dir.path().join(format!("{FILE}{suffix}")));
        }
    }
    println!("250 flips: {refused} refused at the start, {told} told to who only read, the rest harmless");
    assert!(refused > 75, "{refused}");
}

#[test]
fn flipped_bits_are_found_or_harmless_first_quarter() {
    flips(1);
}

#[test]
fn flipped_bits_are_found_or_harmless_second_quarter() {
    flips(2);
}

#[test]
fn flipped_bits_are_found_or_harmless_third_quarter() {
    flips(3);
}

#[test]
fn flipped_bits_are_found_or_harmless_fourth_quarter() {
    flips(4);
}

#[test]
fn a_damaged_file_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    let path = dir.path().join(FILE);
    let text = fs::read(&path).unwrap();
    let place = text.windows(10).position(|bytes| bytes == b"payload 99").unwrap();
    flip(&path, place as u64 * 8);
    let error = Store::open(dir.path(), at(0)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }));
    let said = error.to_string();
    assert!(
        said.contains("dead_letters do not match their checksums") && said.contains("werkpilot state restore"),
        "{said}"
    );
    let report = maintenance::check(dir.path()).unwrap();
    assert_eq!(report.tables.iter().map(|table| table.damaged).sum::<u64>(), 1);
    let error = Reader::open(dir.path()).unwrap().letter(99).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_file_of_a_newer_version_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    close(open(dir.path()));
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = Store::open(dir.path(), at(0)).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, known: 3, .. }), "{error}");
    assert!(error.to_string().contains("install the version that wrote it"), "{error}");
    assert!(maintenance::check(dir.path()).is_err());
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").unwrap();
    drop(conn);
    let before = fs::read(&path).unwrap();
    let error = Store::open(dir.path(), at(0)).unwrap_err();
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(&path, "no database at all, but long enough to look like one, if one does not look closely. ".repeat(20))
        .unwrap();
    let error = Store::open(dir.path(), at(0)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_migration_that_was_cut_half_way_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    let sql = include_str!("../src/migrations/0001_first.sql");
    let half = sql.find("CREATE TABLE events").unwrap();
    conn.execute_batch("BEGIN").unwrap();
    conn.execute_batch(&sql[..half]).unwrap();
    conn.cache_flush().unwrap();
    // What is on disk at this moment is what a crash leaves behind.
    let crashed = tempfile::tempdir().unwrap();
    for suffix in ["", "-wal"] {
        fs::copy(dir.path().join(format!("{FILE}{suffix}")), crashed.path().join(format!("{FILE}{suffix}"))).unwrap();
    }
    drop(conn);
    let store = open(crashed.path());
    store.writer().keep(vec![common::intent(1, "a")]).unwrap();
    close(store);
    assert!(maintenance::check(crashed.path()).unwrap().problems.is_empty());
}

#[test]
fn a_batch_that_meets_a_damaged_row_takes_no_other_one_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.writer().keep(vec![common::intent(1, "a"), common::intent(2, "a")]).unwrap();
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute("UPDATE executions SET attempt = 9 WHERE id = 1", []).unwrap();
    let answers: Vec<_> = [1, 2, 1]
        .map(|number| {
            let (done, answer) = common::told();
            let batch =
                vec![Change::AddEvent(Box::new(event(number, "t", None, None))), common::end(number, End::Failed)];
            store.writer().submit(batch, werkpilot_store::Class::Lazy, done).unwrap();
            answer
        })
        .into();
    let (done, fourth) = common::told();
    let alone = vec![common::end(1, End::Failed), Change::AddEvent(Box::new(event(4, "t", None, None)))];
    store.writer().submit(alone, werkpilot_store::Class::Lazy, done).unwrap();
    store.writer().flush().unwrap();
    let kept: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap().is_ok()).collect();
    assert_eq!(kept, [false, true, false]);
    assert!(matches!(fourth.recv().unwrap(), Err(StoreError::Damaged { .. })));
    let found = store.reader().unwrap().events(&EventFilter { limit: 9, ..EventFilter::default() }).unwrap();
    assert_eq!(found.rows.iter().map(|event| event.seq).collect::<Vec<_>>(), [2]);
    assert_eq!(store.writer().health(), werkpilot_store::Health::Healthy);
}
