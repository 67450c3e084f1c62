use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_failed_attempt_is_repeated_after_its_delay_and_the_execution_stays_live() {
    let mut desk = Desk::new(1);
    desk.due(A);
    assert_eq!(desk.retries(A, 5 * SECOND, true), NOTHING);
    assert_eq!(desk.status(A), Status::BackingOff);
    assert_eq!(desk.due(A), ["a skipped"]);
    assert_eq!(desk.due(B), ["queued b", "start b#1"], "backing off takes no worker");
    assert_eq!(desk.deadline(), Some(Moment::from_secs(5)));
    assert_eq!(desk.on(Event::DeadlineReached), NOTHING, "a deadline that comes early");
    desk.wait(5 * SECOND);
    assert_eq!(desk.on(Event::DeadlineReached), NOTHING);
    assert_eq!(desk.status(A), Status::Queued);
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded", "start a#2"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded"]);
}

#[test]
fn a_repeat_that_is_not_counted_keeps_its_number_and_takes_no_room() {
    let mut desk = Desk::with(1, 100, 1);
    desk.due(A);
    for _ in 0..3 {
        desk.retries(A, Duration::ZERO, false);
        assert_eq!(desk.on(Event::DeadlineReached), ["start a#1"]);
    }
    assert_eq!(desk.dispatcher.restarts_within(desk.now.steady, Duration::from_mins(1)), 0);
}

#[test]
fn a_repeat_checks_the_dependencies_again() {
    let mut desk = Desk::new(2);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Skip);
    desk.batch(&[A, B]);
    desk.ends(A, End::Failed);
    desk.retries(B, SECOND, true);
    desk.wait(SECOND);
    let skipped = ["Agent \"b\" has unhealthy dependencies: a (error)", "b skipped"];
    assert_eq!(desk.on(Event::DeadlineReached), skipped);
}

#[test]
fn what_failed_for_good_is_a_dead_letter_with_all_its_attempts() {
    let mut desk = Desk::new(1);
    desk.due(A);
    for _ in 0..3 {
        desk.retries(A, Duration::ZERO, true);
        desk.on(Event::DeadlineReached);
    }
    let last = Ended { dead_letter: true, ..report(desk.key(A), End::Failed) };
    assert_eq!(desk.on(Event::Ended(Box::new(last))), ["letter a of 4", "a failed"]);
    assert_eq!(desk.status(A), Status::Error);
    assert_eq!(desk.due(A), ["queued a", "start a#1"], "an error does not stop its triggers");
}

#[test]
fn a_report_that_got_lost_ends_the_execution_as_lost() {
    let mut desk = Desk::new(1);
    desk.due(A);
    let lost = Event::Ended(Box::new(Ended::lost(desk.key(A))));
    assert_eq!(desk.on(lost), ["letter a of 0", "a lost"]);
    assert_eq!(desk.dispatcher.last_error(AgentIndex(A)), Some("its actor died: its report was lost"));
}

#[test]
fn reports_that_come_twice_late_or_about_strangers_change_nothing() {
    let mut desk = Desk::new(1);
    desk.due(A);
    let old = desk.key(A);
    desk.ends(A, End::Succeeded);
    assert_eq!(desk.ends(A, End::Failed), NOTHING, "twice");
    assert_eq!(desk.retries(A, SECOND, true), NOTHING, "a repeat after the end");
    desk.due(B);
    assert_eq!(desk.key(B).index, old.index, "the place has another tenant");
    assert_eq!(desk.on(Event::Ended(Box::new(report(old, End::Failed)))), NOTHING);
    let stranger = RunKey { index: 99, generation: 1 };
    assert_eq!(desk.on(Event::Ended(Box::new(report(stranger, End::Failed)))), NOTHING);
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded"]);
    assert_eq!(desk.dispatcher.workers(), (0, 1));
    desk.retries(B, SECOND, true);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn one_execution_is_cancelled_wherever_it_is() {
    let mut desk = Desk::new(1);
    let cancel = |desk: &mut Desk, agent: u32| {
        let run = desk.dispatcher.live(AgentIndex(agent)).first().expect("a live one").run;
        desk.on(Event::CancelRun { run, by: "me".to_owned() })
    };
    desk.batch(&[A, B, C]);
    assert_eq!(cancel(&mut desk, B), ["b cancelled"]);
    assert_eq!(cancel(&mut desk, A), ["cancel a"]);
    assert_eq!(cancel(&mut desk, A), NOTHING, "it is being ended already");
    assert_eq!(desk.status(A), Status::Stopping);
    assert_eq!(desk.retries(A, SECOND, true), ["a cancelled", "start c#1"], "its failure crossed the cancelling");
    desk.retries(C, SECOND, true);
    assert_eq!(cancel(&mut desk, C), ["c cancelled"], "while it backs off");
    desk.wait(SECOND);
    assert_eq!(desk.on(Event::DeadlineReached), NOTHING);
    let unknown = RunId::from_parts(1, 1);
    assert_eq!(desk.on(Event::CancelRun { run: unknown, by: "me".to_owned() }), NOTHING);
}

#[test]
fn the_next_of_an_agent_does_not_slip_in_when_its_gate_closes_first() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    desk.batch(&[A, A, A]);
    assert_eq!(desk.gate(A, closed(Status::DisabledByFailure)), ["a cancelled", "a cancelled"]);
    assert_eq!(desk.ends(A, End::Failed), ["a failed"]);
}

