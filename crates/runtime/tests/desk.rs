//! The dead-letter desk on a real store: its actor may die at any time, and nothing is lost by it.

mod common;

use tempfile::TempDir;
use werkpilot_core::dead_letters::{DeadLetter, LetterState};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_runtime::{ControlError, Handle, RunRequest};

use common::{patient, wait_for, with_kept_fleet};

/// Runs a job that fails until `mended` is in its folder.
fn with_desk<F: Future<Output = ()>>(look: impl FnOnce(Handle, TempDir) -> F) {
    let folder = TempDir::new().unwrap();
    let line = format!("cd {}; cat >> tried; [ -e mended ]", folder.path().display());
    let mut job = AgentSpec::job_named(AgentName::new("orders").unwrap(), Program::Shell(line));
    job.job_mut().unwrap().retry.max = 0;
    let mut settings = patient();
    settings.breaker.dead_letters = 1_000;
    with_kept_fleet(vec![job], settings, |handle| async move {
        assert!(handle.booted().await);
        look(handle, folder).await;
    });
}

async fn run(handle: &Handle) {
    let payload = Some(b"x".to_vec());
    handle.run(RunRequest { agent: "orders".to_owned(), payload, force: false, by: "test".to_owned() }).await.unwrap();
}

async fn letter(handle: &Handle, id: u64) -> DeadLetter {
    handle.dead_letter(id).await.unwrap()
}

async fn replay(handle: &Handle, id: u64) -> Result<RunId, ControlError> {
    handle.replay_dead_letter(id, false).await
}

#[test]
fn letters_and_replays_outlive_the_desks_actor() {
    with_desk(|handle, folder| async move {
        for number in 1..=10 {
            run(&handle).await;
            if number % 3 == 0 {
                handle.crash_dead_letters();
            }
        }
        wait_for("all letters", || async { handle.dead_letters().await.unwrap().dead_letters.len() == 10 }).await;
        assert_eq!(letter(&handle, 1).await.execution.payload.as_deref(), Some(&b"x"[..]));
        std::fs::write(folder.path().join("mended"), "").unwrap();
        let ids: Vec<u64> = handle.dead_letters().await.unwrap().dead_letters.iter().map(|letter| letter.id).collect();
        let asked = ids.iter().map(|id| {
            let (handle, id) = (handle.clone(), *id);
            actix::spawn(async move { replay(&handle, id).await.map(|_| ()) })
        });
        let asked: Vec<_> = asked.collect();
        // It dies with replays between disk and queue.
        tokio::task::yield_now().await;
        handle.crash_dead_letters();
        for answer in asked {
            // Whoever got no answer may ask again.
            let _ = answer.await;
        }
        for id in ids {
            wait_for("its replay", || async {
                let state = letter(&handle, id).await.standing.state;
                if state == LetterState::Open {
                    let _ = replay(&handle, id).await;
                }
                state == LetterState::Replayed
            })
            .await;
        }
        let tried = std::fs::read_to_string(folder.path().join("tried")).unwrap();
        assert_eq!(tried.len(), 20, "each is replayed once");
    });
}

#[test]
fn letters_that_come_in_a_storm_are_bounded_and_counted() {
    with_desk(|handle, _| async move {
        for _ in 0..130 {
            run(&handle).await;
        }
        wait_for("all letters", || async { handle.dead_letters().await.unwrap().total == 130 }).await;
        let list = handle.dead_letters().await.unwrap();
        assert_eq!((list.dead_letters.len(), list.evicted), (100, 30));
    });
}
