use rstest::rstest;

use super::*;

#[rstest]
#[case(Overlap::Skip, &["a skipped"], &["a skipped"])]
#[case(Overlap::QueueOne, &["queued a"], &["a skipped"])]
#[case(Overlap::QueueAll, &["queued a"], &["queued a"])]
#[case(Overlap::CancelPrevious, &["cancel a", "queued a"], &["a cancelled", "queued a"])]
#[case(Overlap::Allow, &["queued a", "start a#1"], &["queued a", "start a#1"])]
fn a_trigger_while_one_runs_follows_the_overlap_rule(
    #[case] overlap: Overlap,
    #[case] second: &[&str],
    #[case] third: &[&str],
) {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = overlap);
    assert_eq!(desk.due(A), ["queued a", "start a#1"]);
    assert_eq!(desk.due(A), second);
    assert_eq!(desk.due(A), third);
}

#[rstest]
#[case(Overlap::Skip)]
#[case(Overlap::QueueOne)]
#[case(Overlap::QueueAll)]
#[case(Overlap::CancelPrevious)]
fn manual_and_replay_triggers_queue_under_every_rule_and_run_one_after_the_other(#[case] overlap: Overlap) {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = overlap);
    desk.due(A);
    assert_eq!(desk.admit(A, manual(false)), ["queued a"]);
    assert_eq!(desk.admit(A, Trigger::Replay { dead_letter: 1 }), ["queued a"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start a#1"]);
    assert_eq!(desk.ends(A, End::Failed), ["a failed", "start a#1"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded"]);
    assert_eq!(desk.status(A), Status::Idle);
}

#[test]
fn a_newer_trigger_replaces_what_runs_but_not_what_a_person_waits_for() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::CancelPrevious);
    desk.due(A);
    desk.admit(A, manual(false));
    assert_eq!(desk.due(A), ["cancel a", "queued a"]);
    assert_eq!(desk.due(A), ["a cancelled", "queued a"], "what runs is cancelled once");
    assert_eq!(desk.ends(A, End::Cancelled), ["a cancelled", "start a#1"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start a#1"]);
}

#[test]
fn two_timers_of_one_agent_may_be_due_in_the_same_batch() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::CancelPrevious);
    assert_eq!(desk.batch(&[A, A, B]), ["queued a", "a cancelled", "queued a", "queued b", "start a#1", "start b#1"]);
}

#[test]
fn a_full_queue_refuses_and_says_its_capacity() {
    let mut desk = Desk::with(1, 2, 50);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    assert_eq!(desk.batch(&[A, A, A, A]), ["queued a", "queued a", "start a#1", "queued a", "a refused"]);
    let mut out = Vec::new();
    let request = Request::new(AgentIndex(B), manual(false));
    let answer = desk.dispatcher.admit(request, desk.now, &mut out);
    assert!(matches!(answer, Admission::Refused(_, Reason::QueueFull { capacity: 2 })));
    assert_eq!(desk.dispatcher.waiting(), 2);
}

#[test]
fn one_that_takes_the_place_of_another_fits_into_a_full_queue() {
    let mut desk = Desk::with(1, 1, 50);
    desk.define(B, |profile| profile.overlap = Overlap::CancelPrevious);
    desk.due(A);
    assert_eq!(desk.due(B), ["queued b"]);
    assert_eq!(desk.due(B), ["b cancelled", "queued b"]);
    assert_eq!(desk.due(C), ["c refused"]);
}

#[test]
fn a_follower_finds_the_place_that_its_forerunner_left() {
    let mut desk = Desk::with(1, 1, 50);
    desk.define(C, |profile| profile.after = Some(AgentIndex(A)));
    desk.due(A);
    desk.due(B);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start b#1", "queued c"]);
}

#[test]
fn only_success_triggers_followers_and_each_of_them_once() {
    let mut desk = Desk::new(4);
    desk.define(B, |profile| profile.after = Some(AgentIndex(A)));
    desk.define(C, |profile| profile.after = Some(AgentIndex(A)));
    desk.define(C, |profile| profile.after = Some(AgentIndex(A)));
    desk.due(A);
    assert_eq!(desk.ends(A, End::Failed), ["a failed"]);
    desk.due(A);
    let follow = ["sample a", "a succeeded", "queued b", "queued c", "start b#1", "start c#1"];
    assert_eq!(desk.ends(A, End::Succeeded), follow);
    desk.dispatcher.remove(AgentIndex(C), desk.now, &mut Vec::new());
    desk.define(B, |_| {});
    desk.due(A);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded"], "nobody follows any more");
}

#[test]
fn while_paused_only_explicit_triggers_are_taken() {
    let mut desk = Desk::new(4);
    assert_eq!(desk.on(Event::SetPaused(true)), NOTHING);
    assert_eq!(desk.due(A), ["a skipped"]);
    assert_eq!(desk.admit(A, Trigger::Startup), ["a skipped"]);
    assert_eq!(desk.admit(A, manual(false)), ["queued a", "start a#1"]);
    desk.on(Event::SetPaused(false));
    assert_eq!(desk.due(B), ["queued b", "start b#1"]);
}

#[rstest]
#[case(Status::Stopped)]
#[case(Status::Disabled)]
#[case(Status::DisabledByFailure)]
#[case(Status::DisabledByMemory)]
fn a_closed_gate_skips_triggers_refuses_people_and_cancels_what_waits(#[case] status: Status) {
    let mut desk = Desk::new(1);
    desk.due(B);
    desk.due(A);
    assert_eq!(desk.gate(A, closed(status)), ["a cancelled"]);
    assert_eq!(desk.due(A), ["a skipped"]);
    assert_eq!(desk.admit(A, manual(true)), ["a refused"]);
    assert_eq!(desk.status(A), status);
    assert_eq!(desk.gate(A, Gate::Open), NOTHING);
    assert_eq!(desk.due(A), ["queued a"]);
}

#[test]
fn a_half_open_gate_lets_one_trial_in_which_counts_unless_a_person_asked_for_it() {
    let mut desk = Desk::with(4, 100, 1);
    desk.define(A, |profile| profile.overlap = Overlap::Allow);
    desk.gate(A, Gate::HalfOpen);
    assert_eq!(desk.admit(A, Trigger::Replay { dead_letter: 1 }), ["queued a", "start a#1"]);
    assert_eq!(desk.due(A), ["a skipped"]);
    assert_eq!(desk.admit(A, manual(false)), ["a refused"]);
    desk.ends(A, End::Failed);
    assert_eq!(desk.due(A), ["queued a", "start a#1"]);
    desk.ends(A, End::Failed);
    assert_eq!(desk.due(A), ["queued a", "no room"], "the second trial has to wait for room");
    assert_eq!(desk.status(A), Status::BackingOff);
}

#[test]
fn a_startup_job_that_is_switched_off_from_the_start_is_skipped_and_never_queued() {
    let mut desk = Desk::new(4);
    desk.gate(A, closed(Status::Disabled));
    assert_eq!(desk.admit(A, Trigger::Startup), ["a skipped"]);
    assert_eq!(desk.status(A), Status::Disabled);
}

#[test]
fn a_service_and_a_stranger_take_no_executions() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.service = true);
    let request = Request::new(AgentIndex(A), manual(false));
    let answer = desk.dispatcher.admit(request, desk.now, &mut Vec::new());
    let Admission::Refused(_, reason) = answer else { panic!("a service is not run: {answer:?}") };
    assert_eq!(reason.to_string(), "a is a service; start it with `werkpilot start a`");
    assert_eq!(serde_json::to_value(reason).unwrap(), serde_json::json!({ "code": "not_a_job", "agent": "a" }));
    assert_eq!(desk.due(3), NOTHING, "without a name there is no event");
    assert_eq!(desk.status(3), Status::Missing);
}

