//! One `[[notify]]` of `werkpilot.toml`: who is told of which events.
//!
//! Invariant: an address, and whatever else may be a secret, is in no fault and in no line that is shown with one.

use std::path::Path;
use std::time::Duration;

use werkpilot_core::event::{Event, TopicPattern, Weight};
use werkpilot_core::ids::AgentName;
use werkpilot_core::notifications::{Channel, Filter, NamePattern, NotifyTarget, Rate, UrlError, WebhookUrl};

use super::backoff;
use crate::fault::Report;
use crate::field::{Field, Fields, either, quote};
use crate::keys::Key;
use crate::schema::Shape;
use crate::source::{Span, offset};
use crate::tree::Value;
use crate::values::duration;

const RATE: &[Key] = &[
    Key::any("max", "So many.", Shape::Integer(1, MAX_RATE as i64)).or("60"),
    Key::any("per", "In any such time.", Shape::Duration).or("\"1m\""),
];

const RETRY: &[Key] = &[
    Key::any("max", "Tries after the first one.", Shape::Integer(0, 1_000_000)).or("20"),
    Key::any("initial", "The first pause.", Shape::Duration).or("\"1s\""),
    Key::any("factor", "By which each pause grows.", Shape::Number(1.0, 1_000.0)).or("2.0"),
    Key::any("cap", "The longest pause.", Shape::Duration).or("\"5m\""),
    Key::any("jitter", "Share of the pause by which it varies, up or down.", Shape::Number(0.0, 1.0)).or("0.1"),
];

/// All keys of a target.
pub(crate) const KEYS: &[Key] = &[
    Key::any("name", "Unique name.", Shape::Name),
    Key::any("url", "A webhook, http:// or https://; shown without user, password, path and query.", Shape::Text),
    Key::any("command", "A program and its arguments; it finds the event on stdin.", Shape::List(&Shape::Text)),
    Key::any(
        "events",
        "Types of events, or patterns: agent.failed, agent.* (one word more), memory.> (one or more), >.",
        Shape::List(&Shape::Text),
    ),
    Key::any("agents", "Only events about these agents; * is any text.", Shape::List(&Shape::Text)).or("[]"),
    Key::any("departments", "Only events about agents of these departments; * is any text.", Shape::List(&Shape::Text))
        .or("[]"),
    Key::any("min_weight", "Only events that are at least so loud in the log.", Shape::OneOf(&WEIGHT_WORDS))
        .or("\"detail\""),
    Key::any("rate", "How many may go; the others are counted and told with the next one.", Shape::Table(&[RATE])),
    Key::any("secret_file", "The file with the key that signs; relative to this file.", Shape::Text),
    Key::any("timeout", "How long one try may take.", Shape::Duration).or("\"10s\""),
    Key::any("retry", "How a failed try is repeated.", Shape::Table(&[RETRY])),
    Key::any("max_age", "One that is older when a try fails is given up.", Shape::Duration).or("\"1d\""),
    Key::any(
        "queue",
        "So many are held at most; of more, the oldest are dropped.",
        Shape::Integer(1, MAX_QUEUE as i64),
    )
    .or("1000"),
];

/// What a key of a target does.
pub(crate) fn doc(key: &str) -> &'static str {
    KEYS.iter().find(|known| known.name == key).map_or("", |known| known.doc)
}

const WEIGHT_WORDS: [&str; 4] = ["detail", "notice", "warning", "error"];
const WEIGHTS: [(&str, Weight); 4] =
    [("detail", Weight::Detail), ("notice", Weight::Notice), ("warning", Weight::Warning), ("error", Weight::Error)];

/// More would be a log, not a notification: the times of all of them are kept.
const MAX_RATE: u32 = 10_000;
/// Some hundred bytes each.
const MAX_QUEUE: u32 = 100_000;
/// A try holds its target's place for so long.
const MAX_TIMEOUT: Duration = Duration::from_mins(1);
/// Each target looks at every event.
const MAX_TARGETS: usize = 64;

/// A target, and where each of its keys stands.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) target: NotifyTarget,
    pub(crate) places: Vec<(&'static str, Option<Span>)>,
}

/// Reads all targets. `folder` is that of the settings file.
pub(crate) fn read_all(field: &Field<'_>, folder: &Path, report: &mut Report) -> Vec<Read> {
    hide_secrets(field, report);
    let Value::List(items) = &field.node.value else {
        field.wrong_type(report, "a list of tables").hint("write [[notify]], with two brackets, before each target");
        return Vec::new();
    };
    if items.len() > MAX_TARGETS {
        let message = format!("has {} targets; at most {MAX_TARGETS} are allowed", items.len());
        field.fault(report, message).hint("let one program take all events, and pass them on");
    }
    let mut names: Vec<(String, Span)> = Vec::new();
    let mut targets = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let item = named(&Field { name: format!("notify[{index}]"), node });
        targets.extend(read(&item, folder, &mut names, report));
    }
    targets
}

