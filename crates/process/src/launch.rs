//! What is to be started: the one value that goes in.

use std::fmt;
use std::sync::Arc;

use werkpilot_core::ids::RunId;
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::time::Timestamp;

/// The caller's name for one launched process: below 2^60 and never used twice while a [`crate::Host`] lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey(pub u64);

impl fmt::Display for ProcessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where stdout and stderr go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// To the agent's log.
    #[default]
    Log,
    /// To `/dev/null`.
    Discard,
}

/// One process to be started. [`Launch::new`] fills in what an ordinary first attempt has.
#[derive(Clone, Debug)]
pub struct Launch {
    /// By what name its events come back.
    pub key: ProcessKey,
    /// The execution that it belongs to; `WERKPILOT_RUN_ID`. Instances of one agent have a run id each.
    pub run: RunId,
    /// Which attempt of the execution, from 1; `WERKPILOT_ATTEMPT`.
    pub attempt: u32,
    /// Which instance of the agent, from 0.
    pub instance: u16,
    /// Command, folder, environment, identity and stop policy.
    pub spec: Arc<AgentSpec>,
    /// The time that it was scheduled for; `WERKPILOT_SCHEDULED_TIME`.
    pub scheduled_for: Option<Timestamp>,
    /// What it finds on stdin; without it stdin is `/dev/null`.
    pub payload: Option<Arc<[u8]>>,
    /// Variables of the runtime, such as `NATS_URL`. They win over those of the registry.
    pub extra_env: Vec<(String, String)>,
    /// Another command than the spec's, for an exec probe. It has no notify socket, no watchdog and no readiness.
    pub argv_override: Option<Vec<String>>,
    /// Where its output goes.
    pub output: Output,
    /// Whether the report of a failed exit carries the last lines of the log.
    pub tail_on_failure: bool,
    /// Whether the beginning of stdout is kept for the report, and how many bytes at most.
    pub capture_stdout_max: Option<usize>,
}

impl Launch {
    /// The first attempt of the spec's own command, with its output in the log.
    pub fn new(key: ProcessKey, run: RunId, spec: Arc<AgentSpec>) -> Self {
        Self {
            key,
            run,
            attempt: 1,
            instance: 0,
            spec,
            scheduled_for: None,
            payload: None,
            extra_env: Vec::new(),
            argv_override: None,
            output: Output::Log,
            tail_on_failure: true,
            capture_stdout_max: None,
        }
    }

    /// A probe of the agent: another command in the same environment, its output thrown away.
    pub fn probe(key: ProcessKey, run: RunId, spec: Arc<AgentSpec>, argv: Vec<String>) -> Self {
        Self { argv_override: Some(argv), output: Output::Discard, tail_on_failure: false, ..Self::new(key, run, spec) }
    }
}
