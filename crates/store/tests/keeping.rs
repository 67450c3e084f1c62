//! What is kept, and what does not fit.

mod common;

use std::time::Duration;

use common::{agent, at, close, decision, end, ended, event, intent, letter, open, report, run, trigger};
use werkpilot_core::dead_letters::Step;
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::{EventFilter, HistoryFilter, LetterFilter};
use werkpilot_store::row::agent::{AgentState, SchedulePosition};
use werkpilot_store::row::execution::{ExecutionState, ProcessMark};
use werkpilot_store::row::figures::{DigestRow, ScoreRow};
use werkpilot_store::row::letter::LetterState;
use werkpilot_store::row::optimizer::DecisionRow;
use werkpilot_store::{Change, Conflict, ExecutionStart, Json, LetterAction, StoreError};

fn conflict(result: Result<(), StoreError>) -> Conflict {
    match result {
        Err(StoreError::Conflict(conflict)) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

fn act(id: u64, action: LetterAction) -> Vec<Change> {
    vec![Change::Letter { id, action, at: at(99) }]
}

#[test]
fn an_execution_goes_from_intent_over_start_to_its_one_end() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = store.writer();
    let process = Some(ProcessMark { pid: 7, start_time: 99, boot_id: "boot".to_owned() });
    let start = ExecutionStart { run: run(1), at: at(2), attempt: 1, process, log: None };
    writer.keep(vec![intent(1, "a")]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.execution(run(1)).unwrap().unwrap().state, ExecutionState::Intent);
    writer.keep(vec![Change::StartExecution(start.clone())]).unwrap();
    let started = reader.live().unwrap();
    assert_eq!((started.len(), started[0].state), (1, ExecutionState::Started));
    assert_eq!(started[0].process, start.process);
    writer.keep(vec![end(1, End::Failed)]).unwrap();
    let ended = reader.execution(run(1)).unwrap().unwrap();
    assert_eq!((ended.state, ended.exit), (ExecutionState::Ended(End::Failed), Some(Exit::Code(3))));
    assert_eq!((ended.queued_at, ended.started_at, ended.ended_at), (at(1), Some(at(2)), Some(at(6))));
    assert!(reader.live().unwrap().is_empty());

    assert_eq!(conflict(writer.keep(vec![end(1, End::Lost)])), Conflict::RunEnded(run(1)));
    assert_eq!(conflict(writer.keep(vec![Change::StartExecution(start)])), Conflict::RunEnded(run(1)));
    assert_eq!(conflict(writer.keep(vec![intent(1, "a")])), Conflict::RunExists(run(1)));
    assert_eq!(conflict(writer.keep(vec![end(2, End::Lost)])), Conflict::NoSuchRun(run(2)));
    assert_eq!(reader.execution(run(1)).unwrap().unwrap().state, ExecutionState::Ended(End::Failed));
}

#[test]
fn a_batch_is_kept_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let sample = || Change::AddSample { agent: agent("new"), duration: Duration::from_millis(3) };
    let refused = store.writer().keep(vec![intent(1, "new"), sample(), end(2, End::Failed)]);
    assert_eq!(conflict(refused), Conflict::NoSuchRun(run(2)));
    let reader = store.reader().unwrap();
    assert_eq!(reader.execution(run(1)).unwrap(), None);
    store.writer().keep(vec![sample(), intent(1, "new")]).unwrap();
    assert_eq!(reader.samples().unwrap()[0].count, 1);
    assert_eq!(reader.execution(run(1)).unwrap().unwrap().agent, agent("new"));
}

#[test]
fn an_accepted_trigger_is_there_until_its_execution_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = store.writer();
    writer.keep(vec![Change::AcceptTrigger(Box::new(trigger(1, "a")))]).unwrap();
    let again = writer.keep(vec![Change::AcceptTrigger(Box::new(trigger(1, "a")))]);
    assert_eq!(conflict(again), Conflict::RunExists(run(1)));
    let reader = store.reader().unwrap();
    assert_eq!(reader.triggers().unwrap(), [trigger(1, "a")]);
    writer.keep(vec![intent(1, "a")]).unwrap();
    assert_eq!(reader.triggers().unwrap().len(), 1);
    writer.keep(vec![end(1, End::Succeeded)]).unwrap();
    assert!(reader.triggers().unwrap().is_empty());
    let late = writer.keep(vec![Change::AcceptTrigger(Box::new(trigger(1, "a")))]);
    assert_eq!(conflict(late), Conflict::RunExists(run(1)), "what has run is not accepted again");
}

