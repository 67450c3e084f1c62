//! The files that an orchestrator is made of, and how they are read: at the start, and again at every reload.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use werkpilot_config::{Faults, Overrides, Sources};
use werkpilot_runtime::{LoadFault, Loaded, Loader};

use crate::provenance::FilesRead;

/// Where registry and settings are, and what goes before them.
#[derive(Clone, Debug)]
pub struct Source {
    /// The registry: a folder, or a single file of one. Without it there are only in-process agents.
    pub registry: Option<PathBuf>,
    /// `werkpilot.toml`, if there is one.
    pub config: Option<PathBuf>,
    /// Environment and command line.
    pub overrides: Overrides,
}

/// Each setting in effect, its value and where it is from; changes with every reload that is accepted.
#[derive(Clone, Debug, Default)]
pub struct ConfigInEffect(Arc<Mutex<Sources>>);

impl ConfigInEffect {
    /// As the API shows it: an array of `{key, value, origin}`.
    pub fn to_json(&self) -> serde_json::Value {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        serde_json::to_value(&*sources).unwrap_or_default()
    }

    pub(crate) fn set(&self, sources: Sources) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = sources;
    }
}

impl Source {
    /// Reads everything.
    ///
    /// # Errors
    /// [`Faults`] has everything that is wrong in any of the files.
    pub fn load(&self) -> Result<werkpilot_config::Loaded, Faults> {
        werkpilot_config::load(self.registry.as_deref(), self.config.as_deref(), &self.overrides)
    }

    /// The closure by which the orchestrator reads the files again.
    pub(crate) fn loader(&self, in_effect: &ConfigInEffect) -> Loader {
        let (source, in_effect) = (self.clone(), in_effect.clone());
        Arc::new(move || match source.load() {
            Ok(loaded) => Ok(into_runtime(loaded, &in_effect)),
            Err(faults) => Err(into_fault(&faults)),
        })
    }

    /// The folders that have to be watched to notice a change of the files.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let folder = |registry: &PathBuf| if registry.is_file() { parent(registry) } else { registry.clone() };
        let registry = self.registry.as_ref().map(folder);
        let mut folders: Vec<PathBuf> = registry.into_iter().collect();
        folders.extend(self.config.as_deref().map(parent));
        folders.sort_unstable();
        folders.dedup();
        folders
    }

    /// Whether a change of this file is a change of ours. Agents may write other files beside the registry.
    pub(crate) fn concerns(&self, path: &Path) -> bool {
        let name = path.file_name();
        let is_config = self.config.as_deref().is_some_and(|config| config.file_name() == name);
        let is_registry = path.extension().is_some_and(|extension| extension == "toml")
            || name.is_some_and(|name| name == "agent-registry.json")
            || self.registry.as_ref().is_some_and(|registry| registry.file_name() == name);
        is_config || is_registry
    }
}

fn parent(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// What the runtime takes of what was read; the rest is dropped, or becomes the config in effect.
pub(crate) fn into_runtime(loaded: werkpilot_config::Loaded, in_effect: &ConfigInEffect) -> Loaded {
    let notices = loaded.notices.iter().map(ToString::to_string).collect();
    let not_effective = loaded.notices.iter().filter(|notice| notice.is_not_effective());
    let provenance = FilesRead {
        sources: loaded.sources,
        origins: loaded.origins,
        not_effective: not_effective.map(werkpilot_config::Notice::place).collect(),
        in_effect: in_effect.clone(),
    };
    Loaded { registry: loaded.registry, settings: loaded.settings, notices, provenance: Some(Arc::new(provenance)) }
}

fn into_fault(faults: &Faults) -> LoadFault {
    LoadFault {
        count: u32::try_from(faults.count()).unwrap_or(u32::MAX),
        first: faults.as_slice().first().map(ToString::to_string).unwrap_or_default(),
        rendered: faults.render(false),
        json: serde_json::to_value(faults).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(registry: &str, config: Option<&str>) -> Source {
        Source {
            registry: Some(PathBuf::from(registry)),
            config: config.map(PathBuf::from),
            overrides: Overrides::default(),
        }
    }

    #[test]
    fn the_folders_of_registry_and_settings_are_watched_once_each() {
        assert_eq!(source("fleet", None).folders(), [PathBuf::from("fleet")]);
        assert_eq!(source("fleet", Some("werkpilot.toml")).folders(), [PathBuf::from("."), PathBuf::from("fleet")]);
        assert_eq!(source("fleet", Some("fleet/werkpilot.toml")).folders(), [PathBuf::from("fleet")]);
    }

    #[test]
    fn what_agents_write_beside_the_registry_is_no_change_of_it() {
        let source = source("fleet", Some("etc/pilot.conf"));
        for ours in ["fleet/sales.toml", "fleet/agent-registry.json", "etc/pilot.conf"] {
            assert!(source.concerns(Path::new(ours)), "{ours}");
        }
        for other in ["fleet/report.json", "fleet/.sales.toml.swp", "etc/passwd", ".werkpilot"] {
            assert!(!source.concerns(Path::new(other)), "{other}");
        }
    }
}
