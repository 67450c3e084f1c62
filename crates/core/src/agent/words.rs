//! The last thing that a program said before it failed: often the only line that anybody wants to read.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::RunId;
use crate::time::Timestamp;

/// What a program wrote last before it failed: its last line on stderr, or where it wrote nothing there, on stdout.
///
/// A program may write secrets: this is for who may read its log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastWords {
    /// The line, the first 240 characters of it.
    pub text: String,
    /// The execution, or the life of a service.
    pub run_id: RunId,
    /// When it failed.
    pub at: Timestamp,
}
