//! Wires the layers together: state folder, log, listeners, actors, servers, signals, watched files.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use actix::System;
use notify::RecommendedWatcher;
use werkpilot_process as process;
use werkpilot_runtime::bus::{BusSide, InProcess, Messenger};
use werkpilot_runtime::{ControlError, Handle, Loaded};
use werkpilot_store::{LockError, OpenError, Store};
use werkpilot_web::{BindError, Bound, Exposure};

use crate::builder::Builder;
use crate::signals::Signals;
use crate::source::{ConfigInEffect, Source, into_runtime};
use crate::state::StateDir;
use crate::{logging, runtime_dir, systemd, watch};

/// Between two warnings of the same.
const A_DAY: Duration = Duration::from_hours(24);

/// How an orchestrator is run.
#[derive(Debug)]
pub struct Options {
    /// Whether changed files are read again on their own.
    pub watch: bool,
    /// In-process agents. Their definitions are in [`Source::overrides`], too.
    pub in_process: Vec<InProcess>,
    /// Whether HTTP may be reached from other machines in plain text.
    pub exposure: Exposure,
}

impl Default for Options {
    fn default() -> Self {
        Self { watch: true, in_process: Vec::new(), exposure: Exposure::Safe }
    }
}

/// Why an orchestrator could not be started. No agent was.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What was kept can't be opened.
    #[error("failed to {0}")]
    Store(#[from] OpenError),
    /// What the last orchestrator left could not be ended.
    #[error("failed to end what a crashed orchestrator left behind")]
    Survivors(#[source] io::Error),
    /// The actors could not be started.
    #[error(transparent)]
    Runtime(#[from] werkpilot_runtime::StartError),
    /// The actors do not answer.
    #[error("failed to start the actors")]
    Silent(#[source] ControlError),
    /// The system refused something.
    #[error("failed to {what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Why [`run`] ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state folder could not be taken.
    #[error("failed to {0}")]
    State(#[from] LockError),
    /// The log could not be opened.
    #[error("failed to write the orchestrator's log below {}", path.display())]
    Log {
        /// The state folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The orchestrator could not be started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The event loop failed.
    #[error("failed to run the event loop")]
    EventLoop(#[source] io::Error),
}

/// What was started, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many agents there are.
    pub agents: usize,
    /// In how many departments.
    pub departments: usize,
    /// In how many boot layers.
    pub layers: usize,
    /// Where the dashboard is.
    pub url: String,
    /// Where clients of the bus connect.
    pub bus_url: String,
    /// Where the CLI finds the orchestrator.
    pub control_socket: PathBuf,
    /// The state folder.
    pub state_dir: PathBuf,
}

/// Everything that can fail before an agent is started has been done: listeners are bound, and what a crashed
/// predecessor left is ended.
#[derive(Debug)]
pub struct Prepared {
    loaded: Loaded,
    in_effect: ConfigInEffect,
    bound: Bound,
    bus: TcpListener,
    summary: Summary,
    state: StateDir,
    store: Store,
}

impl Prepared {
    /// Takes the listeners, then ends survivors, which may take seconds.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(loaded: werkpilot_config::Loaded, state: StateDir, exposure: Exposure) -> Result<Self, StartError> {
        let in_effect = ConfigInEffect::default();
        let loaded = into_runtime(loaded, &in_effect);
        for notice in &loaded.notices {
            log::warn!(target: "werkpilot", "{notice}");
        }
        let bound = Bound::bind_as(&loaded.settings.dashboard, state.path(), exposure)?;
        let bus = werkpilot_web::bind_bus(loaded.settings.bus.listen)?;
        let summary = summary(&loaded, &bound, &bus, state.path());
        let store = Store::open_locked(state.path())?;
        end_survivors(state.path())?;
        Ok(Self { loaded, in_effect, bound, bus, summary, state, store })
    }

    /// What will be started.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// A link to the dashboard that logs an admin in, once, within five minutes. It belongs on the terminal of whoever
    /// starts the orchestrator, and into no log.
    pub fn login_link(&self, by: &str) -> String {
        self.bound.login_link(by)
    }

    /// Starts the actors, which boot the fleet, and serves. Has to be called inside an actix `System`; one per process.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(self, source: &Source, options: Options) -> Result<Orchestrator, StartError> {
        let Self { loaded, in_effect, bound, bus, summary, state, store } = self;
        let runtime_dir = runtime_dir::of(state.path());
        let handle = werkpilot_runtime::start(werkpilot_runtime::Options {
            loaded,
            loader: source.loader(&in_effect),
            state_dir: state.path().to_owned(),
            runtime_dir: runtime_dir.clone(),
            store: Some(store),
            bus: Some(bus),
            residents: options.in_process,
            hands: None,
            memory: None,
        })?;
        // The actor that will stop the servers is there as soon as the supervisor answers.
        handle.consult(|_| ()).await.map_err(StartError::Silent)?;
        if bound.is_insecure() {
            actix::spawn(warn_every_day(bound.url()));
        }
        let server = werkpilot_web::serve(bound, handle.clone(), Arc::new(move || in_effect.to_json()));
        let bus = handle.bus().cloned();
        if let Some(access) = bus.as_ref().map(BusSide::operator)
            && let Err(error) = state.write_operator(&access)
        {
            log::warn!(target: "werkpilot", "`werkpilot request` will not find the bus, its address could not be written down: {error}");
        }
        handle.on_stop_servers(Box::new(|| {
            systemd::notify("STOPPING=1");
            Box::pin(async move {
                let closed = async {
                    if let Some(bus) = bus {
                        bus.close().await;
                    }
                };
                tokio::join!(server.stop(), closed);
            })
        }));
        if let Err(error) = state.write_address(&summary.url) {
            log::warn!(target: "werkpilot", "the dashboard's address could not be written down: {error}");
        }
        let watcher = options.watch.then(|| watch::start(source, handle.clone())).and_then(|watcher| {
            let untold = |error| log::warn!(target: "werkpilot", "changed files are not noticed, use `werkpilot reload`: {error}");
            watcher.map_err(untold).ok()
        });
        systemd::notify("READY=1");
        systemd::start_watchdog(&handle);
        Ok(Orchestrator { handle, runtime_dir, state, _watcher: watcher })
    }
}

/// A running orchestrator. Dropping it stops neither agents nor servers; [`Handle::shut_down`] does.
pub struct Orchestrator {
    handle: Handle,
    runtime_dir: PathBuf,
    /// Ours until the end.
    state: StateDir,
    _watcher: Option<RecommendedWatcher>,
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Orchestrator {
    /// Describes an orchestrator that a program embeds.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The way in.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Waits until all layers of the fleet were started, and their services are ready or late. `false`: it goes down
    /// instead.
    pub async fn booted(&self) -> bool {
        self.handle.booted().await
    }

    /// The bus, for the embedding program's own questions.
    ///
    /// # Panics
    /// Never: an orchestrator has a bus.
    pub fn messenger(&self) -> Messenger {
        self.handle.bus().expect("started with a bus").bus.messenger()
    }
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        runtime_dir::tidy(self.state.path(), &self.runtime_dir);
    }
}

/// Runs an orchestrator until it is asked to end: by a signal, or over its control socket. `starting` is told just
/// before the fleet boots.
///
/// # Errors
/// [`RunError`]; no agent was started then, unless it is [`RunError::EventLoop`].
pub fn run(
    source: &Source,
    loaded: werkpilot_config::Loaded,
    options: Options,
    starting: impl FnOnce(&Prepared),
) -> Result<(), RunError> {
    let state = StateDir::take(&loaded.settings.state.dir)?;
    let logged = logging::start(&loaded.settings.logs, state.path());
    logged.map_err(|source| RunError::Log { path: state.path().to_owned(), source })?;
    let prepared = Prepared::new(loaded, state, options.exposure)?;
    starting(&prepared);
    let system = System::new();
    let _orchestrator = system.block_on(async {
        // From here on no signal ends us before the fleet is down; the first ones wait until somebody can act on them.
        let signals = Signals::catch().map_err(|source| StartError::System { what: "catch signals", source })?;
        let orchestrator = prepared.start(source, options).await?;
        signals.pass_on_to(orchestrator.handle().clone());
        Ok::<_, StartError>(orchestrator)
    })?;
    system.run().map_err(RunError::EventLoop)
}

fn summary(loaded: &Loaded, bound: &Bound, bus: &TcpListener, state_dir: &Path) -> Summary {
    let agents = &loaded.registry.agents;
    let departments: BTreeSet<&str> = agents.iter().map(|agent| agent.department.as_str()).collect();
    Summary {
        agents: agents.len(),
        departments: departments.len(),
        layers: layers(loaded),
        // With the real port, if the settings say 0.
        url: bound.url(),
        bus_url: bus.local_addr().map(|address| format!("nats://{address}")).unwrap_or_default(),
        control_socket: bound.control_socket().to_owned(),
        state_dir: state_dir.to_owned(),
    }
}

fn layers(loaded: &Loaded) -> usize {
    let members = loaded.registry.agents.iter().map(|agent| {
        let needs = agent.dependencies.iter().map(|dependency| dependency.agent.clone()).collect();
        (agent.name.clone(), needs, agent.layer)
    });
    // The registry was checked: there is no cycle.
    werkpilot_core::graph::Graph::new(&members.collect::<Vec<_>>()).map_or(0, |graph| graph.layers().len())
}

/// What was allowed once should not be forgotten.
async fn warn_every_day(url: String) {
    loop {
        log::warn!(target: "werkpilot", "{url} can be reached from other machines in plain text (--insecure): passwords and payloads can be read on their way; set [dashboard] tls_certificate and tls_key");
        actix::clock::sleep(A_DAY).await;
    }
}

fn end_survivors(state_dir: &Path) -> Result<(), StartError> {
    let (before, after) = process::limits::raise_open_files();
    log::debug!("open files: the limit was {before} and is {after}");
    process::become_subreaper().map_err(|source| StartError::System { what: "become a subreaper", source })?;
    let report = process::survivors::end_all(state_dir).map_err(StartError::Survivors)?;
    if !report.runs.is_empty() {
        log::warn!(
            target: "werkpilot",
            "The last orchestrator did not shut down; {} of its executions had not ended",
            report.runs.len()
        );
    }
    for survivor in &report.survivors {
        let how = match (survivor.ended, survivor.forced) {
            (true, false) => "ended",
            (true, true) => "ended by SIGKILL",
            (false, _) => "could not be ended",
        };
        log::warn!(target: "werkpilot", "Process {} of execution {} outlived it: {how}", survivor.pid, survivor.run);
    }
    Ok(())
}
