//! Reads the settings from all of their sources: the file, then `WERKPILOT_*`, then the command line; the last one wins,
//! and every one of them is checked.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value as Json;
use werkpilot_core::schedule::Schedule;
use werkpilot_core::settings::Settings;

use crate::Overrides;
use crate::elements::notify;
use crate::fault::Report;
use crate::field::{Field, listed};
use crate::not_effective;
use crate::read;
use crate::settings::{Effect, SETTINGS, Setting};
use crate::source::{Source, SourceKind, Span, offset};
use crate::tree::{Node, Value};
use werkpilot_core::suggest;

/// Where a setting's value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// `werkpilot.toml`.
    File {
        /// As the caller named it.
        path: PathBuf,
        /// From 1.
        line: u32,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// An option of the command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { variable } => write!(f, "${variable}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// A setting, its value as it would be written in the file, and where that is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettingSource {
    /// The dotted key; `notify.<name>.<key>` for what is set of a target.
    pub key: Cow<'static, str>,
    /// The value.
    pub value: Json,
    /// Where it is from.
    pub origin: Origin,
    /// What it does, in a sentence.
    pub effect: Cow<'static, str>,
    /// When a new value takes effect.
    pub applies: Effect,
}

/// All settings with their sources, in the order of the product guide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Sources(pub Vec<SettingSource>);

impl Sources {
    /// The setting with this dotted key.
    pub fn get(&self, key: &str) -> Option<&SettingSource> {
        self.0.iter().find(|source| source.key == key)
    }
}

/// Variables of other parts of Werkpilot, which are no settings.
const OTHER_VARIABLES: [&str; 8] = [
    "WERKPILOT_RUN_ID",
    "WERKPILOT_ATTEMPT",
    "WERKPILOT_SCHEDULED_TIME",
    "WERKPILOT_REGISTRY",
    "WERKPILOT_CONFIG",
    "WERKPILOT_LOG",
    "WERKPILOT_TOKEN",
    "WERKPILOT_COLOR",
];

/// The list of tables that is not a table of settings.
const NOTIFY: &str = "notify";

/// The settings while they are being read: where each one was set last.
struct Reading {
    settings: Settings,
    set_at: Vec<Option<Span>>,
    targets: Vec<notify::Read>,
}

impl Reading {
    fn set(&mut self, index: usize, field: &Field<'_>, report: &mut Report) {
        let setting = &SETTINGS[index];
        setting.read(field, &mut self.settings, report);
        not_effective::of_setting(setting.key, field.span(), report);
        self.set_at[index] = Some(field.span());
    }
}

/// Reads all settings.
pub(crate) fn read(
    file: Option<&Path>,
    overrides: &Overrides,
    report: &mut Report,
) -> (Settings, Sources, Vec<PathBuf>) {
    let set_at = vec![None; SETTINGS.len()];
    let mut reading = Reading { settings: Settings::default(), set_at, targets: Vec::new() };
    let files = file.map(|path| read_file(path, &mut reading, report)).unwrap_or_default();
    read_environment(&overrides.env, &mut reading, report);
    read_command_line(&overrides.cli, &mut reading, report);
    let from_systemd = place_state(file, overrides, &mut reading, report);
    place_tls(file, &mut reading, report);
    check_together(&reading, report);
    let sources = SETTINGS.iter().zip(&reading.set_at).map(|(setting, set_at)| SettingSource {
        key: Cow::Borrowed(setting.key),
        value: setting.value(&reading.settings),
        origin: match set_at {
            Some(span) => origin(*span, setting, report),
            None if from_systemd && setting.key == "state.dir" => {
                Origin::Environment { variable: "STATE_DIRECTORY".to_owned() }
            }
            None => Origin::Default,
        },
        effect: Cow::Borrowed(setting.doc),
        applies: setting.effect,
    });
    let mut sources = Sources(sources.collect());
    for target in reading.targets {
        sources.0.extend(sources_of(&target, report));
        reading.settings.notify.push(target.target);
    }
    (reading.settings, sources, files)
}

/// Each key of a target, as it may be shown.
fn sources_of(read: &notify::Read, report: &Report) -> Vec<SettingSource> {
    let shown = serde_json::to_value(&read.target).unwrap_or_default();
    let keys = read.places.iter().filter(|(key, _)| *key != "name" && !shown[*key].is_null());
    let source = |(key, place): &(&'static str, Option<Span>)| SettingSource {
        key: Cow::Owned(format!("notify.{}.{key}", read.target.name)),
        value: shown[*key].clone(),
        origin: match place.map(|span| (report.source(span), span)) {
            Some((source, span)) => {
                Origin::File { path: source.path.clone().unwrap_or_default(), line: source.position(span.start).0 }
            }
            None => Origin::Default,
        },
        effect: Cow::Borrowed(notify::doc(key)),
        applies: Effect::AtOnce,
    };
    keys.map(source).collect()
}