/// The field under the target's own name, if it has one.
fn named<'a>(field: &Field<'a>) -> Field<'a> {
    let entries = if let Value::Table(entries) = &field.node.value { entries.as_slice() } else { &[] };
    let name = entries.iter().find(|entry| entry.key == "name").map(|entry| &entry.node.value);
    let name = match name {
        Some(Value::Text(name)) if AgentName::new(name).is_ok() => format!("notify.{name}"),
        _ => field.name.clone(),
    };
    Field { name, node: field.node }
}

fn read(field: &Field<'_>, folder: &Path, names: &mut Vec<(String, Span)>, report: &mut Report) -> Option<Read> {
    let fields = Fields::open(field, &[KEYS], report)?;
    let name = read_name(&fields, names, report);
    let channel = read_channel(&fields, report);
    let target = NotifyTarget {
        name,
        channel,
        cwd: folder.to_owned(),
        filter: read_filter(&fields, report),
        rate: read_rate(&fields, report),
        secret_file: read_secret_file(&fields, folder, report),
        timeout: read_timeout(&fields, report),
        retry: backoff::read_over(NotifyTarget::default_retry(), &fields, true, report),
        max_age: positive(&fields, "max_age", report).unwrap_or(NotifyTarget::MAX_AGE),
        queue: fields.get("queue").and_then(|f| f.integer(1..=MAX_QUEUE, report)).unwrap_or(NotifyTarget::QUEUE),
    };
    let place = |key: &Key| (key.name, fields.entry(key.name).map(|entry| entry.key_span));
    Some(Read { target, places: KEYS.iter().map(place).collect() })
}

fn read_name(fields: &Fields<'_>, names: &mut Vec<(String, Span)>, report: &mut Report) -> String {
    let Some(field) = fields.get("name") else {
        report.fault(fields.span, &fields.name, "has no `name`").hint("write for example name = \"ops\"");
        return String::new();
    };
    let Some(text) = field.text(report) else { return String::new() };
    if let Err(error) = AgentName::new(text) {
        field.fault(report, error.to_string());
    } else if let Some((_, first)) = names.iter().find(|(known, _)| known == text) {
        let first = *first;
        field
            .fault(report, format!("there are two targets with the name `{text}`"))
            .also(first, "the first one")
            .hint("give each a name of its own");
    } else {
        names.push((text.to_owned(), field.span()));
    }
    text.to_owned()
}

fn read_channel(fields: &Fields<'_>, report: &mut Report) -> Channel {
    let stand_in = || Channel::Command(Vec::new());
    match (fields.get("url"), fields.get("command")) {
        (Some(_), Some(command)) => {
            command
                .fault(report, "a target has a `url` or a `command`, not both")
                .hint("make two targets of them, with the same `events`");
            stand_in()
        }
        (None, None) => {
            report
                .fault(fields.span, &fields.name, "has neither `url` nor `command`")
                .hint("write url = \"https://…\" for a webhook, or command = [\"./page.sh\"]");
            stand_in()
        }
        (Some(url), None) => read_url(&url, report).map_or_else(stand_in, Channel::Url),
        (None, Some(command)) => {
            let items = command.list(report, "a list such as [\"./page.sh\", \"--loud\"]").unwrap_or_default();
            if items.is_empty() && matches!(command.node.value, Value::List(_)) {
                command.fault(report, "must not be empty");
            }
            let words = items
                .iter()
                .enumerate()
                .filter_map(|(index, item)| if index == 0 { item.filled_text(report) } else { item.text(report) });
            Channel::Command(words.map(str::to_owned).collect())
        }
    }
}

/// Never quotes the text: it is a secret.
fn read_url(field: &Field<'_>, report: &mut Report) -> Option<WebhookUrl> {
    let text = field.text(report)?;
    match WebhookUrl::parse(text) {
        Ok(url) => {
            let loopback =
                url.host() == "localhost" || url.host().parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
            if !url.is_tls() && !loopback && url.secret_credentials().is_some() {
                report.notice(field.span(), &field.name, "sends its user and password unencrypted: https:// would not");
            }
            Some(url)
        }
        Err(error) => {
            let fault = field.fault(report, error.to_string());
            if error == UrlError::Scheme {
                fault.hint("write it whole, such as url = \"https://hooks.example.org/ops\"");
            }
            None
        }
    }
}

fn read_filter(fields: &Fields<'_>, report: &mut Report) -> Filter {
    let events = if let Some(field) = fields.get("events") {
        read_events(&field, report)
    } else {
        report
            .fault(fields.span, &fields.name, "has no `events`")
            .hint("write for example events = [\"agent.failed\", \"dlq.added\"]; [\">\"] is all of them");
        Vec::new()
    };
    let mut patterns = |key, example| {
        let items = fields.get(key).and_then(|field| field.list(report, example)).unwrap_or_default();
        let names: Vec<NamePattern> =
            items.iter().filter_map(|item| item.filled_text(report).map(NamePattern::new)).collect();
        names
    };
    let agents = patterns("agents", "a list of names such as [\"agent-sales\", \"report-*\"]");
    let departments = patterns("departments", "a list of names such as [\"sales\"]");
    let min_weight = fields.get("min_weight").and_then(|field| field.one_of(&WEIGHTS, report));
    Filter { events, agents, departments, min_weight: min_weight.unwrap_or(Weight::Detail) }
}

