//! `ready`: the sign by which a service is known to be ready.

use std::time::Duration;

use werkpilot_core::spec::{Ready, ReadyCheck};

use crate::fault::Report;
use crate::field::{Field, Fields, either};
use crate::keys::Key;
use crate::schema::Shape;
use crate::values::{address, duration};

pub(crate) const TABLE: &[Key] = &[
    Key::any("after", "It has lived for so long.", Shape::Duration),
    Key::any("notify", "READY=1 on its notify socket (sd_notify).", Shape::True),
    Key::any("http", "A 2xx answer from this http:// URL.", Shape::Text),
    Key::any("tcp", "This host:port accepts a connection.", Shape::Text),
    Key::any("log", "A line of its output matches this regular expression.", Shape::Text),
    Key::any("bus", "It answers on the bus.", Shape::True),
    Key::any("timeout", "Not ready after this long counts as failed.", Shape::Duration).or("\"30s\""),
];

pub(crate) const KEYS: &[Key] =
    &[Key::service("ready", "How it says that it is ready: exactly one check.", Shape::Table(&[TABLE]))
        .or(r#"{"after":"1s"}"#)];

const CHECKS: [&str; 6] = ["after", "notify", "http", "tcp", "log", "bus"];

/// Long enough for what starts slowly, short enough to notice.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) fn read(fields: &Fields<'_>, report: &mut Report) -> Ready {
    let default = Ready { check: ReadyCheck::After(Duration::from_secs(1)), timeout: TIMEOUT };
    let Some(field) = fields.get("ready") else { return default };
    let Some(table) = Fields::open(&field, &[TABLE], report) else { return default };
    let timeout =
        table.get("timeout").and_then(|field| duration::read_positive(&field, report)).unwrap_or(default.timeout);
    let check = the_one_check(&table, &CHECKS, report).and_then(|field| read_check(&field, report));
    let ready = Ready { check: check.unwrap_or(default.check), timeout };
    if let (ReadyCheck::After(after), Some(field)) = (&ready.check, table.get("after"))
        && *after >= timeout
    {
        let shown = duration::duration_text(timeout);
        field
            .fault(report, format!("is not shorter than the timeout ({shown}), so it could never be ready"))
            .hint("raise `timeout` in the same table");
    }
    ready
}

fn read_check(field: &Field<'_>, report: &mut Report) -> Option<ReadyCheck> {
    match field.name.rsplit('.').next()? {
        "after" => duration::read(field, report).map(ReadyCheck::After),
        "notify" => only_true(field, report).map(|()| ReadyCheck::Notify),
        "http" => address::read_url(field, report).map(ReadyCheck::Http),
        "tcp" => address::read_host_port(field, report).map(ReadyCheck::Tcp),
        "bus" => only_true(field, report).map(|()| ReadyCheck::Bus),
        _ => read_regex(field, report).map(ReadyCheck::Log),
    }
}

fn read_regex(field: &Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.filled_text(report)?;
    let Err(error) = regex::Regex::new(text) else { return Some(text.to_owned()) };
    // The crate draws the place over several lines; the reason is the last one.
    let drawn = error.to_string();
    let reason = drawn.lines().last().unwrap_or_default().trim();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason).to_owned();
    field
        .fault(report, format!("is no regular expression: {reason}"))
        .hint("single quotes keep backslashes as they are: log = 'listening on \\d+'");
    None
}

/// The check that a table names, or a fault if it names none or several.
pub(crate) fn the_one_check<'a>(table: &Fields<'a>, checks: &[&'static str], report: &mut Report) -> Option<Field<'a>> {
    let named: Vec<&str> = checks.iter().copied().filter(|check| table.entry(check).is_some()).collect();
    match named.as_slice() {
        [only] => table.get(only),
        [] => {
            let message = format!("names no check; it needs one of {}", either(checks.iter().copied()));
            report.fault(table.span, &table.name, message);
            None
        }
        [first, second, ..] => {
            let message = format!("names {} checks ({}), and takes exactly one", named.len(), named.join(", "));
            let (first, second) = (table.entry(first)?.key_span, table.entry(second)?.key_span);
            report.fault(second.max(first), &table.name, message).also(second.min(first), "the first one");
            None
        }
    }
}

/// `true`; `false` would say nothing.
pub(crate) fn only_true(field: &Field<'_>, report: &mut Report) -> Option<()> {
    if field.boolean(report)? {
        return Some(());
    }
    field.fault(report, "must be true, or be left out");
    None
}
