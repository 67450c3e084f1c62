//! `retry`: how often a failed attempt of a job is repeated, and how long a job or a service waits before.

use werkpilot_core::spec::Backoff;

use crate::fault::Report;
use crate::field::Fields;
use crate::keys::Key;
use crate::schema::Shape;
use crate::values::duration;

pub(crate) const TABLE: &[Key] = &[
    Key::any("max", "Repeats after the first attempt; unused for services.", Shape::Integer(0, 1_000_000)).or("3"),
    Key::any("initial", "The first delay.", Shape::Duration).or("\"1s\""),
    Key::any("factor", "By which each delay grows.", Shape::Number(1.0, 1_000.0)).or("2.0"),
    Key::any("cap", "The longest delay.", Shape::Duration).or("\"5m\""),
    Key::any("jitter", "Share of the delay by which it varies, up or down.", Shape::Number(0.0, 1.0)).or("0.1"),
];

pub(crate) const KEYS: &[Key] =
    &[Key::any("retry", "Retries of a job; for a service the delays of its restarts.", Shape::Table(&[TABLE]))];

pub(crate) fn read(fields: &Fields<'_>, is_job: bool, report: &mut Report) -> Backoff {
    read_over(Backoff::default(), fields, is_job, report)
}

/// The same with other defaults.
pub(crate) fn read_over(mut backoff: Backoff, fields: &Fields<'_>, is_job: bool, report: &mut Report) -> Backoff {
    let Some(field) = fields.get("retry") else { return backoff };
    let Some(table) = Fields::open(&field, &[TABLE], report) else { return backoff };
    if let Some(field) = table.get("max") {
        backoff.max = field.integer(0..=1_000_000_u32, report).unwrap_or(backoff.max);
        if !is_job {
            report.notice(field.span(), &field.name, "is not used: a service is restarted until its breaker opens");
        }
    }
    let read = |key, report: &mut Report| table.get(key).and_then(|field| duration::read(&field, report));
    backoff.initial = read("initial", report).unwrap_or(backoff.initial);
    backoff.cap = read("cap", report).unwrap_or(backoff.cap);
    backoff.factor = table.get("factor").and_then(|f| f.number(1.0..=1_000.0, report)).unwrap_or(backoff.factor);
    backoff.jitter = table.get("jitter").and_then(|f| f.number(0.0..=1.0, report)).unwrap_or(backoff.jitter);
    if backoff.initial > backoff.cap {
        let (initial, cap) = (duration::duration_text(backoff.initial), duration::duration_text(backoff.cap));
        let place = table.entry("initial").or(table.entry("cap")).map_or(table.span, |entry| entry.node.span);
        report
            .fault(place, &table.dotted("initial"), format!("the first delay ({initial}) is longer than `cap` ({cap})"))
            .hint(format!("set cap = \"{initial}\" or more"));
    }
    backoff
}
