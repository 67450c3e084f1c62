//! What was read of the files, as the runtime asks for it.

use werkpilot_config::{Origins, Sources, key_changes, settings_difference};
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Strategy};
use werkpilot_runtime::{AgentConfig, ConfigKey, KeyChange, Provenance, SettingChange};

use crate::source::ConfigInEffect;

/// One reading of the files.
#[derive(Debug)]
pub(crate) struct FilesRead {
    /// Where the settings are from.
    pub(crate) sources: Sources,
    /// Where the agents are from.
    pub(crate) origins: Origins,
    /// Keys that do nothing in this version, with their places.
    pub(crate) not_effective: Vec<String>,
    /// To be told when this is what is in effect.
    pub(crate) in_effect: ConfigInEffect,
}

impl Provenance for FilesRead {
    fn takes_effect(&self) {
        self.in_effect.set(self.sources.clone());
    }

    fn agent(&self, spec: &AgentSpec, strategy: Strategy) -> Option<AgentConfig> {
        let config = self.origins.agent(spec, strategy, &self.sources)?;
        let key = |key: werkpilot_config::AgentKey| ConfigKey {
            key: key.key.to_owned(),
            value: key.value,
            source: key.source,
            file: key.file,
            line: key.line,
            variable: key.variable,
            effect: key.effect.to_owned(),
        };
        let keys = config.keys.into_iter().map(key).collect();
        Some(AgentConfig { name: spec.name.to_string(), file: config.file, line: config.line, keys })
    }

    fn agent_changes(&self, old: &AgentSpec, new: &AgentSpec) -> Vec<KeyChange> {
        let change = |change: werkpilot_config::KeyChange| KeyChange {
            key: change.key.to_owned(),
            before: change.before,
            after: change.after,
        };
        key_changes(old, new).into_iter().map(change).collect()
    }

    fn setting_changes(&self, old: &Settings, new: &Settings) -> Vec<SettingChange> {
        let change = |change: werkpilot_config::SettingChange| SettingChange {
            key: change.key.to_owned(),
            before: change.old,
            after: change.new,
            effect: change.doc.to_owned(),
            applies: change.effect.as_str(),
        };
        settings_difference(old, new).into_iter().map(change).collect()
    }

    fn not_effective(&self) -> Vec<String> {
        self.not_effective.clone()
    }
}
