//! Tests of letters, ring, standing; those of plans are in `plan`.

mod plan;
mod standing;

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::signal::Signal;
use crate::status::Status;
use crate::time::Timestamp;
use crate::trigger::Trigger;

fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

fn draft(agent: &str, error: &str, secs: i64) -> DeadLetterDraft {
    DeadLetterDraft::new(
        name(agent),
        RunId::from_parts(1_700_000_000_000, 17),
        error.to_owned(),
        Timestamp::from_secs(secs),
        "sales".to_owned(),
        Some("*/5 * * * *".to_owned()),
        Trigger::Schedule,
        vec![(name("agent-db"), Status::Running)],
    )
}

fn full_draft() -> DeadLetterDraft {
    let attempt = |attempt, exit| Attempt {
        attempt,
        started_at: Timestamp::from_secs(1_700_000_000),
        duration: Duration::from_micros(1_500),
        exit,
    };
    let mut draft = draft("agent-sales", "all 2 attempts failed, the last one exited with code 3", 1_700_000_001);
    draft.last_health_check = Some(Timestamp::from_secs(1_700_000_000));
    draft.payload = Some(Arc::from(&b"{\"order\":17}"[..]));
    draft.exit = Some(Exit::Code(3));
    draft.attempts = vec![attempt(1, Exit::Signal(Signal::KILL)), attempt(2, Exit::Code(3))];
    draft.log_tail = vec!["no stock".to_owned()];
    draft.memory = Some(4_096);
    draft
}

#[test]
fn a_letter_has_the_predecessors_names() {
    let mut ring = DeadLetterRing::new(10);
    let (id, evicted) = ring.add(full_draft());
    assert_eq!((id, evicted), (1, None));
    let expected = json!({
        "id": 1,
        "agentName": "agent-sales",
        "runId": "018bcfe5-6800-7000-8000-000000000011",
        "error": "all 2 attempts failed, the last one exited with code 3",
        "signature": "all <n> attempts failed, the last one exited with code <n>",
        "timestamp": "2023-11-14T22:13:21.000Z",
        "restartCount": 2,
        "payloadBytes": 12,
        "state": "open",
        "replays": 0,
        "kills": 0,
        "updatedAt": "2023-11-14T22:13:21.000Z",
        "executionData": {
            "department": "sales",
            "schedule": "*/5 * * * *",
            "lastHealthCheck": "2023-11-14T22:13:20.000Z",
            "trigger": { "kind": "schedule" },
            "payload": "{\"order\":17}",
            "exit": { "kind": "code", "value": 3 },
            "attempts": [
                { "attempt": 1, "startedAt": "2023-11-14T22:13:20.000Z", "durationMs": 1.5,
                  "exit": { "kind": "signal", "value": "SIGKILL" } },
                { "attempt": 2, "startedAt": "2023-11-14T22:13:20.000Z", "durationMs": 1.5,
                  "exit": { "kind": "code", "value": 3 } },
            ],
            "logTail": ["no stock"],
            "dependencies": [{ "agent": "agent-db", "status": "running" }],
            "memory": { "peakBytes": 4096 },
        },
    });
    assert_eq!(serde_json::to_value(ring.get(1).unwrap()).unwrap(), expected);
}

#[test]
fn the_circumstances_can_be_read_back_but_for_the_payload() {
    let letter = full_draft().into_letter(1);
    let text = serde_json::to_string(&letter.execution).unwrap();
    let read: ExecutionData = serde_json::from_str(&text).unwrap();
    assert_eq!(read, ExecutionData { payload: None, ..letter.execution });
}

#[test]
fn the_open_overview_shows_no_payload_and_no_log() {
    let mut ring = DeadLetterRing::new(10);
    ring.add(full_draft());
    let expected = json!({
        "id": 1,
        "agentName": "agent-sales",
        "error": "all 2 attempts failed, the last one exited with code 3",
        "signature": "all <n> attempts failed, the last one exited with code <n>",
        "timestamp": "2023-11-14T22:13:21.000Z",
        "restartCount": 2,
        "executionData": {
            "department": "sales",
            "schedule": "*/5 * * * *",
            "lastHealthCheck": "2023-11-14T22:13:20.000Z",
        },
    });
    assert_eq!(serde_json::to_value(ring.get(1).unwrap().public()).unwrap(), expected);
}