#[test]
fn a_repeat_behind_a_closed_gate_is_cancelled() {
    let mut desk = Desk::new(1);
    desk.due(A);
    desk.gate(A, closed(Status::Disabled));
    assert_eq!(desk.retries(A, SECOND, true), ["a cancelled"]);
    assert_eq!((desk.deadline(), desk.dispatcher.waiting()), (None, 0));
}

#[test]
fn a_missing_command_is_forgotten_when_the_agent_is_opened_again() {
    let mut desk = Desk::new(1);
    desk.due(A);
    let reason = Some(Reason::CommandMissing { message: "no such file".to_owned() });
    let ended = Ended { reason, ..report(desk.key(A), End::Failed) };
    desk.on(Event::Ended(Box::new(ended)));
    assert_eq!(desk.status(A), Status::Missing);
    desk.gate(A, closed(Status::Stopped));
    desk.gate(A, Gate::Open);
    assert_eq!(desk.status(A), Status::Idle);
}

#[test]
fn the_shutdown_cancels_what_did_not_start_and_interrupts_what_did() {
    let mut desk = Desk::new(2);
    desk.define(3, |profile| profile.overlap = Overlap::QueueAll);
    desk.batch(&[A, B]);
    desk.retries(A, SECOND, true);
    desk.batch(&[C, 3]);
    assert_eq!(desk.on(Event::ShutDown), ["a interrupted", "d cancelled"]);
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded"], "what runs may finish");
    assert_eq!(desk.retries(C, SECOND, true), ["c interrupted"], "and is not repeated");
    assert_eq!((desk.deadline(), desk.dispatcher.waiting(), desk.dispatcher.workers().0), (None, 0, 0));
    assert_eq!(desk.on(Event::ShutDown), NOTHING);
}

#[test]
fn followers_are_not_triggered_by_what_finishes_during_the_shutdown() {
    let mut desk = Desk::new(2);
    desk.define(B, |profile| profile.after = Some(AgentIndex(A)));
    desk.due(A);
    desk.on(Event::ShutDown);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded"]);
}

#[test]
fn a_removed_agent_loses_what_waits_and_still_reports_what_runs() {
    let mut desk = Desk::new(1);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    desk.batch(&[A, A, B]);
    let mut out = Vec::new();
    desk.dispatcher.remove(AgentIndex(A), desk.now, &mut out);
    assert_eq!(desk.said(&out), ["a cancelled"]);
    assert_eq!(desk.status(A), Status::Missing);
    assert_eq!(desk.ends(A, End::Cancelled), ["a cancelled", "start b#1"]);
    desk.gate(A, Gate::HalfOpen);
    desk.define(A, |_| {});
    assert_eq!(desk.status(A), Status::Idle, "a new tenant inherits nothing");
}

#[test]
fn a_removed_agent_is_not_repeated_either() {
    let mut desk = Desk::new(1);
    desk.due(A);
    desk.dispatcher.remove(AgentIndex(A), desk.now, &mut Vec::new());
    assert_eq!(desk.retries(A, SECOND, true), ["a cancelled"], "it had timed out before it was removed");
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_service_that_was_given_up_leaves_a_dead_letter() {
    let mut desk = Desk::new(1);
    desk.define(A, |profile| profile.service = true);
    let given_up = |agent| Event::ServiceGaveUp {
        agent: AgentIndex(agent),
        run: RunId::from_parts(1, 1),
        reason: Reason::TooManyRestarts { restarts: 3, window: SECOND },
        exit: Exit::Code(1),
        attempts: vec![attempt()],
        log_tail: Vec::new(),
    };
    assert_eq!(desk.on(given_up(A)), ["letter a of 1"]);
    assert_eq!(desk.on(given_up(99)), NOTHING);
}
