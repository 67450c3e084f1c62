//! What a reload would change, without changing anything; and what was wrong with the last one that was rejected.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{AgentSpec, Strategy};
use werkpilot_core::time::Timestamp;

use crate::house::House;
use crate::orchestrator::{LoadFault, Loaded};
use crate::provenance::{KeyChange, SettingChange};

/// What a reload would change.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReloadPreview {
    /// Whether the files are in order; else nothing would change.
    pub valid: bool,
    /// What is wrong with them: `{file, line, column, key, message, hint}` each.
    pub faults: Vec<Value>,
    /// What is worth knowing.
    pub notices: Vec<String>,
    /// New agents.
    pub added: Vec<AgentName>,
    /// Agents that would go.
    pub removed: Vec<AgentName>,
    /// Agents with a new definition.
    pub changed: Vec<AgentChange>,
    /// Agents that would keep running as they are.
    pub unchanged: usize,
    /// Settings with a new value.
    pub settings: Vec<SettingChange>,
    /// The last reload that was rejected, until a good one.
    pub last_rejected: Option<RejectedReload>,
}

/// An agent with a new definition.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AgentChange {
    /// Which.
    pub agent: AgentName,
    /// The keys that differ.
    pub keys: Vec<KeyChange>,
}

/// A reload that was rejected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RejectedReload {
    /// When.
    pub time: Timestamp,
    /// Who asked for it.
    pub by: String,
    /// How many faults there were.
    pub count: u32,
    /// The first one in a line.
    pub first: String,
    /// All of them: `{file, line, column, key, message, hint}` each.
    pub faults: Vec<Value>,
}

impl RejectedReload {
    /// Rejected now.
    pub(super) fn of(fault: &LoadFault, by: &str, time: Timestamp) -> Self {
        Self { time, by: by.to_owned(), count: fault.count, first: fault.first.clone(), faults: faults(fault) }
    }
}

fn faults(fault: &LoadFault) -> Vec<Value> {
    fault.json["faults"].as_array().cloned().unwrap_or_default()
}

/// What would change if these files were taken.
pub(super) fn preview(house: &House, read: Result<Loaded, LoadFault>) -> ReloadPreview {
    let last_rejected = house.rejected.borrow().clone();
    let loaded = match read {
        Ok(loaded) => loaded,
        Err(fault) => return ReloadPreview { faults: faults(&fault), last_rejected, ..ReloadPreview::default() },
    };
    let directory = house.directory.borrow();
    let provenance = loaded.provenance.as_deref();
    let mut found =
        ReloadPreview { valid: true, notices: loaded.notices.clone(), last_rejected, ..ReloadPreview::default() };
    let wanted: HashSet<&AgentName> = loaded.registry.agents.iter().map(|spec| &spec.name).collect();
    let known: HashMap<&AgentName, &AgentSpec> = directory
        .iter()
        .filter(|(index, slot)| directory.find(slot.name.as_str()) == Some(*index))
        .map(|(_, slot)| (&slot.name, slot.spec.as_ref()))
        .collect();
    for spec in &loaded.registry.agents {
        match known.get(&spec.name) {
            None => found.added.push(spec.name.clone()),
            Some(old) if *old == spec => found.unchanged += 1,
            Some(old) => {
                let keys = provenance.map(|known| known.agent_changes(old, spec)).unwrap_or_default();
                found.changed.push(AgentChange { agent: spec.name.clone(), keys });
            }
        }
    }
    found.removed = known.keys().filter(|name| !wanted.contains(*name)).map(|name| (*name).clone()).collect();
    found.removed.sort();
    let settings = house.settings.borrow();
    found.settings = provenance.map(|known| known.setting_changes(&settings, &loaded.settings)).unwrap_or_default();
    found.settings.extend(strategies(&house.strategies.borrow(), &loaded.registry.strategies));
    found
}

/// What departments do when a service is restarted, which is a setting of the registry.
fn strategies(old: &BTreeMap<String, Strategy>, new: &BTreeMap<String, Strategy>) -> Vec<SettingChange> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let of = |all: &BTreeMap<String, Strategy>, name: &String| all.get(name).copied().unwrap_or_default();
    let change = |name: &&String| of(old, name) != of(new, name);
    let changed = names.into_iter().filter(change).map(|name| SettingChange {
        key: format!("department.{name}.strategy"),
        before: serde_json::to_value(of(old, name)).unwrap_or_default(),
        after: serde_json::to_value(of(new, name)).unwrap_or_default(),
        effect: "What the department does when one of its services is restarted.".to_owned(),
        applies: "at_once",
    });
    changed.collect()
}
