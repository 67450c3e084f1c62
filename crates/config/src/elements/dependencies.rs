//! `dependencies`: names, or tables with a condition. Whether they exist is looked at when all files are read.

use werkpilot_core::ids::AgentName;
use werkpilot_core::spec::Condition;

use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::schema::Shape;
use crate::source::Span;
use crate::tree::Value;

const TABLE: &[Key] = &[
    Key::any("agent", "On whom.", Shape::Name),
    Key::any("condition", "What is asked of it.", Shape::OneOf(&["healthy", "started", "succeeded"])).or("\"healthy\""),
];

pub(crate) const KEYS: &[Key] = &[Key::any(
    "dependencies",
    "Agents that have to be well before it starts.",
    Shape::List(&Shape::Either(&[Shape::Name, Shape::Table(&[TABLE])])),
)
.or("[]")];

const CONDITIONS: [(&str, Condition); 3] =
    [("healthy", Condition::Healthy), ("started", Condition::Started), ("succeeded", Condition::Succeeded)];

/// One agent naming another.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) name: AgentName,
    pub(crate) condition: Condition,
    /// Where the name stands.
    pub(crate) span: Span,
    /// The dotted key that it stands under.
    pub(crate) key: String,
}

pub(crate) fn read(fields: &Fields<'_>, report: &mut Report) -> Vec<Reference> {
    let Some(field) = fields.get("dependencies") else { return Vec::new() };
    let items = field.list(report, "a list of names").unwrap_or_default();
    let mut references: Vec<Reference> = Vec::with_capacity(items.len());
    for item in items {
        let Some(reference) = read_one(&item, report) else { continue };
        // Lists are short; where one is not, the search is still cheaper than reading it.
        if let Some(first) = references.iter().find(|other| other.name == reference.name) {
            let message = format!("`{}` is named twice", reference.name);
            report
                .fault(reference.span, &reference.key, message)
                .also(first.span, "first here")
                .hint("keep one of them");
        } else {
            references.push(reference);
        }
    }
    references
}

fn read_one(item: &Field<'_>, report: &mut Report) -> Option<Reference> {
    let Value::Table(_) = item.node.value else { return read_name(item, report) };
    let table = Fields::open(item, &[TABLE], report)?;
    let condition = table.get("condition").and_then(|field| field.one_of(&CONDITIONS, report)).unwrap_or_default();
    let Some(agent) = table.get("agent") else {
        item.fault(report, "has no `agent`").hint("write { agent = \"agent-db\", condition = \"started\" }");
        return None;
    };
    Some(Reference { condition, ..read_name(&agent, report)? })
}

/// The name of another agent.
pub(crate) fn read_name(field: &Field<'_>, report: &mut Report) -> Option<Reference> {
    let text = field.text(report)?;
    match AgentName::new(text) {
        Ok(name) => {
            Some(Reference { name, condition: Condition::Healthy, span: field.span(), key: field.name.clone() })
        }
        Err(error) => {
            field.fault(report, error.to_string());
            None
        }
    }
}
