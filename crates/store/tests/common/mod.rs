//! Rows and stores for the tests.
#![allow(dead_code, reason = "each test file uses a part")]

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use werkpilot_core::audit::Entry;
use werkpilot_core::digest::Digest;
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::idempotency::{Answer, Key, Remembered};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::optimizer::{Decision, DecisionState};
use werkpilot_core::role::Role;
use werkpilot_core::spec::Priority;
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState, Why};
use werkpilot_store::row::idempotency::KeyRow;
use werkpilot_store::row::letter::{LetterRow, LetterState};
use werkpilot_store::row::optimizer::{DecisionRow, ReportRow};
use werkpilot_store::row::token::TokenRow;
use werkpilot_store::row::trigger::TriggerRow;
use werkpilot_store::{Change, Done, ExecutionEnd, Json, Store, StoreError};

pub const EPOCH: i64 = 1_767_225_600_000;

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(EPOCH + ms)
}

pub fn agent(name: &str) -> AgentName {
    AgentName::new(name).unwrap()
}

/// Run ids that are told apart by their number.
pub fn run(number: u64) -> RunId {
    RunId::from_parts(EPOCH.unsigned_abs() + number, u128::from(number) << 3)
}

pub fn open(dir: &Path) -> Store {
    Store::open(dir, at(0)).unwrap()
}

pub fn close(store: Store) {
    store.close(Duration::from_secs(20)).unwrap();
}

pub fn intent(number: u64, name: &str) -> Change {
    let time = i64::try_from(number).unwrap();
    Change::InsertExecution(Box::new(ExecutionRow::intent(run(number), agent(name), Trigger::Schedule, at(time))))
}

pub fn end(number: u64, end: End) -> Change {
    let time = i64::try_from(number).unwrap();
    Change::EndExecution(Box::new(ExecutionEnd {
        attempts: Some(Json::of(&[1, 2])),
        duration: Some(Duration::from_micros(number)),
        exit: Some(Exit::Code(3)),
        ..ExecutionEnd::new(run(number), at(time + 5), end)
    }))
}

/// An execution with all its columns.
pub fn ended(number: u64, name: &str, end: End) -> ExecutionRow {
    let time = i64::try_from(number).unwrap();
    ExecutionRow {
        state: ExecutionState::Ended(end),
        started_at: Some(at(time + 1)),
        ended_at: Some(at(time + 5)),
        attempt: 1,
        attempts: Some(Json::of(&[serde_json::json!({"attempt": 1, "durationMs": 4.0})])),
        waited: Some(Duration::from_micros(40)),
        duration: Some(Duration::from_micros(4_000 + number)),
        exit: Some(Exit::Clean),
        why: (end != End::Succeeded)
            .then(|| Why { text: format!("number {number} did not work"), data: Json::of(&number) }),
        peak_bytes: Some(1 << 20),
        ..ExecutionRow::intent(run(number), agent(name), Trigger::Schedule, at(time))
    }
}

pub fn event(seq: u64, topic: &str, name: Option<&str>, number: Option<u64>) -> EventRow {
    EventRow {
        seq,
        at: at(i64::try_from(seq).unwrap()),
        topic: topic.to_owned(),
        agent: name.map(agent),
        run: number.map(run),
        data: Json::of(&serde_json::json!({"seq": seq})),
    }
}

pub fn letter(id: u64, name: &str, signature: &str) -> LetterRow {
    let time = at(i64::try_from(id).unwrap());
    LetterRow {
        id,
        agent: agent(name),
        run: run(id),
        at: time,
        error: format!("letter {id} failed"),
        signature: signature.to_owned(),
        restart_count: 4,
        context: Json::of(&serde_json::json!({"department": "sales", "logTail": ["one", "two"]})),
        payload: Some(format!("payload {id}").into_bytes()),
        origin: None,
        state: LetterState::Open,
        replay_run: None,
        waits_for: None,
        replays: 0,
        kills: 0,
        updated_at: time,
    }
}

/// A report as an early version wrote it: what is in it is not the store's business.
pub fn report(id: u64) -> ReportRow {
    let time = at(i64::try_from(id).unwrap());
    let data = Json::of(&serde_json::json!({ "id": id, "proposals": [] }));
    ReportRow { id, at: time, by: "schedule".to_owned(), proposals: 3, applied: 1, data }
}

pub fn decision(id: u64, name: &str) -> DecisionRow {
    DecisionRow::from(&Decision {
        id,
        report: 1,
        at: at(i64::try_from(id).unwrap()),
        agent: agent(name),
        from: Priority::Normal,
        to: Priority::Important,
        registry: Priority::Normal,
        because: "it waits".to_owned(),
        state: DecisionState::Standing,
        changed_at: None,
        changed_by: None,
    })
}

pub fn trigger(number: u64, name: &str) -> TriggerRow {
    TriggerRow {
        run: run(number),
        agent: agent(name),
        trigger: Trigger::Manual { by: "ada".to_owned(), force: false },
        origin: None,
        scheduled_for: None,
        accepted_at: at(i64::try_from(number).unwrap()),
        payload: Some(vec![0, 159, 146, 150]),
        cause: None,
    }
}

/// A change as the audit log tells it.
pub fn entry(number: u64) -> Entry {
    Entry {
        time: at(i64::try_from(number).unwrap()),
        who: ["ada", "bob"][usize::try_from(number % 2).unwrap()].to_owned(),
        way: "token".to_owned(),
        peer: Some("127.0.0.1".to_owned()),
        action: "POST /api/v1/agents/{name}/stop".to_owned(),
        target: Some(format!("agent-{number}")),
        before: Some(r#"{"status":"idle"}"#.to_owned()),
        after: None,
        status: Some(200),
        detail: None,
    }
}

pub fn audit(number: u64) -> Change {
    Change::AddAudit(Box::new(entry(number)))
}

pub fn token(number: u64) -> TokenRow {
    TokenRow {
        id: format!("t{number:05}"),
        name: format!("ci-{number}"),
        role: Role::ALL[usize::try_from(number % 3).unwrap()],
        hash: *Digest::of(&number.to_le_bytes()).as_bytes(),
        created_at: at(1),
        created_by: "ada".to_owned(),
        last_used_at: number.is_multiple_of(2).then(|| at(2)),
        revoked_at: None,
    }
}

pub fn key(number: u64) -> KeyRow {
    let answer = Answer { status: 202, body: format!(r#"{{"runId":"{}"}}"#, run(number)) };
    let remembered = Remembered {
        at: at(i64::try_from(number).unwrap()),
        request: Digest::of(&number.to_le_bytes()),
        run: run(number),
        answer: number.is_multiple_of(2).then_some(answer),
    };
    KeyRow { key: Key::new("ada", &number.to_string()).unwrap().digest(), remembered }
}

/// A `done` and where its result comes.
pub fn told() -> (Done, mpsc::Receiver<Result<(), StoreError>>) {
    let (sender, receiver) = mpsc::channel();
    (Box::new(move |result| sender.send(result).unwrap_or_default()), receiver)
}

/// Polls until the condition holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
