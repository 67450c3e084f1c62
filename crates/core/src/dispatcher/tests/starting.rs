use rstest::rstest;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn priority_goes_first_then_depth_then_who_came_first() {
    let mut desk = Desk::new(1);
    desk.due(C);
    desk.define(A, |profile| profile.depth = 1);
    desk.define(B, |profile| profile.overlap = Overlap::QueueAll);
    desk.define(3, |profile| profile.priority = Priority::Critical);
    assert_eq!(desk.batch(&[A, B, 3, B]), ["queued a", "queued b", "queued d", "queued b"]);
    let line: Vec<_> = desk.dispatcher.queue(desk.now.steady).into_iter().map(|item| item.agent.to_string()).collect();
    assert_eq!(line, ["d", "b", "b", "a"]);
    assert_eq!(desk.ends(C, End::Succeeded), ["sample c", "c succeeded", "start d#1"]);
}

#[test]
fn never_more_jobs_than_workers_and_a_new_number_of_them_counts_at_once() {
    let mut desk = Desk::new(2);
    assert_eq!(desk.batch(&[A, B, C]), ["queued a", "queued b", "queued c", "start a#1", "start b#1"]);
    assert_eq!(desk.status(C), Status::Queued);
    let more = Event::Configure { queue: limits(100), breaker: breaker(50), workers: 3 };
    assert_eq!(desk.on(more), ["start c#1"]);
    assert_eq!(desk.dispatcher.workers(), (3, 3));
    assert_eq!(desk.dispatcher.running_keys().len(), 3);
}

#[rstest]
#[case::job_that_never_ran(false, None, true)]
#[case::job_that_succeeded(false, Some(End::Succeeded), true)]
#[case::job_that_failed(false, Some(End::Failed), false)]
#[case::job_that_timed_out(false, Some(End::TimedOut), false)]
#[case::lost(false, Some(End::Lost), false)]
#[case::cancelled_says_nothing(false, Some(End::Cancelled), true)]
#[case::interrupted_says_nothing(false, Some(End::Interrupted), true)]
#[case::service_that_is_not_up(true, None, false)]
fn a_dependency_is_healthy_by_its_last_end(#[case] service: bool, #[case] end: Option<End>, #[case] healthy: bool) {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.service = service);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Skip);
    if let Some(end) = end {
        desk.due(A);
        desk.ends(A, end);
    }
    assert_eq!(desk.due(B).contains(&"start b#1".to_owned()), healthy);
}

#[rstest]
#[case(Status::Running, true)]
#[case(Status::Starting, false)]
#[case(Status::Queued, false)]
#[case(Status::Stopping, false)]
#[case(Status::Stopped, false)]
#[case(Status::BackingOff, false)]
#[case(Status::Unhealthy, false)]
#[case(Status::Error, false)]
#[case(Status::Missing, false)]
fn a_service_is_a_healthy_dependency_only_while_it_is_ready(#[case] status: Status, #[case] healthy: bool) {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.service = true);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Skip);
    desk.service_is(A, status);
    assert_eq!(desk.due(B).contains(&"start b#1".to_owned()), healthy);
}

#[test]
fn a_closed_gate_is_unhealthy_unless_the_job_is_only_stopped() {
    let mut desk = Desk::new(4);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Skip);
    desk.gate(A, closed(Status::Stopped));
    assert_eq!(desk.due(B), ["queued b", "start b#1"]);
    desk.ends(B, End::Succeeded);
    desk.gate(A, closed(Status::DisabledByMemory));
    let skipped = ["queued b", "Agent \"b\" has unhealthy dependencies: a (disabled_by_memory)", "b skipped"];
    assert_eq!(desk.due(B), skipped);
}