fn origin(span: Span, setting: &Setting, report: &Report) -> Origin {
    let source = report.source(span);
    match (source.kind, &source.path) {
        (SourceKind::Environment, _) => Origin::Environment { variable: setting.variable() },
        (SourceKind::CommandLine, _) | (_, None) => Origin::CommandLine,
        (_, Some(path)) => Origin::File { path: path.clone(), line: source.position(span.start).0 },
    }
}

fn read_file(path: &Path, reading: &mut Reading, report: &mut Report) -> Vec<PathBuf> {
    let Some(source) = read::text(path, SourceKind::Config, report) else { return vec![path.to_owned()] };
    let tree = read::toml(source, report);
    if !tree.whole {
        notify::hide_in_broken_text(source, report);
    }
    if let (Value::Table(tables), true) = (&tree.root.value, tree.whole) {
        for entry in tables {
            if entry.key == NOTIFY {
                let field = Field { name: entry.key.clone(), node: &entry.node };
                let folder = path.parent().unwrap_or(path);
                // Without a current folder there is nothing to be relative to; the path is taken as it is then.
                let folder = std::path::absolute(folder).or_else(|_| std::env::current_dir());
                let folder = folder.unwrap_or_else(|_| PathBuf::from("."));
                reading.targets = notify::read_all(&field, &folder, report);
                continue;
            }
            let mut known = SETTINGS.iter().filter(|setting| setting.parts().0 == entry.key).peekable();
            if known.peek().is_none() {
                unknown_table(&entry.key, entry.key_span, report);
                continue;
            }
            let field = Field { name: entry.key.clone(), node: &entry.node };
            read_table(&field, reading, report);
        }
    }
    vec![path.to_owned()]
}

fn read_table(table: &Field<'_>, reading: &mut Reading, report: &mut Report) {
    let keys = || SETTINGS.iter().map(Setting::parts).filter(|(name, _)| *name == table.name).map(|(_, key)| key);
    let Value::Table(entries) = &table.node.value else {
        table
            .wrong_type(report, "a table")
            .hint(format!("write [{}] on a line of its own, and its keys below", table.name));
        return;
    };
    for entry in entries {
        let key = format!("{}.{}", table.name, entry.key);
        if let Some(index) = SETTINGS.iter().position(|setting| setting.key == key) {
            reading.set(index, &Field { name: key, node: &entry.node }, report);
        } else {
            let hint = suggest::or_else(&entry.key, keys(), || format!("known are {}", listed(keys())));
            report.fault(entry.key_span, &key, format!("unknown key `{}`", entry.key)).hint(hint);
        }
    }
}

fn unknown_table(name: &str, span: Span, report: &mut Report) {
    let mut tables: Vec<&str> = SETTINGS.iter().map(|setting| setting.parts().0).collect();
    tables.dedup();
    tables.push(NOTIFY);
    let owner = SETTINGS.iter().map(Setting::parts).find(|(_, key)| *key == name);
    let hint = match owner {
        Some((table, key)) => format!("`{key}` belongs into the table [{table}]"),
        None => {
            suggest::or_else(name, tables.iter().copied(), || format!("known are {}", listed(tables.iter().copied())))
        }
    };
    report.fault(span, name, format!("unknown key `{name}`")).hint(hint);
}

/// A value of one line, so that its faults are shown like those of files.
fn loose(kind: SourceKind, name: &str, value: &str, report: &mut Report) -> Node {
    let file = if kind == SourceKind::Environment { "environment" } else { "command line" };
    let source = report.add_source(Source::new(kind, file.to_owned(), None, format!("{name}={value}")));
    let start = offset(name.len() + 1);
    Node { value: Value::Loose(value.to_owned()), span: Span { source, start, end: start + offset(value.len()) } }
}

