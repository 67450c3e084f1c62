//! An orchestrator in this process, ended in all cases. One per process: nextest gives each test one of its own.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use werkpilot::Orchestrator;
use werkpilot_core::agent::Command;
use werkpilot_core::event::Event;
use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_runtime::bus::{InProcess, Query, RequestError};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn name(text: &str) -> AgentName {
    AgentName::new(text).unwrap()
}

/// A fleet that runs in this process, and how a test looks at it.
#[derive(Clone)]
pub struct Fleet {
    pub orchestrator: Rc<Orchestrator>,
    registry: PathBuf,
}

/// Runs these agents and those of the registry until `test` is over.
pub fn with_fleet<F: Future<Output = ()> + 'static>(
    agents: Vec<InProcess>,
    registry: &str,
    settings: &[(&str, &str)],
    test: impl FnOnce(Fleet) -> F + 'static,
) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agents.toml");
    std::fs::write(&file, registry).unwrap();
    std::fs::write(dir.path().join("shell.sh"), crate::agents::SHELL_SCRIPT).unwrap();
    let mut builder = Orchestrator::builder().registry(&file).state_dir(dir.path().join("state"));
    let of_all = [("dashboard.listen", "127.0.0.1:0"), ("bus.listen", "127.0.0.1:0"), ("shutdown.grace", "2s")];
    for (key, value) in of_all.iter().chain(settings) {
        builder = builder.set(*key, *value);
    }
    for agent in agents {
        builder = builder.agent(agent);
    }
    let ended = Arc::new(Mutex::new(None));
    let end = ended.clone();
    let started = builder.run(move |orchestrator| async move {
        let fleet = Fleet { orchestrator: orchestrator.clone(), registry: file };
        let passed = AssertUnwindSafe(test(fleet)).catch_unwind().await;
        *end.lock().unwrap() = Some(passed);
        orchestrator.handle().shut_down("the end of the test");
    });
    started.unwrap();
    let passed = ended.lock().unwrap().take().expect("the test has run");
    passed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

impl Fleet {
    /// Asks in the name of an agent `tester`, which need not exist.
    pub async fn ask<Q: Query>(&self, to: &str, query: Q) -> Result<Q::Response, RequestError> {
        self.ask_within(to, query, PATIENCE).await
    }

    pub async fn ask_within<Q: Query>(
        &self,
        to: &str,
        query: Q,
        timeout: Duration,
    ) -> Result<Q::Response, RequestError> {
        self.orchestrator.messenger().request(&name("tester"), &name(to), query, timeout).await
    }

    pub async fn command(&self, agent: &str, command: Command) {
        self.orchestrator.handle().command(agent, command, "tester").await.unwrap();
    }

    pub async fn status(&self, agent: &str) -> Status {
        self.orchestrator.handle().agent(agent).await.unwrap().agent.status
    }

    pub async fn wait_for_status(&self, agent: &str, status: Status) {
        wait_for(&format!("{agent} is {status}"), || async { self.status(agent).await == status }).await;
    }

    /// Asks until it is answered: what is started at boot is there soon.
    pub async fn wait_for_answer<Q: Query + Clone>(&self, to: &str, query: Q) -> Q::Response {
        let begun = Instant::now();
        loop {
            match self.ask(to, query.clone()).await {
                Ok(answer) => return answer,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "{to} does not answer: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn events(&self) -> Vec<Event> {
        let recorded = self.orchestrator.handle().events(0, 10_000).await.unwrap();
        recorded.into_iter().map(|recorded| recorded.event).collect()
    }

    pub fn registry(&self) -> &Path {
        &self.registry
    }
}

/// Polls until it is so.
pub async fn wait_for<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
