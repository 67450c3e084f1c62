//! As whom and within which limits it runs: `user`, `group`, `umask`, `nice`, `limits`, `allow_new_privileges`.

use std::collections::BTreeMap;

use werkpilot_core::spec::{Identity, Resource};

use crate::fault::Report;
use crate::field::{Field, Fields, listed, quote};
use crate::keys::Key;
use crate::schema::Shape;
use crate::tree::Value;
use crate::values::size;
use werkpilot_core::suggest;

/// A limit: a number, a size, or no limit.
const LIMIT: Shape = Shape::Either(&[Shape::Integer(0, i64::MAX), Shape::Size, Shape::OneOf(&["unlimited"])]);

pub(crate) const LIMITS: &[Key] = &[
    Key::any("as", "Address space, bytes.", LIMIT),
    Key::any("core", "Core file, bytes.", LIMIT),
    Key::any("cpu", "CPU time, seconds.", LIMIT),
    Key::any("data", "Data segment, bytes.", LIMIT),
    Key::any("fsize", "File size, bytes.", LIMIT),
    Key::any("memlock", "Locked memory, bytes.", LIMIT),
    Key::any("nofile", "Open files.", LIMIT),
    Key::any("nproc", "Processes of the user.", LIMIT),
    Key::any("stack", "Stack, bytes.", LIMIT),
];

const RESOURCES: [(&str, Resource); 9] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("memlock", Resource::Memlock),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("stack", Resource::Stack),
];

const ACCOUNT: Shape = Shape::Either(&[Shape::Text, Shape::Integer(0, u32::MAX as i64)]);

pub(crate) const KEYS: &[Key] = &[
    Key::any("user", "User name or number; by default the orchestrator's.", ACCOUNT),
    Key::any("group", "Group name or number; by default the user's own.", ACCOUNT),
    Key::any(
        "umask",
        "File mode creation mask: \"022\", or an octal integer such as 0o022.",
        Shape::Either(&[Shape::Text, Shape::Integer(0, 0o777)]),
    ),
    Key::any("nice", "Niceness.", Shape::Integer(-20, 19)),
    Key::any("limits", "Resource limits as in setrlimit(2), soft and hard.", Shape::Table(&[LIMITS])).or("{}"),
    Key::any("allow_new_privileges", "Leaves no_new_privs unset, so that setuid programs work.", Shape::Boolean)
        .or("false"),
];

pub(crate) fn read(fields: &Fields<'_>, report: &mut Report) -> Identity {
    Identity {
        user: fields.get("user").and_then(|field| account(&field, "user", report)),
        group: fields.get("group").and_then(|field| account(&field, "group", report)),
        umask: fields.get("umask").and_then(|field| umask(&field, report)),
        nice: fields.get("nice").and_then(|field| field.integer(-20..=19_i32, report)),
        limits: fields.get("limits").map(|field| limits(&field, report)).unwrap_or_default(),
        allow_new_privileges: fields
            .get("allow_new_privileges")
            .and_then(|field| field.boolean(report))
            .unwrap_or_default(),
    }
}

/// A name as useradd(8) takes it, or a number. Whether it exists is known at the start only.
fn account(field: &Field<'_>, what: &str, report: &mut Report) -> Option<String> {
    if let Value::Integer(_) = field.node.value {
        return field.integer(0..=u32::MAX, report).map(|number| number.to_string());
    }
    let text = field.text(report)?;
    let bare = text.strip_suffix('$').unwrap_or(text);
    let first = bare.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let name = first && bare.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let number = text.parse::<u32>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit());
    if (name && text.len() <= 32) || number {
        return Some(text.to_owned());
    }
    field
        .fault(report, format!("{} is no name of a {what}", quote(text)))
        .hint("letters, digits, `_`, `-` and `.`, at most 32, not beginning with a digit; or a number");
    None
}

/// An integer is taken only in octal: 22 would be 0o026, which nobody means.
fn umask(field: &Field<'_>, report: &mut Report) -> Option<u32> {
    const HINT: &str = "write \"022\", in quotes, or 0o022";
    let mask = match &field.node.value {
        Value::Text(text) => {
            let digits = text.strip_prefix("0o").unwrap_or(text);
            let octal = !digits.is_empty() && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
            octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
        }
        Value::Integer(number) => {
            let octal = *number == 0 || report.source(field.span()).slice(field.span()).starts_with("0o");
            octal.then(|| u32::try_from(*number).ok()).flatten()
        }
        _ => {
            field.wrong_type(report, "a mask in octal digits").hint(HINT);
            return None;
        }
    };
    let mask = mask.filter(|mask| *mask <= 0o777);
    if mask.is_none() {
        field.fault(report, "is no mask in octal digits from 000 to 777").hint(HINT);
    }
    mask
}

fn limits(field: &Field<'_>, report: &mut Report) -> BTreeMap<Resource, u64> {
    let mut limits = BTreeMap::new();
    for (entry, value) in field.map(report, "a table such as { nofile = 1024 }").unwrap_or_default() {
        let Some((_, resource)) = RESOURCES.iter().find(|(name, _)| *name == entry.key) else {
            let words = || RESOURCES.iter().map(|(name, _)| *name);
            let hint = suggest::or_else(&entry.key, words(), || format!("known are {}", listed(words())));
            report.fault(entry.key_span, &value.name, format!("unknown resource {}", quote(&entry.key))).hint(hint);
            continue;
        };
        if let Some(limit) = limit(&value, report) {
            limits.insert(*resource, limit);
        }
    }
    limits
}

fn limit(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    match &field.node.value {
        Value::Integer(_) => field.integer(0..=i64::MAX, report).and_then(|number| u64::try_from(number).ok()),
        Value::Text(text) if text == "unlimited" => Some(u64::MAX),
        Value::Text(_) => size::read(field, report),
        _ => {
            field.wrong_type(report, "a whole number, a size such as \"1GiB\", or \"unlimited\"");
            None
        }
    }
}