#[test]
fn everything_is_as_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let state = AgentState {
        disabled_by: Some("failure".to_owned()),
        why: Some(Json::of(&serde_json::json!({"code": "too_many_restarts"}))),
        stopped: true,
        breaker: Some(Json::of(&"open")),
        restarts: 7,
        successes: 8,
        failures: 9,
        health_at: Some(at(3)),
        ..AgentState::new(agent("a"), at(4))
    };
    let position = SchedulePosition {
        agent: agent("a"),
        kind: "schedule".to_owned(),
        position: at(60_000),
        definition: "* * * * * UTC".to_owned(),
        updated_at: at(60_001),
    };
    let digest = DigestRow { name: "waiting".to_owned(), slot: "minute".to_owned(), slot_at: at(0), data: vec![1, 2] };
    let graded = ScoreRow { agent: agent("a"), day: 20_000, score: Some(98.5), parts: Json::of(&[1]) };
    let store = open(dir.path());
    let changes = vec![
        Change::PutAgent(Box::new(state.clone())),
        Change::PutSchedule(position.clone()),
        Change::PutDigest(Box::new(digest.clone())),
        Change::PutScore(Box::new(graded.clone())),
        Change::InsertExecution(Box::new(ended(1, "a", End::TimedOut))),
        Change::AddEvent(Box::new(event(41, "execution.timed_out", Some("a"), Some(1)))),
        Change::AddLetter(Box::new(letter(5, "a", "boom"))),
    ];
    store.writer().keep(changes).unwrap();
    for number in 0..2_500 {
        let duration = Duration::from_micros(number);
        let (done, _) = common::told();
        let sample = vec![Change::AddSample { agent: agent("a"), duration }];
        store.writer().submit(sample, werkpilot_store::Class::Lazy, done).unwrap();
        if number % 777 == 0 {
            store.writer().flush().unwrap();
        }
    }
    close(store);

    let store = open(dir.path());
    let reader = store.reader().unwrap();
    assert_eq!(reader.agents().unwrap(), [state]);
    assert_eq!(reader.schedules().unwrap(), [position]);
    assert_eq!(reader.newest_digests().unwrap(), [digest]);
    assert_eq!(reader.scores(19_999).unwrap(), [graded]);
    assert_eq!(reader.execution(run(1)).unwrap().unwrap(), ended(1, "a", End::TimedOut));
    assert_eq!(reader.letter(5).unwrap().unwrap(), letter(5, "a", "boom"));
    assert_eq!((reader.newest_event().unwrap(), reader.newest_letter().unwrap()), (41, 5));
    let samples = reader.samples().unwrap().remove(0);
    let expected: Vec<_> = (1_500..2_500).map(Duration::from_micros).collect();
    assert_eq!((samples.agent, samples.count, samples.durations), (agent("a"), 2_500, expected));
    assert_eq!(reader.history(&HistoryFilter { limit: 10, ..HistoryFilter::default() }).unwrap().rows.len(), 1);
    assert_eq!(reader.events(&EventFilter { limit: 10, ..EventFilter::default() }).unwrap().rows[0].seq, 41);
}

