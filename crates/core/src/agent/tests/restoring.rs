//! What a restart of the orchestrator keeps of an agent.

use super::*;
use proptest::prelude::*;
use rstest::rstest;

use crate::agent::{Kept, Switch};

impl Bench {
    /// The same agent under the next orchestrator, this much later on the wall clock; before its boot.
    fn reborn(&self, passed_ms: i64) -> Self {
        let kept = self.agent.kept(self.now);
        let text = serde_json::to_string(&kept).unwrap();
        let read = Kept { at: kept.at, ..serde_json::from_str(&text).unwrap() };
        assert_eq!(read, kept, "{text}");
        let mut next = Self::unbooted(self.agent.spec().as_ref().clone());
        next.now.wall = Timestamp::from_millis(self.now.wall.as_millis() + passed_ms);
        next.now.steady = Moment::from_secs(1);
        next.agent.restore(&read, &breaker(), next.now);
        next
    }

    fn why_closed(&self) -> String {
        match self.agent.gate() {
            Gate::Closed { reason, .. } => reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    fn boot(&mut self) -> Vec<String> {
        self.on(Event::Boot)
    }
}

fn failing_job() -> Bench {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    for run in 1..=2 {
        bench.grant(run, 1);
        bench.started(run);
        bench.exited(run, Exit::Code(1));
    }
    bench
}

#[test]
fn who_was_disabled_stays_so_with_the_reason() {
    let mut bench = Bench::up(service(|_, _| {}));
    bench.command(&Command::Disable);
    let mut next = bench.reborn(5_000);
    assert_eq!(next.why_closed(), bench.why_closed());
    assert_eq!(next.boot(), ["gate disabled", "settled false", "is disabled"]);
    assert_eq!(next.command(&Command::Enable), ["gate open", "enabled", "ask for 0", "is queued"]);
    assert_eq!(next.reborn(0).agent.gate(), Gate::Open);
}

#[test]
fn who_was_shed_stays_so_until_memory_is_back_or_a_person_starts_it() {
    let reason = Reason::MemoryPressure { percent: 93, threshold: 90, used_bytes: 7 };
    let mut bench = Bench::up(service(|_, _| {}));
    let before = bench.agent.mark();
    let _ = bench.on(Event::MemoryIsShort { reason });
    assert_ne!(bench.agent.mark().switches, before.switches, "it is written at once");
    let mut next = bench.reborn(5_000);
    assert_eq!(next.why_closed(), bench.why_closed());
    assert_eq!(next.boot(), ["gate disabled_by_memory", "settled false", "is disabled_by_memory"]);
    let back = Event::MemoryIsBack { reason: Reason::MemoryRecovered { percent: 1, threshold: 75 } };
    assert_eq!(next.on(back), ["gate open", "enabled", "ask for 0", "is queued"]);
    assert_eq!(next.agent.kept(next.now).shed, None);
    assert_eq!(bench.reborn(0).command(&Command::Start { force: false }), ["enabled"]);
    let kept = bench.agent.kept(bench.now);
    assert_eq!(kept.clone().switched(true, true, "me").shed, None);
    assert_eq!(kept.switched(false, true, "me").shed, None);
}

#[test]
fn who_was_enabled_against_the_registry_stays_so_until_the_registry_says_otherwise() {
    let off = job(|spec, _| spec.enabled = false);
    let mut bench = Bench::new(off.clone());
    bench.command(&Command::Enable);
    let mut next = bench.reborn(1);
    assert_eq!(next.agent.gate(), Gate::Open);
    let _ = next.on(Event::Redefine(Arc::new(AgentSpec { enabled: true, ..off.clone() })));
    let _ = next.on(Event::Redefine(Arc::new(off)));
    assert_eq!(next.why_closed(), "enabled = false in the registry");
    assert_eq!(next.agent.kept(next.now).switch, None);
}

#[test]
fn who_was_stopped_stays_so_until_it_is_started() {
    let mut bench = Bench::up(service(|_, _| {}));
    bench.command(&Command::Stop);
    let mut next = bench.reborn(60_000);
    assert_eq!(next.boot(), ["gate stopped", "settled false"]);
    assert_eq!(next.command(&Command::Start { force: false }), ["gate open", "ask for 0", "is queued"]);
}

#[rstest]
#[case::in_time(60_000, Duration::from_mins(14))]
#[case::long_after(3_600_000, Duration::ZERO)]
#[case::the_clock_was_set_back(-86_400_000, Duration::from_mins(15))]
fn an_open_breaker_stays_open_until_its_trial_is_due(#[case] passed_ms: i64, #[case] left: Duration) {
    let bench = failing_job();
    let mut next = bench.reborn(passed_ms);
    assert_eq!(next.why_closed(), bench.why_closed());
    let _ = next.boot();
    assert_eq!(next.pass(left), ["gate half-open", "half-open", "enabled"]);
    next.grant(3, 1);
    next.started(1);
    assert_eq!(next.exited(1, Exit::Code(1))[1..], ["opened for 1800s", "disabled", "failed, dead letter"]);
}

#[test]
fn a_trial_that_was_cut_off_is_tried_again_and_counts_as_automatic() {
    let mut bench = Bench::new(service(|_, _| {}));
    for serial in 1..=3 {
        bench.crash(serial);
        if bench.agent.gate() == Gate::Open {
            bench.wait(Duration::from_mins(1));
            let _ = bench.on(Event::DeadlineReached);
        }
    }
    bench.wait(Duration::from_mins(15));
    assert_eq!(bench.on(Event::DeadlineReached)[0], "gate half-open");
    let mut next = bench.reborn(1_000);
    assert_eq!(next.boot(), ["gate half-open", "ask for 0 automatically", "is queued"]);
    next.grant_instance(0);
    next.started(1);
    assert!(next.exited(1, Exit::Code(1)).contains(&"opened for 1800s".to_owned()));
}

#[test]
fn dead_letters_in_a_row_are_counted_on() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    bench.grant(1, 1);
    bench.started(1);
    bench.exited(1, Exit::Code(1));
    let mut next = bench.reborn(1_000);
    let _ = next.boot();
    next.grant(2, 1);
    next.started(1);
    assert!(next.exited(1, Exit::Code(1)).contains(&"opened for 900s".to_owned()));
}

#[rstest]
#[case::crashed(false)]
#[case::shut_down(true)]
fn a_service_that_backs_off_goes_on_with_its_delay(#[case] drained: bool) {
    let mut bench = Bench::new(service(|_, _| {}));
    bench.crash(1);
    assert_eq!(bench.pass(SECOND), ["ask for 0 automatically", "is queued"]);
    bench.crash(2);
    if drained {
        let _ = bench.on(Event::Drain);
    }
    let mut next = bench.reborn(500);
    assert_eq!(next.boot(), ["settled false", "is backing_off"]);
    assert_eq!(next.pass(Duration::from_millis(1_500)), ["ask for 0 automatically", "is queued"]);
    assert_eq!(next.agent.instances()[0].restarts, 2);
    // The third within its window is one too many, though two were before the restart.
    assert!(next.crash(1).contains(&"opened for 900s".to_owned()));
}

#[test]
fn the_mark_changes_when_something_happens_and_not_with_time() {
    let mut bench = Bench::new(service(|_, _| {}));
    let fresh = bench.agent.mark();
    bench.crash(1);
    let crashed = bench.agent.mark();
    assert_eq!(crashed.switches, fresh.switches);
    assert_ne!(crashed.rest, fresh.rest);
    bench.wait(SECOND / 2);
    assert_eq!(bench.agent.mark(), crashed);
    bench.command(&Command::Disable);
    assert_ne!(bench.agent.mark().switches, crashed.switches);
}

#[test]
fn what_is_written_before_a_switch_is_what_the_switch_leaves() {
    for on in [true, false] {
        let mut bench = failing_job();
        let before = bench.agent.kept(bench.now).switched(on, true, "me");
        bench.command(if on { &Command::Enable } else { &Command::Disable });
        assert_eq!(bench.agent.kept(bench.now), before);
    }
    let mut bench = Bench::new(job(|spec, _| spec.enabled = false));
    let before = bench.agent.kept(bench.now).switched(true, false, "me");
    assert_eq!(before.switch, Some(Switch::On { by: "me".to_owned() }));
    bench.command(&Command::Enable);
    assert_eq!(bench.agent.kept(bench.now), before);
}

#[test]
fn what_an_older_version_did_not_write_has_its_default() {
    assert_eq!(serde_json::from_str::<Kept>("{}").unwrap(), Kept::default());
    let partial = r#"{"stopped":true,"breaker":{"state":"open","left_ms":5},"instances":[{"instance":1}],"new":1}"#;
    let kept: Kept = serde_json::from_str(partial).unwrap();
    assert!(kept.stopped);
    assert_eq!(kept.instances[0].instance, 1);
}

proptest! {
    #[test]
    fn nothing_is_forgotten_whatever_happened(
        steps in proptest::collection::vec((0..6_u8, 0..2_000_u64), 0..40),
    ) {
        let mut bench = Bench::new(service(|_, service| service.instances = 2));
        let mut serial = 0;
        for (what, ms) in steps {
            bench.wait(Duration::from_millis(ms));
            match what {
                0 => { let _ = bench.on(Event::DeadlineReached); }
                1 => { let _ = bench.command(&Command::Disable); }
                2 => { let _ = bench.command(&Command::Enable); }
                3 => { let _ = bench.command(&Command::Start { force: false }); }
                _ => {
                    let launched = bench.grant_instance(u16::from(what) - 4).iter().any(|word| word.starts_with("launch"));
                    if launched {
                        serial += 1;
                        bench.started(serial);
                        bench.exited(serial, Exit::Code(1));
                    }
                }
            }
        }
        let next = bench.reborn(0);
        prop_assert_eq!(next.agent.gate(), bench.agent.gate());
        prop_assert_eq!(next.agent.kept(next.now), bench.agent.kept(bench.now));
    }
}

#[test]
fn what_a_job_said_before_it_failed_is_known_until_it_succeeds_also_after_a_restart() {
    let mut bench = Bench::new(job(|_, job| job.retry = backoff(0)));
    let said = |bench: &Bench| bench.agent.last_words().map(|words| (words.text.clone(), words.run_id));
    let run = |bench: &mut Bench, number: u32, exit: Exit, words: Option<&str>| {
        bench.grant(number, 1);
        bench.started(number);
        bench.exited_saying(number, exit, words);
    };
    let before = bench.agent.mark();
    run(&mut bench, 1, Exit::Code(1), Some("no stock"));
    assert_eq!(said(&bench), Some(("no stock".to_owned(), RunId::from_parts(1, 0))));
    assert!(before.rest != bench.agent.mark().rest, "it is written");
    assert_eq!(said(&bench.reborn(1_000)), said(&bench));
    run(&mut bench, 2, Exit::Clean, Some("all sold"));
    assert_eq!(said(&bench), None);
    run(&mut bench, 3, Exit::Code(1), Some("no stock"));
    run(&mut bench, 4, Exit::Code(1), None);
    assert_eq!(said(&bench), None, "those of another failure would mislead");
}

#[test]
fn how_often_a_service_was_restarted_in_a_row_is_known_until_it_has_run_for_long_enough() {
    let mut bench = Bench::up(service(|_, service| service.healthy_for = SECOND));
    assert_eq!(bench.agent.restarted_in_a_row(), None);
    bench.exited_saying(1, Exit::Code(7), Some("address in use"));
    assert_eq!(bench.agent.restarted_in_a_row(), Some((1, Some(&Exit::Code(7)))));
    assert_eq!(bench.agent.last_words().unwrap().text, "address in use");
    let wait = bench.agent.next_deadline().unwrap().since(bench.now.steady);
    bench.pass(wait);
    bench.grant_instance(0);
    bench.started(2);
    bench.ready(2);
    assert_eq!(bench.agent.restarted_in_a_row(), Some((1, Some(&Exit::Code(7)))), "it runs, and may fail again");
    bench.pass(SECOND);
    assert_eq!(bench.agent.restarted_in_a_row(), None);
}