#[test]
fn while_it_runs_again_the_last_end_of_a_job_counts() {
    let mut desk = Desk::new(4);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Wait);
    desk.due(A);
    desk.ends(A, End::Failed);
    desk.due(A);
    assert_eq!(desk.due(B), ["queued b", "Agent \"b\" has unhealthy dependencies: a (error)"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start b#1"]);
}

#[test]
fn started_and_succeeded_mean_at_least_once() {
    let mut desk = Desk::new(4);
    desk.depend(B, A, Condition::Started, OnUnhealthyDependency::Wait);
    desk.depend(C, A, Condition::Succeeded, OnUnhealthyDependency::Wait);
    assert_eq!(desk.due(B), ["queued b", "Agent \"b\" has unhealthy dependencies: a (not_started)"]);
    assert_eq!(desk.due(C), ["queued c", "Agent \"c\" has unhealthy dependencies: a (not_succeeded)"]);
    assert_eq!(desk.due(A), ["queued a", "start a#1"], "the right to start is not a start");
    assert_eq!(desk.spawned(A), ["start b#1"]);
    assert_eq!(desk.spawned(A), NOTHING, "twice");
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start c#1"]);
    desk.ends(B, End::Succeeded);
    desk.due(A);
    desk.ends(A, End::Failed);
    assert_eq!(desk.due(B), ["queued b", "start b#1"]);
}

#[test]
fn a_service_has_started_once_it_was_spawned_and_not_while_it_is_about_to() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.service = true);
    desk.depend(B, A, Condition::Started, OnUnhealthyDependency::Wait);
    desk.due(B);
    assert_eq!(desk.start_service(A, false, false), ["start a/0"]);
    assert_eq!(desk.service_is(A, Status::Starting), NOTHING);
    assert_eq!(desk.spawned(A), ["start b#1"]);
    assert_eq!(desk.on(Event::FirstStarted { agent: AgentIndex(3) }), NOTHING, "nobody is there");
}

#[test]
fn who_waits_for_a_service_starts_when_it_is_ready_and_force_does_not_wait() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.service = true);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Wait);
    desk.define(C, |profile| {
        profile.service = true;
        profile.dependencies = vec![(AgentIndex(A), Condition::Healthy)];
    });
    let unhealthy = |name| format!("Agent \"{name}\" has unhealthy dependencies: a (stopped)");
    assert_eq!(desk.due(B), ["queued b", &unhealthy("b")]);
    assert_eq!(desk.start_service(C, false, false), [unhealthy("c")], "services always wait");
    assert_eq!(desk.start_service(C, false, true), ["start c/0"]);
    assert_eq!(desk.start_service(C, false, false), [unhealthy("c")]);
    assert_eq!(desk.service_is(A, Status::Running), ["start c/0", "start b#1"]);
    desk.service_is(A, Status::Stopped);
    assert_eq!(desk.admit(B, manual(true)), ["queued b"], "force does not override the overlap rule");
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded", "start b#1"]);
}

#[test]
fn a_removed_dependency_is_missing_until_it_is_there_again() {
    let mut desk = Desk::new(4);
    desk.depend(B, A, Condition::Healthy, OnUnhealthyDependency::Wait);
    desk.dispatcher.remove(AgentIndex(A), desk.now, &mut Vec::new());
    assert_eq!(desk.due(B), ["queued b", "Agent \"b\" has unhealthy dependencies: a (missing)"]);
    assert_eq!(desk.deadline(), None);
    desk.define(A, |_| {});
    assert_eq!(desk.deadline(), Some(desk.now.steady), "it asks to look again");
    assert_eq!(desk.on(Event::DeadlineReached), ["start b#1"]);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_new_definition_without_the_dependency_lets_the_waiting_go() {
    let mut desk = Desk::new(4);
    desk.depend(B, A, Condition::Succeeded, OnUnhealthyDependency::Wait);
    desk.due(B);
    desk.define(B, |_| {});
    assert_eq!(desk.on(Event::DeadlineReached), ["start b#1"]);
}

#[test]
fn an_overlap_rule_that_became_stricter_waits_for_all_that_run() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::Allow);
    desk.due(A);
    let first = desk.key(A);
    desk.due(A);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    assert_eq!(desk.due(A), ["queued a"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded"], "the other one still runs");
    let ended = Event::Ended(Box::new(report(first, End::Succeeded)));
    assert_eq!(desk.on(ended), ["sample a", "a succeeded", "start a#1"]);
}

#[test]
fn two_that_were_started_side_by_side_are_repeated_one_after_the_other_under_a_stricter_rule() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::Allow);
    desk.due(A);
    let first = desk.key(A);
    desk.due(A);
    let second = desk.key(A);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    assert_eq!(desk.due(A), ["queued a"]);
    let retry = |desk: &mut Desk, key| {
        desk.granted.insert(A, key);
        desk.retries(A, Duration::ZERO, true)
    };
    assert_eq!(retry(&mut desk, first), NOTHING);
    assert_eq!(desk.on(Event::DeadlineReached), NOTHING, "the other one still runs");
    assert_eq!(retry(&mut desk, second), ["start a#2"]);
    assert_eq!(desk.on(Event::DeadlineReached), NOTHING, "now the first one does");
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start a#2"]);
    assert_eq!(desk.ends(A, End::Succeeded), ["sample a", "a succeeded", "start a#1"]);
}

