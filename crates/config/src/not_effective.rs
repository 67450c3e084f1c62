//! Keys that are read and checked, and do nothing yet in this version. Who sets one is told so.

use crate::fault::Report;
use crate::field::Fields;
use crate::source::Span;

/// Keys of agents that do nothing yet, a dot before the key of a table in it.
pub const AGENT_KEYS_NOT_EFFECTIVE_YET: &[&str] = &["orphan_ttl"];

/// Keys of `werkpilot.toml` that do nothing yet; `bus.*` is the whole table.
pub const SETTINGS_NOT_EFFECTIVE_YET: &[&str] = &[];

/// What such a key is told.
pub(crate) const MESSAGE: &str = "is not effective in this version: it is checked, and nothing else";

/// Notices for the keys that an agent sets.
pub(crate) fn of_agent(fields: &Fields<'_>, report: &mut Report) {
    for key in AGENT_KEYS_NOT_EFFECTIVE_YET {
        let entry = match key.split_once('.') {
            None => fields.entry(key),
            Some((table, inner)) => fields.get(table).and_then(|field| match &field.node.value {
                crate::tree::Value::Table(entries) => entries.iter().find(|entry| entry.key == inner),
                _ => None,
            }),
        };
        if let Some(entry) = entry {
            report.notice(entry.key_span, &fields.dotted(key), MESSAGE);
        }
    }
}

/// A notice for a setting that is set, if it does nothing yet.
pub(crate) fn of_setting(key: &str, span: Span, report: &mut Report) {
    let whole_table = key.split_once('.').map(|(table, _)| format!("{table}.*"));
    if SETTINGS_NOT_EFFECTIVE_YET.iter().any(|listed| *listed == key || whole_table.as_deref() == Some(*listed)) {
        report.notice(span, key, MESSAGE);
    }
}
