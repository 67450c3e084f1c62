use rstest::rstest;

use super::*;

fn restarts(policy: RestartPolicy) -> AgentSpec {
    service(|_, service| service.restart = policy)
}

#[rstest]
#[case(RestartPolicy::Always, Exit::Clean, &["is backing_off"][..])]
#[case(RestartPolicy::Always, Exit::Code(1), &["is backing_off"])]
#[case(RestartPolicy::OnFailure, Exit::Clean, &["is stopped"])]
#[case(RestartPolicy::OnFailure, Exit::Signal(Signal::KILL), &["is backing_off"])]
#[case(RestartPolicy::Never, Exit::Clean, &["is stopped"])]
#[case(RestartPolicy::Never, Exit::Code(1), &["is error"])]
fn a_service_that_ends_follows_its_restart_policy(
    #[case] policy: RestartPolicy,
    #[case] exit: Exit,
    #[case] answer: &[&str],
) {
    let mut bench = Bench::up(restarts(policy));
    let said = bench.exited(1, exit);
    let said: Vec<&str> = said.iter().map(String::as_str).filter(|word| *word != "group").collect();
    assert_eq!(said, answer);
    assert_eq!(bench.is_asleep(), answer != ["is backing_off"]);
}

#[test]
fn a_service_boots_becomes_ready_and_lets_the_boot_go_on() {
    let mut bench = Bench::unbooted(service(|_, _| {}));
    assert_eq!(bench.grant_instance(0), NOTHING, "a grant that nobody asked for");
    assert_eq!(bench.on(Event::Boot), ["ask for 0", "is queued"]);
    assert_eq!(bench.on(Event::Boot), NOTHING, "twice");
    assert_eq!(bench.grant_instance(0), ["launch 1", "is starting"]);
    assert_eq!(bench.grant_instance(0), NOTHING, "twice");
    assert_eq!(bench.started(1), NOTHING);
    assert_eq!(bench.started(1), NOTHING, "twice");
    assert_eq!(bench.ready(1), ["settled true", "is running"]);
    assert_eq!(bench.ready(1), NOTHING, "twice");
    assert_eq!(bench.agent.instances()[0].status, Status::Running);
}

#[rstest]
#[case::after(ReadyCheck::After(SECOND), &[][..], Some(SECOND))]
#[case::at_once(ReadyCheck::After(Duration::ZERO), &["settled true", "is running"], Some(Duration::from_mins(10)))]
#[case::bus(ReadyCheck::Bus, &["watch readiness 1"], Some(Duration::from_secs(30)))]
#[case::notify(ReadyCheck::Notify, &[], Some(Duration::from_secs(30)))]
#[case::log(ReadyCheck::Log("up".to_owned()), &[], Some(Duration::from_secs(30)))]
#[case::http(ReadyCheck::Http("http://h/".to_owned()), &["watch readiness 1"], Some(Duration::from_secs(30)))]
#[case::tcp(ReadyCheck::Tcp("h:1".to_owned()), &["watch readiness 1"], Some(Duration::from_secs(30)))]
fn readiness_has_many_forms(#[case] check: ReadyCheck, #[case] answer: &[&str], #[case] deadline: Option<Duration>) {
    let mut bench = Bench::new(service(|_, service| service.ready.check = check));
    bench.grant_instance(0);
    assert_eq!(bench.started(1), answer);
    assert_eq!(bench.agent.next_deadline().map(|at| at.since(bench.now.steady)), deadline);
}

#[rstest]
#[case::http(Probe::Http("http://h/".to_owned()), true)]
#[case::tcp(Probe::Tcp("h:1".to_owned()), true)]
#[case::exec(Probe::Exec(vec!["true".to_owned()]), true)]
#[case::bus(Probe::Bus, true)]
#[case::watchdog(Probe::Notify, false)]
fn who_is_ready_is_watched_unless_it_has_to_speak_up_itself(#[case] probe: Probe, #[case] watched: bool) {
    let health = Health { probe, interval: SECOND, timeout: SECOND, failures: 3 };
    let mut bench = Bench::new(service(|_, service| service.health = Some(health)));
    bench.grant_instance(0);
    bench.started(1);
    assert_eq!(bench.ready(1).contains(&"watch health 1".to_owned()), watched);
}

