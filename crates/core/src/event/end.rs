//! How executions end.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How an execution ended; exactly one per execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its program ended with a code of success.
    Succeeded,
    /// All attempts failed.
    Failed,
    /// The last attempt took too long.
    TimedOut,
    /// It was not started, and that is as intended.
    Skipped,
    /// It was not accepted.
    Refused,
    /// Somebody, or a newer execution, ended it.
    Cancelled,
    /// Cut off by shutdown or crash.
    Interrupted,
    /// Nobody can say.
    Lost,
}

impl End {
    /// All of them, the good one first.
    pub const ALL: [Self; 8] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Skipped,
        Self::Refused,
        Self::Cancelled,
        Self::Interrupted,
        Self::Lost,
    ];

    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
