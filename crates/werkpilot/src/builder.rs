//! An orchestrator inside another program, with agents of its own beside those of a registry.

use std::path::PathBuf;

use actix::System;
use werkpilot_config::{Faults, Overrides};
use werkpilot_runtime::bus::InProcess;
use werkpilot_web::Exposure;

use crate::orchestrator::{Options, Orchestrator, Prepared, RunError, StartError};
use crate::signals::Signals;
use crate::source::Source;
use crate::state::StateDir;

/// Why an embedded orchestrator could not be started. No agent was.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The files have faults; all of them are told.
    #[error("{}", .0.render(false))]
    Files(Faults),
    /// Anything else.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<StartError> for BuildError {
    fn from(error: StartError) -> Self {
        Self::Run(error.into())
    }
}

/// Describes an orchestrator that a program embeds. Begins with [`Orchestrator::builder`].
///
/// What the program sets by [`Self::set`] goes before the settings file. The variables `WERKPILOT_*` are the command
/// line's and mean nothing here: the environment is the program's.
///
/// ```no_run
/// use werkpilot::Orchestrator;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// Orchestrator::builder()
///     .registry("registry")
///     .set("dashboard.listen", "127.0.0.1:0")
///     .run(|orchestrator| async move {
///         orchestrator.booted().await;
///         println!("{} agents", orchestrator.handle().agents().await.map_or(0, |agents| agents.len()));
///     })?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    registry: Option<PathBuf>,
    config: Option<PathBuf>,
    overrides: Overrides,
    in_process: Vec<InProcess>,
    watch: bool,
}

impl Builder {
    /// The registry: a folder, or a single file of one. Without it there are only in-process agents.
    #[must_use]
    pub fn registry(mut self, path: impl Into<PathBuf>) -> Self {
        self.registry = Some(path.into());
        self
    }

    /// The settings file; without it all settings are the defaults.
    #[must_use]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// A setting by its dotted key, such as `queue.workers`; goes before the file.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.overrides.cli.push((key.into(), value.into()));
        self
    }

    /// The state folder.
    #[must_use]
    pub fn state_dir(self, path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        self.set("state.dir", path.display().to_string())
    }

    /// An in-process agent.
    #[must_use]
    pub fn agent(mut self, agent: InProcess) -> Self {
        self.overrides.in_process.push(agent.spec().clone());
        self.in_process.push(agent);
        self
    }

    /// Reads changed files again on their own.
    #[must_use]
    pub fn watch(mut self) -> Self {
        self.watch = true;
        self
    }

    /// Starts everything, runs `work` once the fleet boots, and returns when the fleet is down: by SIGTERM, SIGINT, or
    /// [`werkpilot_runtime::Handle::shut_down`].
    ///
    /// # Errors
    /// [`BuildError`]; no agent was started then, unless the event loop failed.
    pub fn run<F: Future<Output = ()> + 'static>(
        self,
        work: impl FnOnce(std::rc::Rc<Orchestrator>) -> F + 'static,
    ) -> Result<(), BuildError> {
        let Self { registry, config, overrides, in_process, watch } = self;
        let source = Source { registry, config, overrides };
        let loaded = source.load().map_err(BuildError::Files)?;
        let state = StateDir::take(&loaded.settings.state.dir).map_err(RunError::from)?;
        let prepared = Prepared::new(loaded, state, Exposure::Safe)?;
        let system = System::new();
        let _orchestrator = system.block_on(async {
            let signals = Signals::catch().map_err(|source| StartError::System { what: "catch signals", source })?;
            let orchestrator =
                std::rc::Rc::new(prepared.start(&source, Options { watch, in_process, ..Options::default() }).await?);
            signals.pass_on_to(orchestrator.handle().clone());
            actix::spawn(work(orchestrator.clone()));
            Ok::<_, StartError>(orchestrator)
        })?;
        system.run().map_err(RunError::EventLoop)?;
        Ok(())
    }
}
