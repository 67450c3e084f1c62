//! Tokens, keys of requests, and the audit log with its chain.

mod common;

use std::sync::mpsc;

use common::{at, audit, close, entry, key, open, token};
use rusqlite::Connection;
use werkpilot_core::audit::Broken;
use werkpilot_core::idempotency::{self, Remembered};
use werkpilot_store::reader::AuditFilter;
use werkpilot_store::row::idempotency::KeyRow;
use werkpilot_store::row::token::TokenRow;
use werkpilot_store::{Change, FILE, Reader, Retention, Store, maintenance};

fn all() -> AuditFilter {
    AuditFilter { limit: 1_000, ..AuditFilter::default() }
}

fn filled(store: &Store, entries: std::ops::RangeInclusive<u64>) {
    store.writer().keep(entries.map(audit).collect()).unwrap();
}

fn ids(reader: &Reader, filter: &AuditFilter) -> Vec<u64> {
    reader.audit(filter).unwrap().entries.iter().map(|sealed| sealed.id).collect()
}

#[test]
fn entries_are_chained_in_the_order_in_which_they_are_written_and_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    filled(&store, 1..=10);
    close(store);
    let store = open(dir.path());
    filled(&store, 11..=20);
    let refused = vec![
        audit(99),
        Change::EndExecution(Box::new(werkpilot_store::ExecutionEnd::new(
            common::run(1),
            at(1),
            werkpilot_core::event::End::Failed,
        ))),
    ];
    store.writer().keep(refused).unwrap_err();
    filled(&store, 21..=21);
    let reader = store.reader().unwrap();
    let page = reader.audit(&all()).unwrap();
    assert!(page.entries.iter().map(|sealed| sealed.id).eq((1..=21).rev()));
    assert!(page.entries.iter().map(|sealed| &sealed.entry).eq((1..=21).rev().map(entry).collect::<Vec<_>>().iter()));
    assert_eq!((page.next, page.broken, page.head), (None, None, page.entries[0].link()));
    let report = reader.verify_audit().unwrap();
    assert_eq!((report.entries, report.broken, report.head), (21, None, page.head));
}

#[test]
fn entries_are_found_by_who_what_and_when_page_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    filled(&store, 1..=40);
    let reader = store.reader().unwrap();
    let who = |who: &str| AuditFilter { who: Some(who.to_owned()), ..all() };
    assert!(ids(&reader, &who("bob")).into_iter().eq((1..=40).rev().filter(|id| id % 2 == 1)));
    assert!(ids(&reader, &who("bo")).is_empty());
    let action = |text: &str| AuditFilter { action: Some(text.to_owned()), ..all() };
    assert_eq!(ids(&reader, &action("AGENT-17")), [17]);
    assert_eq!(ids(&reader, &action("/stop")).len(), 40);
    assert_eq!(ids(&reader, &action("Stopped an agent")).len(), 40);
    let times = AuditFilter { since: Some(at(5)), until: Some(at(8)), ..all() };
    assert_eq!(ids(&reader, &times), [7, 6, 5]);
    let mut page = AuditFilter { limit: 7, ..who("ada") };
    let mut seen = Vec::new();
    loop {
        let found = reader.audit(&page).unwrap();
        assert_eq!(found.broken, None);
        seen.extend(found.entries.iter().map(|sealed| sealed.id));
        page.before = found.next;
        if page.before.is_none() {
            break;
        }
    }
    assert!(seen.into_iter().eq((1..=40).rev().filter(|id| id % 2 == 0)));
}

#[test]
fn the_oldest_entries_give_way_by_age_and_count_and_the_rest_still_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    filled(&store, 1..=1_300);
    let prune = |retention: &Retention| {
        let (sender, answer) = mpsc::channel();
        store.writer().prune(retention.clone(), Box::new(move |result| sender.send(result).unwrap())).unwrap();
        answer.recv().unwrap().unwrap()
    };
    let by_age = Retention { audit_before: Some(at(101)), ..Retention::default() };
    assert_eq!((prune(&by_age).audit, prune(&by_age).audit), (100, 0));
    let by_count = Retention { audit: Some(50), ..Retention::default() };
    let steps = [prune(&by_count), prune(&by_count), prune(&by_count)];
    assert_eq!(steps.map(|step| (step.audit, step.more)), [(500, true), (500, true), (150, false)]);
    let reader = store.reader().unwrap();
    let report = reader.verify_audit().unwrap();
    assert_eq!((report.entries, report.anchor.id, report.head.id, report.broken), (50, 1_250, 1_300, None));
    let all_gone = Retention { audit_before: Some(at(5_000)), ..Retention::default() };
    assert_eq!(prune(&all_gone).audit, 50);
    assert_eq!(reader.audit(&all()).unwrap().broken, None, "nothing is left, and nothing is missing");
    filled(&store, 7..=7);
    assert_eq!(ids(&reader, &all()), [1_301], "the chain goes on where it was");
    assert_eq!(reader.verify_audit().unwrap().broken, None);
    close(store);
    assert!(maintenance::check(dir.path()).unwrap().problems.is_empty());
}