#[test]
fn ready_after_a_time_is_ready_then_even_if_the_time_out_is_shorter() {
    let long = Ready { check: ReadyCheck::After(60 * SECOND), timeout: 30 * SECOND };
    let mut bench = Bench::new(service(|_, service| service.ready = long));
    bench.grant_instance(0);
    bench.started(1);
    assert_eq!(bench.pass(60 * SECOND), ["settled true", "is running"]);
}

#[test]
fn word_of_readiness_that_is_faster_than_word_of_the_start_is_not_lost() {
    let mut bench = Bench::new(service(|_, _| {}));
    bench.grant_instance(0);
    assert_eq!(bench.ready(1), NOTHING);
    assert_eq!(bench.started(1), ["settled true", "is running"]);
}

#[test]
fn a_service_that_does_not_become_ready_is_ended_and_tried_again() {
    let mut bench = Bench::new(service(|_, _| {}));
    bench.grant_instance(0);
    bench.started(1);
    assert_eq!(bench.pass(30 * SECOND), ["stop 1", "is stopping"]);
    assert_eq!(bench.ready(1), NOTHING, "too late");
    assert_eq!(bench.exited(1, Exit::Clean), ["group", "is backing_off"]);
}

#[test]
fn every_restart_in_a_row_waits_longer_until_it_was_healthy_for_long_enough() {
    let mut bench = Bench::new(service(|_, service| service.healthy_for = 60 * SECOND));
    assert_eq!(bench.crash(1), ["group", "is backing_off"]);
    assert_eq!(bench.pass(SECOND), ["ask for 0 automatically", "is queued"]);
    assert_eq!(bench.crash(2), ["group", "is backing_off"]);
    bench.pass(2 * SECOND);
    bench.grant_instance(0);
    bench.started(3);
    bench.ready(3);
    assert_eq!(bench.agent.instances()[0].restarts, 2);
    assert_eq!(bench.pass(60 * SECOND), NOTHING);
    assert_eq!(bench.agent.instances()[0].restarts, 0);
    bench.exited(3, Exit::Clean);
    assert_eq!(bench.pass(SECOND), ["ask for 0 automatically", "is queued"]);
}

#[test]
fn too_many_restarts_open_the_breaker_and_trials_follow_its_doubling_cooldown() {
    let mut bench = Bench::new(service(|_, service| service.backoff.initial = Duration::ZERO));
    assert_eq!(bench.crash(1), ["ask for 0 automatically", "group", "is queued"]);
    assert_eq!(bench.crash(2), ["ask for 0 automatically", "group", "is queued"]);
    let opened = |secs: u32, lives: u32| {
        let (opened, given_up) = (format!("opened for {secs}s"), format!("given up after {lives}"));
        ["gate disabled_by_failure".to_owned(), opened, "disabled".to_owned(), given_up]
    };
    let mut first = opened(900, 3).to_vec();
    first.extend(["settled false", "is disabled_by_failure"].map(str::to_owned));
    assert_eq!(bench.crash(3), first);
    assert_eq!(bench.grant_instance(0), NOTHING, "a grant that was on its way");
    let trial = ["gate half-open", "half-open", "enabled", "ask for 0 automatically", "is queued"];
    assert_eq!(bench.pass(Duration::from_mins(15)), trial);
    let mut second = opened(1_800, 4).to_vec();
    second.push("is disabled_by_failure".to_owned());
    assert_eq!(bench.crash(4), second);
    assert_eq!(bench.pass(Duration::from_mins(30)), trial);
    bench.grant_instance(0);
    bench.started(5);
    assert_eq!(bench.ready(5), ["is running"]);
    assert_eq!(bench.pass(Duration::from_mins(10)), ["gate open", "closed"]);
    assert!(bench.is_asleep());
}