#[test]
fn an_agent_that_became_the_other_kind_starts_nothing_of_the_old_one() {
    let mut desk = Desk::new(1);
    desk.batch(&[B, A]);
    desk.define(A, |profile| profile.service = true);
    assert_eq!(desk.ends(B, End::Succeeded), ["sample b", "b succeeded", "a cancelled"]);
}

#[test]
fn those_that_wait_for_their_turn_keep_their_order() {
    let mut desk = Desk::new(4);
    desk.define(A, |profile| profile.overlap = Overlap::QueueAll);
    desk.batch(&[A, A, A, A]);
    let order: Vec<RunId> = desk.dispatcher.live(AgentIndex(A)).into_iter().map(|live| live.run).collect();
    let mut ran = Vec::new();
    for _ in 0..4 {
        let live = desk.dispatcher.live(AgentIndex(A));
        ran.extend(live.iter().filter(|live| live.running).map(|live| live.run));
        desk.ends(A, End::Succeeded);
    }
    assert_eq!(ran, order);
}

#[test]
fn automatic_starts_beyond_the_limit_wait_until_there_is_room() {
    let mut desk = Desk::with(4, 100, 2);
    desk.define(C, |profile| profile.service = true);
    desk.batch(&[A, B]);
    assert_eq!(desk.retries(A, Duration::ZERO, true), NOTHING);
    assert_eq!(desk.on(Event::DeadlineReached), ["start a#2"]);
    assert_eq!(desk.start_service(C, true, false), ["start c/0"]);
    desk.retries(B, SECOND, true);
    desk.wait(SECOND);
    assert_eq!(desk.on(Event::DeadlineReached), ["no room"]);
    assert_eq!(desk.status(B), Status::BackingOff);
    assert_eq!(desk.start_service(C, true, false), NOTHING);
    desk.service_is(C, Status::Queued);
    assert_eq!(desk.status(C), Status::BackingOff, "who waits for room backs off");
    assert_eq!(desk.start_service(C, false, false), ["start c/0"], "a manual start does not count");
    assert_eq!(desk.deadline(), Some(Moment::from_secs(60)));
    desk.wait(59 * SECOND);
    assert_eq!(desk.on(Event::DeadlineReached), ["start b#2", "room again"]);
    assert_eq!(desk.deadline(), None);
}

#[test]
fn a_higher_limit_gives_room_at_once() {
    let mut desk = Desk::with(4, 100, 1);
    desk.define(C, |profile| profile.service = true);
    desk.start_service(C, true, false);
    assert_eq!(desk.start_service(C, true, false), ["no room"]);
    let more = Event::Configure { queue: limits(100), breaker: breaker(3), workers: 1 };
    assert_eq!(desk.on(more), ["start c/0", "room again"]);
}

#[test]
fn a_start_that_was_withdrawn_does_not_happen() {
    let mut desk = Desk::with(4, 100, 1);
    desk.define(C, |profile| profile.service = true);
    desk.start_service(C, true, false);
    desk.start_service(C, true, false);
    let withdraw = Event::WithdrawService { agent: AgentIndex(C), instance: 0 };
    assert_eq!(desk.on(withdraw.clone()), NOTHING);
    assert_eq!(desk.on(withdraw), NOTHING);
    assert_eq!(desk.deadline(), Some(Moment::from_secs(60)), "nobody waits for room, but its return is to be told");
    desk.wait(60 * SECOND);
    assert_eq!(desk.on(Event::DeadlineReached), ["room again"]);
    assert_eq!(desk.deadline(), None);
}
