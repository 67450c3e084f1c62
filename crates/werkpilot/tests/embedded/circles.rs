//! Agents that wait for each other: the request times out, and the circle is named.

use werkpilot_core::event::Event;

use crate::agents::{Count, Double, Round, SHELL, worker};
use crate::support::{Fleet, wait_for, with_fleet};

fn way(agents: &[&str]) -> Round {
    Round { way: agents.iter().map(ToString::to_string).collect(), timeout_ms: 200 }
}

async fn is_told(fleet: &Fleet, members: &[&str]) {
    wait_for("the circle", || async {
        fleet.events().await.iter().any(|event| match event {
            Event::BusRequestCircle { agents } => {
                agents.len() == members.len() && agents.iter().all(|agent| members.contains(&agent.as_str()))
            }
            _ => false,
        })
    })
    .await;
}

#[test]
fn a_circle_of_actors_is_named() {
    with_fleet(vec![worker("actor"), worker("other")], "", &[], |fleet| async move {
        fleet.wait_for_answer("actor", Count {}).await;
        fleet.wait_for_answer("other", Count {}).await;
        assert!(fleet.ask("actor", way(&["other", "actor"])).await.is_err());
        is_told(&fleet, &["actor", "other"]).await;
    });
}

#[test]
fn a_circle_through_actors_and_a_program_is_named() {
    with_fleet(vec![worker("actor"), worker("other")], SHELL, &[], |fleet| async move {
        fleet.wait_for_answer("shell", Double { n: 1 }).await;
        fleet.wait_for_answer("actor", Count {}).await;
        fleet.wait_for_answer("other", Count {}).await;
        assert!(fleet.ask("actor", way(&["other", "shell", "actor"])).await.is_err());
        is_told(&fleet, &["actor", "other", "shell"]).await;
    });
}