#[rstest]
#[case(None, json!({ "payload": null }))]
#[case(Some(&b""[..]), json!({ "payload": "" }))]
#[case(Some("größe".as_bytes()), json!({ "payload": "größe" }))]
#[case(Some(&[0xff][..]), json!({ "payloadBase64": "/w==" }))]
#[case(Some(&[0xff, 0xfe][..]), json!({ "payloadBase64": "//4=" }))]
#[case(Some(&[0xff, 0, b'a'][..]), json!({ "payloadBase64": "/wBh" }))]
fn a_payload_is_text_where_it_can_be(#[case] bytes: Option<&[u8]>, #[case] expected: serde_json::Value) {
    let mut ring = DeadLetterRing::new(1);
    ring.add(DeadLetterDraft { payload: bytes.map(Arc::from), ..draft("a", "e", 0) });
    let letter = serde_json::to_value(ring.get(1).unwrap()).unwrap();
    for key in ["payload", "payloadBase64"] {
        assert_eq!(letter["executionData"].get(key), expected.get(key), "{key}");
    }
}

#[test]
fn the_oldest_letter_gives_way_and_ids_are_never_used_twice() {
    let mut ring = DeadLetterRing::new(2);
    let evicted: Vec<_> = (0..4).map(|at| ring.add(draft("a", "e", at)).1.map(|letter| letter.id)).collect();
    assert_eq!(evicted, [None, None, Some(1), Some(2)]);
    assert!(ring.get(2).is_none());
    assert_eq!(ring.discard(4).map(|letter| letter.id), Some(4));
    assert_eq!(ring.discard(4), None);
    assert_eq!(ring.add(draft("a", "e", 5)), (5, None));
    assert_eq!(ring.iter().map(|letter| letter.id).collect::<Vec<_>>(), [3, 5]);
    assert_eq!(ring.last(1).map(|letter| letter.id).collect::<Vec<_>>(), [5]);
    assert_eq!(ring.last(20).len(), 2);
    assert_eq!((ring.total(), ring.evicted(), ring.len()), (5, 2, 2));
}

#[test]
fn a_smaller_capacity_and_age_take_the_oldest() {
    let mut ring = DeadLetterRing::new(10);
    for at in 0..6 {
        ring.add(draft("a", "e", at));
    }
    let ids = |letters: Vec<DeadLetter>| letters.iter().map(|letter| letter.id).collect::<Vec<_>>();
    assert_eq!(ids(ring.resize(4)), [1, 2]);
    assert_eq!(ids(ring.expire(Timestamp::from_secs(4))), [3, 4]);
    assert_eq!(ids(ring.resize(0)), [5], "one is always kept");
    assert_eq!((ring.evicted(), ring.len()), (5, 1));
}