fn read_events(field: &Field<'_>, report: &mut Report) -> Vec<TopicPattern> {
    let items = field.list(report, "a list of types such as [\"agent.failed\", \"dlq.*\"]").unwrap_or_default();
    if items.is_empty() && matches!(field.node.value, Value::List(_)) {
        field.fault(report, "must not be empty: it would never be told anything").hint("[\">\"] is all events");
    }
    let mut events = Vec::new();
    for item in &items {
        let Some(text) = item.text(report) else { continue };
        match TopicPattern::new(text) {
            Err(error) => {
                item.fault(report, error.to_string());
            }
            Ok(pattern) => {
                if let Err((word, meant)) = pattern.known() {
                    let fault = item.fault(report, format!("no event has a type that begins with {}", quote(word)));
                    fault.hint(match meant {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("the first word is {}", either(Event::FAMILIES.into_iter())),
                    });
                }
                events.push(pattern);
            }
        }
    }
    events
}

fn read_rate(fields: &Fields<'_>, report: &mut Report) -> Rate {
    let Rate { max, per } = NotifyTarget::RATE;
    let Some(field) = fields.get("rate") else { return NotifyTarget::RATE };
    if !matches!(field.node.value, Value::Table(_)) {
        field.wrong_type(report, "a table").hint("write rate = { max = 10, per = \"1m\" }");
        return NotifyTarget::RATE;
    }
    let Some(table) = Fields::open(&field, &[RATE], report) else { return NotifyTarget::RATE };
    Rate {
        max: table.get("max").and_then(|field| field.integer(1..=MAX_RATE, report)).unwrap_or(max),
        per: positive(&table, "per", report).unwrap_or(per),
    }
}

fn read_secret_file(fields: &Fields<'_>, folder: &Path, report: &mut Report) -> Option<std::path::PathBuf> {
    let field = fields.get("secret_file")?;
    let text = field.filled_text(report)?;
    if fields.get("command").is_some() {
        field
            .fault(report, "is for a `url`: what a command is given is not signed")
            .hint("let the program read the file itself, if it needs it");
    }
    Some(folder.join(text))
}

fn read_timeout(fields: &Fields<'_>, report: &mut Report) -> Duration {
    let timeout = positive(fields, "timeout", report).unwrap_or(NotifyTarget::TIMEOUT);
    if let (true, Some(field)) = (timeout > MAX_TIMEOUT, fields.get("timeout")) {
        field.fault(report, "must be at most 1m: the others wait for it").hint("a failed try is repeated, see `retry`");
    }
    timeout
}

fn positive(fields: &Fields<'_>, key: &str, report: &mut Report) -> Option<Duration> {
    fields.get(key).and_then(|field| duration::read_positive(&field, report))
}

/// Hides addresses, and the values of keys that we don't know: the key itself may have been written there.
fn hide_secrets(field: &Field<'_>, report: &mut Report) {
    let tables: Vec<_> = match &field.node.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![field.node],
    };
    for node in tables {
        let Value::Table(entries) = &node.value else { continue };
        for entry in entries {
            if entry.key == "url" || !KEYS.iter().any(|key| key.name == entry.key) {
                hide(entry.node.span, report);
            }
        }
    }
}

/// Hides a value but for its quotes and a scheme.
fn hide(span: Span, report: &mut Report) {
    let text = report.source(span).slice(span);
    let quotes = u32::from(text.starts_with(['"', '\'']));
    let scheme = |at: &usize| matches!(&text[1..*at], "http" | "https");
    let start = text.find("://").filter(scheme).map_or(quotes, |at| offset(at) + 3);
    let end = offset(text.len()).saturating_sub(quotes);
    report.hide(Span { start: span.start + start, end: span.start + end, ..span });
}

/// Hides what may be an address or a key in a text that is no TOML, so that nothing is known of its keys.
pub(crate) fn hide_in_broken_text(source: u32, report: &mut Report) {
    let mut spans = Vec::new();
    let mut line_start = 0;
    for line in report.sources[source as usize].text.split_inclusive('\n') {
        let end = line_start + line.trim_end().len();
        let secret = line.trim_start().starts_with("secret").then(|| line.find('=').map(|at| at + 1)).flatten();
        if let Some(from) = line.find("://").map(|at| at + 3).into_iter().chain(secret).min() {
            spans.push((line_start + from, end));
        }
        line_start += line.len();
    }
    for (start, end) in spans.into_iter().filter(|(start, end)| start < end) {
        report.hide(Span { source, start: offset(start), end: offset(end) });
    }
}
