//! `health`: how a service is watched while it runs.

use werkpilot_core::spec::{Health, Probe};

use super::ready::{only_true, the_one_check};
use super::{Context, program};
use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::schema::Shape;
use crate::values::{address, duration};

pub(crate) const TABLE: &[Key] = &[
    Key::any("http", "A 2xx answer from this http:// URL.", Shape::Text),
    Key::any("tcp", "This host:port accepts a connection.", Shape::Text),
    Key::any("exec", "This command exits with 0.", Shape::List(&Shape::Text)),
    Key::any("bus", "It answers on the bus.", Shape::True),
    Key::any("notify", "It sends WATCHDOG=1 on its notify socket within each interval.", Shape::True),
    Key::any("interval", "How often; by default [health] interval of werkpilot.toml.", Shape::Duration),
    Key::any("timeout", "How long one probe may take; by default [health] timeout.", Shape::Duration),
    Key::any("failures", "So many failures in a row make it unhealthy.", Shape::Integer(1, 1_000)).or("3"),
];

pub(crate) const KEYS: &[Key] =
    &[Key::service("health", "How it is watched: exactly one check.", Shape::Table(&[TABLE]))];

const CHECKS: [&str; 5] = ["http", "tcp", "exec", "bus", "notify"];

/// One slow answer is no illness; three in a row are.
const FAILURES: u32 = 3;

pub(crate) fn read(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Option<Health> {
    let table = Fields::open(&fields.get("health")?, &[TABLE], report)?;
    let read = |key, report: &mut Report| table.get(key).and_then(|field| duration::read_positive(&field, report));
    let interval = read("interval", report).unwrap_or(context.settings.health.interval);
    let timeout = read("timeout", report).unwrap_or(context.settings.health.timeout);
    let failures = table.get("failures").and_then(|f| f.integer(1..=1_000_u32, report)).unwrap_or(FAILURES);
    let probe = read_probe(&the_one_check(&table, &CHECKS, report)?, report)?;
    Some(Health { probe, interval, timeout, failures })
}

fn read_probe(field: &Field<'_>, report: &mut Report) -> Option<Probe> {
    match field.name.rsplit('.').next()? {
        "http" => address::read_url(field, report).map(Probe::Http),
        "tcp" => address::read_host_port(field, report).map(Probe::Tcp),
        "exec" => program::argv(field, report).map(Probe::Exec),
        "bus" => only_true(field, report).map(|()| Probe::Bus),
        _ => only_true(field, report).map(|()| Probe::Notify),
    }
}
