//! Who goes on from where it was, who starts afresh, and which ids are free.

use std::time::Duration;

use werkpilot_core::schedule::Schedule;
use werkpilot_store::{Class, Store};

use super::*;

const A: AgentIndex = AgentIndex(0);

fn name() -> AgentName {
    AgentName::new("a").unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_772_452_800 + secs)
}

fn each_second(policy: CatchUp) -> Plan {
    let schedule = Schedule::parse("* * * * * *", "UTC").unwrap();
    Plan { schedule, offset: Duration::ZERO, policy, window: Duration::from_hours(1) }
}

fn spec(catch_up: CatchUp) -> Arc<AgentSpec> {
    let program = werkpilot_core::spec::Program::Command(vec!["true".to_owned()]);
    let mut spec = AgentSpec::job_named(name(), program);
    let job = spec.job_mut().unwrap();
    job.catch_up = catch_up;
    job.triggers.schedule = Some("* * * * * *".to_owned());
    Arc::new(spec)
}

fn row(change: &Change) -> &SchedulePosition {
    let Change::PutSchedule(row) = change else { panic!("{change:?} is no position") };
    row
}

fn kept(position: i64, definition: &str) -> Vec<SchedulePosition> {
    vec![row(&put(&name(), at(position), definition.to_owned(), at(position))).clone()]
}

#[test]
fn a_kept_position_is_gone_on_from_only_with_the_same_definition() {
    let plan = each_second(CatchUp::All);
    let (mut book, stale) = Positions::restore(kept(10, &plan.definition()), &[spec(CatchUp::All)], at(20));
    assert_eq!(stale, []);
    let (search, moved) = book.follow(A, &name(), plan.clone(), at(20));
    assert_eq!((search.map(|search| search.position), moved), (Some(at(10)), None), "nothing is known yet");
    // Again, as a reload does it.
    assert!(matches!(book.follow(A, &name(), plan.clone(), at(21)), (None, None)));

    let (mut book, _) = Positions::restore(kept(10, "0 0 * * * UTC"), &[spec(CatchUp::All)], at(20));
    let (search, moved) = book.follow(A, &name(), plan, at(20));
    assert!(search.is_none());
    assert_eq!(row(&moved.unwrap()).position, at(20));
}

#[test]
fn who_does_not_catch_up_any_more_leaves_no_position_to_go_on_from() {
    let definition = each_second(CatchUp::All).definition();
    for specs in [vec![], vec![spec(CatchUp::None)]] {
        let (book, stale) = Positions::restore(kept(10, &definition), &specs, at(20));
        assert!(book.restored.is_empty());
        assert_eq!(stale.iter().map(|change| row(change).definition.as_str()).collect::<Vec<_>>(), [NOT_FOLLOWED]);
        // Once said, that is that.
        let again = stale.iter().map(|change| row(change).clone()).collect();
        assert_eq!(Positions::restore(again, &specs, at(30)).1, []);
    }
    let mut book = Positions::default();
    let _ = book.follow(A, &name(), each_second(CatchUp::All), at(20));
    assert_eq!(row(&book.unfollow(A, at(21)).unwrap()).definition, NOT_FOLLOWED);
    assert_eq!(book.unfollow(A, at(21)), None);
}

#[test]
fn a_time_that_ran_is_known_by_its_id_and_one_that_a_shutdown_was_in_the_way_of_gets_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), at(0)).unwrap();
    let id = |secs, again| RunId::of_schedule(&name(), at(secs), again);
    let cut_short = ExecutionRow {
        state: ExecutionState::Ended(End::Cancelled),
        ended_at: Some(at(4)),
        why: Some(Why::from(&Reason::ShuttingDown)),
        ..ExecutionRow::intent(id(2, 0), name(), Trigger::Schedule, at(2))
    };
    let by_hand = ExecutionRow {
        run: id(3, 0),
        why: Some(Why::from(&Reason::ByOperator { by: "me".to_owned() })),
        ..cut_short.clone()
    };
    let ran = ExecutionRow::intent(id(1, 0), name(), Trigger::Schedule, at(1));
    let (sender, receiver) = std::sync::mpsc::channel();
    let batch = [ran, cut_short, by_hand].map(|row| Change::InsertExecution(Box::new(row))).into();
    let done = Box::new(move |result| sender.send(result).unwrap());
    assert!(store.writer().submit(batch, Class::Durable, done).is_ok());
    receiver.recv().unwrap().unwrap();

    let plan = each_second(CatchUp::All);
    let search = Search { agent: A, name: name(), plan, position: at(0), now: at(5) };
    let found = search.look(&store.reader().unwrap()).unwrap();
    let turn = |secs, again| Turn { scheduled_for: at(secs), run: id(secs, again) };
    assert_eq!(found.turns, [turn(2, 1), turn(4, 0), turn(5, 0)]);
    assert_eq!(found.left_out, 0);
}
