//! Digests by name, slot and time, and scores by day: asked for by ranges, forgotten by name.

mod common;

use common::{agent, close, open};
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::figures::{DigestRow, ScoreRow};
use werkpilot_store::{Change, Json};

fn digest(name: &str, slot: &str, at: i64) -> DigestRow {
    DigestRow { name: name.to_owned(), slot: slot.to_owned(), slot_at: Timestamp::from_millis(at), data: vec![7] }
}

fn put(row: &DigestRow) -> Change {
    Change::PutDigest(Box::new(row.clone()))
}

#[test]
fn digests_are_found_by_name_slot_and_time_and_forgotten_by_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let rows = [
        digest("duration:a", "hour", 0),
        digest("duration:a", "minute", 1_000),
        digest("duration:a", "minute", 2_000),
        digest("duration:a", "minute", 3_000),
        digest("duration:b", "minute", 2_500),
        digest("waiting", "minute", 500),
    ];
    store.writer().keep(rows.iter().rev().map(put).collect()).unwrap();
    let reader = store.reader().unwrap();
    let minutes = |since, until| {
        let (since, until) = (Timestamp::from_millis(since), Timestamp::from_millis(until));
        reader.digests("duration:a", "minute", since, until).unwrap()
    };
    assert_eq!(minutes(1_000, 3_000), rows[1..3]);
    assert_eq!(minutes(0, i64::MAX), rows[1..4]);
    assert_eq!(minutes(3_001, i64::MAX), []);
    let newest = [&rows[0], &rows[3], &rows[4], &rows[5]].map(Clone::clone);
    assert_eq!(reader.newest_digests().unwrap(), newest);
    assert_eq!(reader.digest_names().unwrap(), ["duration:a", "duration:b", "waiting"]);
    let drop = |name: &str, before| Change::DropDigests {
        name: name.to_owned(),
        slot: "minute".to_owned(),
        before: Timestamp::from_millis(before),
    };
    store.writer().keep(vec![drop("duration:a", 3_000), drop("duration:b", 9_000), drop("nobody", 9_000)]).unwrap();
    assert_eq!(minutes(0, i64::MAX), rows[3..4]);
    assert_eq!(reader.digest_names().unwrap(), ["duration:a", "waiting"]);
    close(store);
}

#[test]
fn scores_are_kept_by_day_and_forgotten_by_agent() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let parts = Json::of(&serde_json::json!({ "success": 0.5 }));
    let graded = |name: &str, day| ScoreRow { agent: agent(name), day, score: Some(50.0), parts: parts.clone() };
    let rows = [graded("a", 10), graded("a", 11), graded("b", 10)];
    store.writer().keep(rows.iter().map(|row| Change::PutScore(Box::new(row.clone()))).collect()).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.scores_of(&agent("a"), 0).unwrap(), rows[..2]);
    assert_eq!(reader.scores_of(&agent("a"), 11).unwrap(), rows[1..2]);
    assert_eq!(reader.scores_of(&agent("nobody"), 0).unwrap(), []);
    let drop = |name: &str| Change::DropScores { agent: agent(name), before_day: 11 };
    store.writer().keep(vec![drop("a"), drop("nobody")]).unwrap();
    assert_eq!(reader.scores_of(&agent("a"), 0).unwrap(), rows[1..2]);
    assert_eq!(reader.scores(0).unwrap().len(), 2);
    close(store);
}
