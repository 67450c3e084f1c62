//! The environment of the program: `env`, `env_file`, `env_inherit` and `secrets`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use werkpilot_core::spec::Environment;

use super::{Context, program};
use crate::fault::Report;
use crate::field::{Field, Fields, quote};
use crate::keys::Key;
use crate::schema::Shape;
use crate::source::{Span, offset};

pub(crate) const KEYS: &[Key] = &[
    Key::any("env", "Variables that are set as they stand.", Shape::Map(&Shape::Text)).or("{}"),
    Key::any("env_file", "A file of NAME=value lines, read at each start; relative to the registry file.", Shape::Text),
    Key::any(
        "env_inherit",
        "Names taken over from the orchestrator's environment; a trailing * takes all with that beginning.",
        Shape::List(&Shape::Text),
    )
    .or("[]"),
    Key::any(
        "secrets",
        "Variables whose values are read from files at each start and shown nowhere; relative to the registry file.",
        Shape::Map(&Shape::Text),
    )
    .or("{}"),
];

pub(crate) fn read(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Environment {
    let set = set(fields, report);
    let file = fields.get("env_file").and_then(|field| program::path(&field, context, report));
    let inherit = fields.get("env_inherit").map(|field| inherit(&field, report)).unwrap_or_default();
    let secrets = secrets(fields, &set, context, report);
    Environment { set, file, inherit, secrets }
}

fn set(fields: &Fields<'_>, report: &mut Report) -> BTreeMap<String, String> {
    let Some(field) = fields.get("env") else { return BTreeMap::new() };
    let entries = field.map(report, "a table such as { PORT = \"8080\" }");
    if entries.is_none() {
        report.hide(field.span());
    }
    let entries = entries.unwrap_or_default();
    let mut set = BTreeMap::new();
    for (entry, value) in entries {
        check_name(&entry.key, entry.key_span, &value.name, report);
        // It may be a secret: no fault shows it, on whatever line that is.
        report.hide(value.span());
        if let Some(text) = value.text(report) {
            set.insert(entry.key.clone(), text.to_owned());
        } else if let Some(fault) = report.last().filter(|fault| fault.hint.is_some()) {
            fault.hint("write it in quotes");
        }
    }
    set
}

fn inherit(field: &Field<'_>, report: &mut Report) -> Vec<String> {
    let items = field.list(report, "a list such as [\"AWS_*\"]").unwrap_or_default();
    let mut names = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.text(report) else { continue };
        let beginning = text.strip_suffix('*').unwrap_or(text);
        if text != "*" {
            check_name(beginning, item.span(), &item.name, report);
        }
        names.push(text.to_owned());
    }
    names
}

fn secrets(
    fields: &Fields<'_>,
    set: &BTreeMap<String, String>,
    context: &Context<'_>,
    report: &mut Report,
) -> BTreeMap<String, PathBuf> {
    let Some(field) = fields.get("secrets") else { return BTreeMap::new() };
    let entries = field.map(report, "a table such as { DB_PASSWORD = \"/run/secrets/db\" }").unwrap_or_default();
    let mut secrets = BTreeMap::new();
    for (entry, value) in entries {
        check_name(&entry.key, entry.key_span, &value.name, report);
        if set.contains_key(&entry.key) {
            report
                .fault(entry.key_span, &value.name, format!("{} is in `env` already", quote(&entry.key)))
                .hint("keep it in one of the two");
        }
        if let Some(path) = program::path(&value, context, report) {
            secrets.insert(entry.key.clone(), path);
        }
    }
    secrets
}

/// Hides what may be the value of a variable in a text that is neither TOML nor JSON, so that nothing is known of its keys.
pub(crate) fn hide_in_broken_text(source: u32, report: &mut Report) {
    let mut spans = Vec::new();
    let (mut line_start, mut in_table, mut open) = (0, false, false);
    for line in report.sources[source as usize].text.split_inclusive('\n') {
        let text = line.trim_end();
        let from = if open {
            open = !text.contains('}');
            Some(0)
        } else if text.trim_start().starts_with('[') {
            in_table = text.trim_end_matches(']').ends_with("env");
            None
        } else if in_table {
            text.find('=').map(|at| at + 1)
        } else {
            let from = after_env(text);
            open = from.is_some_and(|from| text[from..].contains('{') && !text[from..].contains('}'));
            from
        };
        spans.extend(from.map(|from| (line_start + from, line_start + text.len())));
        line_start += line.len();
    }
    for (start, end) in spans.into_iter().filter(|(start, end)| start < end) {
        report.hide(Span { source, start: offset(start), end: offset(end) });
    }
}

/// Where the value of a key `env`, or of one below it, begins.
fn after_env(line: &str) -> Option<usize> {
    line.match_indices("env").find_map(|(at, word)| {
        let is_whole = !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let rest = &line[at + word.len()..];
        let next = rest.trim_start_matches(['"', '\'', ' ', '\t']);
        let value = next.starts_with(['=', ':', '.']).then(|| next.find(['=', ':'])).flatten()?;
        is_whole.then_some(line.len() - next.len() + value + 1)
    })
}

/// A name that any shell can use (POSIX, 8.1, with lower case).
fn check_name(name: &str, span: Span, key: &str, report: &mut Report) {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        report
            .fault(span, key, format!("{} is no name of a variable", quote(name)))
            .hint("letters, digits and _, not beginning with a digit");
    }
}
