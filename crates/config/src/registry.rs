//! The registry folder: which files are read, in which order, and what they become.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use werkpilot_core::settings::Settings;
use werkpilot_core::spec::{AgentSpec, Dependency, Registry, Strategy};

use crate::elements::agent::Draft;
use crate::elements::departments::Department;
use crate::elements::dependencies::Reference;
use crate::elements::{Context, agent, departments, environment, predecessor};
use crate::fault::Report;
use crate::field::{Field, listed};
use crate::origins::Origins;
use crate::source::{Source, SourceKind, Span, offset};
use crate::tree::Value;
use crate::values::when;
use werkpilot_core::suggest;

use crate::{json, links, read};

/// The predecessor's file, read where it is found.
pub(crate) const PREDECESSOR: &str = "agent-registry.json";

/// The settings, in case that somebody keeps them in the registry folder.
const SETTINGS_FILE: &str = "werkpilot.toml";

fn how_to_begin(folder: &Path) -> String {
    let file = folder.join("hello.toml");
    format!(
        "write a file such as {} with these lines:\n[[agent]]\nname = \"hello\"\nshell = \"echo hello\"\nevery = \"10s\"",
        file.display()
    )
}

/// What is collected while the files are read.
#[derive(Default)]
struct Reading {
    drafts: Vec<Draft>,
    departments: Vec<Department>,
    files: Vec<PathBuf>,
    /// Files with agents that we could not see.
    unread: Vec<String>,
}

/// Reads a registry folder, or a single file of one.
pub(crate) fn read(
    path: Option<&Path>,
    settings: &Settings,
    tz_variable: Option<&str>,
    in_process: &[AgentSpec],
    report: &mut Report,
) -> (Registry, Origins, Vec<PathBuf>) {
    let mut reading = Reading::default();
    reading.drafts.extend(in_process.iter().map(|spec| brought_along(spec, report)));
    if let Some(path) = path {
        read_files(path, settings, tz_variable, &mut reading, report);
    }
    links::check(&reading.drafts, &reading.unread, report);
    let strategies = strategies(&reading, report);
    let origins = Origins::of(&reading.drafts, &reading.departments, report);
    let agents = reading.drafts.into_iter().map(|draft| {
        let dependency = |reference: crate::elements::dependencies::Reference| Dependency {
            agent: reference.name,
            condition: reference.condition,
        };
        let dependencies = draft.dependencies.into_iter().map(dependency).collect();
        werkpilot_core::spec::AgentSpec { dependencies, ..draft.spec }
    });
    (Registry { agents: agents.collect(), strategies }, origins, reading.files)
}

fn read_files(path: &Path, settings: &Settings, tz_variable: Option<&str>, reading: &mut Reading, report: &mut Report) {
    let folder = if path.is_file() { path.parent().unwrap_or(path) } else { path };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // Without a current folder there is nothing to be relative to; the path is taken as it is then.
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let zone = settings.schedule.timezone.parse().unwrap_or(Tz::UTC);
    let context = Context { folder: &absolute, settings, zone };
    let Some(files) = files(path, report) else { return };
    for file in files {
        if file.extension().is_some_and(|extension| extension == "json") {
            let zone = when::host_zone(tz_variable, Path::new("/etc")).unwrap_or(zone);
            read_predecessor(&file, &Context { zone, ..context }, reading, report);
        } else {
            read_toml(&file, &context, reading, report);
        }
        reading.files.push(file);
    }
    if reading.drafts.is_empty() && reading.unread.is_empty() && !report.has_faults() {
        let message = if reading.files.is_empty() { "has no registry files (*.toml)" } else { "has no agents" };
        report.fault_of(SourceKind::Registry, path.to_owned(), message).hint(how_to_begin(folder));
    }
}

/// An agent that the program brings along, as if it stood in a file of its own.
fn brought_along(spec: &AgentSpec, report: &mut Report) -> Draft {
    let name = spec.name.to_string();
    let end = offset(name.len());
    let source = Source::new(SourceKind::Registry, format!("in-process agent {name}"), None, name);
    let span = Span { source: report.add_source(source), start: 0, end };
    let references = spec.dependencies.iter().map(|dependency| Reference {
        name: dependency.agent.clone(),
        condition: dependency.condition,
        span,
        key: format!("{}.dependencies", spec.name),
    });
    let dependencies = references.collect();
    let (name, set) = (Some(spec.name.clone()), Vec::new());
    Draft { name, name_span: span, dependencies, after: None, span, set, spec: spec.clone() }
}

