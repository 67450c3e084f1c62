//! JSON Schemas of both files, made from the key tables that the parser uses, so that they can't drift from it.

use serde_json::{Map, Value, json};

use crate::elements::{agent, departments, notify, predecessor};
use crate::keys::{Key, Scope};
use crate::settings::SETTINGS;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Text,
    Name,
    Duration,
    Size,
    Integer(i64, i64),
    Number(f64, f64),
    Boolean,
    /// Always `true`, where it is given.
    True,
    OneOf(&'static [&'static str]),
    List(&'static Shape),
    Map(&'static Shape),
    Table(&'static [&'static [Key]]),
    Either(&'static [Shape]),
}

impl Shape {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Name => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,62}$" }),
            Self::Duration => json!({
                "type": "string",
                "pattern": "^\\s*(\\d+(d|h|ms|m|s))+\\s*$",
                "examples": ["90s", "1h30m", "250ms"],
            }),
            Self::Size => json!({
                "oneOf": [
                    { "type": "integer", "minimum": 1 },
                    { "type": "string", "pattern": "^\\s*\\d+\\s*(B|[kK]B|[MGT]B|[KMGT]iB)?\\s*$" },
                ],
            }),
            Self::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
            Self::Number(low, high) => json!({ "type": "number", "minimum": low, "maximum": high }),
            Self::Boolean => json!({ "type": "boolean" }),
            Self::True => json!({ "const": true }),
            Self::OneOf(words) => json!({ "enum": words }),
            Self::List(of) => json!({ "type": "array", "items": of.schema() }),
            Self::Map(of) => json!({ "type": "object", "additionalProperties": of.schema() }),
            Self::Table(keys) => table(keys),
            Self::Either(shapes) => json!({ "anyOf": shapes.iter().map(|shape| shape.schema()).collect::<Vec<_>>() }),
        }
    }
}

/// An object with these keys and no others.
fn table(keys: &[&'static [Key]]) -> Value {
    let properties: Map<String, Value> = keys.iter().flat_map(|group| group.iter()).map(property).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn property(key: &Key) -> (String, Value) {
    let of = match key.scope {
        Scope::Any => "",
        Scope::Job => " Jobs only.",
        Scope::Service => " Services only.",
    };
    let default = key.default.map(|text| serde_json::from_str(text).expect("defaults are written as JSON"));
    (key.name.to_owned(), described(key.shape.schema(), &format!("{}{of}", key.doc), default))
}

fn described(mut schema: Value, description: &str, default: Option<Value>) -> Value {
    schema["description"] = Value::from(description);
    if let Some(default) = default {
        schema["default"] = default;
    }
    schema
}

/// With the keys of all objects in order: `serde_json` keeps another one if any crate of a build switches on its
/// `preserve_order`, and the checked-in files must not depend on that.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<(String, Value)> = object.into_iter().collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The schema of `registry/*.toml`.
pub fn registry() -> Value {
    let mut agent = table(agent::KEYS);
    agent["required"] = json!(["name"]);
    agent["oneOf"] = json!([{ "required": ["command"] }, { "required": ["shell"] }]);
    sorted(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Werkpilot registry",
        "description": "A file of the registry folder: agents, and what departments do when a service is restarted.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "agent": { "type": "array", "items": agent },
            "department": { "type": "object", "additionalProperties": table(&[departments::KEYS]) },
        },
    }))
}

/// The schema of `agent-registry.json`, the predecessor's form.
pub fn predecessor_registry() -> Value {
    let mut agent = table(predecessor::KEYS);
    agent["required"] = json!(["name"]);
    agent["oneOf"] = json!([{ "required": ["file"] }, { "required": ["script"] }]);
    let agents = json!({ "type": "array", "items": agent });
    sorted(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Werkpilot agent-registry.json",
        "oneOf": [
            agents,
            { "type": "object", "additionalProperties": false, "required": ["agents"], "properties": { "agents": agents } },
        ],
    }))
}

/// The schema of `werkpilot.toml`.
pub fn config() -> Value {
    let defaults = werkpilot_core::settings::Settings::default();
    let mut tables: Map<String, Value> = Map::new();
    for setting in SETTINGS {
        let (table, key) = setting.parts();
        let entry = tables
            .entry(table)
            .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
        entry["properties"][key] =
            described(setting.slot.shape().schema(), setting.doc, Some(setting.value(&defaults)));
    }
    let mut target = table(&[notify::KEYS]);
    target["required"] = json!(["name", "events"]);
    target["oneOf"] = json!([{ "required": ["url"] }, { "required": ["command"] }]);
    tables.insert("notify".to_owned(), json!({ "type": "array", "items": target }));
    sorted(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Werkpilot settings",
        "description": "werkpilot.toml; every key is optional.",
        "type": "object",
        "additionalProperties": false,
        "properties": tables,
    }))
}