#[test]
fn a_letter_is_replayed_by_one_at_a_time_and_poison_is_parked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writer = store.writer();
    let reader = store.reader().unwrap();
    let state = || reader.letter(1).unwrap().map(|letter| letter.state);
    let begin = |number, force| act(1, LetterAction::Take(Step::BeginReplay { run: run(number), force }));
    let finish =
        |number, succeeded, killed| act(1, LetterAction::Take(Step::EndReplay { run: run(number), succeeded, killed }));
    writer.keep(vec![Change::AddLetter(Box::new(letter(1, "a", "s")))]).unwrap();
    let again = writer.keep(vec![Change::AddLetter(Box::new(letter(1, "a", "s")))]);
    assert_eq!(conflict(again), Conflict::LetterExists(1));

    for replay in 1..=3 {
        writer.keep(begin(replay, false)).unwrap();
        let busy = Conflict::Replaying { letter: 1, run: run(replay) };
        assert_eq!(conflict(writer.keep(begin(100, true))), busy);
        assert_eq!(conflict(writer.keep(act(1, LetterAction::Take(Step::Discard)))), busy);
        assert_eq!(reader.letter_replayed_by(run(replay)).unwrap().unwrap().id, 1);
        writer.keep(finish(100, true, false)).unwrap();
        assert_eq!(state(), Some(LetterState::Replaying), "the end of another execution means nothing");
        writer.keep(finish(replay, false, true)).unwrap();
    }
    assert_eq!(state(), Some(LetterState::Parked));
    let parked = Conflict::LetterState { letter: 1, state: "parked" };
    assert_eq!(conflict(writer.keep(begin(4, false))), parked);
    writer.keep(act(1, LetterAction::Edit(Some(b"better".to_vec())))).unwrap();
    writer.keep(act(1, LetterAction::Take(Step::Await(agent("b"))))).unwrap();
    assert_eq!(state(), Some(LetterState::Waiting));
    writer.keep(begin(5, false)).unwrap();
    writer.keep(finish(5, true, false)).unwrap();
    let row = reader.letter(1).unwrap().unwrap();
    assert_eq!((row.state, row.replays, row.payload), (LetterState::Replayed, 4, Some(b"better".to_vec())));
    writer.keep(act(1, LetterAction::Take(Step::Discard))).unwrap();
    assert_eq!(conflict(writer.keep(act(1, LetterAction::Take(Step::Discard)))), Conflict::NoSuchLetter(1));
    let reused = writer.keep(vec![Change::AddLetter(Box::new(letter(1, "a", "s")))]);
    assert_eq!(conflict(reused), Conflict::LetterExists(1), "ids are never used twice");
}

#[test]
fn a_hundred_thousand_letters_go_through_a_capacity_of_a_hundred() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for begin in (1..=100_000_u64).step_by(1_000) {
        let mut batch = Vec::with_capacity(2_000);
        for id in begin..begin + 1_000 {
            batch.push(Change::AddLetter(Box::new(letter(id, "a", "s"))));
            let gone = id.saturating_sub(100);
            batch.extend((gone > 0).then(|| Change::Letter { id: gone, action: LetterAction::Evict, at: at(1) }));
        }
        store.writer().keep(batch).unwrap();
    }
    let reader = store.reader().unwrap();
    assert_eq!((reader.newest_letter().unwrap(), reader.evicted_letters().unwrap()), (100_000, 99_900));
    let filter = LetterFilter { oldest_first: true, limit: 1_000, ..LetterFilter::default() };
    let kept: Vec<u64> = reader.letters(&filter).unwrap().rows.iter().map(|letter| letter.id).collect();
    assert!(kept.iter().copied().eq(99_901..=100_000));
}

#[test]
fn letters_are_grouped_by_signature_newest_group_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let rows = [(1, "a", "x"), (2, "b", "x"), (3, "a", "y"), (4, "a", "x")];
    let adds = rows.map(|(id, name, signature)| Change::AddLetter(Box::new(letter(id, name, signature))));
    store.writer().keep(adds.to_vec()).unwrap();
    let reader = store.reader().unwrap();
    let groups = reader.letter_groups().unwrap();
    let told: Vec<_> = groups.iter().map(|group| (group.signature.as_str(), group.count, group.newest)).collect();
    assert_eq!(told, [("x", 3, 4), ("y", 1, 3)]);
    assert_eq!((groups[0].first_seen, groups[0].last_seen), (at(1), at(4)));
    assert_eq!(groups[0].agents, [agent("a"), agent("b")]);
    let filter =
        LetterFilter { signature: Some("x".to_owned()), oldest_first: true, limit: 2, ..LetterFilter::default() };
    let page = reader.letters(&filter).unwrap();
    assert_eq!(page.rows.iter().map(|letter| letter.id).collect::<Vec<_>>(), [1, 2]);
    let page = reader.letters(&LetterFilter { after: page.next, ..filter }).unwrap();
    assert_eq!((page.rows[0].id, page.next), (4, None));
}

