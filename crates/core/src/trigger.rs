//! What asks for an execution.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{AgentName, RunId};

/// What asked for an execution, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trigger {
    /// Its crontab schedule.
    Schedule,
    /// Its fixed interval.
    Every,
    /// A message on the bus.
    Subject {
        /// The subject of the message.
        subject: String,
    },
    /// The success of another agent.
    After {
        /// Of whom.
        agent: AgentName,
        /// Which execution.
        run: RunId,
    },
    /// The boot.
    Startup,
    /// A person or a program, over CLI or API.
    Manual {
        /// Who, as far as it is known.
        by: String,
        /// Whether unhealthy dependencies are to be overridden.
        force: bool,
    },
    /// A dead letter.
    Replay {
        /// Its id.
        dead_letter: u64,
    },
}

impl Trigger {
    /// The word of the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Every => "every",
            Self::Subject { .. } => "subject",
            Self::After { .. } => "after",
            Self::Startup => "startup",
            Self::Manual { .. } => "manual",
            Self::Replay { .. } => "replay",
        }
    }

    /// Whether somebody waits for it in person: such triggers queue, they are never skipped for overlap.
    pub const fn is_explicit(&self) -> bool {
        matches!(self, Self::Manual { .. } | Self::Replay { .. })
    }

    /// The dead letter that is replayed, if one is.
    pub const fn dead_letter(&self) -> Option<u64> {
        match self {
            Self::Replay { dead_letter } => Some(*dead_letter),
            _ => None,
        }
    }

    /// Whether unhealthy dependencies are overridden.
    pub const fn is_forced(&self) -> bool {
        matches!(self, Self::Manual { force: true, .. })
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject { subject } => write!(f, "subject {subject}"),
            Self::After { agent, .. } => write!(f, "after {agent}"),
            Self::Manual { by, force: true } => write!(f, "manual by {by}, forced"),
            Self::Manual { by, force: false } => write!(f, "manual by {by}"),
            Self::Replay { dead_letter } => write!(f, "replay of dead letter {dead_letter}"),
            other => f.write_str(other.kind()),
        }
    }
}