fn read_environment(env: &[(String, String)], reading: &mut Reading, report: &mut Report) {
    let variables: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
    for (name, value) in env.iter().filter(|(name, _)| name.starts_with("WERKPILOT_")) {
        if let Some(index) = variables.iter().position(|variable| variable == name) {
            // An empty variable is how many tools unset one.
            if !value.is_empty() {
                let node = loose(SourceKind::Environment, name, value, report);
                reading.set(index, &Field { name: SETTINGS[index].key.to_owned(), node: &node }, report);
            }
        } else if !OTHER_VARIABLES.contains(&name.as_str()) {
            let meant = suggest::closest(name, variables.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            report.notice_of_environment(name, format!("is no setting and is not read{meant}"));
        }
    }
}

fn read_command_line(options: &[(String, String)], reading: &mut Reading, report: &mut Report) {
    for (key, value) in options {
        let node = loose(SourceKind::CommandLine, key, value, report);
        if let Some(index) = SETTINGS.iter().position(|setting| setting.key == key) {
            reading.set(index, &Field { name: key.clone(), node: &node }, report);
        } else {
            let hint = suggest::or_else(key, SETTINGS.iter().map(|setting| setting.key), || {
                "`werkpilot config` lists all settings".to_owned()
            });
            let span = Span { start: 0, end: offset(key.len()), ..node.span };
            report.fault(span, key, format!("there is no setting `{key}`")).hint(hint);
        }
    }
}

/// Puts a relative state folder of the file beside the file, so that it is found from everywhere by `--config`.
/// Whether systemd's folder was taken.
fn place_state(file: Option<&Path>, overrides: &Overrides, reading: &mut Reading, report: &Report) -> bool {
    let index = SETTINGS.iter().position(|setting| setting.key == "state.dir").expect("it is a setting");
    let set_in_file = reading.set_at[index].map(|span| report.source(span).kind == SourceKind::Config);
    let systemd = overrides.env.iter().find(|(name, value)| name == "STATE_DIRECTORY" && !value.is_empty());
    if let (None, Some((_, folders))) = (set_in_file, systemd) {
        // Several folders are separated by colons (systemd.exec(5), StateDirectory=); ours is the first.
        reading.settings.state.dir = PathBuf::from(folders.split(':').next().unwrap_or_default());
        return true;
    }
    if let (Some(folder), None | Some(true)) = (file.and_then(Path::parent), set_in_file) {
        reading.settings.state.dir = folder.join(&reading.settings.state.dir);
    }
    false
}

/// Puts the files for TLS beside the file that names them.
fn place_tls(file: Option<&Path>, reading: &mut Reading, report: &Report) {
    let Some(folder) = file.and_then(Path::parent) else { return };
    let in_file = |key: &str| {
        let index = SETTINGS.iter().position(|setting| setting.key == key);
        let span = index.and_then(|index| reading.set_at[index]);
        span.is_some_and(|span| report.source(span).kind == SourceKind::Config)
    };
    let (certificate, key) = (in_file("dashboard.tls_certificate"), in_file("dashboard.tls_key"));
    let dashboard = &mut reading.settings.dashboard;
    for (path, in_file) in [(&mut dashboard.tls_certificate, certificate), (&mut dashboard.tls_key, key)] {
        if let (Some(path), true) = (path, in_file) {
            *path = folder.join(&path);
        }
    }
}

/// Rules over several settings. A fault is shown at the first of them that somebody set.
fn check_together(reading: &Reading, report: &mut Report) {
    let settings = &reading.settings;
    let place = |keys: &[&str]| {
        let mut set = keys.iter().filter_map(|key| SETTINGS.iter().position(|setting| setting.key == *key));
        set.find_map(|index| Some((SETTINGS[index].key, reading.set_at[index]?)))
    };
    let memory = &settings.memory;
    let rising = memory.recover_percent < memory.warning_percent && memory.warning_percent < memory.critical_percent;
    if let (false, Some((key, span))) =
        (rising, place(&["memory.warning_percent", "memory.critical_percent", "memory.recover_percent"]))
    {
        let message = format!(
            "the percentages don't rise: recover {}, warning {}, critical {}",
            memory.recover_percent, memory.warning_percent, memory.critical_percent
        );
        report.fault(span, key, message).hint("recover_percent < warning_percent < critical_percent <= 100");
    }
    let logs = &settings.logs;
    if let (true, Some((key, span))) = (logs.max_file > logs.max_total, place(&["logs.max_file", "logs.max_total"])) {
        report.fault(span, key, "one log file may be larger than all together").hint("max_file <= max_total");
    }
    let dashboard = &settings.dashboard;
    if dashboard.tls_certificate.is_some() != dashboard.tls_key.is_some()
        && let Some((key, span)) = place(&["dashboard.tls_certificate", "dashboard.tls_key"])
    {
        let hint = "set tls_certificate and tls_key in [dashboard], or neither";
        report.fault(span, key, "TLS needs a certificate and its key").hint(hint);
    }
    if let Some((key, span)) = place(&["optimizer.schedule"])
        && let Err(error) = Schedule::parse(&settings.optimizer.schedule, &settings.optimizer.timezone)
    {
        report.fault(span, key, error.to_string()).hint(error.hint());
    }
}