#[test]
fn what_was_replayed_gives_way_first_and_what_is_being_replayed_last() {
    let mut ring = DeadLetterRing::new(3);
    for at in 0..3 {
        ring.add(draft("a", "e", at));
    }
    let run = RunId::from_parts(1, 1);
    let at = Timestamp::from_secs(9);
    ring.act(1, &Step::BeginReplay { run, force: false }, at).unwrap();
    ring.act(3, &Step::BeginReplay { run, force: false }, at).unwrap();
    ring.act(3, &Step::EndReplay { run, succeeded: true, killed: false }, at).unwrap();
    let gone: Vec<_> = (3..6).map(|at| ring.add(draft("a", "e", at)).1.map(|letter| letter.id)).collect();
    assert_eq!(gone, [Some(3), Some(2), Some(4)]);
    assert_eq!(ring.expire(Timestamp::from_secs(9)).len(), 2, "and age does not take it either");
    assert_eq!(ring.iter().map(|letter| letter.id).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_ring_goes_on_where_it_was() {
    let letters = vec![draft("a", "e", 1).into_letter(7), draft("a", "e", 2).into_letter(9)];
    let mut ring = DeadLetterRing::restored(2, letters, 12, 5);
    assert_eq!((ring.total(), ring.evicted(), ring.len()), (12, 5, 2));
    assert_eq!(ring.oldest(), Some(Timestamp::from_secs(1)));
    let (id, evicted) = ring.add(draft("a", "e", 3));
    assert_eq!((id, evicted.map(|letter| letter.id)), (13, Some(7)));
}

#[test]
fn a_hundred_thousand_letters_go_through_a_capacity_of_a_hundred_and_each_is_accounted_for() {
    let mut ring = DeadLetterRing::new(100);
    let mut evicted = Vec::new();
    for at in 0..100_000 {
        evicted.extend(ring.add(draft("a", "e", at)).1.map(|letter| letter.id));
    }
    assert!(evicted.iter().copied().eq(1..=99_900));
    assert_eq!((ring.total(), ring.evicted(), ring.len()), (100_000, 99_900, 100));
}

#[test]
fn letters_can_be_looked_for() {
    let mut letter = full_draft().into_letter(1);
    let fits = |letter: &DeadLetter, filter: LetterFilter| filter.fits(letter);
    let text = |text: &str| LetterFilter { text: Some(text.to_owned()), ..LetterFilter::default() };
    assert!(LetterFilter::default().is_all() && fits(&letter, LetterFilter::default()));
    assert!(fits(&letter, text("NO STOCK")) && fits(&letter, text("order")) && fits(&letter, text("code 3")));
    assert!(!fits(&letter, text("nowhere")));
    let since = |secs| LetterFilter { since: Some(Timestamp::from_secs(secs)), ..LetterFilter::default() };
    let until = |secs| LetterFilter { until: Some(Timestamp::from_secs(secs)), ..LetterFilter::default() };
    assert!(fits(&letter, since(1_700_000_001)) && !fits(&letter, since(1_700_000_002)));
    assert!(!fits(&letter, until(1_700_000_001)) && fits(&letter, until(1_700_000_002)));
    let states = LetterFilter { states: vec![LetterState::Open], ..LetterFilter::default() };
    assert!(states.fits(&letter) && !states.is_all());
    letter.standing.state = LetterState::Parked;
    assert!(!states.fits(&letter));
    let other = LetterFilter { agent: Some(name("other")), ..LetterFilter::default() };
    assert!(!other.fits(&letter));
}

#[test]
fn letters_are_grouped_by_what_their_errors_have_in_common() {
    let mut ring = DeadLetterRing::new(10);
    for (agent, error, at) in [("b", "exit 1", 10), ("a", "gone", 20), ("a", "exit 2", 30), ("b", "exit 3", 25)] {
        ring.add(draft(agent, error, at));
    }
    let group = |signature: &str, count, first, last, agents: &[&str]| DeadLetterGroup {
        signature: signature.to_owned(),
        count,
        first_seen: Timestamp::from_secs(first),
        last_seen: Timestamp::from_secs(last),
        agents: agents.iter().map(|agent| name(agent)).collect(),
    };
    assert_eq!(ring.groups(), [group("exit <n>", 3, 10, 30, &["a", "b"]), group("gone", 1, 20, 20, &["a"])]);
}

proptest! {
    #[test]
    fn never_more_than_the_capacity_and_nothing_unaccounted_for(
        capacity in 1_usize..8, steps in prop::collection::vec((0_u8..4, 0_u64..30), 0..100),
    ) {
        let mut ring = DeadLetterRing::new(capacity);
        let (mut capacity, mut discarded) = (capacity, 0);
        for (kind, number) in steps {
            match kind {
                0 => discarded += u64::from(ring.discard(number).is_some()),
                1 => {
                    capacity = usize::try_from(number).unwrap().max(1);
                    let _ = ring.resize(capacity);
                }
                _ => {
                    ring.add(draft("a", "e", 0));
                }
            }
            prop_assert!(ring.len() <= capacity);
            prop_assert_eq!(ring.total(), ring.len() as u64 + ring.evicted() + discarded);
            prop_assert!(ring.iter().zip(ring.iter().skip(1)).all(|(one, next)| one.id < next.id));
            prop_assert_eq!(ring.groups().iter().map(|group| group.count as usize).sum::<usize>(), ring.len());
        }
    }
}
