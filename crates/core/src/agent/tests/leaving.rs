use rstest::rstest;

use super::*;

#[test]
fn a_drained_job_may_finish_and_says_when_all_has_ended() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.started(1);
    assert_eq!(bench.on(Event::Drain), NOTHING);
    assert_eq!(bench.exited(1, Exit::Clean), ["succeeded", "all ended"]);
    assert_eq!(bench.grant(2, 1), ["cancelled"], "it never ran");
    assert_eq!(bench.grant(3, 2), ["interrupted"], "its first attempt did");
}

#[rstest]
#[case(job(|_, _| {}), &["all ended"][..])]
#[case(service(|_, _| {}), &["withdraw 0", "is stopped", "all ended"])]
fn who_has_no_process_when_the_drain_begins_has_ended(#[case] spec: AgentSpec, #[case] answer: &[&str]) {
    let mut bench = Bench::new(spec);
    assert_eq!(bench.on(Event::Drain), answer);
    assert!(bench.is_asleep());
}

#[test]
fn while_draining_nothing_is_restarted_and_no_deadline_is_left() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.on(Event::Drain), NOTHING, "a service runs on for its dependents");
    assert_eq!(bench.exited(1, Exit::Code(1)), ["is stopped", "all ended"]);
    assert!(bench.is_asleep());

    let mut bench = Bench::new(service(|_, _| {}));
    bench.crash(1);
    assert_eq!(bench.on(Event::Drain), ["is stopped", "all ended"], "it was backing off");
    assert!(bench.is_asleep());

    let mut bench = Bench::new(service(|_, _| {}));
    bench.grant_instance(0);
    bench.on(Event::Drain);
    assert_eq!(bench.spawn_failed(1, SpawnFailureKind::Transient), ["is stopped", "all ended"]);
    assert!(bench.is_asleep());
}

#[test]
fn a_service_is_stopped_in_step_three_and_a_restart_in_progress_does_not_come_back() {
    let mut bench = Bench::up(service(|_, _| {}));
    bench.on(Event::Drain);
    assert_eq!(bench.on(Event::StopService), ["stop 1", "is stopping"]);
    assert_eq!(bench.on(Event::StopService), NOTHING, "twice");
    assert_eq!(bench.exited(1, Exit::Clean), ["is stopped", "all ended"]);
    assert_eq!(bench.on(Event::StopService), ["all ended"], "whoever asks again gets an answer");

    let mut bench = Bench::up(service(|_, _| {}));
    bench.command(&Command::Restart);
    bench.on(Event::Drain);
    assert_eq!(bench.exited(1, Exit::Clean), ["is stopped", "all ended"]);
}

#[test]
fn what_step_four_cuts_off_is_interrupted_without_repeat_or_dead_letter() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    bench.grant(1, 1);
    bench.started(1);
    bench.on(Event::Drain);
    assert_eq!(bench.on(Event::Terminate), ["stop 1"]);
    assert_eq!(bench.on(Event::Terminate), NOTHING, "twice");
    assert_eq!(bench.exited(1, Exit::Signal(Signal::KILL)), ["interrupted", "all ended"]);
    assert_eq!(bench.on(Event::Terminate), ["all ended"]);
}

#[test]
fn what_is_terminated_before_it_runs_is_stopped_as_soon_as_it_does() {
    for spec in [job(|_, _| {}), service(|_, _| {})] {
        let service = spec.service().is_some();
        let mut bench = Bench::new(spec);
        let launched = if service { bench.grant_instance(0) } else { bench.grant(1, 1) };
        assert_eq!(launched[0], "launch 1");
        assert!(!bench.on(Event::Terminate).contains(&"stop 1".to_owned()), "there is nothing to stop yet");
        assert_eq!(bench.started(1), ["stop 1"]);
        assert_eq!(bench.exited(1, Exit::Clean).last().map(String::as_str), Some("all ended"));
    }
}

#[test]
fn a_removed_agent_ends_and_takes_no_commands() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.on(Event::Remove), ["stop 1", "is stopping"]);
    assert_eq!(bench.command(&Command::Start { force: true }), ["refused: taken out of the registry"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["is stopped", "all ended"]);

    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.started(1);
    assert_eq!(bench.on(Event::Remove), ["stop 1"]);
    assert_eq!(bench.exited(1, Exit::Code(1)), ["cancelled", "all ended"]);
    assert_eq!(bench.grant(2, 1), ["cancelled"]);
}

#[test]
fn an_open_breaker_needs_no_deadline_once_the_agent_leaves() {
    let mut bench = Bench::new(service(|_, service| service.backoff.initial = Duration::ZERO));
    for serial in 1..=3 {
        bench.crash(serial);
    }
    assert!(!bench.is_asleep());
    bench.on(Event::Drain);
    assert!(bench.is_asleep());
    assert_eq!(bench.command(&Command::Start { force: true }), ["refused: the orchestrator is shutting down"]);
}
