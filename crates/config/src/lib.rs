//! Registry and `werkpilot.toml` become validated core types, or a list of everything that is wrong with them.
//!
//! # Theory of operation
//!
//! A file becomes a tree in which every key and every value knows its place. The elements (one file each) read their
//! part of the tree; what is wrong goes to a report and a stand-in comes back, so that no fault hides another. When all
//! agents are read, what they say about each other is checked. Either there is no fault, and the result is whole, or
//! nothing of it is given out.
//!
//! ```text
//!  registry/*.toml ────────┐              ┌─▶ elements ─▶ drafts ─▶ links ─▶ Registry
//!  agent-registry.json ────┼─▶ tree ──────┤                  │
//!  werkpilot.toml ─────────┤              └─▶ settings ──────┼────────────▶ Settings, Sources
//!  WERKPILOT_*, options ───┘                                 └─ report ───▶ Faults or Notices
//! ```
//!
//! The keys are tables of constants, from which parsing, "did you mean", the rules for jobs and services, and the JSON
//! Schemas come. This crate reads no environment but the caller's list, starts nothing and watches nothing.

mod agent_values;
mod difference;
mod elements;
mod fault;
mod field;
mod json;
mod keys;
mod links;
mod not_effective;
mod origins;
mod read;
mod registry;
mod render;
pub mod schema;
mod settings;
mod settings_file;
mod source;
mod tree;
mod values;

use std::path::{Path, PathBuf};

use werkpilot_core::settings::Settings;
use werkpilot_core::spec::Registry;

pub use agent_values::{KeyChange, key_changes};
pub use difference::{
    Change, Difference, SettingChange, StrategyChange, changed_keys, difference, settings_difference,
};
pub use fault::{Fault, Faults, Notice};
pub use not_effective::{AGENT_KEYS_NOT_EFFECTIVE_YET, SETTINGS_NOT_EFFECTIVE_YET};
pub use origins::{AgentConfig, AgentKey, Origins};
pub use settings::Effect;
pub use settings_file::{Origin, SettingSource, Sources};
pub use values::duration::{DurationError, duration_text, parse_duration};
pub use values::size::{SizeError, parse_size, size_text};

/// What goes before the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// The environment: `WERKPILOT_<TABLE>_<KEY>` are settings; `STATE_DIRECTORY` and `TZ` are looked at; all others
    /// are not. An empty value counts as not set.
    pub env: Vec<(String, String)>,
    /// Options of the command line, as dotted key and value: `("queue.workers", "4")`. They go before the environment.
    pub cli: Vec<(String, String)>,
    /// Agents that a program brings along beside those of the files: they are checked together.
    pub in_process: Vec<werkpilot_core::spec::AgentSpec>,
}

/// All that was read, and it is in order.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The agents, in the order of the files.
    pub registry: Registry,
    /// The settings.
    pub settings: Settings,
    /// Where each setting is from.
    pub sources: Sources,
    /// Where each key of each agent is from.
    pub origins: Origins,
    /// What is allowed and worth knowing.
    pub notices: Vec<Notice>,
    /// The files that were read. To be watched together with the registry folder, where new ones may appear.
    pub files: Vec<PathBuf>,
}

/// Reads a registry (a folder, or a single file of one; without one there are only in-process agents) and the settings.
///
/// Without a `config_file` the settings are the defaults and the overrides; one that is named has to be there.
///
/// # Errors
/// [`Faults`] has everything that is wrong in any of the files.
pub fn load(registry: Option<&Path>, config_file: Option<&Path>, overrides: &Overrides) -> Result<Loaded, Faults> {
    let mut report = fault::Report::default();
    let (settings, sources, mut files) = settings_file::read(config_file, overrides, &mut report);
    let tz_variable = overrides.env.iter().find(|(name, _)| name == "TZ").map(|(_, zone)| zone.as_str());
    let (registry, origins, registry_files) =
        registry::read(registry, &settings, tz_variable, &overrides.in_process, &mut report);
    files.extend(registry_files);
    let notices = report.finish()?;
    Ok(Loaded { registry, settings, sources, origins, notices, files })
}

/// Reads the settings alone, for commands that need no registry.
///
/// # Errors
/// [`Faults`] has everything that is wrong with them.
pub fn load_settings(
    config_file: Option<&Path>,
    overrides: &Overrides,
) -> Result<(Settings, Sources, Vec<Notice>), Faults> {
    let mut report = fault::Report::default();
    let (settings, sources, _) = settings_file::read(config_file, overrides, &mut report);
    let notices = report.finish()?;
    Ok((settings, sources, notices))
}
