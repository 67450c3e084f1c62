use rstest::rstest;

use super::*;

/// One attempt from grant to exit; what the exit brought about.
fn attempt(bench: &mut Bench, run: u32, attempt: u32, serial: u32, exit: Exit) -> Vec<String> {
    assert_eq!(bench.grant(run, attempt), [format!("launch {serial}")]);
    assert_eq!(bench.started(serial), NOTHING);
    bench.exited(serial, exit)
}

#[rstest]
#[case(vec![0], Exit::Clean, true)]
#[case(vec![0], Exit::Code(7), false)]
#[case(vec![0, 7], Exit::Code(7), true)]
#[case(vec![7], Exit::Clean, false)]
#[case(vec![0], Exit::Signal(Signal::KILL), false)]
fn success_is_what_the_success_codes_say(#[case] codes: Vec<i32>, #[case] exit: Exit, #[case] success: bool) {
    let mut bench = Bench::new(job(|spec, job| {
        spec.success_codes = codes;
        job.retry = backoff(0);
    }));
    let expected = if success { "succeeded" } else { "failed, dead letter" };
    assert_eq!(attempt(&mut bench, 1, 1, 1, exit), [expected]);
}

#[test]
fn a_job_that_fails_is_repeated_with_growing_delays_and_then_a_dead_letter() {
    let mut bench = Bench::new(job(|_, _| {}));
    assert_eq!(attempt(&mut bench, 1, 1, 1, Exit::Code(1)), ["again in 1s"]);
    assert_eq!(attempt(&mut bench, 1, 2, 2, Exit::Code(1)), ["again in 2s"]);
    assert_eq!(attempt(&mut bench, 1, 3, 3, Exit::Signal(Signal::KILL)), ["again in 4s"]);
    assert_eq!(attempt(&mut bench, 1, 4, 4, Exit::Code(1)), ["failed, dead letter"]);
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped_once_and_counts_as_timed_out_whatever_its_code() {
    let mut bench = Bench::new(job(|_, job| {
        job.timeout = Some(5 * SECOND);
        job.retry = backoff(1);
    }));
    for (attempt, answer) in [(1, "again in 1s"), (2, "timed_out, dead letter")] {
        bench.grant(1, attempt);
        bench.started(attempt);
        assert_eq!(bench.pass(5 * SECOND), [format!("stop {attempt}")]);
        assert!(bench.is_asleep());
        assert_eq!(bench.on(Event::DeadlineReached), NOTHING, "a deadline that comes twice");
        assert_eq!(bench.exited(attempt, Exit::Clean), [answer]);
    }
}

#[test]
fn a_program_that_is_slow_to_start_is_stopped_as_soon_as_it_runs() {
    let mut bench = Bench::new(job(|_, job| job.timeout = Some(SECOND)));
    bench.grant(1, 1);
    assert_eq!(bench.pass(SECOND), NOTHING);
    assert_eq!(bench.started(1), ["stop 1"]);
}

#[test]
fn a_cancelled_execution_is_stopped_and_reported_without_a_repeat() {
    let mut bench = Bench::new(job(|_, _| {}));
    let cancel = || Event::CancelRun { key: key(1), reason: by("me") };
    assert_eq!(bench.on(cancel()), NOTHING, "before it is here");
    bench.grant(1, 1);
    assert!(bench.agent.holds(key(1)));
    bench.started(1);
    assert_eq!(bench.on(cancel()), ["stop 1"]);
    assert_eq!(bench.on(cancel()), NOTHING, "twice");
    assert_eq!(bench.exited(1, Exit::Code(1)), ["cancelled"]);
    assert_eq!(bench.on(cancel()), NOTHING, "after its end");
    assert!(!bench.agent.holds(key(1)));
}

#[test]
fn a_cancelled_execution_that_could_not_be_started_ends_all_the_same() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.on(Event::CancelRun { key: key(1), reason: by("me") });
    assert_eq!(bench.spawn_failed(1, SpawnFailureKind::Transient), ["cancelled"]);
}

#[test]
fn a_missing_command_is_not_repeated_and_only_the_first_in_a_row_is_a_dead_letter() {
    let mut bench = Bench::new(job(|_, _| {}));
    let missing = |bench: &mut Bench, run: u32, serial: u32| {
        bench.grant(run, 1);
        bench.spawn_failed(serial, SpawnFailureKind::Missing)
    };
    assert_eq!(missing(&mut bench, 1, 1), ["failed, dead letter"]);
    assert_eq!(missing(&mut bench, 2, 2), ["failed"]);
    assert_eq!(missing(&mut bench, 3, 3), ["failed"], "nor does it open the breaker");
    assert_eq!(attempt(&mut bench, 4, 1, 4, Exit::Clean), ["succeeded"]);
    assert_eq!(missing(&mut bench, 5, 5), ["failed, dead letter"]);
}

#[test]
fn a_machine_that_is_short_of_something_is_asked_again_ever_more_seldom_and_nothing_is_counted() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    for (serial, delay) in [(1, 100), (2, 200), (3, 400)] {
        bench.grant(1, 1);
        let again = format!("again in {delay}ms, not counted");
        assert_eq!(bench.spawn_failed(serial, SpawnFailureKind::Transient), [again]);
        bench.wait(Duration::from_millis(delay));
    }
    assert_eq!(attempt(&mut bench, 1, 1, 4, Exit::Clean), ["succeeded"]);
    bench.grant(2, 1);
    assert_eq!(bench.spawn_failed(5, SpawnFailureKind::Transient), ["again in 100ms, not counted"]);
}

#[test]
fn any_other_failure_to_start_is_a_failed_attempt() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(1)));
    bench.grant(1, 1);
    assert_eq!(bench.spawn_failed(1, SpawnFailureKind::Other), ["again in 1s"]);
    bench.grant(1, 2);
    assert_eq!(bench.spawn_failed(2, SpawnFailureKind::Other), ["failed, dead letter"]);
}

