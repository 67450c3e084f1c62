//! The actors on a real store: what a dead writer does to them, and what is told of the past.

mod common;

use std::time::Duration;

use werkpilot_core::dispatcher::Admission;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_runtime::state::{FactQuery, HistoryQuery};
use werkpilot_runtime::{Handle, RunRequest};

use common::{patient, with_kept_fleet};

fn with_hello<F: Future<Output = ()>>(look: impl FnOnce(Handle) -> F) {
    let job = AgentSpec::job_named(AgentName::new("hello").unwrap(), Program::Shell("echo hello".to_owned()));
    with_kept_fleet(vec![job], patient(), look);
}

async fn ran(handle: &Handle) -> RunId {
    let request = RunRequest { agent: "hello".to_owned(), payload: None, force: false, by: "test".to_owned() };
    let Admission::Accepted(run) = handle.run(request).await.unwrap() else { panic!("not accepted") };
    tokio::time::timeout(Duration::from_secs(10), handle.wait(run)).await.unwrap().unwrap();
    run
}

async fn history(handle: &Handle) -> Vec<RunId> {
    let page = handle.history(HistoryQuery::default().filter().unwrap()).await.unwrap();
    page.executions.into_iter().map(|execution| execution.run_id).collect()
}

#[test]
fn a_writer_that_dies_is_started_again_and_that_is_told() {
    with_hello(|handle| async move {
        let first = ran(&handle).await;
        assert_eq!(history(&handle).await, [first]);
        handle.ledger().writer().unwrap().crash().unwrap();
        let query = FactQuery { topics: vec!["store.restarted".parse().unwrap()], ..FactQuery::default() };
        for _ in 0..500 {
            if !handle.facts(&query).await.unwrap().events.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(handle.facts(&query).await.unwrap().events.len(), 1);
        assert!(handle.health().await.unwrap().store.is_well());
        let second = ran(&handle).await;
        assert_eq!(history(&handle).await, [second, first]);
        let whole = handle.execution(second).await.unwrap();
        assert_eq!((whole.state.as_str(), whole.attempts), ("succeeded", 1));
        let (_, lines) = handle.log_of_run(second, 10).await.unwrap();
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["hello"]);
    });
}
