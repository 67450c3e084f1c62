//! One `[[agent]]`: its own keys, and the elements that it is made of.

use std::time::Duration;

use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::{AgentSpec, Kind, OnLost, Priority};

use super::dependencies::{self, Reference};
use super::{Context, backoff, environment, health, identity, job, kind, program, ready, service, stop};
use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::not_effective;
use crate::origins::{SetKey, set_keys};
use crate::schema::Shape;
use crate::source::Span;
use crate::tree::Value;
use crate::values::{duration, size};

const OWN: &[Key] = &[
    Key::any("name", "Unique name.", Shape::Name),
    Key::any("department", "The group that it belongs to.", Shape::Text).or("\"default\""),
    Key::any("description", "For people.", Shape::Text).or("\"\""),
    Key::any("priority", "1 critical, 2 important, 3 normal.", Shape::Integer(1, 3)).or("3"),
    Key::any(
        "layer",
        "Boot layer; may only push it later than its dependency depth.",
        Shape::Integer(0, MAX_LAYER as i64),
    ),
    Key::any("success_codes", "Exit codes that mean success.", Shape::List(&Shape::Integer(0, 255))).or("[0]"),
    Key::any("memory_max", "Memory of its whole process tree, sustained over two checks.", Shape::Size),
    Key::any(
        "on_lost",
        "What happens to an execution of which nobody can say how it ended.",
        Shape::OneOf(&["dead_letter", "rerun", "ignore"]),
    )
    .or("\"dead_letter\""),
    Key::any("orphan_ttl", "How long it may outlive the orchestrator; 0s is not at all.", Shape::Duration)
        .or("\"10m\""),
    Key::any("enabled", "Whether it is switched on.", Shape::Boolean).or("true"),
];

/// All keys of an agent.
pub(crate) const KEYS: &[&[Key]] = &[
    OWN,
    program::KEYS,
    environment::KEYS,
    kind::KEYS,
    job::KEYS,
    dependencies::KEYS,
    backoff::KEYS,
    service::KEYS,
    ready::KEYS,
    health::KEYS,
    stop::KEYS,
    identity::KEYS,
];

/// More layers than a chain of dependencies can have (the registry is bounded by the size of its files).
const MAX_LAYER: u32 = 1_000_000;

/// Long enough for an upgrade of the orchestrator.
pub(crate) const ORPHAN_TTL: Duration = Duration::from_mins(10);

const ON_LOST: [(&str, OnLost); 3] =
    [("dead_letter", OnLost::DeadLetter), ("rerun", OnLost::Rerun), ("ignore", OnLost::Ignore)];

/// An agent as far as it could be read, with what has to be looked at when all of them are.
#[derive(Debug)]
pub(crate) struct Draft {
    /// The name, if it is one, and where it stands.
    pub(crate) name: Option<AgentName>,
    pub(crate) name_span: Span,
    pub(crate) dependencies: Vec<Reference>,
    pub(crate) after: Option<Reference>,
    /// Where it begins.
    pub(crate) span: Span,
    /// The keys that are set.
    pub(crate) set: Vec<SetKey>,
    /// With stand-ins for what is at fault; used only if nothing is.
    pub(crate) spec: AgentSpec,
}

/// Reads the agent with this number in its file.
pub(crate) fn read(field: &Field<'_>, context: &Context<'_>, report: &mut Report) -> Option<Draft> {
    let mut fields = Fields::open(&named(field), KEYS, report)?;
    let (name, name_span) = read_name(&fields, report);
    if let Some(name) = &name {
        fields.name = name.to_string();
    }
    let dependencies = dependencies::read(&fields, report);
    let after = fields.get("after").and_then(|field| dependencies::read_name(&field, report));
    let is_job = kind::read(&fields, report);
    let job = job::read(&fields, after.as_ref().map(|after| after.name.clone()), is_job, context, report);
    let service = service::read(&fields, is_job, context, report);
    not_effective::of_agent(&fields, report);
    let on_lost = fields.get("on_lost").and_then(|field| field.one_of(&ON_LOST, report)).unwrap_or_default();
    let spec = AgentSpec {
        name: name.clone().unwrap_or_else(stand_in),
        department: department(&fields, report),
        description: fields.get("description").and_then(|f| f.text(report)).unwrap_or_default().to_owned(),
        program: program::read(&fields, fields.span, report),
        cwd: program::cwd(&fields, context, report),
        environment: environment::read(&fields, context, report),
        kind: if is_job { Kind::Job(job) } else { Kind::Service(service) },
        priority: fields.get("priority").and_then(|field| priority(&field, report)).unwrap_or_default(),
        layer: fields.get("layer").and_then(|field| field.integer(0..=MAX_LAYER, report)),
        dependencies: Vec::new(),
        success_codes: success_codes(&fields, report),
        stop: stop::read(&fields, report),
        memory_max: fields.get("memory_max").and_then(|field| size::read(&field, report)),
        identity: identity::read(&fields, report),
        on_lost,
        orphan_ttl: fields.get("orphan_ttl").and_then(|f| duration::read(&f, report)).unwrap_or(ORPHAN_TTL),
        enabled: fields.get("enabled").and_then(|field| field.boolean(report)).unwrap_or(true),
    };
    Some(Draft { name, name_span, dependencies, after, span: fields.span, set: set_keys(&fields), spec })
}

