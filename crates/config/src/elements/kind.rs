//! `kind`: job or service. Without the key, an agent with a trigger is a job, and one without is a service.

use super::{agent, job};
use crate::fault::Report;
use crate::field::Fields;
use crate::keys::{Key, Scope};
use crate::schema::Shape;
use crate::tree::Value;

pub(crate) const KEYS: &[Key] = &[Key::any(
    "kind",
    "A service should always run; a job runs to its end when triggered. By default a job if it has a trigger.",
    Shape::OneOf(&["job", "service"]),
)];

/// Whether it is a job; reports keys that the other kind has.
pub(crate) fn read(fields: &Fields<'_>, report: &mut Report) -> bool {
    let written = fields.get("kind").and_then(|field| field.one_of(&[("job", true), ("service", false)], report));
    let trigger = job::TRIGGERS
        .iter()
        .copied()
        .find(|trigger| fields.entry(trigger).is_some_and(|entry| !matches!(entry.node.value, Value::Boolean(false))));
    let is_job = written.unwrap_or(trigger.is_some());
    let why = match (written, trigger) {
        (Some(true), _) => "kind = \"job\"".to_owned(),
        (Some(false), _) => "kind = \"service\"".to_owned(),
        (None, Some(trigger)) => format!("it has `{trigger}`"),
        (None, None) => "it has no trigger".to_owned(),
    };
    for entry in fields.entries.iter().filter(|entry| !matches!(entry.node.value, Value::Null)) {
        let key = agent::KEYS.iter().flat_map(|group| group.iter()).find(|key| key.name == entry.key);
        let (foreign, message) = match key.map(|key| key.scope) {
            Some(Scope::Service) => (is_job, format!("is a key of services, and this is a job ({why})")),
            Some(Scope::Job) => (!is_job, format!("is a key of jobs, and this is a service ({why})")),
            Some(Scope::Any) | None => continue,
        };
        if foreign {
            let hint = hint(&entry.key, is_job, written.is_some(), trigger);
            report.fault(entry.key_span, &fields.dotted(&entry.key), message).hint(hint);
        }
    }
    is_job
}

fn hint(key: &str, is_job: bool, written: bool, trigger: Option<&str>) -> String {
    match (is_job, key) {
        (true, "restart") => "a failed job is repeated by `retry`; remove `restart`".to_owned(),
        (true, "instances") => "a job has one program per execution; overlap = \"allow\" lets executions run side by side".to_owned(),
        (true, _) if written => "remove it, or write kind = \"service\"".to_owned(),
        (true, _) => format!("remove it, or remove `{}` to make it a service", trigger.unwrap_or("kind")),
        (false, _) if written => "remove it, or remove kind = \"service\"".to_owned(),
        (false, "timeout") => "for a job that is started by hand write kind = \"job\"; a service has `ready.timeout`, `stop.timeout` and `max_silence`".to_owned(),
        (false, _) => "give it a trigger (schedule, every, subject, after, startup = true), or write kind = \"job\"".to_owned(),
    }
}
