//! `[department.<name>]`: what a department does when one of its services is restarted.

use werkpilot_core::spec::Strategy;

use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::schema::Shape;
use crate::source::Span;

pub(crate) const KEYS: &[Key] = &[Key::any(
    "strategy",
    "one_for_one restarts only that service, rest_for_one also those that depend on it, one_for_all the whole department.",
    Shape::OneOf(&["one_for_one", "rest_for_one", "one_for_all"]),
)
.or("\"one_for_one\"")];

const STRATEGIES: [(&str, Strategy); 3] = [
    ("one_for_one", Strategy::OneForOne),
    ("rest_for_one", Strategy::RestForOne),
    ("one_for_all", Strategy::OneForAll),
];

/// A department that is named in a file.
#[derive(Clone, Debug)]
pub(crate) struct Department {
    pub(crate) name: String,
    pub(crate) strategy: Strategy,
    pub(crate) span: Span,
}

pub(crate) fn read(field: &Field<'_>, report: &mut Report) -> Vec<Department> {
    let entries = field.map(report, "a table such as [department.sales]").unwrap_or_default();
    let read_one = |(entry, field): (&crate::tree::Entry, Field<'_>)| {
        let table = Fields::open(&field, &[KEYS], report)?;
        let strategy = table.get("strategy").and_then(|field| field.one_of(&STRATEGIES, report)).unwrap_or_default();
        Some(Department { name: entry.key.clone(), strategy, span: entry.key_span })
    };
    entries.into_iter().filter_map(read_one).collect()
}