/// The files to read: `*.toml` in name order, then the predecessor's. Hidden files, such as editors leave, are not.
fn files(path: &Path, report: &mut Report) -> Option<Vec<PathBuf>> {
    if path.is_file() {
        return Some(vec![path.to_owned()]);
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            let message = format!("failed to read the registry folder: {error}");
            let beside = path.with_file_name(PREDECESSOR);
            let hint = if beside.is_file() {
                format!("for the predecessor's file, name it: --registry {}", beside.display())
            } else {
                how_to_begin(path)
            };
            report.fault_of(SourceKind::Registry, path.to_owned(), message).hint(hint);
            return None;
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let toml = file.extension().is_some_and(|extension| extension == "toml");
            name == PREDECESSOR || (toml && !name.starts_with('.') && name != SETTINGS_FILE)
        })
        .collect();
    files.sort_by_key(|file| (file.extension().is_some_and(|extension| extension == "json"), file.clone()));
    Some(files)
}

fn read_toml(path: &Path, context: &Context<'_>, reading: &mut Reading, report: &mut Report) {
    let Some(source) = read::text(path, SourceKind::Registry, report) else {
        reading.unread.push(path.display().to_string());
        return;
    };
    let document = read::toml(source, report);
    if !document.whole {
        environment::hide_in_broken_text(source, report);
        reading.unread.push(path.display().to_string());
        return;
    }
    let Value::Table(entries) = &document.root.value else { return };
    for entry in entries {
        let field = Field { name: entry.key.clone(), node: &entry.node };
        match entry.key.as_str() {
            "agent" => read_agents(&field, context, reading, report),
            "department" => reading.departments.extend(departments::read(&field, report)),
            other => {
                let known = ["agent", "department"];
                let of_an_agent = agent::KEYS.iter().flat_map(|group| group.iter()).any(|key| key.name == other);
                let hint = if of_an_agent {
                    format!("`{other}` is a key of an agent: write [[agent]] above it")
                } else if other == "agents" {
                    "write [[agent]], once per agent".to_owned()
                } else {
                    suggest::or_else(other, known, || format!("known are {}", listed(known.into_iter())))
                };
                report.fault(entry.key_span, other, format!("unknown key `{other}`")).hint(hint);
            }
        }
    }
}

fn read_agents(field: &Field<'_>, context: &Context<'_>, reading: &mut Reading, report: &mut Report) {
    if let Value::Table(_) = field.node.value {
        field.wrong_type(report, "a list of tables").hint("write [[agent]], with two brackets, once per agent");
        return;
    }
    let agents = field.list(report, "a list of tables").unwrap_or_default();
    reading.drafts.extend(agents.iter().filter_map(|agent| agent::read(agent, context, report)));
}

fn read_predecessor(path: &Path, context: &Context<'_>, reading: &mut Reading, report: &mut Report) {
    let Some(source) = read::text(path, SourceKind::Predecessor, report) else {
        reading.unread.push(path.display().to_string());
        return;
    };
    match json::parse(&report.sources[source as usize].text, source) {
        Ok(root) => {
            let agents = predecessor::agents(&Field { name: String::new(), node: &root }, report);
            reading.drafts.extend(agents.iter().filter_map(|agent| predecessor::read(agent, context, report)));
        }
        Err(error) => {
            reading.unread.push(path.display().to_string());
            let span = Span { source, start: offset(error.at), end: offset(error.at) };
            environment::hide_in_broken_text(source, report);
            report.fault(span, "", format!("is not JSON: {}", error.message));
        }
    }
}

fn strategies(reading: &Reading, report: &mut Report) -> BTreeMap<String, Strategy> {
    let known: HashSet<&str> = reading.drafts.iter().map(|draft| draft.spec.department.as_str()).collect();
    let mut seen: BTreeMap<&str, &Department> = BTreeMap::new();
    for department in &reading.departments {
        let key = format!("department.{}", department.name);
        if let Some(first) = seen.get(department.name.as_str()) {
            let message = format!("the department is in another place already: {}", report.place(first.span));
            report.fault(department.span, &key, message).also(first.span, "first here").hint("keep one of them");
            continue;
        }
        if !known.contains(department.name.as_str()) {
            let mut names: Vec<&str> = known.iter().copied().collect();
            names.sort_unstable();
            let meant = suggest::closest(&department.name, names);
            let meant = meant.map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
            report.notice(department.span, &key, format!("no agent belongs to this department{meant}"));
        }
        seen.insert(&department.name, department);
    }
    seen.into_iter().map(|(name, department)| (name.to_owned(), department.strategy)).collect()
}
