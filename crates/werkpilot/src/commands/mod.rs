//! One file per command, or per small family of them: what it takes, what it asks, what it shows.

pub mod agents;
pub mod audit;
pub mod bus;
pub mod check;
pub mod config;
pub mod control;
pub mod dlq;
pub mod down;
pub mod events;
pub mod generate;
pub mod history;
pub mod kept;
pub mod login;
pub mod logs;
pub mod message;
pub mod notify;
pub mod optimize;
pub mod plan;
pub mod publish;
pub mod queue;
pub mod report;
pub mod request;
pub mod run;
pub mod simulate;
pub mod state;
pub mod status;
pub mod subscribe;
pub mod token;
pub mod top;
pub mod up;
pub mod why;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use werkpilot::Source;
use werkpilot_core::time::{Timestamp, human};

use crate::GlobalOptions;
use crate::client::Client;
use crate::failure::{Code, Failure};
use crate::find;
use crate::output::{self, Output};

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// Options that every command has.
    pub options: GlobalOptions,
    /// Where answers go.
    pub out: Output,
}

impl Context {
    /// From the command line.
    pub fn new(options: GlobalOptions) -> Self {
        let out = Output::new(options.json);
        Self { options, out }
    }

    /// Does something with the running orchestrator.
    pub fn online<T>(&self, work: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
        let client = Client::connect(&find::state_dir(&self.options)?)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Code::Internal, format!("failed to start: {error}")))?;
        runtime.block_on(work(client))
    }

    /// Shows an answer: as it is for programs, else what `text` makes of it.
    pub fn show(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<ExitCode, Failure> {
        let shown = if self.out.json { output::print_json(value) } else { output::print(&text()) };
        shown.map(|()| ExitCode::SUCCESS)
    }
}

/// Where the registry is.
#[derive(Clone, Debug, Args)]
pub struct RegistryOption {
    /// The registry: a folder of *.toml files (or an agent-registry.json), or a single file of one.
    #[arg(long, value_name = "DIR", env = "WERKPILOT_REGISTRY", hide_env_values = true, default_value = "registry")]
    pub registry: PathBuf,
}

/// The files that the options name.
pub fn source(options: &GlobalOptions, registry: PathBuf, set: &[(String, String)]) -> Source {
    Source { registry: Some(registry), config: find::config_file(options), overrides: find::overrides(options, set) }
}

/// Reads the files; all that is wrong with them is one failure.
pub fn load(source: &Source, and_so: &str) -> Result<werkpilot_config::Loaded, Failure> {
    source.load().map_err(|faults| faults_failure(&faults, and_so))
}

/// All that is wrong with the files.
pub fn faults_failure(faults: &werkpilot_config::Faults, and_so: &str) -> Failure {
    let rendered = faults.render(std::io::stderr().is_terminal());
    // Its last line is the count, which the error has, too.
    let report = rendered.trim_end().strip_suffix(&faults.count_line()).unwrap_or(&rendered).trim_end().to_owned();
    Failure::new(Code::Config, format!("{}{and_so}", faults.count_line())).report(report)
}

/// `in 4m 2s`, `2m ago`, `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let (ahead, behind) = (at.since(now), now.since(at));
    match (ahead.as_secs(), behind.as_secs()) {
        (0, 0) => "now".to_owned(),
        (0, _) => format!("{} ago", human(behind)),
        _ => format!("in {}", human(Duration::from_secs(ahead.as_secs()))),
    }
}

/// The wall clock.
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Milliseconds as the API shows them.
pub fn from_ms(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1_000.0).unwrap_or_default()
}

/// Seconds as the API shows them.
pub fn from_secs(secs: f64) -> Duration {
    Duration::try_from_secs_f64(secs).unwrap_or_default()
}
