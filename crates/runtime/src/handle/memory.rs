//! Memory, and the profiles that were kept of it.

use serde_json::Value;

use super::{ControlError, Handle};
use crate::observe::memory::{self, ProfileSummary};
use crate::view::{MemoryState, memory_state};

impl Handle {
    /// Who uses what, who is disabled because of it, and what will happen next.
    pub async fn memory(&self) -> Result<MemoryState, ControlError> {
        self.consult(memory_state).await
    }

    /// The profiles that are kept, newest first.
    pub async fn memory_profiles(&self) -> Result<Vec<ProfileSummary>, ControlError> {
        let folder = self.consult(|house| house.state_dir.clone()).await?;
        // A thread that died has found nothing.
        Ok(tokio::task::spawn_blocking(move || memory::list(&folder)).await.unwrap_or_default())
    }

    /// One profile, as it was written.
    pub async fn memory_profile(&self, id: &str) -> Result<Value, ControlError> {
        let folder = self.consult(|house| house.state_dir.clone()).await?;
        let wanted = id.to_owned();
        let read = tokio::task::spawn_blocking(move || memory::read(&folder, &wanted)).await;
        read.map_err(|_| ControlError::UnknownProfile(id.to_owned()))?
            .map_err(|_| ControlError::UnknownProfile(id.to_owned()))
    }
}