#[test]
fn nothing_is_taken_after_the_shutdown() {
    let mut desk = Desk::new(1);
    assert_eq!(desk.on(Event::ShutDown), NOTHING);
    assert_eq!(desk.due(A), ["a refused"]);
    assert_eq!(desk.admit(A, manual(true)), ["a refused"]);
    assert_eq!(desk.start_service(B, false, true), NOTHING);
}

#[test]
fn the_events_of_a_very_large_batch_follow_in_pieces_and_none_comes_after_a_start() {
    let mut desk = Desk::with(1, 20_000, 50);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    desk.define(B, |profile| profile.priority = Priority::Critical);
    let mut batch = vec![A; 10_000];
    batch.push(B);
    let said = desk.batch(&batch);
    assert_eq!(said.len(), 4_096 + 2);
    assert_eq!(said[4_096..], ["queued b", "start b#1"], "what starts is told of in time");
    assert_eq!(desk.dispatcher.waiting(), 10_000);
    assert_eq!(desk.deadline(), Some(desk.now.steady));
    assert_eq!(desk.on(Event::DeadlineReached), vec!["queued a"; 4_096]);
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded", "start a#1"]);
    assert_eq!(desk.on(Event::DeadlineReached), vec!["queued a"; 10_000 - 2 * 4_096]);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_missed_time_waits_where_overlap_would_skip_it_and_ends_nobody() {
    for overlap in [Overlap::Skip, Overlap::QueueOne, Overlap::CancelPrevious] {
        let mut desk = Desk::new(4);
        desk.define(A, |profile| profile.overlap = overlap);
        assert_eq!(desk.batch(&[A]), ["queued a", "start a#1"]);
        let mut out = Vec::new();
        let missed = || Request { waits: true, ..Request::new(AgentIndex(A), Trigger::Schedule) };
        for _ in 0..2 {
            let answer = desk.dispatcher.admit(missed(), desk.now, &mut out);
            assert!(matches!(answer, Admission::Accepted(_)), "{overlap:?}: {answer:?}");
        }
        assert!(!out.iter().any(|action| matches!(action, Action::Start(_) | Action::Cancel { .. })), "{overlap:?}");
    }
}

#[test]
fn a_missed_time_of_an_agent_that_is_switched_off_is_skipped() {
    let mut desk = Desk::new(4);
    desk.define(A, |_| ());
    assert_eq!(desk.gate(A, closed(Status::Disabled)), [] as [&str; 0]);
    let missed = Request { waits: true, ..Request::new(AgentIndex(A), Trigger::Schedule) };
    let answer = desk.dispatcher.admit(missed, desk.now, &mut Vec::new());
    assert!(matches!(answer, Admission::Skipped(..)), "{answer:?}");
}
