use rstest::rstest;

use super::*;

fn probed(policy: RestartPolicy, interval: Duration) -> AgentSpec {
    service(|_, service| {
        service.restart = policy;
        service.health = Some(by_tcp(interval));
    })
}

fn by_tcp(interval: Duration) -> Health {
    Health { probe: Probe::Tcp("h:1".to_owned()), interval, timeout: SECOND, failures: 3 }
}

fn failed() -> Reason {
    Reason::ProbesFailed { failures: 3, last: "refused".to_owned() }
}

fn silent() -> Reason {
    Reason::Silent { max_silence: SECOND }
}

fn ill(reason: Reason) -> Event {
    Event::Unhealthy { process: process(1), reason }
}

fn well(sign: Sign) -> Event {
    Event::HealthyAgain { process: process(1), sign }
}

#[test]
fn an_unhealthy_service_has_a_grace_and_is_restarted_then() {
    let mut bench = Bench::up(probed(RestartPolicy::OnFailure, 4 * SECOND));
    let before = bench.now.steady;
    assert_eq!(bench.on(ill(failed())), ["is unhealthy"]);
    assert_eq!(bench.on(ill(failed())), NOTHING, "twice");
    let ends_at = bench.agent.instances()[0].illness.as_ref().unwrap().ends_at.unwrap();
    assert_eq!(bench.agent.next_deadline(), Some(ends_at));
    assert!((4 * SECOND..=6 * SECOND).contains(&ends_at.since(before)));
    assert_eq!(bench.pass(ends_at.since(before)), ["stop 1"]);
    assert_eq!(bench.on(well(Sign::Probes)), NOTHING, "too late");
    assert_eq!(bench.exited(1, Exit::Clean), ["group", "is backing_off"]);
    assert_eq!(bench.on(ill(failed())), NOTHING, "after its end");
    assert_eq!(bench.agent.instances()[0].restarts, 1);
}

#[test]
fn who_recovers_within_the_grace_is_not_restarted() {
    let mut bench = Bench::up(probed(RestartPolicy::Always, 4 * SECOND));
    let pid = bench.agent.processes();
    assert_eq!(bench.on(ill(failed())), ["is unhealthy"]);
    bench.wait(SECOND);
    assert_eq!(bench.on(Event::DeadlineReached), NOTHING);
    assert_eq!(bench.on(well(Sign::Probes)), ["is running"]);
    assert_eq!(bench.on(well(Sign::Probes)), NOTHING, "twice");
    bench.wait(20 * SECOND);
    assert_eq!(bench.on(Event::DeadlineReached), NOTHING);
    assert_eq!((bench.agent.processes(), bench.agent.instances()[0].illness.clone()), (pid, None));
}

#[test]
fn who_suffers_in_two_ways_is_well_when_both_are_over() {
    let mut bench = Bench::up(probed(RestartPolicy::Always, 10 * SECOND));
    assert_eq!(bench.on(ill(silent())), ["is unhealthy"]);
    assert_eq!(bench.on(ill(failed())), NOTHING, "it is known to be ill");
    assert_eq!(bench.agent.instances()[0].illness.as_ref().unwrap().reasons, [silent(), failed()]);
    assert_eq!(bench.on(well(Sign::Output)), ["is unhealthy"], "for another reason");
    assert_eq!(bench.on(well(Sign::Watchdog)), NOTHING);
    assert_eq!(bench.on(well(Sign::Probes)), ["is running"]);
}

#[test]
fn a_service_that_is_never_restarted_is_only_marked() {
    let mut bench = Bench::up(probed(RestartPolicy::Never, SECOND));
    assert_eq!(bench.on(ill(failed())), ["is unhealthy"]);
    assert!(bench.is_asleep(), "nothing happens by itself");
    assert_eq!(bench.on(well(Sign::Probes)), ["is running"]);
}

#[rstest]
#[case(RestartPolicy::Always, &["stop 1", "is unhealthy"][..])]
#[case(RestartPolicy::Never, &[])]
fn who_is_not_ready_yet_has_no_grace(#[case] policy: RestartPolicy, #[case] answer: &[&str]) {
    let mut bench = Bench::new(probed(policy, SECOND));
    bench.grant_instance(0);
    assert_eq!(bench.on(ill(silent())), NOTHING, "it does not run yet");
    bench.started(1);
    assert_eq!(bench.on(ill(silent())), answer);
    assert_eq!(bench.on(well(Sign::Output)), NOTHING, "only what is ready can be well");
}

#[test]
fn a_wall_clock_that_is_set_neither_shortens_nor_stretches_the_grace() {
    for days in [-3_650_i64, 3_650] {
        let mut bench = Bench::up(probed(RestartPolicy::Always, SECOND));
        let _ = bench.on(ill(failed()));
        bench.now.wall = Timestamp::from_millis(bench.now.wall.as_millis() + days * 86_400_000);
        assert_eq!(bench.on(Event::DeadlineReached), NOTHING);
        bench.wait(2 * SECOND);
        assert_eq!(bench.on(Event::DeadlineReached), ["stop 1"]);
    }
}

#[test]
fn other_probes_take_effect_without_a_restart_and_another_watchdog_needs_one() {
    let mut bench = Bench::up(probed(RestartPolicy::Always, SECOND));
    let redefined = |change: &dyn Fn(&mut ServiceSpec)| {
        let mut spec = probed(RestartPolicy::Always, SECOND);
        change(spec.service_mut().unwrap());
        Event::Redefine(Arc::new(spec))
    };
    assert_eq!(bench.on(redefined(&|service| service.health = Some(by_tcp(9 * SECOND)))), ["watch health 1"]);
    assert_eq!(bench.on(redefined(&|service| service.health = Some(by_tcp(9 * SECOND)))), NOTHING);
    assert_eq!(bench.on(ill(failed())), ["is unhealthy"]);
    assert_eq!(bench.on(redefined(&|service| service.health = None)), ["is running"], "nobody looks any more");
    let watchdog = |interval| Some(Health { probe: Probe::Notify, ..by_tcp(interval) });
    assert_eq!(bench.on(redefined(&|service| service.health = watchdog(SECOND))), ["stop 1", "is stopping"]);
}
