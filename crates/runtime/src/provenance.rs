//! Where what is in effect comes from: files, lines, defaults. Who reads the files knows it; the runtime only asks.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Strategy};

/// What who has read the files can tell of them.
pub trait Provenance: fmt::Debug + Send + Sync {
    /// What was read is in effect from now on.
    fn takes_effect(&self);

    /// Every key of an agent with these values; `None`: it is in none of the files.
    fn agent(&self, spec: &AgentSpec, strategy: Strategy) -> Option<AgentConfig>;

    /// The keys in which two definitions of an agent differ.
    fn agent_changes(&self, old: &AgentSpec, new: &AgentSpec) -> Vec<KeyChange>;

    /// The settings that differ.
    fn setting_changes(&self, old: &Settings, new: &Settings) -> Vec<SettingChange>;

    /// Keys that do nothing in this version, with their places.
    fn not_effective(&self) -> Vec<String>;
}

/// An agent's keys, and where each is from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct AgentConfig {
    /// Its name.
    pub name: String,
    /// The file that it is in; null: a program brings it along.
    pub file: Option<String>,
    /// The line where it begins.
    pub line: Option<u32>,
    /// All keys that it can have, in the order of the documentation.
    pub keys: Vec<ConfigKey>,
}

/// One key of an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ConfigKey {
    /// Its name.
    pub key: String,
    /// Its value; of variables and secrets the names only.
    pub value: Value,
    /// `file`: its own one; `default`; the name of another file, such as `werkpilot.toml` or `departments.toml`;
    /// `environment`; `command line`; `host`; `program`; `optimizer`: a decision of its nightly run.
    pub source: String,
    /// The file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The variable, if it is from the environment.
    pub variable: Option<String>,
    /// What the key does, in a sentence.
    pub effect: String,
}

/// A key with another value.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct KeyChange {
    /// Which.
    pub key: String,
    /// Before.
    pub before: Value,
    /// After.
    pub after: Value,
}

/// A setting with another value.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct SettingChange {
    /// The dotted key.
    pub key: String,
    /// Before, as it would be written in the file.
    pub before: Value,
    /// After.
    pub after: Value,
    /// What it does, in a sentence.
    pub effect: String,
    /// `at_once` or `after_restart`.
    pub applies: &'static str,
}