#[test]
fn what_another_program_does_to_the_log_is_found() {
    let cases: [(&str, Broken); 4] = [
        ("DELETE FROM audit WHERE id = 4", Broken::Missing { expected: 4, found: 5 }),
        ("DELETE FROM audit WHERE id > 8", Broken::Cut { last: 8, head: 10 }),
        ("DELETE FROM audit WHERE id < 3", Broken::Missing { expected: 1, found: 3 }),
        ("DELETE FROM audit", Broken::Cut { last: 0, head: 10 }),
    ];
    for (sql, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        filled(&store, 1..=10);
        close(store);
        let conn = Connection::open(dir.path().join(FILE)).unwrap();
        conn.execute_batch(sql).unwrap();
        drop(conn);
        let report = maintenance::check(dir.path()).unwrap();
        assert_eq!(report.problems, [expected.to_string()], "{sql}");
        let store = open(dir.path());
        let page = store.reader().unwrap().audit(&all()).unwrap();
        assert_eq!(page.broken, Some(expected), "{sql}: who reads the log is told, and the fleet starts");
        close(store);
    }
}

#[test]
fn a_changed_entry_with_a_right_checksum_is_found_by_its_hash() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    filled(&store, 1..=10);
    close(store);
    // The entry of another chain, checksum and all, in the place of this one's.
    let other = tempfile::tempdir().unwrap();
    let store = open(other.path());
    filled(&store, 101..=110);
    close(store);
    let conn = Connection::open(dir.path().join(FILE)).unwrap();
    conn.execute("ATTACH ?1 AS other", [other.path().join(FILE).to_string_lossy()]).unwrap();
    conn.execute_batch("DELETE FROM audit WHERE id = 6; INSERT INTO audit SELECT * FROM other.audit WHERE id = 6")
        .unwrap();
    drop(conn);
    let report = maintenance::check(dir.path()).unwrap();
    assert_eq!(report.problems, [Broken::NotLinked { id: 6 }.to_string()]);
}

#[test]
fn a_token_is_replaced_whole_and_revoked_ones_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = |row: TokenRow| Change::PutToken(Box::new(row));
    store.writer().keep(vec![put(token(1)), put(token(2))]).unwrap();
    let revoked = TokenRow { revoked_at: Some(at(9)), ..token(1) };
    store.writer().keep(vec![put(revoked.clone())]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.tokens().unwrap(), [revoked, token(2)]);
    assert!(!format!("{:?}", token(1)).contains("hash"));
    let many = |number: u64| TokenRow { revoked_at: Some(at(i64::try_from(number).unwrap() + 100)), ..token(number) };
    store.writer().keep((10..1_110).map(|number| put(many(number))).collect()).unwrap();
    let kept = reader.tokens().unwrap();
    assert_eq!((kept.len(), kept[0].clone(), kept[1].clone()), (1_001, token(2), many(110)));
}

#[test]
fn keys_are_remembered_and_forgotten_by_age_and_count() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = |row: KeyRow| Change::PutKey(Box::new(row));
    store.writer().keep(vec![put(key(1)), put(key(2)), put(key(3))]).unwrap();
    let reader = store.reader().unwrap();
    let known = |number: u64| reader.key(key(number).key).unwrap();
    let answered =
        KeyRow { remembered: Remembered { answer: key(2).remembered.answer, ..key(1).remembered }, ..key(1) };
    store.writer().keep(vec![put(answered.clone()), Change::DropKey(key(3).key)]).unwrap();
    assert_eq!((known(1), known(2), known(3)), (Some(answered), Some(key(2)), None));
    let day = i64::try_from(idempotency::KEEP.as_millis()).unwrap();
    let late = KeyRow { remembered: Remembered { at: at(day + 1), ..key(4).remembered }, ..key(4) };
    store.writer().keep(vec![put(late)]).unwrap();
    assert_eq!((known(1), known(2).is_some()), (None, true));
    store.writer().keep((10..10 + idempotency::KEYS).map(|number| put(key(number))).collect()).unwrap();
    assert_eq!((known(2), known(4), known(10).is_some()), (None, None, true));
}

#[test]
fn a_run_is_known_from_its_trigger_until_its_history_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let reader = store.reader().unwrap();
    let known = || reader.knows_run(common::run(1)).unwrap();
    assert!(!known());
    store.writer().keep(vec![Change::AcceptTrigger(Box::new(common::trigger(1, "a")))]).unwrap();
    assert!(known());
    store.writer().keep(vec![common::intent(1, "a")]).unwrap();
    store.writer().keep(vec![common::end(1, werkpilot_core::event::End::Failed)]).unwrap();
    assert!(known());
}