/// Two instances, of which the second one has crashed until the breaker opened.
fn disabled_with_a_healthy_instance() -> (Bench, Vec<String>) {
    let mut bench = Bench::up(service(|_, service| {
        service.instances = 2;
        service.backoff.initial = Duration::ZERO;
    }));
    bench.exited(2, Exit::Code(1));
    for serial in [3, 4] {
        bench.grant_instance(1);
        bench.started(serial);
        if serial == 3 {
            bench.exited(serial, Exit::Code(1));
        }
    }
    let opens = bench.exited(4, Exit::Code(1));
    (bench, opens)
}

#[test]
fn when_the_breaker_opens_the_healthy_instances_are_stopped_too_and_come_back_with_the_trial() {
    let (mut bench, opens) = disabled_with_a_healthy_instance();
    let answer = [
        "gate disabled_by_failure",
        "opened for 900s",
        "disabled",
        "stop 1",
        "given up after 3",
        "is disabled_by_failure",
    ];
    assert_eq!(opens, answer);
    let healthy = &bench.agent.instances()[0];
    assert_eq!(healthy.status, Status::Stopping);
    let why = healthy.reason.as_ref().map(ToString::to_string);
    assert_eq!(why.as_deref(), Some("disabled_by_failure: 3 restarts within 10m"));
    assert_eq!(bench.exited(1, Exit::Clean), NOTHING, "no dead letter of its own, and no restart");
    assert_eq!(bench.agent.processes(), []);
    let trial = ["gate half-open", "half-open", "enabled", "ask for 0 automatically", "ask for 1 automatically"];
    assert_eq!(bench.pass(Duration::from_mins(15))[..5], trial);
}

#[test]
fn an_instance_that_is_still_being_ended_when_the_trial_begins_comes_back_for_it() {
    let (mut bench, _) = disabled_with_a_healthy_instance();
    bench.pass(Duration::from_mins(15));
    assert_eq!(bench.agent.instances()[0].reason, Some(Reason::HalfOpen));
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0 automatically", "is queued"]);
}

#[test]
fn a_missing_command_stays_missing_until_somebody_starts_it() {
    let mut bench = Bench::new(service(|_, _| {}));
    bench.grant_instance(0);
    assert_eq!(bench.spawn_failed(1, SpawnFailureKind::Missing), ["settled false", "is missing"]);
    assert!(bench.is_asleep());
    assert_eq!(bench.command(&Command::Start { force: false }), ["ask for 0", "is queued"]);
}

#[test]
fn a_start_after_a_shortage_is_the_same_start_and_does_not_count() {
    let mut bench = Bench::new(service(|_, _| {}));
    for (serial, delay) in [(1, 100), (2, 200), (3, 400)] {
        bench.grant_instance(0);
        assert_eq!(bench.spawn_failed(serial, SpawnFailureKind::Transient), ["is backing_off"]);
        assert_eq!(bench.pass(Duration::from_millis(delay)), ["ask for 0", "is queued"]);
    }
    assert_eq!(bench.agent.instances()[0].restarts, 0);
}

#[test]
fn each_instance_has_a_life_of_its_own_and_the_worst_status_is_shown() {
    let mut bench = Bench::up(service(|_, service| service.instances = 2));
    assert_eq!(bench.exited(2, Exit::Code(1)), ["group", "is backing_off"]);
    assert_eq!(bench.agent.processes(), [process(1)]);
    assert_eq!(bench.pass(SECOND), ["ask for 1 automatically", "is queued"]);
    bench.grant_instance(1);
    bench.started(3);
    assert_eq!(bench.ready(3), ["is running"]);
}

#[test]
fn the_group_restarts_what_runs_and_does_not_overrule_a_stop() {
    let group = || Event::GroupRestart { reason: Reason::GroupRestart { agent: AgentName::new("b").unwrap() } };
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.on(group()), ["stop 1", "is stopping"]);
    assert_eq!(bench.on(group()), NOTHING);
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0 automatically", "is queued"]);
    assert_eq!(bench.on(group()), NOTHING, "it is on its way");
    bench.grant_instance(0);
    bench.started(2);
    bench.command(&Command::Stop);
    assert_eq!(bench.on(group()), NOTHING);
    assert_eq!(bench.exited(2, Exit::Clean), ["is stopped"]);
    assert_eq!(bench.on(group()), NOTHING);
}

