//! What agents wrote, read from outside the arbiter.

use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_process::logs;

use super::{ControlError, Handle};

/// Which lines of an agent's log are wanted.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// Whose.
    pub agent: String,
    /// Of this execution only.
    pub run: Option<RunId>,
    /// How many of the last lines.
    pub lines: usize,
}

impl Handle {
    /// The last lines of an agent's log, oldest first, and the position after them.
    pub async fn log_tail(&self, query: LogQuery) -> Result<(Vec<logs::LogLine>, logs::LogPosition), ControlError> {
        let agent = self.known(&query.agent).await?;
        let (dir, name) = (self.logs_dir.clone(), agent.clone());
        // What is written between the two reads is told twice rather than not at all.
        let read = move || {
            let position = logs::end_position(&dir, &name)?;
            Ok((logs::read_tail(&dir, &name, query.run.as_ref(), query.lines)?, position))
        };
        blocking(agent, read).await
    }

    /// The lines after a position, and the next one.
    pub async fn log_from(
        &self,
        agent: &str,
        run: Option<RunId>,
        position: logs::LogPosition,
    ) -> Result<(Vec<logs::LogLine>, logs::LogPosition), ControlError> {
        let agent = self.known(agent).await?;
        let (dir, name) = (self.logs_dir.clone(), agent.clone());
        blocking(agent, move || logs::read_from(&dir, &name, position, run.as_ref())).await
    }
}

async fn blocking<T: Send + 'static>(
    agent: AgentName,
    read: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, ControlError> {
    let result = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    result.map_err(|source| ControlError::Log { agent, source })
}
