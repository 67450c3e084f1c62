//! The one tree that TOML, JSON and single values become, with the place of every value and every key.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::source::{Span, offset};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
}

/// What can stand in a file.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    /// From the environment or the command line: a text that also stands for numbers and truth values.
    Loose(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// JSON's `null`: as if the key were not there.
    Null,
    /// What no key takes, with its name.
    Other(&'static str),
}

/// A key with its value, in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Loose(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Boolean(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Null => "null",
            Self::Other(kind) => kind,
        }
    }
}

/// Makes the tree of a TOML document. The parser bounds the depth (80), so this may recurse.
pub(crate) fn from_toml(table: &Spanned<DeTable<'_>>, source: u32) -> Node {
    let span = span_of(&table.span(), source);
    Node { value: Value::Table(entries(table.get_ref(), source)), span }
}

fn entries(table: &DeTable<'_>, source: u32) -> Vec<Entry> {
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_span: span_of(&key.span(), source),
            node: node(value, source),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_span);
    entries
}

fn node(value: &Spanned<DeValue<'_>>, source: u32) -> Node {
    let span = span_of(&value.span(), source);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other("an integer beyond 64 bits"), Value::Integer),
        DeValue::Float(float) => float.as_str().parse().map_or(Value::Other("no number"), Value::Float),
        DeValue::Boolean(boolean) => Value::Boolean(*boolean),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(list) => Value::List(list.iter().map(|item| node(item, source)).collect()),
        DeValue::Table(table) => Value::Table(entries(table, source)),
    };
    Node { value, span }
}

fn span_of(range: &std::ops::Range<usize>, source: u32) -> Span {
    Span { source, start: offset(range.start), end: offset(range.end) }
}
