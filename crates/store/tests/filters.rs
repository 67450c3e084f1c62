//! The filters against a list in memory, page by page.

mod common;

use common::{agent, at, ended, event, letter, open};
use proptest::prelude::*;
use proptest::sample::select;
use werkpilot_core::event::End;
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::reader::{EventFilter, HistoryFilter, LetterFilter};
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::ExecutionRow;
use werkpilot_store::row::letter::{LetterRow, LetterState};
use werkpilot_store::{Change, Reader, Store};

const AGENTS: [&str; 4] = ["a", "b", "c", "nobody"];
const ENDS: [End; 4] = [End::Succeeded, End::Failed, End::TimedOut, End::Skipped];
const STATES: [LetterState; 3] = [LetterState::Open, LetterState::Parked, LetterState::Waiting];
const TOPICS: [&str; 3] = ["execution.queued", "agent.failed", "never"];

/// 200 of each kind, with ties in their times.
fn rows() -> (Vec<ExecutionRow>, Vec<LetterRow>, Vec<EventRow>) {
    let pick = |number: u64, of: usize| usize::try_from(number * 7 / 3).unwrap() % of;
    let executions = (1..=200).map(|number| {
        let mut row = ended(number, AGENTS[pick(number, 3)], ENDS[pick(number + 1, 4)]);
        row.ended_at = Some(at(i64::try_from(number * 37 % 50).unwrap()));
        if number % 5 == 0 {
            row.trigger = Trigger::Manual { by: "ada".to_owned(), force: false };
        }
        row
    });
    let letters = (1..=200).map(|id| {
        let mut row = letter(id, AGENTS[pick(id, 3)], ["x", "y"][pick(id, 2)]);
        row.at = at(i64::try_from(id * 37 % 50).unwrap());
        row.state = STATES[pick(id + 2, 3)];
        row
    });
    let events = (1..=200).map(|seq| {
        let about = (seq % 4 != 0).then(|| AGENTS[pick(seq, 3)]);
        event(seq, TOPICS[pick(seq, 2)], about, about.map(|_| seq % 9))
    });
    (executions.collect(), letters.collect(), events.collect())
}

fn filled() -> (tempfile::TempDir, Store, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (executions, letters, events) = rows();
    let mut changes: Vec<_> = executions.into_iter().map(|row| Change::InsertExecution(Box::new(row))).collect();
    changes.extend(letters.into_iter().map(|row| Change::AddLetter(Box::new(row))));
    changes.extend(events.into_iter().map(|row| Change::AddEvent(Box::new(row))));
    store.writer().keep(changes).unwrap();
    let reader = store.reader().unwrap();
    (dir, store, reader)
}

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::weighted(0.3, (-5_i64..55).prop_map(at))
}

prop_compose! {
    fn history()(
        agent in proptest::option::of(select(&AGENTS[..])),
        ends in proptest::collection::vec(select(&ENDS[..]), 0..3),
        (since, until) in (time(), time()),
        trigger in proptest::option::weighted(0.3, select(&["manual", "schedule", "replay"][..])),
        text in proptest::option::weighted(0.3, select(&["NUMBER 1", "not", "zzz"][..])),
        limit in 1_usize..70,
    ) -> HistoryFilter {
        HistoryFilter {
            agent: agent.map(common::agent), ends, since, until, limit, after: None,
            trigger: trigger.map(str::to_owned), text: text.map(str::to_owned),
        }
    }
}

prop_compose! {
    fn letters()(
        agent in proptest::option::of(select(&AGENTS[..])),
        signature in proptest::option::weighted(0.4, select(&["x", "y", "z"][..])),
        states in proptest::collection::vec(select(&STATES[..]), 0..3),
        (since, until) in (time(), time()),
        text in proptest::option::weighted(0.3, select(&["LETTER 1", "payload 17", "logtail", "zzz"][..])),
        limit in 1_usize..70,
        oldest_first: bool,
    ) -> LetterFilter {
        LetterFilter {
            agent: agent.map(common::agent), signature: signature.map(str::to_owned), states, since, until,
            text: text.map(str::to_owned), limit, after: None, oldest_first,
        }
    }
}

#[test]
fn every_filter_finds_what_it_says_and_nothing_else() {
    let (_dir, _store, reader) = filled();
    let (executions, all_letters, events) = rows();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest!(config, |(history in history(), letters in letters(), after in 0_u64..220,
                        about in proptest::option::of(select(&AGENTS[..])),
                        run in proptest::option::of(0_u64..10),
                        topic in proptest::option::of(select(&TOPICS[..])), newest_first in any::<bool>(),
                        before in proptest::option::of(0_u64..220))| {
        let mut expected: Vec<_> = executions.iter().enumerate().filter(|(_, row)| history.fits(row)).collect();
        expected.sort_by_key(|(index, row)| std::cmp::Reverse((row.ended_at, *index)));
        let mut found = Vec::new();
        let mut page = reader.history(&history).unwrap();
        loop {
            prop_assert!(page.rows.len() <= history.limit);
            found.append(&mut page.rows);
            if page.next.is_none() { break; }
            page = reader.history(&HistoryFilter { after: page.next, ..history.clone() }).unwrap();
        }
        prop_assert!(found.iter().eq(expected.into_iter().map(|(_, row)| row)));

        let mut expected: Vec<_> = all_letters.iter().filter(|row| letters.fits(row)).collect();
        if !letters.oldest_first { expected.reverse(); }
        let mut found = Vec::new();
        let mut page = reader.letters(&letters).unwrap();
        loop {
            prop_assert!(page.rows.len() <= letters.limit);
            found.append(&mut page.rows);
            if page.next.is_none() { break; }
            page = reader.letters(&LetterFilter { after: page.next, ..letters.clone() }).unwrap();
        }
        prop_assert!(found.iter().eq(expected));

        let filter = EventFilter {
            after, before, agents: about.into_iter().map(agent).collect(), run: run.map(common::run),
            topics: topic.into_iter().map(|topic| topic.parse().unwrap()).collect(),
            newest_first, limit: 1_000, ..EventFilter::default()
        };
        let mut found = reader.events(&filter).unwrap().rows;
        if newest_first { found.reverse(); }
        prop_assert!(found.iter().eq(events.iter().filter(|row| filter.fits(row))));
    });
}
