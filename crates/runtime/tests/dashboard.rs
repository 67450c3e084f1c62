//! What the pages ask for, of an orchestrator in this process.

mod common;

use common::{patient, wait_for, with_fleet, with_kept_fleet};
use werkpilot_core::attention::SHOWN;
use werkpilot_core::event::End;
use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{AgentSpec, Program};
use werkpilot_runtime::{ControlError, Handle, RunRequest};

fn job(name: &str, line: &str) -> AgentSpec {
    let mut spec = AgentSpec::job_named(AgentName::new(name).unwrap(), Program::Shell(line.to_owned()));
    spec.job_mut().unwrap().retry.max = 0;
    spec
}

fn missing(name: &str) -> AgentSpec {
    let program = Program::Command(vec!["/nowhere/at-all".to_owned()]);
    AgentSpec::service_named(AgentName::new(name).unwrap(), program)
}

async fn run(handle: &Handle, agent: &str) -> End {
    let request = RunRequest { agent: agent.to_owned(), payload: None, force: false, by: "test".to_owned() };
    let run = match handle.run(request).await.unwrap() {
        werkpilot_core::dispatcher::Admission::Accepted(run) => run,
        other => panic!("{other:?}"),
    };
    match handle.wait(run).await.unwrap().event {
        werkpilot_core::event::Event::ExecutionEnded { end, .. } => end,
        other => panic!("{other:?}"),
    }
}

#[test]
fn more_troubles_than_anybody_reads_are_counted_and_the_worst_are_shown() {
    let mut agents: Vec<AgentSpec> = (0..SHOWN + 20).map(|n| missing(&format!("m{n:03}"))).collect();
    agents.push(job("z-fails", "exit 1"));
    with_fleet(agents, |handle| async move {
        assert_eq!(run(&handle, "z-fails").await, End::Failed);
        wait_for("all of them are missing", || async {
            let page = handle.dashboard().await.unwrap();
            page.attention_total == SHOWN + 21 && page.attention.len() == SHOWN
        })
        .await;
        let page = handle.dashboard().await.unwrap();
        assert!(page.attention.iter().all(|item| item.title.contains("can't start")), "the worst first");
        assert_eq!((page.boot.phase, page.boot.layers_total, page.system.statuses["missing"]), ("running", 1, 120));
    });
}

#[test]
fn an_agent_that_never_ran_has_neither_strip_nor_history() {
    with_kept_fleet(vec![job("idle", "true"), job("busy", "true")], patient(), |handle| async move {
        assert_eq!(run(&handle, "busy").await, End::Succeeded);
        let agents = handle.agents().await.unwrap();
        let strips: Vec<&str> = agents.iter().map(|agent| agent.recent.as_str()).collect();
        assert_eq!(strips, ["", "s"]);
        let idle = handle.memory_history(Some("idle")).await.unwrap();
        assert!(idle.points.is_empty() && idle.marks.is_empty());
        let nobody = handle.memory_history(Some("nobody")).await;
        assert!(matches!(nobody, Err(ControlError::UnknownAgent { .. })));
        let page = handle.dashboard().await.unwrap();
        assert_eq!(page.throughput.iter().map(|ends| ends.succeeded).sum::<u32>(), 1);
        assert_eq!(page.attention, []);
    });
}

#[test]
fn where_nobody_knows_the_files_there_is_no_origin_and_nothing_would_change() {
    with_fleet(vec![job("a", "true")], |handle| async move {
        let config = handle.agent_config("a").await.unwrap();
        assert_eq!((config.name.as_str(), config.file, config.keys), ("a", None, Vec::new()));
        let (preview, version) = handle.preview_reload().await.unwrap();
        assert!(preview.valid && preview.added.is_empty() && preview.changed.is_empty());
        assert_eq!((preview.unchanged, version), (1, handle.config_version().await.unwrap()));
        assert!(handle.reload_if("test", false, Some(version.wrapping_add(1))).await.is_err(), "it is another version");
        assert!(handle.reload_if("test", false, Some(version)).await.is_ok());
        assert!(matches!(handle.impact("b").await, Err(ControlError::UnknownAgent { .. })));
    });
}

#[test]
fn a_question_that_panics_is_answered_with_an_error_and_the_fleet_goes_on() {
    with_fleet(vec![job("a", "true")], |handle| async move {
        let answer = handle.consult(|house| {
            let _borrowed = house.directory.borrow_mut();
            assert!(house.directory.try_borrow().is_ok(), "a drill");
        });
        assert!(matches!(answer.await, Err(ControlError::Panicked)));
        assert_eq!(run(&handle, "a").await, End::Succeeded);
        assert_eq!(handle.agents().await.unwrap().len(), 1);
    });
}
