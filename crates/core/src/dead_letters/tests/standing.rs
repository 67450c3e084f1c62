use rstest::rstest;

use super::*;
use LetterState::{Open, Parked, Replayed, Replaying, Waiting};

const AT: Timestamp = Timestamp::from_secs(1);

fn run(number: u128) -> RunId {
    RunId::from_parts(1_700_000_000_000, number)
}

fn standing(state: LetterState, kills: u32) -> Standing {
    let replay_run = (state == Replaying).then(|| run(1));
    let waits_for = (state == Waiting).then(|| name("db"));
    Standing { state, replay_run, waits_for, kills, ..Standing::open(AT) }
}

fn begin(force: bool) -> Step {
    Step::BeginReplay { run: run(1), force }
}

const fn end(run: RunId, succeeded: bool, killed: bool) -> Step {
    Step::EndReplay { run, succeeded, killed }
}

/// The state afterwards; `None`: refused.
#[rstest]
#[case(Open, 0, begin(false), Some(Replaying))]
#[case(Waiting, 0, begin(false), Some(Replaying))]
#[case(Replaying, 0, begin(true), None)]
#[case(Replayed, 0, begin(false), None)]
#[case(Replayed, 0, begin(true), Some(Replaying))]
#[case(Parked, 3, begin(false), None)]
#[case(Parked, 3, begin(true), Some(Replaying))]
#[case(Replaying, 0, end(run(1), true, false), Some(Replayed))]
#[case(Replaying, 0, end(run(1), false, false), Some(Open))]
#[case(Replaying, 1, end(run(1), false, true), Some(Open))]
#[case(Replaying, 2, end(run(1), false, true), Some(Parked))]
#[case(Replaying, 3, end(run(1), false, false), Some(Open))]
#[case(Replaying, 0, end(run(2), true, false), Some(Replaying))]
#[case(Open, 0, end(run(1), false, true), Some(Open))]
#[case(Replayed, 0, end(run(1), true, false), Some(Replayed))]
#[case(Open, 0, Step::Await(name("db")), Some(Waiting))]
#[case(Waiting, 0, Step::Await(name("web")), Some(Waiting))]
#[case(Replaying, 0, Step::Await(name("db")), None)]
#[case(Parked, 3, Step::Await(name("db")), None)]
#[case(Waiting, 0, Step::StopWaiting, Some(Open))]
#[case(Open, 0, Step::StopWaiting, None)]
#[case(Open, 2, Step::Edit, Some(Open))]
#[case(Parked, 3, Step::Edit, Some(Open))]
#[case(Replaying, 0, Step::Edit, None)]
#[case(Parked, 3, Step::Discard, Some(Parked))]
#[case(Replaying, 0, Step::Discard, None)]
fn what_may_be_done_in_which_state(
    #[case] state: LetterState,
    #[case] kills: u32,
    #[case] step: Step,
    #[case] expected: Option<LetterState>,
) {
    let before = standing(state, kills);
    let after = before.after(7, &step).map(|next| next.unwrap_or(before).state).ok();
    assert_eq!(after, expected);
}

#[test]
fn a_replay_is_counted_and_a_letter_that_is_edited_has_not_killed_anybody() {
    let next = standing(Waiting, 0).after(7, &begin(false)).unwrap().unwrap();
    assert_eq!((next.replays, next.replay_run, next.waits_for), (1, Some(run(1)), None));
    assert_eq!(standing(Parked, 3).after(7, &Step::Edit).unwrap().unwrap().kills, 0);
}

#[test]
fn a_letter_that_is_being_replayed_says_as_which_execution() {
    let refusal = standing(Replaying, 0).after(7, &begin(false)).unwrap_err();
    assert_eq!(refusal, LetterRefusal::Replaying { letter: 7, run: run(1) });
    assert!(refusal.to_string().starts_with("dead letter 7 is being replayed as "));
}

#[rstest]
#[case(Exit::Signal(Signal(11)), true)]
#[case(Exit::Signal(Signal::KILL), true)]
#[case(Exit::MemoryLimit, true)]
#[case(Exit::Panicked("oh".to_owned()), true)]
#[case(Exit::Code(139), false)]
#[case(Exit::TimedOut, false)]
fn only_what_ends_a_program_against_its_will_kills(#[case] exit: Exit, #[case] expected: bool) {
    assert_eq!(Step::kills(Some(&exit)), expected);
    assert!(!Step::kills(None));
}

#[test]
fn words_of_states_can_be_read() {
    assert!(LetterState::ALL.iter().all(|state| LetterState::of_word(state.as_str()) == Some(*state)));
    assert_eq!(LetterState::of_word("opened"), None);
}
