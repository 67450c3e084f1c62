//! `stop`: the polite signal, and how long it may take before SIGKILL.

use werkpilot_core::signal::Signal;
use werkpilot_core::spec::StopPolicy;

use crate::fault::Report;
use crate::field::{Field, Fields, quote};
use crate::keys::Key;
use crate::schema::Shape;
use crate::tree::Value;
use crate::values::duration;

pub(crate) const TABLE: &[Key] = &[
    Key::any("signal", "The polite signal, by name or number.", Shape::Either(&[Shape::Text, Shape::Integer(1, 64)]))
        .or("\"SIGTERM\""),
    Key::any("timeout", "After this, SIGKILL; 0s is at once.", Shape::Duration).or("\"10s\""),
];

pub(crate) const KEYS: &[Key] =
    &[Key::any("stop", "How it is stopped: a signal to its whole group, then SIGKILL.", Shape::Table(&[TABLE]))];

pub(crate) fn read(fields: &Fields<'_>, report: &mut Report) -> StopPolicy {
    let default = StopPolicy::default();
    let Some(field) = fields.get("stop") else { return default };
    let Some(table) = Fields::open(&field, &[TABLE], report) else { return default };
    StopPolicy {
        signal: table.get("signal").and_then(|field| read_signal(&field, report)).unwrap_or(default.signal),
        timeout: table.get("timeout").and_then(|f| duration::read(&f, report)).unwrap_or(default.timeout),
    }
}

fn read_signal(field: &Field<'_>, report: &mut Report) -> Option<Signal> {
    if let Value::Integer(_) = field.node.value {
        return field.integer(1..=64_i32, report).map(Signal);
    }
    let text = field.text(report)?;
    let signal = text.parse().ok();
    if signal.is_none() {
        field
            .fault(report, format!("{} is no signal", quote(text)))
            .hint("use a name such as SIGTERM, SIGINT or SIGQUIT, or a number from 1 to 64");
    }
    signal
}