#[test]
fn only_a_definition_that_concerns_the_program_restarts_it() {
    let mut bench = Bench::up(service(|_, _| {}));
    let same = service(|spec, service| {
        spec.description = "new".to_owned();
        spec.priority = Priority::Critical;
        spec.layer = Some(3);
        spec.stop.timeout = SECOND;
        spec.on_lost = OnLost::Ignore;
        service.restart = RestartPolicy::OnFailure;
        service.backoff = backoff(9);
        service.healthy_for = SECOND;
    });
    assert_eq!(bench.on(Event::Redefine(Arc::new(same))), NOTHING);
    let other = service(|spec, _| spec.cwd = PathBuf::from("/tmp"));
    assert_eq!(bench.on(Event::Redefine(Arc::new(other.clone()))), ["stop 1", "is stopping"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0", "is queued"]);
    bench.grant_instance(0);
    bench.exited(2, Exit::Clean);
    bench.command(&Command::Stop);
    let again = service(|spec, _| spec.cwd = PathBuf::from("/"));
    assert_eq!(bench.on(Event::Redefine(Arc::new(again))), NOTHING, "stopped is stopped");
}

#[test]
fn instances_come_and_go_with_the_definition_and_the_others_run_on() {
    let with = |instances| Event::Redefine(Arc::new(service(|_, service| service.instances = instances)));
    let mut bench = Bench::up(service(|_, service| service.instances = 2));
    assert_eq!(bench.on(with(3)), ["ask for 2", "is queued"]);
    assert_eq!(bench.on(with(1)), ["stop 2", "withdraw 2", "is stopping"]);
    assert_eq!(bench.on(with(2)), NOTHING, "the second is still being ended");
    assert_eq!(bench.exited(2, Exit::Clean), ["is stopped"]);
    assert_eq!(bench.agent.instances().len(), 2);
}

#[test]
fn a_service_that_the_registry_switches_off_ends_and_comes_back_with_the_switch() {
    let switched = |enabled| Event::Redefine(Arc::new(service(|spec, _| spec.enabled = enabled)));
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.on(switched(false)), ["gate disabled", "disabled", "stop 1", "is disabled"]);
    assert_eq!(bench.exited(1, Exit::Clean), NOTHING);
    assert_eq!(bench.on(switched(true)), ["gate open", "enabled", "ask for 0", "is queued"]);
}

#[test]
fn a_program_that_was_spawned_is_told_of_once_and_one_that_could_not_be_spawned_is_not() {
    for spec in [service(|_, _| {}), job(|_, _| {})] {
        let is_job = spec.job().is_some();
        let mut bench = Bench::new(spec);
        let grant = |bench: &mut Bench, run| if is_job { bench.grant(run, 1) } else { bench.grant_instance(0) };
        grant(&mut bench, 1);
        let failure = SpawnFailure { kind: SpawnFailureKind::Transient, message: "no luck".to_owned() };
        assert_eq!(bench.first_starts(Event::SpawnFailed { process: process(1), failure }), 0);
        bench.wait(SECOND);
        let _ = bench.on(Event::DeadlineReached);
        grant(&mut bench, 2);
        assert_eq!(bench.first_starts(Event::Started { process: process(2), pid: 4_711 }), 1);
        assert_eq!(bench.first_starts(Event::Exited { process: process(2), end: end(Exit::Clean) }), 0);
        bench.wait(SECOND);
        let _ = bench.on(Event::DeadlineReached);
        grant(&mut bench, 3);
        assert_eq!(bench.first_starts(Event::Started { process: process(3), pid: 4_712 }), 0);
    }
}

#[test]
fn word_of_an_end_without_word_of_the_start_says_that_it_was_spawned() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    assert_eq!(bench.first_starts(Event::Exited { process: process(1), end: end(Exit::Clean) }), 1);
}