#[test]
fn an_agent_that_is_forgotten_leaves_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let sample = |name| Change::AddSample { agent: agent(name), duration: Duration::from_millis(1) };
    let state = |name| Change::PutAgent(Box::new(AgentState::new(agent(name), at(1))));
    let history = Change::InsertExecution(Box::new(ended(1, "a", End::Failed)));
    store.writer().keep(vec![state("a"), sample("a"), state("b"), sample("b"), history]).unwrap();
    store.writer().keep(vec![Change::ForgetAgent(agent("a"))]).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.agents().unwrap(), [AgentState::new(agent("b"), at(1))]);
    assert_eq!(reader.samples().unwrap().len(), 1);
    store.writer().keep(vec![sample("a")]).unwrap();
    assert_eq!(reader.samples().unwrap().iter().map(|samples| samples.count).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(reader.execution(run(1)).unwrap().unwrap().agent, agent("a"));
}

#[test]
fn events_since_a_time_are_found_by_halving_and_the_last_end_of_each_agent_by_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let at = |seq: u64| Timestamp::from_secs(1_700_000_000 + i64::try_from(seq / 3).unwrap());
    let mut changes: Vec<_> = (1..=200)
        .filter(|seq| seq % 7 != 0)
        .map(|seq| {
            let event =
                werkpilot_store::row::event::EventRow { at: at(seq), ..event(seq, "boot.completed", None, None) };
            Change::AddEvent(Box::new(event))
        })
        .collect();
    for (number, name) in [(1, "a"), (2, "b"), (3, "a"), (4, "a")] {
        changes.push(Change::InsertExecution(Box::new(ended(number, name, End::Succeeded))));
    }
    store.writer().keep(changes).unwrap();
    let reader = store.reader().unwrap();
    for since in [0, 1, 50, 51, 52, 199, 200, 300] {
        for newest_first in [false, true] {
            let filter = EventFilter { since: Some(at(since)), newest_first, limit: 1_000, ..EventFilter::default() };
            let mut found: Vec<u64> = reader.events(&filter).unwrap().rows.iter().map(|row| row.seq).collect();
            if newest_first {
                found.reverse();
            }
            let expected: Vec<_> = (1..=200).filter(|seq| seq % 7 != 0 && at(*seq) >= at(since)).collect();
            assert_eq!(found, expected, "since {since}");
        }
    }
    let mut last: Vec<_> = reader.last_ends().unwrap().into_iter().map(|row| (row.agent, row.run)).collect();
    last.sort_unstable();
    assert_eq!(last, [(agent("a"), run(4)), (agent("b"), run(2))]);
}

#[test]
fn reports_and_decisions_are_kept_whole_or_not_at_all_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let both = |id| vec![Change::AddReport(Box::new(report(id))), Change::PutDecision(Box::new(decision(id, "a")))];
    store.writer().keep(both(1)).unwrap();
    let undone = DecisionRow { data: Json::of("undone"), ..decision(1, "a") };
    store.writer().keep(vec![Change::PutDecision(Box::new(undone.clone()))]).unwrap();
    let mut again = vec![Change::PutDecision(Box::new(decision(2, "a")))];
    again.extend(both(1));
    let error = store.writer().keep(again).unwrap_err();
    assert!(matches!(error, StoreError::Conflict(Conflict::ReportExists(1))), "{error}");
    assert_eq!(store.reader().unwrap().decisions().unwrap(), [undone], "nothing of the batch is kept");
    for id in 2..=70 {
        store.writer().keep(both(id)).unwrap();
    }
    let reader = store.reader().unwrap();
    let reports: Vec<u64> = reader.reports(None, 100).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(reports, (11..=70).rev().collect::<Vec<_>>());
    let page: Vec<u64> = reader.reports(Some(50), 2).unwrap().iter().map(|row| row.id).collect();
    assert_eq!(page, [49, 48]);
    assert_eq!(reader.decisions().unwrap().len(), 70);
    close(store);
}
