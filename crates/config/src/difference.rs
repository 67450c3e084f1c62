//! What a reload changes: pure comparisons of two registries, and of two versions of the settings.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;
use serde_json::Value as Json;
use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Kind, Registry, Strategy};

use crate::settings::{Effect, SETTINGS};

/// What became of the agents from one registry to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Only in the new one, in its order.
    pub added: Vec<AgentName>,
    /// Only in the old one, in its order.
    pub removed: Vec<AgentName>,
    /// In both, and not the same; in the order of the new one.
    pub changed: Vec<Change>,
    /// The same in both; in the order of the new one.
    pub unchanged: Vec<AgentName>,
    /// Departments whose strategy is another one.
    pub strategies: Vec<StrategyChange>,
}

impl Difference {
    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.strategies.is_empty()
    }
}

/// An agent that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which.
    pub name: AgentName,
    /// The keys of the registry whose values, defaults included, are others.
    pub keys: Vec<&'static str>,
}

/// A department whose strategy is another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StrategyChange {
    /// Which.
    pub department: String,
    /// Before.
    pub old: Strategy,
    /// After.
    pub new: Strategy,
}

/// A setting that is another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingChange {
    /// The dotted key.
    pub key: &'static str,
    /// Before, as it would be written in the file.
    pub old: Json,
    /// After.
    pub new: Json,
    /// When it takes effect.
    pub effect: Effect,
    /// What it does, in a sentence.
    #[serde(skip)]
    pub doc: &'static str,
}

/// What the targets of notifications do.
const NOTIFY: &str = "Who outside is told of which events.";

/// Compares two registries by the names of their agents.
pub fn difference(old: &Registry, new: &Registry) -> Difference {
    let before: HashMap<&AgentName, &AgentSpec> = old.agents.iter().map(|agent| (&agent.name, agent)).collect();
    let mut difference = Difference::default();
    let mut kept = BTreeSet::new();
    for agent in &new.agents {
        let Some(previous) = before.get(&agent.name) else {
            difference.added.push(agent.name.clone());
            continue;
        };
        kept.insert(&agent.name);
        let keys = changed_keys(previous, agent);
        if keys.is_empty() {
            difference.unchanged.push(agent.name.clone());
        } else {
            difference.changed.push(Change { name: agent.name.clone(), keys });
        }
    }
    let gone = old.agents.iter().filter(|agent| !kept.contains(&agent.name));
    difference.removed = gone.map(|agent| agent.name.clone()).collect();
    let departments: BTreeSet<&String> = old.strategies.keys().chain(new.strategies.keys()).collect();
    let strategy = |registry: &Registry, name: &String| registry.strategies.get(name).copied().unwrap_or_default();
    let changes = departments.into_iter().map(|name| StrategyChange {
        department: name.clone(),
        old: strategy(old, name),
        new: strategy(new, name),
    });
    difference.strategies = changes.filter(|change| change.old != change.new).collect();
    difference
}

/// Compares two versions of the settings.
pub fn settings_difference(old: &Settings, new: &Settings) -> Vec<SettingChange> {
    if old == new {
        return Vec::new();
    }
    let change = |setting: &crate::settings::Setting| {
        let (old, new) = (setting.value(old), setting.value(new));
        (old != new).then_some(SettingChange { key: setting.key, old, new, effect: setting.effect, doc: setting.doc })
    };
    let mut changes: Vec<SettingChange> = SETTINGS.iter().filter_map(change).collect();
    if old.notify != new.notify {
        let shown = |settings: &Settings| serde_json::to_value(&settings.notify).unwrap_or_default();
        changes.push(SettingChange {
            key: "notify",
            old: shown(old),
            new: shown(new),
            effect: Effect::AtOnce,
            doc: NOTIFY,
        });
    }
    changes
}

