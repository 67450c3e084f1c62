//! The optimizer on a real store: its actor may die at any time, and nothing of a run is applied half.

mod common;

use std::time::Duration;

use common::{patient, wait_for, with_kept_fleet};
use werkpilot_core::dead_letters::Attempt;
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::optimizer::{Decision, DecisionState, Report};
use werkpilot_core::spec::{AgentSpec, Priority, Program};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_runtime::{ControlError, Handle};
use werkpilot_store::row::execution::{ExecutionRow, ExecutionState};
use werkpilot_store::row::optimizer::ReportRow;
use werkpilot_store::{Change, Json};

fn job(name: &str) -> AgentSpec {
    AgentSpec::job_named(AgentName::new(name).unwrap(), Program::Shell("true".to_owned()))
}

fn execution(number: u64, agent: &str, queued_at: Timestamp, waited: u64, ran: u64) -> Change {
    let (waited, duration) = (Duration::from_secs(waited), Duration::from_secs(ran));
    let started_at = queued_at + waited;
    let attempt = Attempt { attempt: 1, started_at, duration, exit: Exit::Clean };
    let run = RunId::from_parts(queued_at.as_millis().unsigned_abs(), u128::from(number) << 4);
    Change::InsertExecution(Box::new(ExecutionRow {
        state: ExecutionState::Ended(End::Succeeded),
        started_at: Some(started_at),
        ended_at: Some(started_at + duration),
        attempts: Some(Json::of(&[attempt])),
        waited: Some(waited),
        duration: Some(duration),
        ..ExecutionRow::intent(run, AgentName::new(agent).unwrap(), Trigger::Every, queued_at)
    }))
}

async fn add_history(handle: &Handle) {
    let begin = Timestamp::from_millis(handle.clock().now().wall.as_millis() - 2 * 86_400_000);
    let executions = (0..60).flat_map(|number| {
        let at = begin + Duration::from_secs(number * 1_000);
        [execution(number, "small", at, 40, 1), execution(1_000 + number, "large", at, 0, 300)]
    });
    handle.ledger().kept(executions.collect()).await.unwrap();
}

async fn priority(handle: &Handle) -> u8 {
    handle.agent("small").await.unwrap().agent.priority
}

#[test]
fn a_run_whose_actor_dies_applies_nothing_and_the_next_one_all() {
    let mut settings = patient();
    settings.optimizer.apply = true;
    with_kept_fleet(vec![job("small"), job("large")], settings, |handle| async move {
        assert!(handle.booted().await);
        add_history(&handle).await;
        for _ in 0..3 {
            let asked = handle.clone();
            let run = actix::spawn(async move { asked.optimize(false, "test").await });
            wait_for("a run that is under way", || async {
                handle.consult(|house| house.optimizer.borrow().running().is_some()).await.unwrap()
            })
            .await;
            let second = handle.optimize(true, "test").await;
            assert!(matches!(second, Err(ControlError::Optimizer(_))), "{second:?}");
            handle.crash_optimizer();
            assert!(run.await.unwrap().is_err());
            wait_for("the actor's successor", || async { handle.posts().optimizer.addr().is_some() }).await;
        }
        assert_eq!(priority(&handle).await, 3);
        assert_eq!(handle.reports(None, 10).await.unwrap().reports, []);
        assert!(handle.decisions().await.unwrap().is_empty());
        let report = handle.optimize(false, "test").await.unwrap();
        assert_eq!((report.id, report.applied.len()), (Some(1), 1));
        wait_for("the priority", || async { priority(&handle).await == 2 }).await;
        let decision = handle.undo_decision(1, "test").await.unwrap();
        assert!(!decision.stands());
        assert!(matches!(handle.undo_decision(1, "test").await, Err(ControlError::Optimizer(_))));
        assert!(matches!(handle.undo_decision(2, "test").await, Err(ControlError::UnknownDecision(2))));
        assert!(matches!(handle.report(9).await, Err(ControlError::UnknownReport(9))));
    });
}

#[test]
fn what_the_disk_refuses_is_not_in_effect() {
    let mut settings = patient();
    settings.optimizer.apply = true;
    with_kept_fleet(vec![job("small"), job("large")], settings, |handle| async move {
        assert!(handle.booted().await);
        add_history(&handle).await;
        handle.ledger().writer().unwrap().limit_pages(1).unwrap();
        // Until the file is really full.
        wait_for("a full disk", || async {
            let big = "x".repeat(20_000);
            let row = werkpilot_store::row::figures::DigestRow {
                name: format!("test:{}", handle.clock().now().steady.as_nanos()),
                slot: "minute".to_owned(),
                slot_at: Timestamp::from_secs(1),
                data: big.into_bytes(),
            };
            handle.ledger().kept(vec![Change::PutDigest(Box::new(row))]).await.is_err()
        })
        .await;
        let refused = handle.optimize(false, "test").await;
        assert!(matches!(refused, Err(ControlError::NotKept { .. })), "{refused:?}");
        assert_eq!(priority(&handle).await, 3);
        assert!(handle.decisions().await.unwrap().is_empty());
        handle.ledger().writer().unwrap().limit_pages(0).unwrap();
        wait_for("a disk that is well", || async { handle.optimize(false, "test").await.is_ok() }).await;
        wait_for("the priority", || async { priority(&handle).await == 2 }).await;
    });
}

#[test]
fn a_fleet_that_keeps_nothing_is_looked_at_all_the_same() {
    common::with_fleet(vec![job("small")], |handle| async move {
        let report = handle.optimize(false, "test").await.unwrap();
        assert_eq!((report.id, report.findings.proposals.len()), (Some(1), 0));
        assert!(!report.findings.too_little.is_empty());
        assert_eq!(handle.reports(None, 10).await.unwrap().reports, []);
    });
}

#[test]
fn what_is_on_disk_though_nobody_heard_of_it_is_in_effect_from_the_next_run_on() {
    let mut settings = patient();
    settings.optimizer.apply = true;
    with_kept_fleet(vec![job("small"), job("large")], settings, |handle| async move {
        assert!(handle.booted().await);
        let report = handle.optimize(true, "test").await.unwrap();
        let report = Report { id: Some(1), ..report };
        let decision = Decision {
            id: 1,
            report: 1,
            at: report.at,
            agent: AgentName::new("small").unwrap(),
            from: Priority::Normal,
            to: Priority::Important,
            registry: Priority::Normal,
            because: "it waits".to_owned(),
            state: DecisionState::Standing,
            changed_at: None,
            changed_by: None,
        };
        // As a run whose answer was lost with the writer leaves it.
        let row = Change::AddReport(Box::new(ReportRow::of(&report).unwrap()));
        handle.ledger().kept(vec![row, Change::PutDecision(Box::new((&decision).into()))]).await.unwrap();
        assert_eq!(handle.optimize(false, "test").await.unwrap().id, Some(2));
        wait_for("the priority", || async { priority(&handle).await == 2 }).await;
    });
}
