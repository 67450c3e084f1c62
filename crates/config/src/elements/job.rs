//! What only jobs have: triggers, overlap, catch-up, jitter, time-out.

use std::time::Duration;

use chrono_tz::Tz;
use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{CatchUp, JobSpec, OnUnhealthyDependency, Overlap, Triggers};

use super::{Context, backoff};
use crate::fault::Report;
use crate::field::Fields;
use crate::keys::Key;
use crate::schema::Shape;
use crate::values::{duration, when};

/// The keys that ask for executions; any number of them together.
pub(crate) const TRIGGERS: [&str; 5] = ["schedule", "every", "subject", "after", "startup"];

const OVERLAP: [(&str, Overlap); 5] = [
    ("skip", Overlap::Skip),
    ("queue_one", Overlap::QueueOne),
    ("queue_all", Overlap::QueueAll),
    ("cancel_previous", Overlap::CancelPrevious),
    ("allow", Overlap::Allow),
];

const CATCH_UP: [(&str, CatchUp); 3] = [("none", CatchUp::None), ("latest", CatchUp::Latest), ("all", CatchUp::All)];

const ON_UNHEALTHY: [(&str, OnUnhealthyDependency); 2] =
    [("skip", OnUnhealthyDependency::Skip), ("wait", OnUnhealthyDependency::Wait)];

pub(crate) const KEYS: &[Key] = &[
    Key::job(
        "schedule",
        "When it runs: a crontab expression of 5 fields, or 6 with leading seconds, or @hourly, @daily, @weekly, @monthly, @yearly.",
        Shape::Text,
    ),
    Key::job("timezone", "IANA zone of `schedule`; by default [schedule] timezone of werkpilot.toml.", Shape::Text),
    Key::job("every", "Runs at a fixed interval from boot, on the steady clock.", Shape::Duration),
    Key::job("subject", "Runs for each message on this subject of the bus.", Shape::Text),
    Key::job("after", "Runs when an execution of this job succeeded.", Shape::Name),
    Key::job("startup", "Runs once when its boot layer is reached.", Shape::Boolean).or("false"),
    Key::job(
        "overlap",
        "What a trigger does while an execution is live; \"queue_all\" is the default with `subject`.",
        Shape::OneOf(&["skip", "queue_one", "queue_all", "cancel_previous", "allow"]),
    )
    .or("\"skip\""),
    Key::job("catch_up", "Which missed times run after a downtime.", Shape::OneOf(&["none", "latest", "all"]))
        .or("\"none\""),
    Key::job("catch_up_window", "How far back `catch_up` looks.", Shape::Duration).or("\"1h\""),
    Key::job("jitter", "Spread of `schedule` and `every`: up to this much, stable per agent.", Shape::Duration)
        .or("\"0s\""),
    Key::job(
        "on_unhealthy_dependency",
        "What an unhealthy dependency means for an execution.",
        Shape::OneOf(&["skip", "wait"]),
    )
    .or("\"skip\""),
    Key::job("timeout", "The longest that an attempt may take.", Shape::Duration),
];

/// Long enough for a reboot, short enough not to surprise.
const CATCH_UP_WINDOW: Duration = Duration::from_hours(1);

/// Reads what belongs to a job, also of a service: its faults are told all the same.
pub(crate) fn read(
    fields: &Fields<'_>,
    after: Option<AgentName>,
    is_job: bool,
    context: &Context<'_>,
    report: &mut Report,
) -> JobSpec {
    let triggers = triggers(fields, after, context, report);
    let words = fields.get("overlap").and_then(|field| field.one_of(&OVERLAP, report));
    let overlap = words.unwrap_or(if triggers.subject.is_some() { Overlap::QueueAll } else { Overlap::Skip });
    let jitter = fields.get("jitter").and_then(|field| duration::read(&field, report));
    needs(fields, "jitter", &["schedule", "every"], report);
    needs(fields, "timezone", &["schedule"], report);
    needs(fields, "catch_up", &["schedule"], report);
    needs(fields, "catch_up_window", &["catch_up"], report);
    JobSpec {
        triggers,
        overlap,
        catch_up: fields.get("catch_up").and_then(|f| f.one_of(&CATCH_UP, report)).unwrap_or_default(),
        catch_up_window: fields
            .get("catch_up_window")
            .and_then(|field| duration::read_positive(&field, report))
            .unwrap_or(CATCH_UP_WINDOW),
        jitter: jitter.unwrap_or_default(),
        on_unhealthy_dependency: fields
            .get("on_unhealthy_dependency")
            .and_then(|field| field.one_of(&ON_UNHEALTHY, report))
            .unwrap_or_default(),
        timeout: fields.get("timeout").and_then(|field| duration::read_positive(&field, report)),
        retry: if is_job { backoff::read(fields, true, report) } else { werkpilot_core::spec::Backoff::default() },
    }
}

fn triggers(fields: &Fields<'_>, after: Option<AgentName>, context: &Context<'_>, report: &mut Report) -> Triggers {
    let zone: Tz = fields.get("timezone").and_then(|field| when::read_zone(&field, report)).unwrap_or(context.zone);
    Triggers {
        schedule: fields.get("schedule").and_then(|field| when::read_schedule(&field, zone, report)),
        timezone: zone.name().to_owned(),
        every: fields.get("every").and_then(|field| duration::read_positive(&field, report)),
        subject: fields.get("subject").and_then(|field| subject(&field, report)),
        after,
        startup: fields.get("startup").and_then(|field| field.boolean(report)).unwrap_or_default(),
    }
}

/// A NATS subject: tokens between dots; `*` for one token, a final `>` for the rest.
fn subject(field: &crate::field::Field<'_>, report: &mut Report) -> Option<String> {
    let text = field.filled_text(report)?;
    let tokens: Vec<&str> = text.split('.').collect();
    let good = |(index, token): (usize, &&str)| match *token {
        "" => false,
        ">" => index + 1 == tokens.len(),
        "*" => true,
        token => !token.contains(['*', '>']) && !token.chars().any(|c| c.is_whitespace() || c.is_control()),
    };
    if tokens.iter().enumerate().all(good) {
        return Some(text.to_owned());
    }
    field
        .fault(report, format!("{} is no subject", crate::field::quote(text)))
        .hint("tokens between dots, `*` for any one, and `>` at the end for the rest: \"orders.*.created\"");
    None
}

/// Reports a key that means nothing without one of some others.
fn needs(fields: &Fields<'_>, key: &'static str, others: &[&'static str], report: &mut Report) {
    if let Some(entry) = fields.entry(key)
        && others.iter().all(|other| fields.entry(other).is_none())
    {
        let others = crate::field::either(others.iter().copied());
        report.fault(entry.key_span, &fields.dotted(key), format!("means nothing without {others}")).hint("remove it");
    }
}