/// The field under the agent's own name, if it has one: keys read `agent-sales.retry.max`, not `agent[3].retry.max`.
pub(crate) fn named<'a>(field: &Field<'a>) -> Field<'a> {
    let written = match &field.node.value {
        Value::Table(entries) => entries.iter().find(|entry| entry.key == "name").map(|entry| &entry.node.value),
        _ => None,
    };
    let name = match written {
        Some(Value::Text(name)) if AgentName::new(name).is_ok() => name.clone(),
        _ => field.name.clone(),
    };
    Field { name, node: field.node }
}

/// The name, and where it stands, or else the agent.
pub(crate) fn read_name(fields: &Fields<'_>, report: &mut Report) -> (Option<AgentName>, Span) {
    let Some(field) = fields.get("name") else {
        report.fault(fields.span, &fields.name, "has no `name`").hint("write for example name = \"agent-sales\"");
        return (None, fields.span);
    };
    let Some(text) = field.text(report) else { return (None, field.span()) };
    match AgentName::new(text) {
        Ok(name) if RESERVED.contains(&name.as_str()) => {
            let fault = field.fault(report, format!("`{name}` is a name of the orchestrator's own"));
            fault.hint("choose another name");
            (None, field.span())
        }
        Ok(name) => (Some(name), field.span()),
        Err(error) => {
            let fault = field.fault(report, error.to_string());
            if let Some(better) = as_a_name(text) {
                fault.hint(format!("write \"{better}\""));
            }
            (None, field.span())
        }
    }
}

/// The folder of the first one under the logs is the orchestrator's; the others are names on the bus.
const RESERVED: [&str; 3] = ["orchestrator", "operator", "werkpilot"];

/// The text as a name, if little is missing.
fn as_a_name(text: &str) -> Option<String> {
    let replaced = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' };
    let better: String = text.trim().chars().map(replaced).collect();
    let better = better.trim_matches(['-', '_']);
    AgentName::new(better).is_ok().then(|| better.to_owned())
}

pub(crate) fn stand_in() -> AgentName {
    AgentName::new("unnamed").expect("a good name")
}

pub(crate) fn department(fields: &Fields<'_>, report: &mut Report) -> String {
    let written = fields.get("department").and_then(|field| field.filled_text(report));
    written.unwrap_or("default").to_owned()
}

pub(crate) fn priority(field: &Field<'_>, report: &mut Report) -> Option<Priority> {
    let priority = match field.node.value {
        Value::Integer(number) => Priority::from_number(number),
        _ => None,
    };
    if priority.is_none() {
        let written = match &field.node.value {
            Value::Integer(number) => number.to_string(),
            other => other.kind().to_owned(),
        };
        field.fault(report, format!("must be 1 (critical), 2 (important) or 3 (normal), not {written}"));
    }
    priority
}

fn success_codes(fields: &Fields<'_>, report: &mut Report) -> Vec<i32> {
    let Some(field) = fields.get("success_codes") else { return vec![0] };
    let items = field.list(report, "a list of exit codes such as [0, 3]").unwrap_or_default();
    let codes: Vec<i32> = items.iter().filter_map(|item| item.integer(0..=255_i32, report)).collect();
    if items.is_empty() && matches!(field.node.value, Value::List(_)) {
        field.fault(report, "must not be empty: no exit would be a success").hint("the default is [0]");
    }
    codes
}
