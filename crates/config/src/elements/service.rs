//! What only services have: restarts, readiness, health, silence, instances.

use std::time::Duration;

use werkpilot_core::spec::{RestartPolicy, ServiceSpec};

use super::{Context, backoff, health, ready};
use crate::fault::Report;
use crate::field::Fields;
use crate::keys::Key;
use crate::schema::Shape;
use crate::values::duration;

const RESTART: [(&str, RestartPolicy); 3] =
    [("always", RestartPolicy::Always), ("on_failure", RestartPolicy::OnFailure), ("never", RestartPolicy::Never)];

pub(crate) const KEYS: &[Key] = &[
    Key::service("restart", "When it is started again.", Shape::OneOf(&["always", "on_failure", "never"]))
        .or("\"always\""),
    Key::service("healthy_for", "Uptime after which its backoff and counters start afresh.", Shape::Duration)
        .or("\"10m\""),
    Key::service("max_silence", "No output for so long counts as unhealthy.", Shape::Duration),
    Key::service("instances", "How many processes it consists of.", Shape::Integer(1, 1_000)).or("1"),
];

/// As long as the window in which its restarts are counted ([breaker] `agent_window`).
const HEALTHY_FOR: Duration = Duration::from_mins(10);

/// Reads what belongs to a service, also of a job: its faults are told all the same.
pub(crate) fn read(fields: &Fields<'_>, is_job: bool, context: &Context<'_>, report: &mut Report) -> ServiceSpec {
    ServiceSpec {
        restart: fields.get("restart").and_then(|field| field.one_of(&RESTART, report)).unwrap_or_default(),
        backoff: if is_job { werkpilot_core::spec::Backoff::default() } else { backoff::read(fields, false, report) },
        healthy_for: fields.get("healthy_for").and_then(|field| duration::read(&field, report)).unwrap_or(HEALTHY_FOR),
        ready: ready::read(fields, report),
        health: health::read(fields, context, report),
        max_silence: fields.get("max_silence").and_then(|field| duration::read_positive(&field, report)),
        instances: fields.get("instances").and_then(|field| field.integer(1..=1_000_u16, report)).unwrap_or(1),
    }
}
