//! What agents wrote, read from outside the arbiter.

use werkpilot_core::ids::AgentName;
use werkpilot_process::logs;

use super::{ControlError, Handle};

/// Bytes of the lines of one answer, but for a last line of 16 KiB: ten thousand lines of ordinary length.
const PAGE: usize = 4 << 20;

/// Which lines of an agent's log are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogQuery {
    /// Whose.
    pub agent: String,
    /// Which of them.
    pub filter: logs::LineFilter,
    /// Those before a position; without one the last ones.
    pub before: Option<logs::LogPosition>,
    /// How many of them, the last ones.
    pub lines: usize,
}

impl Handle {
    /// The last lines of an agent's log that fit, and the position after all of them.
    pub async fn log_tail(&self, query: LogQuery) -> Result<(logs::LogPage, logs::LogPosition), ControlError> {
        let agent = self.known(&query.agent).await?;
        let (dir, name) = (self.logs_dir.clone(), agent.clone());
        // What is written between the two reads is told twice rather than not at all.
        let read = move || {
            let position = logs::end_position(&dir, &name)?;
            let most = logs::Most { lines: query.lines, bytes: PAGE };
            Ok((logs::read_back(&dir, &name, &query.filter, query.before, most)?, position))
        };
        blocking(agent, read).await
    }

    /// The lines after a position that fit, and the next one.
    pub async fn log_from(
        &self,
        agent: &str,
        filter: logs::LineFilter,
        position: logs::LogPosition,
    ) -> Result<(Vec<logs::LogLine>, logs::LogPosition), ControlError> {
        let agent = self.known(agent).await?;
        let (dir, name) = (self.logs_dir.clone(), agent.clone());
        blocking(agent, move || logs::read_on(&dir, &name, position, &filter)).await
    }
}

async fn blocking<T: Send + 'static>(
    agent: AgentName,
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ControlError> {
    let result = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map_err(|source| ControlError::Log { agent, source })
}
