use super::*;

#[test]
fn a_stopped_service_ends_and_stays_down_until_it_is_started() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.command(&Command::Stop), ["gate stopped", "stop 1", "is stopping"]);
    assert_eq!(bench.command(&Command::Stop), NOTHING);
    assert_eq!(bench.exited(1, Exit::Code(143)), ["is stopped"]);
    assert!(bench.is_asleep());
    assert_eq!(bench.command(&Command::Start { force: false }), ["gate open", "ask for 0", "is queued"]);
    assert_eq!(bench.command(&Command::Start { force: true }), ["ask for 0 by force"]);
    assert_eq!(bench.command(&Command::Stop), ["gate stopped", "withdraw 0", "is stopped"]);
}

#[test]
fn force_is_for_the_start_that_was_asked_for_only() {
    let mut bench = Bench::new(service(|_, service| service.backoff.initial = Duration::ZERO));
    assert_eq!(bench.command(&Command::Start { force: true }), ["ask for 0 by force"]);
    assert_eq!(bench.crash(1), ["ask for 0 automatically", "group", "is queued"]);
}

#[test]
fn a_start_while_it_is_being_stopped_brings_it_back_afterwards() {
    let mut bench = Bench::up(service(|_, _| {}));
    bench.command(&Command::Stop);
    assert_eq!(bench.command(&Command::Start { force: false }), ["gate open"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0", "is queued"]);
}

#[test]
fn a_restart_ends_it_and_starts_it_again_and_does_not_count() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.command(&Command::Restart), ["stop 1", "is stopping"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["ask for 0", "is queued"]);
    bench.grant_instance(0);
    assert_eq!(bench.command(&Command::Restart), ["is stopping"], "it is not there yet");
    assert_eq!(bench.started(2), ["stop 2"]);
    assert_eq!(bench.exited(2, Exit::Clean), ["ask for 0", "is queued"]);
    assert_eq!(bench.command(&Command::Restart), NOTHING, "it is on its way");
}

#[test]
fn a_restart_of_what_is_down_starts_it() {
    let mut bench = Bench::up(service(|_, service| service.restart = RestartPolicy::Never));
    bench.exited(1, Exit::Code(1));
    assert_eq!(bench.command(&Command::Restart), ["ask for 0", "is queued"]);
}

#[test]
fn disabled_refuses_starts_with_a_hint_until_it_is_enabled() {
    let refused = "refused: disabled: asked for by me; switch it on with `werkpilot enable a`";
    for spec in [service(|_, _| {}), job(|_, _| {})] {
        let mut bench = Bench::new(spec);
        bench.command(&Command::Disable);
        assert_eq!(bench.command(&Command::Disable), NOTHING, "twice");
        for command in [Command::Start { force: true }, Command::Restart] {
            assert_eq!(bench.command(&command), [refused]);
        }
        assert_eq!(bench.command(&Command::Enable)[..2], ["gate open", "enabled"]);
        assert_eq!(bench.command(&Command::Enable), NOTHING, "twice");
    }
}

#[test]
fn a_disabled_service_ends_and_a_disabled_job_finishes_what_runs() {
    let mut bench = Bench::up(service(|_, _| {}));
    assert_eq!(bench.command(&Command::Disable), ["gate disabled", "disabled", "stop 1", "is disabled"]);
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    assert_eq!(bench.command(&Command::Disable), ["gate disabled", "disabled"]);
    assert_eq!(bench.exited(1, Exit::Clean), ["succeeded"]);
    assert_eq!(bench.grant(2, 1), ["skipped"], "a grant that was on its way");
    assert_eq!(bench.grant(3, 2), ["cancelled"], "and one of a repeat");
}

#[test]
fn what_the_registry_switched_off_refuses_from_the_beginning() {
    let mut bench = Bench::unbooted(service(|spec, _| spec.enabled = false));
    assert!(matches!(bench.agent.gate(), Gate::Closed { status: Status::Disabled, .. }));
    assert_eq!(bench.on(Event::Boot), ["gate disabled", "settled false", "is disabled"]);
    let hint = "refused: disabled: enabled = false in the registry; switch it on with `werkpilot enable a`";
    assert_eq!(bench.command(&Command::Start { force: false }), [hint]);
    assert_eq!(bench.command(&Command::Enable), ["gate open", "enabled", "ask for 0", "is queued"]);
}

#[test]
fn a_stopped_job_ends_its_run_and_is_closed_until_it_is_started() {
    let mut bench = Bench::new(job(|_, _| {}));
    bench.grant(1, 1);
    bench.started(1);
    assert_eq!(bench.command(&Command::Stop), ["gate stopped", "stop 1"]);
    assert_eq!(bench.exited(1, Exit::Signal(Signal::TERM)), ["cancelled"]);
    assert_eq!(bench.command(&Command::PrepareManualRun), NOTHING);
    assert_eq!(bench.command(&Command::Start { force: false }), ["gate open"]);
}

#[test]
fn a_manual_start_clears_the_breaker() {
    let mut bench = Bench::new(service(|_, service| service.backoff.initial = Duration::ZERO));
    for serial in 1..=3 {
        bench.crash(serial);
    }
    let cleared = ["gate open", "enabled", "closed", "ask for 0", "is queued"];
    assert_eq!(bench.command(&Command::Start { force: false }), cleared);

    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    for run in 1..=2 {
        bench.grant(run, 1);
        bench.exited(run, Exit::Code(1));
    }
    assert!(matches!(bench.agent.breaker_state(), BreakerState::Open { .. }));
    assert_eq!(bench.command(&Command::PrepareManualRun), ["gate open", "enabled", "closed"]);
}

#[test]
fn a_new_definition_does_not_start_what_its_breaker_holds_back() {
    let mut bench = Bench::new(service(|_, service| service.backoff.initial = Duration::ZERO));
    for serial in 1..=3 {
        bench.crash(serial);
    }
    let new = service(|spec, _| spec.cwd = PathBuf::from("/tmp"));
    assert_eq!(bench.on(Event::Redefine(Arc::new(new))), NOTHING);
    assert_eq!(bench.agent.instances()[0].status, Status::Stopped);
}

#[test]
fn a_service_that_is_stopped_before_its_layer_does_not_hold_up_the_boot() {
    let mut bench = Bench::unbooted(service(|_, _| {}));
    bench.command(&Command::Stop);
    assert_eq!(bench.on(Event::Boot), NOTHING);
    assert_eq!(bench.command(&Command::Start { force: false }), ["gate open", "ask for 0", "is queued"]);

    let mut bench = Bench::new(service(|_, _| {}));
    assert_eq!(bench.command(&Command::Stop), ["gate stopped", "withdraw 0", "settled false", "is stopped"]);
}
