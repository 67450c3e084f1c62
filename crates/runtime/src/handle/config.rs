//! What is in effect and where it comes from, and what a reload would change.

use super::{ControlError, Handle, RELOAD};
use crate::agents::reload::{GetReloadPreview, Reload, ReloadPreview, ReloadReport};
use crate::directory::Slot;
use crate::house::House;
use crate::provenance::{AgentConfig, Provenance};
use crate::view::priority_from;

impl Handle {
    /// Another number whenever other files take effect, also after a restart.
    pub async fn config_version(&self) -> Result<u64, ControlError> {
        self.consult(|house| house.config_version.get()).await
    }

    /// Every key of an agent with its value in effect and where it is from.
    pub async fn agent_config(&self, name: &str) -> Result<AgentConfig, ControlError> {
        let wanted = name.to_owned();
        match self.consult(move |house| agent_config(house, &wanted)).await? {
            Some(config) => Ok(config),
            None => Err(self.unknown_agent(name).await),
        }
    }

    /// What a reload would change, and the version of what is in effect; nothing is changed.
    pub async fn preview_reload(&self) -> Result<(ReloadPreview, u64), ControlError> {
        let version = self.config_version().await?;
        Ok((self.posts.reload.ask(GetReloadPreview, RELOAD).await?, version))
    }

    /// Reads the files again and applies what is different, if what is in effect has this version still.
    ///
    /// # Errors
    /// [`crate::agents::reload::ReloadError::Stale`] if it has not.
    pub async fn reload_if(&self, by: &str, quiet: bool, expected: Option<u64>) -> Result<ReloadReport, ControlError> {
        Ok(self.posts.reload.ask(Reload { by: by.to_owned(), quiet, expected }, RELOAD).await??)
    }
}

fn agent_config(house: &House, name: &str) -> Option<AgentConfig> {
    let directory = house.directory.borrow();
    let slot = directory.get(directory.find(name)?)?;
    let known = house.provenance.borrow().as_ref().and_then(|known| of_files(house, known.as_ref(), slot));
    let mut config = known.unwrap_or_default();
    slot.name.as_str().clone_into(&mut config.name);
    if let Some(decision) = priority_from(house, &slot.spec)
        && let Some(key) = config.keys.iter_mut().find(|key| key.key == "priority")
    {
        key.value = house.priority_of(&slot.spec).number().into();
        "optimizer".clone_into(&mut key.source);
        (key.file, key.line) = (None, None);
        key.effect = format!("{} Decided by its nightly run (decision {}).", key.effect, decision.id);
    }
    Some(config)
}

fn of_files(house: &House, known: &dyn Provenance, slot: &Slot) -> Option<AgentConfig> {
    let strategy = house.strategies.borrow().get(&slot.spec.department).copied().unwrap_or_default();
    known.agent(&slot.spec, strategy)
}