#[test]
fn dead_letters_in_a_row_open_the_breaker_before_the_next_execution_gets_in() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    assert_eq!(attempt(&mut bench, 1, 1, 1, Exit::Code(1)), ["failed, dead letter"]);
    let opened = ["gate disabled_by_failure", "opened for 900s", "disabled", "failed, dead letter"];
    assert_eq!(attempt(&mut bench, 2, 1, 2, Exit::Code(1)), opened);
    assert_eq!(bench.grant(3, 1), ["skipped"], "a grant that was on its way");
    assert_eq!(bench.pass(Duration::from_mins(15)), ["gate half-open", "half-open", "enabled"]);
    let again = ["gate disabled_by_failure", "opened for 1800s", "disabled", "failed, dead letter"];
    assert_eq!(attempt(&mut bench, 4, 1, 3, Exit::Code(1)), again);
    bench.pass(Duration::from_mins(30));
    assert_eq!(attempt(&mut bench, 5, 1, 4, Exit::Clean), ["gate open", "closed", "succeeded"]);
}

#[test]
fn a_trial_comes_before_the_cooldown_is_over_where_the_optimizer_asks_for_it() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    assert_eq!(bench.on(Event::Trial), NOTHING, "nothing is to be tried");
    for run in [1, 2] {
        attempt(&mut bench, run, 1, run, Exit::Code(1));
    }
    assert_eq!(bench.on(Event::Trial), ["gate half-open", "half-open", "enabled"]);
    assert_eq!(bench.on(Event::Trial), NOTHING, "one at a time");
    let again = ["gate disabled_by_failure", "opened for 1800s", "disabled", "failed, dead letter"];
    assert_eq!(attempt(&mut bench, 3, 1, 3, Exit::Code(1)), again, "a failed trial counts as any");
    let _ = bench.on(Event::Drain);
    assert_eq!(bench.on(Event::Trial), NOTHING, "not on its way out");
}

#[test]
fn a_success_in_between_starts_the_row_afresh() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    for serial in [1, 3, 5] {
        assert_eq!(attempt(&mut bench, serial, 1, serial, Exit::Code(1)), ["failed, dead letter"]);
        attempt(&mut bench, serial + 1, 1, serial + 1, Exit::Clean);
    }
}

#[test]
fn what_runs_ends_with_its_old_definition_and_the_next_has_the_new_one() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    bench.grant(1, 1);
    bench.started(1);
    let new = job(|spec, job| {
        spec.success_codes = vec![7];
        job.retry = backoff(3);
    });
    assert_eq!(bench.on(Event::Redefine(Arc::new(new))), NOTHING);
    assert_eq!(bench.exited(1, Exit::Code(7)), ["failed, dead letter"]);
    assert_eq!(attempt(&mut bench, 2, 1, 2, Exit::Code(7)), ["succeeded"]);
}

#[test]
fn a_definition_of_the_other_kind_is_another_agent() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    assert_eq!(bench.on(Event::Redefine(Arc::new(service(|_, _| {})))), NOTHING);
    assert_eq!(bench.exited(1, Exit::Clean), ["succeeded"]);
    assert!(bench.agent.spec().job().is_some());
}

#[test]
fn news_that_come_late_twice_or_out_of_order_change_nothing() {
    let mut bench = Bench::new(job(|_, job| job.timeout = Some(SECOND)));
    bench.grant(1, 1);
    assert_eq!(bench.exited(1, Exit::Clean), ["succeeded"], "the end before the start");
    assert_eq!(bench.started(1), NOTHING);
    assert_eq!(bench.exited(1, Exit::Code(1)), NOTHING);
    assert_eq!(bench.spawn_failed(1, SpawnFailureKind::Missing), NOTHING);
    assert_eq!(bench.ready(1), NOTHING);
    assert_eq!(bench.on(Event::Unhealthy { process: process(1), reason: Reason::WatchdogExpired }), NOTHING);
    assert_eq!(bench.on(Event::GroupRestart { reason: Reason::ConfigChanged }), NOTHING);
    assert_eq!(bench.on(Event::Boot), NOTHING);
    assert!(bench.is_asleep());
}

#[test]
fn side_by_side_executions_have_a_time_out_each() {
    let mut bench = Bench::new(job(|_, job| {
        job.overlap = Overlap::Allow;
        job.timeout = Some(5 * SECOND);
    }));
    bench.grant(1, 1);
    bench.started(1);
    bench.wait(2 * SECOND);
    bench.grant(2, 1);
    bench.started(2);
    assert_eq!(bench.agent.processes(), [process(1), process(2)]);
    assert_eq!(bench.pass(3 * SECOND), ["stop 1"]);
    assert_eq!(bench.pass(2 * SECOND), ["stop 2"]);
}

#[test]
fn executions_side_by_side_that_meet_one_shortage_wait_for_it_once() {
    let mut bench = Bench::new(job(|_, job| job.overlap = Overlap::Allow));
    for run in 1..=20 {
        bench.grant(run, 1);
    }
    for serial in 1..=20 {
        assert_eq!(bench.spawn_failed(serial, SpawnFailureKind::Transient), ["again in 100ms, not counted"]);
    }
    bench.wait(Duration::from_millis(100));
    bench.grant(1, 1);
    assert_eq!(bench.spawn_failed(21, SpawnFailureKind::Transient), ["again in 200ms, not counted"]);
    bench.grant(2, 1);
    bench.started(22);
    bench.grant(3, 1);
    assert_eq!(bench.spawn_failed(23, SpawnFailureKind::Transient), ["again in 100ms, not counted"]);
}