/// Collects the keys whose values differ.
struct Keys(Vec<&'static str>);

impl Keys {
    fn compare<T: PartialEq>(&mut self, key: &'static str, old: &T, new: &T) {
        if old != new {
            self.0.push(key);
        }
    }
}

/// The keys of the registry whose values differ, in the order of the product guide.
pub fn changed_keys(old: &AgentSpec, new: &AgentSpec) -> Vec<&'static str> {
    if old == new {
        return Vec::new();
    }
    let mut keys = Keys(Vec::new());
    keys.compare("department", &old.department, &new.department);
    keys.compare("description", &old.description, &new.description);
    let shell = |agent: &AgentSpec| matches!(agent.program, werkpilot_core::spec::Program::Shell(_));
    keys.compare(if shell(new) { "shell" } else { "command" }, &old.program, &new.program);
    keys.compare("cwd", &old.cwd, &new.cwd);
    keys.compare("env", &old.environment.set, &new.environment.set);
    keys.compare("env_file", &old.environment.file, &new.environment.file);
    keys.compare("env_inherit", &old.environment.inherit, &new.environment.inherit);
    keys.compare("secrets", &old.environment.secrets, &new.environment.secrets);
    compare_kinds(&old.kind, &new.kind, &mut keys);
    keys.compare("priority", &old.priority, &new.priority);
    keys.compare("layer", &old.layer, &new.layer);
    keys.compare("dependencies", &old.dependencies, &new.dependencies);
    keys.compare("success_codes", &old.success_codes, &new.success_codes);
    keys.compare("stop", &old.stop, &new.stop);
    keys.compare("memory_max", &old.memory_max, &new.memory_max);
    keys.compare("user", &old.identity.user, &new.identity.user);
    keys.compare("group", &old.identity.group, &new.identity.group);
    keys.compare("umask", &old.identity.umask, &new.identity.umask);
    keys.compare("nice", &old.identity.nice, &new.identity.nice);
    keys.compare("limits", &old.identity.limits, &new.identity.limits);
    keys.compare("allow_new_privileges", &old.identity.allow_new_privileges, &new.identity.allow_new_privileges);
    keys.compare("on_lost", &old.on_lost, &new.on_lost);
    keys.compare("orphan_ttl", &old.orphan_ttl, &new.orphan_ttl);
    keys.compare("enabled", &old.enabled, &new.enabled);
    keys.0
}

fn compare_kinds(old: &Kind, new: &Kind, keys: &mut Keys) {
    match (old, new) {
        (Kind::Job(old), Kind::Job(new)) => {
            keys.compare("schedule", &old.triggers.schedule, &new.triggers.schedule);
            keys.compare("timezone", &old.triggers.timezone, &new.triggers.timezone);
            keys.compare("every", &old.triggers.every, &new.triggers.every);
            keys.compare("subject", &old.triggers.subject, &new.triggers.subject);
            keys.compare("after", &old.triggers.after, &new.triggers.after);
            keys.compare("startup", &old.triggers.startup, &new.triggers.startup);
            keys.compare("overlap", &old.overlap, &new.overlap);
            keys.compare("catch_up", &old.catch_up, &new.catch_up);
            keys.compare("catch_up_window", &old.catch_up_window, &new.catch_up_window);
            keys.compare("jitter", &old.jitter, &new.jitter);
            keys.compare("on_unhealthy_dependency", &old.on_unhealthy_dependency, &new.on_unhealthy_dependency);
            keys.compare("timeout", &old.timeout, &new.timeout);
            keys.compare("retry", &old.retry, &new.retry);
        }
        (Kind::Service(old), Kind::Service(new)) => {
            keys.compare("restart", &old.restart, &new.restart);
            keys.compare("retry", &old.backoff, &new.backoff);
            keys.compare("healthy_for", &old.healthy_for, &new.healthy_for);
            keys.compare("ready", &old.ready, &new.ready);
            keys.compare("health", &old.health, &new.health);
            keys.compare("max_silence", &old.max_silence, &new.max_silence);
            keys.compare("instances", &old.instances, &new.instances);
        }
        _ => keys.0.push("kind"),
    }
}
