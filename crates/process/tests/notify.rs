//! Services that say how they are: readiness, status, watchdog, silence.

mod harness;

use std::time::Duration;

use harness::{Fixture, service, service_part, watchdog};
use werkpilot_core::spec::ReadyCheck;
use werkpilot_process::{ProcessEvent, ProcessKey};

/// The test binary itself is the program: a shell cannot send datagrams. Its arguments are messages, or `sleep:<ms>`.
const SPEAKER: &str = "WERKPILOT_TEST_SPEAK";

/// A service that sends these messages, one after the other.
fn speaker(messages: &[&str], check: ReadyCheck) -> werkpilot_core::spec::AgentSpec {
    let binary = std::env::current_exe().unwrap();
    let mut spec = service(&format!("exec {} --exact speaks --nocapture", binary.display()), check);
    spec.environment.set.insert(SPEAKER.to_owned(), messages.join("|"));
    spec
}

/// No test of its own: what [`speaker`] runs.
#[test]
fn speaks() {
    let Ok(messages) = std::env::var(SPEAKER) else { return };
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    for message in messages.split('|') {
        match message.strip_prefix("sleep:") {
            Some(millis) => std::thread::sleep(Duration::from_millis(millis.parse().unwrap())),
            None => drop(socket.send_to(message.replace("\\n", "\n").as_bytes(), &path).unwrap()),
        }
    }
}

fn is_exit(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::Exited { .. })
}

/// The events of a run between start and exit.
fn events_of(fixture: &mut Fixture, spec: werkpilot_core::spec::AgentSpec) -> (ProcessKey, Vec<ProcessEvent>) {
    let (key, _) = fixture.launch(spec);
    fixture.started();
    let mut events = fixture.events_until(is_exit);
    events.pop();
    (key, events)
}

#[test]
fn ready_status_and_stopping_are_reported_in_order_and_ready_once() {
    let mut fixture = Fixture::new();
    let messages = ["STATUS=warming \x1b[1mup", "garbage", "READY=1\\nSTATUS=well", "READY=1", "STOPPING=1"];
    let (key, events) = events_of(&mut fixture, speaker(&messages, ReadyCheck::Notify));
    let status = |text: &str| ProcessEvent::Status { key, text: text.to_owned() };
    let expected =
        [status("warming [1mup"), ProcessEvent::Ready { key }, status("well"), ProcessEvent::Stopping { key }];
    assert_eq!(events, expected);
    fixture.finish();
}

#[test]
fn what_was_sent_just_before_the_end_is_not_lost() {
    let mut fixture = Fixture::new();
    for _ in 0..10 {
        let (key, events) = events_of(&mut fixture, speaker(&["READY=1"], ReadyCheck::Notify));
        assert_eq!(events, [ProcessEvent::Ready { key }]);
    }
    fixture.finish();
}

#[test]
fn a_watchdog_that_is_not_patted_expires_again_and_again() {
    let mut fixture = Fixture::new();
    let mut spec = service("exec sleep 60", ReadyCheck::After(Duration::ZERO));
    service_part(&mut spec).health = Some(watchdog(Duration::from_millis(50)));
    let (key, _) = fixture.launch(spec);
    fixture.started();
    for _ in 0..3 {
        assert_eq!(fixture.event(), ProcessEvent::WatchdogExpired { key });
    }
    fixture.host.kill(key);
    fixture.exit_of(key);
    fixture.finish();
}

#[test]
fn a_watchdog_that_is_patted_does_not_expire_and_counts_from_readiness() {
    let mut fixture = Fixture::new();
    let messages = ["sleep:2500", "READY=1", "sleep:500", "WATCHDOG=1", "sleep:500", "WATCHDOG=1", "sleep:500"];
    let mut spec = speaker(&messages, ReadyCheck::Notify);
    service_part(&mut spec).health = Some(watchdog(Duration::from_secs(2)));
    let (key, events) = events_of(&mut fixture, spec);
    assert_eq!(events, [ProcessEvent::Ready { key }]);

    let mut spec = speaker(&["READY=1", "WATCHDOG=trigger"], ReadyCheck::Notify);
    service_part(&mut spec).health = Some(watchdog(Duration::from_mins(1)));
    let (key, events) = events_of(&mut fixture, spec);
    assert_eq!(events, [ProcessEvent::Ready { key }, ProcessEvent::WatchdogExpired { key }]);
    fixture.finish();
}

#[test]
fn silence_is_reported_and_output_ends_it() {
    let mut fixture = Fixture::new();
    let mut spec = service("while read line; do echo $line; done; sleep 60", ReadyCheck::After(Duration::ZERO));
    service_part(&mut spec).max_silence = Some(Duration::from_millis(100));
    let (key, _) = fixture.launch(spec);
    fixture.started();
    assert_eq!(fixture.event(), ProcessEvent::Silent { key });
    assert_eq!(fixture.event(), ProcessEvent::Silent { key }, "and again, as long as it lasts");
    fixture.host.kill(key);
    fixture.exit_of(key);

    let mut spec = service("for i in 1 2 3 4 5; do echo $i; sleep 0.2; done", ReadyCheck::After(Duration::ZERO));
    service_part(&mut spec).max_silence = Some(Duration::from_secs(5));
    let (_, events) = events_of(&mut fixture, spec);
    assert_eq!(events, []);
    fixture.finish();
}

#[test]
fn who_speaks_or_pats_the_watchdog_again_is_reported_once() {
    let mut fixture = Fixture::new();
    let mut spec = service("sleep 1; echo a; echo b; exec sleep 60", ReadyCheck::After(Duration::ZERO));
    service_part(&mut spec).max_silence = Some(Duration::from_millis(300));
    let (key, _) = fixture.launch(spec);
    fixture.started();
    let events = fixture.events_until(|event| matches!(event, ProcessEvent::OutputAgain { .. }));
    assert!(events.iter().rev().skip(1).all(|event| *event == ProcessEvent::Silent { key }), "{events:?}");
    assert_eq!(fixture.event(), ProcessEvent::Silent { key }, "once, then it is silent again");
    fixture.host.kill(key);
    fixture.exit_of(key);

    let messages = ["READY=1", "WATCHDOG=trigger", "WATCHDOG=1", "WATCHDOG=1"];
    let mut spec = speaker(&messages, ReadyCheck::Notify);
    service_part(&mut spec).health = Some(watchdog(Duration::from_mins(1)));
    let (key, events) = events_of(&mut fixture, spec);
    let expected =
        [ProcessEvent::Ready { key }, ProcessEvent::WatchdogExpired { key }, ProcessEvent::WatchdogAgain { key }];
    assert_eq!(events, expected);
    fixture.finish();
}

#[test]
fn a_matching_line_of_either_output_is_readiness_once() {
    let mut fixture = Fixture::new();
    for line in ["echo starting; echo listening on 80; echo listening on 81", "echo listening on 80 >&2"] {
        let (key, events) = events_of(&mut fixture, service(line, ReadyCheck::Log("listening on [0-9]+".to_owned())));
        assert_eq!(events, [ProcessEvent::Ready { key }]);
    }
    fixture.finish();
}
