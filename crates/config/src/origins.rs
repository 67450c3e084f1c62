//! Where each key of each agent is from: the file and the line that set it, or a default. Kept small: one number and a line
//! per key that was set.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{AgentSpec, Strategy};

use crate::agent_values::{self, value_of};
use crate::elements::agent::{Draft, KEYS};
use crate::elements::departments::Department;
use crate::elements::departments::KEYS as DEPARTMENT_KEYS;
use crate::fault::Report;
use crate::field::Fields;
use crate::keys::Key;
use crate::settings_file::{Origin, Sources};
use crate::source::{SourceKind, Span};

/// A key that was set, by its place in the list of all keys, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SetKey {
    place: u8,
    span: Span,
}

/// All keys of an agent, in the order of the product guide.
pub(crate) fn all_keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().flat_map(|group| group.iter())
}

/// The keys that a table sets. The predecessor's `file` and `script` are the command.
pub(crate) fn set_keys(fields: &Fields<'_>) -> Vec<SetKey> {
    let set = |entry: &crate::tree::Entry| {
        let name = if matches!(&*entry.key, "file" | "script") { "command" } else { &entry.key };
        let place = u8::try_from(all_keys().position(|key| key.name == name)?).ok()?;
        Some(SetKey { place, span: entry.key_span })
    };
    fields.entries.iter().filter_map(set).collect()
}

/// Where the keys of all agents are from.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// By name.
    agents: Vec<AgentOrigin>,
    files: Vec<File>,
    strategies: BTreeMap<String, (u16, u32)>,
}

#[derive(Clone, Debug)]
struct File {
    name: String,
    kind: SourceKind,
}

#[derive(Clone, Debug)]
struct AgentOrigin {
    name: AgentName,
    /// Index of its file.
    file: u16,
    /// Where it begins.
    line: u32,
    /// Place of the key in the list of all, and its line.
    set: Box<[(u8, u32)]>,
}

/// An agent's keys, with their values as they would be written, and where each is from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentConfig {
    /// The file that it is in, as it was named by the caller; nothing for one that the program brings along.
    pub file: Option<String>,
    /// The line where it begins.
    pub line: Option<u32>,
    /// All keys that it can have.
    pub keys: Vec<AgentKey>,
}

/// One key of an agent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentKey {
    /// Its name.
    pub key: &'static str,
    /// Its value; of variables and secrets the names only.
    pub value: Json,
    /// `file`: its own one; `default`; `werkpilot.toml` or `departments.toml`, whatever they are called; `environment`;
    /// `command line`; `host`: its time zone; `program`: brought along.
    pub source: String,
    /// The file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The variable, if it is from the environment.
    pub variable: Option<String>,
    /// What it does, in a sentence.
    pub effect: &'static str,
}

impl Origins {
    /// Of everything that was read.
    pub(crate) fn of(drafts: &[Draft], departments: &[Department], report: &Report) -> Self {
        let mut origins = Self::default();
        let mut numbers: BTreeMap<u32, u16> = BTreeMap::new();
        for draft in drafts {
            let Some(name) = draft.name.clone() else { continue };
            let file = origins.file(draft.name_span, &mut numbers, report);
            let set = draft.set.iter().map(|key| (key.place, line(key.span, report))).collect();
            origins.agents.push(AgentOrigin { name, file, line: line(draft.span, report), set });
        }
        origins.agents.sort_by(|a, b| a.name.cmp(&b.name));
        for department in departments {
            let file = origins.file(department.span, &mut numbers, report);
            origins.strategies.insert(department.name.clone(), (file, line(department.span, report)));
        }
        origins
    }

    fn file(&mut self, span: Span, numbers: &mut BTreeMap<u32, u16>, report: &Report) -> u16 {
        *numbers.entry(span.source).or_insert_with(|| {
            let source = report.source(span);
            // More than 65,535 files are taken for the last one; nobody has them.
            let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
            self.files.push(File { name: source.name.clone(), kind: source.kind });
            number
        })
    }

    /// The keys of an agent with its values in effect; `None`: it was not among those that were read.
    pub fn agent(&self, spec: &AgentSpec, strategy: Strategy, sources: &Sources) -> Option<AgentConfig> {
        let place = self.agents.binary_search_by(|agent| agent.name.cmp(&spec.name)).ok()?;
        let origin = &self.agents[place];
        let file = self.files.get(usize::from(origin.file))?;
        // What a program brings along has no line.
        let in_file = origin.line > 0;
        let key = |(place, key): (usize, &'static Key)| {
            let value = value_of(spec, key.name)?;
            let set = origin.set.iter().find(|(set, _)| usize::from(*set) == place).map(|(_, line)| *line);
            let mut entry = AgentKey {
                key: key.name,
                value,
                source: "default".to_owned(),
                file: None,
                line: None,
                variable: None,
                effect: key.doc,
            };
            match set {
                _ if !in_file => "program".clone_into(&mut entry.source),
                Some(line) => {
                    "file".clone_into(&mut entry.source);
                    (entry.file, entry.line) = (Some(file.name.clone()), Some(line));
                }
                None if key.name == "timezone" => zone(&mut entry, file.kind, sources),
                None => {}
            }
            Some(entry)
        };
        let mut keys: Vec<AgentKey> = all_keys().enumerate().filter_map(key).collect();
        keys.push(self.strategy(&spec.department, strategy));
        let (name, line) = (in_file.then(|| file.name.clone()), in_file.then_some(origin.line));
        Some(AgentConfig { file: name, line, keys })
    }

    /// What the department does, which is in no file of the agent.
    fn strategy(&self, department: &str, strategy: Strategy) -> AgentKey {
        let place = self.strategies.get(department);
        let file = place.and_then(|(file, _)| Some(self.files.get(usize::from(*file))?.name.clone()));
        AgentKey {
            key: "strategy",
            value: serde_json::to_value(strategy).unwrap_or_default(),
            source: file.as_deref().map_or("default", agent_values::file_name).to_owned(),
            file,
            line: place.map(|(_, line)| *line),
            variable: None,
            effect: DEPARTMENT_KEYS[0].doc,
        }
    }
}

/// 0 for what has no text of its own.
fn line(span: Span, report: &Report) -> u32 {
    let source = report.source(span);
    if source.path.is_some() { source.position(span.start).0 } else { 0 }
}

/// The time zone of an agent that names none.
fn zone(entry: &mut AgentKey, kind: SourceKind, sources: &Sources) {
    if kind == SourceKind::Predecessor {
        "host".clone_into(&mut entry.source);
        return;
    }
    match sources.get("schedule.timezone").map(|source| &source.origin) {
        None | Some(Origin::Default) => {}
        Some(Origin::File { path, line }) => {
            let path = path.display().to_string();
            agent_values::file_name(&path).clone_into(&mut entry.source);
            (entry.file, entry.line) = (Some(path), Some(*line));
        }
        Some(Origin::Environment { variable }) => {
            "environment".clone_into(&mut entry.source);
            entry.variable = Some(variable.clone());
        }
        Some(Origin::CommandLine) => "command line".clone_into(&mut entry.source),
    }
}
