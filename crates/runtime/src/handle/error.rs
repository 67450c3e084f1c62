//! Why a request to the orchestrator could not be done; the texts are what API and command line tell.

use werkpilot_core::dead_letters::LetterRefusal;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::simulate::SimulateError;
use werkpilot_core::stream::LISTENERS;
use werkpilot_store::StoreError;

use crate::agents::reload::ReloadError;
use crate::observe::optimizer::OptimizeError;
use crate::post::Unavailable;
use crate::state::ReadError;

/// Why a request could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// There is no such agent.
    #[error("there is no agent {name}{}", did_you_mean(.suggestion.as_ref()))]
    UnknownAgent {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// There is no such agent any more, but for its last program.
    #[error("{0} was taken out of the registry, and its last program is being ended")]
    Leaving(String),
    /// There is neither an agent nor a remembered execution of this name.
    #[error("there is no agent and no remembered execution {name}{}", did_you_mean(.suggestion.as_ref()))]
    UnknownSubject {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// There is no such figure.
    #[error("there is no figure {name}{}", did_you_mean(.suggestion.as_ref()))]
    UnknownFigure {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// There is no such execution any more.
    #[error("there is no live execution {0}")]
    UnknownRun(RunId),
    /// There never was such an execution, or it is forgotten.
    #[error("there is no execution {0}, neither live nor in the history")]
    ForgottenRun(RunId),
    /// Nobody of this name is told of events.
    #[error("there is no target of notifications {name}{}", did_you_mean(.suggestion.as_ref()))]
    UnknownTarget {
        /// What was asked for.
        name: String,
        /// What may have been meant.
        suggestion: Option<String>,
    },
    /// There is no such profile, or it is not kept any more.
    #[error("there is no memory profile {0}; the last ten are kept")]
    UnknownProfile(String),
    /// There is no such dead letter.
    #[error("there is no dead letter {0}")]
    UnknownDeadLetter(u64),
    /// A dead letter is in a state in which that can't be done.
    #[error("{0}")]
    DeadLetter(LetterRefusal),
    /// There is no such report, or it is forgotten.
    #[error("there is no report {0}")]
    UnknownReport(u64),
    /// There is no such decision, or it is forgotten.
    #[error("there is no decision {0}")]
    UnknownDecision(u64),
    /// The optimizer can't do that now.
    #[error("{0}")]
    Optimizer(OptimizeError),
    /// Services are started, not run.
    #[error("{0} is a service; start it with `werkpilot start {0}`")]
    NotAJob(AgentName),
    /// The agent can't do it in its present state.
    #[error("{0}")]
    Refused(Reason),
    /// So many callers wait for executions that there is no room for one more.
    #[error("too many callers wait for executions; ask for its history instead")]
    TooManyWaiters,
    /// So many look on that there is no room for one more.
    #[error(
        "{LISTENERS} event streams are open already, as many as there may be; close one, or ask for pages of events"
    )]
    TooManyStreams,
    /// The log could not be read.
    #[error("failed to read the log of {agent}")]
    Log {
        /// Whose.
        agent: AgentName,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It could not be kept, so it is not promised.
    #[error("it is not accepted, because it can't be kept: {reason}")]
    NotKept {
        /// What the disk said.
        reason: String,
    },
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError),
    /// There is a simulation in progress.
    #[error("a simulation is in progress; one at a time is made")]
    Simulating,
    /// Nothing can be simulated so.
    #[error(transparent)]
    Simulate(#[from] SimulateError),
    /// The files have faults.
    #[error(transparent)]
    Reload(#[from] ReloadError),
    /// Answering panicked, which is a fault of Werkpilot; the log says where. Nothing else is affected.
    #[error("answering this panicked, which is a fault of Werkpilot; the log says where")]
    Panicked,
    /// The orchestrator does not answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

pub(super) fn not_kept(error: StoreError) -> ControlError {
    let reason = match error {
        StoreError::Unavailable { reason } => reason.to_string(),
        other => other.to_string(),
    };
    ControlError::NotKept { reason }
}

fn did_you_mean(suggestion: Option<&String>) -> String {
    suggestion.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}
