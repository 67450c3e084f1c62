//! Why a question is not answered, told by one type whoever was asked.

use std::time::{Duration, Instant};

use werkpilot_core::agent::Command;
use werkpilot_core::status::Status;
use werkpilot_runtime::bus::{AgentError, RequestError};

use crate::agents::{Count, Double, Fail, Riddle, SHELL, Wait, worker};
use crate::support::{wait_for, with_fleet};

fn wait(bytes: usize) -> Wait {
    Wait { padding: "x".repeat(bytes) }
}

#[test]
fn who_is_unknown_or_does_not_know_the_question_is_no_responder() {
    with_fleet(vec![worker("actor")], "", &[], |fleet| async move {
        fleet.wait_for_answer("actor", Count {}).await;
        let nobody = |subject: &str| Err(RequestError::NoResponder(subject.to_owned()));
        assert_eq!(fleet.ask("nobody", Double { n: 1 }).await, nobody("rpc.nobody.double"));
        assert_eq!(fleet.ask("actor", Riddle {}).await, nobody("rpc.actor.riddle"));
    });
}

#[test]
fn an_agent_s_own_errors_arrive_as_they_are() {
    with_fleet(vec![worker("actor")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        let error = |code, text: &str| Err(RequestError::Agent(AgentError::new(code, text)));
        assert_eq!(fleet.ask("actor", Fail { code: 409 }).await, error(409, "as was asked for"));
        assert_eq!(fleet.ask("shell", Fail { code: 1 }).await, error(418, "a teapot"));
    });
}

#[test]
fn an_answer_that_does_not_come_is_a_timeout_and_a_question_too_large_is_not_sent() {
    let settings = [("bus.max_payload", "64KiB")];
    with_fleet(vec![worker("actor")], SHELL, &settings, |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        for agent in ["actor", "shell"] {
            let (begun, timeout) = (Instant::now(), Duration::from_millis(50));
            assert_eq!(fleet.ask_within(agent, wait(0), timeout).await, Err(RequestError::Timeout), "{agent}");
            assert!(begun.elapsed() >= timeout && begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        }
        let Err(RequestError::TooLarge { bytes, max }) = fleet.ask("shell", wait(70_000)).await else {
            panic!("a question of 70,000 bytes was sent")
        };
        assert!(bytes > 70_000 && max == 65_536, "{bytes} {max}");
    });
}

#[test]
fn when_too_many_wait_for_actors_more_are_refused_at_once() {
    let settings = [("bus.max_pending_requests", "8")];
    with_fleet(vec![worker("actor")], "", &settings, |fleet| async move {
        fleet.wait_for_answer("actor", Count {}).await;
        let timeout = Duration::from_millis(200);
        let asked = (0..20).map(|_| fleet.ask_within("actor", wait(0), timeout));
        let answers = futures_util::future::join_all(asked).await;
        let count = |error: &RequestError| answers.iter().filter(|answer| answer.as_ref() == Err(error)).count();
        assert_eq!((count(&RequestError::Timeout), count(&RequestError::Overloaded)), (8, 12));
        assert!(fleet.ask("actor", Count {}).await.is_ok(), "those that gave up have left room");
    });
}

#[test]
fn an_agent_that_is_stopped_or_disabled_says_so_and_its_actor_is_gone() {
    let lives = std::sync::Arc::default();
    let actor = crate::agents::counted_worker("actor", &lives).build();
    with_fleet(vec![actor], "", &[], move |fleet| async move {
        let living = || lives.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(fleet.wait_for_answer("actor", Count {}).await, 1);
        fleet.wait_for_status("actor", Status::Running).await;
        assert_eq!(living(), 1);
        let commands = [(Command::Stop, Command::Start { force: false }), (Command::Disable, Command::Enable)];
        let told = [(Status::Stopped, "stopped by an operator"), (Status::Disabled, "asked for by tester")];
        for ((end, begin), (status, by)) in commands.into_iter().zip(told) {
            // What waits for the actor was asked before it is ended.
            let ending = async {
                assert_eq!(fleet.ask("actor", Double { n: 2 }).await, Ok(4));
                fleet.command("actor", end).await;
            };
            let (unanswered, ()) = tokio::join!(biased; fleet.ask("actor", wait(0)), ending);
            let ended = "stopped: actor ended before it answered".to_owned();
            assert_eq!(unanswered, Err(RequestError::Unavailable { reason: ended }));
            fleet.wait_for_status("actor", status).await;
            assert_eq!(living(), 0);
            // The bus is told of a change within milliseconds.
            wait_for("the reason", || async {
                let refused = fleet.ask("actor", Count {}).await;
                matches!(refused, Err(RequestError::Unavailable { reason }) if reason.starts_with(&format!("{status}: {by}")))
            })
            .await;
            fleet.command("actor", begin).await;
            assert_eq!(fleet.wait_for_answer("actor", Count {}).await, 1, "another actor");
        }
    });
}
