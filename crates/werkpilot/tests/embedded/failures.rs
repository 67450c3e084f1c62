//! A panic in a handler is the agent's failure: told to who asked, restarted by policy, and nobody else's business.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use werkpilot_core::event::Event;
use werkpilot_core::status::Status;
use werkpilot_runtime::bus::{AgentError, RequestError};

use crate::agents::{Count, Double, Panic, SHELL, Wait, worker};
use crate::support::{Fleet, PATIENCE, name, wait_for, with_fleet};

/// Asks for a panic, and sees what becomes of the agent.
async fn panics(fleet: &Fleet, later: bool, text: &str) {
    assert_eq!(fleet.wait_for_answer("bystander", Count {}).await, 1);
    assert_eq!(fleet.wait_for_answer("actor", Count {}).await, 1);
    let Err(RequestError::Agent(AgentError { code: 500, message })) = fleet.ask("actor", Panic { later }).await else {
        panic!("who asked is not told");
    };
    assert!(message.starts_with("it panicked before it answered: ") && message.contains(text), "{message}");
    fleet.wait_for_status("actor", Status::BackingOff).await;
    let why = fleet.orchestrator.handle().why("actor").await.unwrap();
    assert!(format!("{why:?}").contains(text), "{why:?}");
    let reason = fleet.orchestrator.handle().agent("actor").await.unwrap().agent.reason.unwrap();
    assert!(reason.contains(text), "{reason}");
    // The bus is told of a change within milliseconds.
    wait_for("the reason on the bus", || async {
        let refused = fleet.ask("actor", Count {}).await;
        matches!(refused, Err(RequestError::Unavailable { reason }) if reason.starts_with("backing_off: ") && reason.contains(text))
    })
    .await;
    wait_for("another actor", || async { fleet.status("actor").await == Status::Running }).await;
    assert_eq!(fleet.wait_for_answer("actor", Count {}).await, 1, "it begins anew");
    assert_eq!(fleet.ask("bystander", Count {}).await, Ok(2), "nobody else noticed");
    let restarts = fleet.events().await.into_iter().filter(|event| matches!(event, Event::AgentRestarting { .. }));
    assert_eq!(restarts.count(), 1);
}

#[test]
fn a_panic_in_a_handler_is_told_to_who_asked_and_the_agent_is_started_again() {
    with_fleet(vec![worker("actor"), worker("bystander")], "", &[], |fleet| async move {
        panics(&fleet, false, "the handler fell").await;
    });
}

#[test]
fn a_panic_in_what_a_handler_left_behind_is_the_agent_s_failure_too() {
    with_fleet(vec![worker("actor"), worker("bystander")], "", &[], |fleet| async move {
        panics(&fleet, true, "the handler's future fell").await;
    });
}

#[test]
fn a_program_is_told_of_the_panic_of_the_actor_that_it_asked() {
    with_fleet(vec![worker("actor")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        let mut heard = fleet.orchestrator.messenger().subscribe(&name("tester"), "shell.heard").unwrap();
        assert_eq!(fleet.ask("shell", Panic { later: false }).await, Ok(7));
        let header = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap().payload;
        assert_eq!(String::from_utf8(header).unwrap(), "Nats-Service-Error-Code: 500");
    });
}

#[test]
fn all_that_an_actor_was_asked_fails_at_once_when_it_ends() {
    const PENDING: usize = 1_000;
    with_fleet(vec![worker("actor")], "", &[], |fleet| async move {
        fleet.wait_for_answer("actor", Count {}).await;
        let asked = (0..PENDING).map(|_| fleet.ask("actor", Wait { padding: String::new() }));
        let ended = async {
            // Asked after all of them.
            let panicked = fleet.ask("actor", Panic { later: false }).await;
            (Instant::now(), panicked)
        };
        let (answers, (begun, panicked)) = tokio::join!(join_all(asked), ended);
        let took = begun.elapsed();
        println!("{PENDING} requests failed within {took:?} of the end of their actor");
        assert!(took < Duration::from_secs(1) && panicked.is_err(), "{took:?} {panicked:?}");
        for answer in answers {
            assert!(matches!(answer, Err(RequestError::Agent(AgentError { code: 500, .. }))), "{answer:?}");
        }
    });
}
