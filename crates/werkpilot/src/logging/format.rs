//! How a record of the orchestrator's log looks: a line for people, or a JSON object per line.

use std::io::{self, Write};

use env_logger::fmt::Formatter;
use log::Record;
use log::kv::{Error, Key, Value, VisitSource};
use serde_json::{Map, Value as Json};

use crate::state::now;

/// `2026-11-21T08:40:00.123Z WARN  text`; records of libraries name them. Keys and values are for programs.
pub(super) fn text(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    write!(out, "{} {style}{:<5}{style:#} ", now(), record.level())?;
    if !record.target().starts_with("werkpilot") {
        write!(out, "{}: ", record.target())?;
    }
    writeln!(out, "{}", record.args())
}

/// `{"time": …, "level": "warn", "target": …, "message": …, …}`, with the record's own keys behind.
pub(super) fn json(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("time".to_owned(), Json::String(now().to_string()));
    object.insert("level".to_owned(), Json::String(record.level().as_str().to_ascii_lowercase()));
    object.insert("target".to_owned(), Json::String(record.target().to_owned()));
    object.insert("message".to_owned(), Json::String(record.args().to_string()));
    for (key, value) in pairs(record) {
        object.entry(key).or_insert(value);
    }
    writeln!(out, "{}", Json::Object(object))
}

fn pairs(record: &Record<'_>) -> Vec<(String, Json)> {
    let mut pairs = Pairs(Vec::new());
    // A value that can't be read is left out; the others are told.
    let _ = record.key_values().visit(&mut pairs);
    pairs.0
}

struct Pairs(Vec<(String, Json)>);

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = serde_json::to_value(&value).unwrap_or_else(|_| Json::String(value.to_string()));
        self.0.push((key.to_string(), value));
        Ok(())
    }
}
