//! An agent of `agent-registry.json`, the predecessor's form. It has few keys; the others have their defaults.

use werkpilot_core::spec::{AgentSpec, Kind, Program};

use super::agent::{self, Draft};
use super::dependencies::{self, Reference};
use super::{Context, environment, identity, job, kind, program, service, stop};
use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::origins::set_keys;
use crate::schema::Shape;
use crate::source::Span;
use crate::tree::Value;

const OWN: &[Key] = &[
    Key::any("name", "Unique name.", Shape::Name),
    Key::any("department", "The group that it belongs to.", Shape::Text).or("\"default\""),
    Key::any(
        "file",
        "What is run, relative to this file: .js, .cjs and .mjs with node, .py with python3.",
        Shape::Text,
    ),
    Key::any("script", "The same as `file`.", Shape::Text),
    Key::any("schedule", "A crontab expression, in the host's zone.", Shape::Text),
    Key::any("priority", "1 critical, 2 important, 3 normal.", Shape::Integer(1, 3)).or("3"),
    Key::any("layer", "Boot layer; may only push it later than its dependency depth.", Shape::Integer(0, 1_000_000)),
    Key::any("dependencies", "Names of agents that have to be well before it starts.", Shape::List(&Shape::Name))
        .or("[]"),
    Key::any("enabled", "Whether it is switched on.", Shape::Boolean).or("true"),
];

pub(crate) const KEYS: &[&[Key]] = &[OWN];

/// Reads one object of the list.
pub(crate) fn read(field: &Field<'_>, context: &Context<'_>, report: &mut Report) -> Option<Draft> {
    let fields = Fields::open(&agent::named(field), KEYS, report)?;
    let (name, name_span) = agent::read_name(&fields, report);
    let program = read_program(&fields, context, report);
    let dependencies: Vec<Reference> = dependencies::read(&fields, report);
    // It has none of the other keys of an agent, so the other elements take their defaults.
    let is_job = kind::read(&fields, report);
    let job = job::read(&fields, None, is_job, context, report);
    let service = service::read(&fields, is_job, context, report);
    if let Some(schedule) = fields.get("schedule") {
        let message = format!("is evaluated in the host's zone, {}", context.zone.name());
        report.notice(schedule.span(), &schedule.name, message);
    }
    let spec = AgentSpec {
        name: name.clone().unwrap_or_else(agent::stand_in),
        department: agent::department(&fields, report),
        description: String::new(),
        program,
        cwd: program::cwd(&fields, context, report),
        environment: environment::read(&fields, context, report),
        kind: if is_job { Kind::Job(job) } else { Kind::Service(service) },
        priority: fields.get("priority").and_then(|field| agent::priority(&field, report)).unwrap_or_default(),
        layer: fields.get("layer").and_then(|field| field.integer(0..=1_000_000_u32, report)),
        dependencies: Vec::new(),
        success_codes: vec![0],
        stop: stop::read(&fields, report),
        memory_max: None,
        identity: identity::read(&fields, report),
        on_lost: werkpilot_core::spec::OnLost::default(),
        orphan_ttl: agent::ORPHAN_TTL,
        enabled: fields.get("enabled").and_then(|field| field.boolean(report)).unwrap_or(true),
    };
    Some(Draft { name, name_span, dependencies, after: None, span: fields.span, set: set_keys(&fields), spec })
}

fn read_program(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> Program {
    let written = match (fields.get("file"), fields.get("script")) {
        (Some(file), Some(script)) => {
            report
                .fault(script.span(), &fields.name, "has both `file` and `script`, and only one program can be run")
                .also(file.span(), "the other one");
            None
        }
        (Some(field), None) | (None, Some(field)) => field.filled_text(report).map(str::to_owned),
        (None, None) => {
            missing(fields, fields.span, report);
            None
        }
    };
    let Some(written) = written else { return Program::Command(Vec::new()) };
    let path = context.folder.join(&written);
    let interpreter = match path.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "cjs" | "mjs") => Some("node"),
        Some("py") => Some("python3"),
        _ => None,
    };
    let path = path.to_string_lossy().into_owned();
    Program::Command(interpreter.map(str::to_owned).into_iter().chain([path]).collect())
}

fn missing(fields: &Fields<'_>, span: Span, report: &mut Report) {
    report
        .fault(span, &fields.name, "has no program: `file` or `script` is missing")
        .hint("write for example \"file\": \"agents/sales.js\"");
}

/// The objects of the list: the whole file, or its `agents`.
pub(crate) fn agents<'a>(root: &Field<'a>, report: &mut Report) -> Vec<Field<'a>> {
    const LIST: &[Key] = &[Key::any("agents", "The agents.", Shape::List(&Shape::Text))];
    const EXPECTED: &str = "a list of agents, or an object with such a list as `agents`";
    let list = match &root.node.value {
        Value::Table(_) => {
            let Some(fields) = Fields::open(root, &[LIST], report) else { return Vec::new() };
            let Some(field) = fields.get("agents") else {
                report.fault(fields.span, "", "has no `agents`").hint(format!("write {EXPECTED}"));
                return Vec::new();
            };
            field
        }
        _ => Field { name: "agents".to_owned(), node: root.node },
    };
    list.list(report, EXPECTED).unwrap_or_default()
}
