//! Memory is short, and `memory_max`.

use super::*;

fn pressure() -> Reason {
    Reason::MemoryPressure { percent: 93, threshold: 90, used_bytes: 300 << 20 }
}

fn relief() -> Reason {
    Reason::MemoryRecovered { percent: 60, threshold: 75 }
}

impl Bench {
    fn shed(&mut self) -> Vec<String> {
        self.on(Event::MemoryIsShort { reason: pressure() })
    }

    fn unshed(&mut self) -> Vec<String> {
        self.on(Event::MemoryIsBack { reason: relief() })
    }

    fn over_limit(&mut self, serial: u32) -> Vec<Action> {
        let event = Event::OverMemoryLimit { process: process(serial), used_bytes: 300, limit_bytes: 200 };
        let mut out = Vec::new();
        self.agent.on(event, self.now, &mut out);
        out
    }

    /// The reasons of all restarts that the end of this process brings about.
    fn restart_reasons(&mut self, serial: u32) -> Vec<Reason> {
        let end = ProcessEnd { peak_rss_bytes: 300, ..end(Exit::Signal(Signal::TERM)) };
        let mut out = Vec::new();
        self.agent.on(Event::Exited { process: process(serial), end }, self.now, &mut out);
        let reasons = out.into_iter().filter_map(|action| match action {
            Action::Emit(Fact::AgentRestarting { reason, .. }) => Some(reason),
            _ => None,
        });
        reasons.collect()
    }
}

#[test]
fn a_service_that_is_shed_stops_and_comes_back_without_counting() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.shed(), ["gate disabled_by_memory", "disabled", "stop 1", "is disabled_by_memory"]);
    assert_eq!(bench.shed(), NOTHING, "twice");
    assert_eq!(bench.exited(1, Exit::Clean), NOTHING);
    assert!(bench.is_asleep());
    assert_eq!(bench.unshed(), ["gate open", "enabled", "ask for 0", "is queued"]);
    assert_eq!(bench.unshed(), NOTHING, "twice");
}

#[test]
fn a_service_that_comes_back_while_it_still_ends_is_started_afterwards() {
    let mut bench = Bench::up(service(|_, _| {}));
    let _ = bench.shed();
    assert_eq!(bench.unshed()[..2], ["gate open", "enabled"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0", "is queued"]);
}

#[test]
fn the_run_of_a_job_that_is_shed_goes_on_and_no_other_one_begins() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.started(1);
    assert_eq!(bench.shed(), ["gate disabled_by_memory", "disabled"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["succeeded"]);
    assert_eq!(bench.grant(2, 1), ["skipped"], "a grant that was on its way");
    assert_eq!(bench.unshed(), ["gate open", "enabled"]);
}

#[test]
fn a_person_brings_it_back_in_every_way_that_starts_something() {
    for command in [Command::Start { force: false }, Command::Restart, Command::Enable] {
        let mut bench = Bench::up(service(|_, _| {}));
        let _ = bench.shed();
        let _ = bench.exited(1, Exit::Clean);
        let said = bench.command(&command);
        assert!(said.contains(&"gate open".to_owned()) && said.contains(&"ask for 0".to_owned()), "{said:?}");
        assert!(said.contains(&"enabled".to_owned()), "{said:?}");
    }
    let mut bench = Bench::new(job(|_, _| {}));
    let _ = bench.shed();
    assert_eq!(bench.command(&Command::PrepareManualRun), ["gate open", "enabled"]);
}

#[test]
fn what_is_closed_for_another_reason_stays_so() {
    let mut bench = Bench::up(service(|_, _| {}));
    bench.command(&Command::Disable);
    assert_eq!(bench.shed(), NOTHING);
    assert_eq!(bench.unshed(), NOTHING);
    assert!(matches!(bench.agent.gate(), Gate::Closed { status: Status::Disabled, .. }));

    let mut bench = Bench::up(service(|_, _| {}));
    let _ = bench.shed();
    bench.command(&Command::Disable);
    assert_eq!(bench.unshed(), NOTHING, "a person disabled it meanwhile");

    let mut bench = Bench::up(service(|_, _| {}));
    let _ = bench.on(Event::Drain);
    assert_eq!(bench.shed(), NOTHING, "it goes down anyway");
}

#[test]
fn a_definition_that_changes_while_it_is_shed_does_not_start_it() {
    let mut bench = Bench::up(service(|_, _| {}));
    let _ = bench.shed();
    let _ = bench.exited(1, Exit::Clean);
    let other = service(|_, service| service.instances = 2);
    assert_eq!(bench.on(Event::Redefine(Arc::new(other))), NOTHING);
    assert_eq!(bench.unshed()[2..4], ["ask for 0", "ask for 1"]);
}

#[test]
fn over_the_limit_a_service_is_ended_and_follows_its_policy() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(said(&bench.over_limit(1)), ["stop 1", "is stopping"]);
    assert_eq!(said(&bench.over_limit(1)), NOTHING, "twice");
    assert_eq!(bench.restart_reasons(1), [Reason::MemoryLimit { used_bytes: 300, limit_bytes: 200 }]);

    let mut bench = Bench::up(service(|_, service| service.restart = RestartPolicy::Never));
    let _ = bench.over_limit(1);
    assert_eq!(bench.exited(1, Exit::Signal(Signal::TERM)), ["is error"]);
    assert_eq!(said(&bench.over_limit(1)), NOTHING, "it is gone");
}

#[test]
fn over_the_limit_the_attempt_of_a_job_fails_and_is_repeated_as_any_other() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(1)));
    bench.grant(1, 1);
    bench.started(1);
    assert_eq!(said(&bench.over_limit(1)), ["stop 1"]);
    assert_eq!(bench.restart_reasons(1), [Reason::MemoryLimit { used_bytes: 300, limit_bytes: 200 }]);
    bench.grant(1, 2);
    bench.started(2);
    let _ = bench.over_limit(2);
    let end = ProcessEnd { forced: true, peak_rss_bytes: 300, ..end(Exit::Clean) };
    let mut out = Vec::new();
    bench.agent.on(Event::Exited { process: process(2), end }, bench.now, &mut out);
    let ended = out.iter().find_map(|action| match action {
        Action::Dispatcher(ToDispatcher::Ended(ended)) => Some(ended),
        _ => None,
    });
    let ended = ended.expect("an end");
    assert_eq!((ended.exit.clone(), ended.dead_letter), (Some(Exit::MemoryLimit), true), "however it ended");
    assert_eq!(ended.reason.clone().unwrap().to_string(), "all 2 attempts failed, the last one exceeded memory_max");
}

#[test]
fn an_attempt_that_is_cancelled_already_is_not_over_its_limit_as_well() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.started(1);
    let _ = bench.on(Event::CancelRun { key: key(1), reason: by("me") });
    assert_eq!(said(&bench.over_limit(1)), NOTHING);
    assert_eq!(bench.exited(1, Exit::Signal(Signal::TERM)), ["cancelled"]);
}
