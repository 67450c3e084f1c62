//! What is run and where: `command` or `shell`, and `cwd`.

use std::path::PathBuf;

use werkpilot_core::spec::Program;

use super::Context;
use crate::fault::Report;
use crate::field::{Field, Fields};
use crate::keys::Key;
use crate::schema::Shape;
use crate::source::Span;
use crate::tree::Value;

pub(crate) const KEYS: &[Key] = &[
    Key::any("command", "Program and arguments; never goes through a shell.", Shape::List(&Shape::Text)),
    Key::any("shell", "A line for /bin/sh -c; the explicit other way.", Shape::Text),
    Key::any("cwd", "Folder it runs in; relative to, and by default, the folder of the registry file.", Shape::Text),
];

/// Reads `command` or `shell`; exactly one of them is needed. `header` is where the agent begins.
pub(crate) fn read(fields: &Fields<'_>, header: Span, report: &mut Report) -> Program {
    match (fields.get("command"), fields.get("shell")) {
        (Some(command), None) => argv(&command, report).map(Program::Command),
        (None, Some(shell)) => shell.filled_text(report).map(|line| Program::Shell(line.to_owned())),
        (Some(command), Some(shell)) => {
            let message = "has both `command` and `shell`, and only one program can be run";
            report
                .fault(shell.span(), &fields.name, message)
                .also(command.span(), "the other one")
                .hint("keep `command`; `shell` is for lines that need a shell, such as pipes");
            None
        }
        (None, None) => {
            report
                .fault(header, &fields.name, "has no program: `command` or `shell` is missing")
                .hint("write for example command = [\"python3\", \"agents/sales.py\"]");
            None
        }
    }
    .unwrap_or_else(|| Program::Command(Vec::new()))
}

/// Reads an argument vector.
pub(crate) fn argv(field: &Field<'_>, report: &mut Report) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of texts, the program and its arguments";
    if let Value::Text(line) = &field.node.value {
        let words: Vec<String> = line.split_whitespace().map(|word| format!("{word:?}")).collect();
        let key = field.name.rsplit('.').next().unwrap_or(&field.name);
        let or_else = if key == "command" { ", or use `shell`" } else { "" };
        field.wrong_type(report, EXPECTED).hint(format!("write {key} = [{}]{or_else}", words.join(", ")));
        return None;
    }
    let items = field.list(report, EXPECTED)?;
    if items.is_empty() {
        field.fault(report, "must not be empty: its first item is the program");
        return None;
    }
    let argv: Vec<Option<String>> = items.iter().map(|item| item.text(report).map(str::to_owned)).collect();
    if argv[0].as_deref() == Some("") {
        items[0].fault(report, "must not be empty: it is the program");
        return None;
    }
    argv.into_iter().collect()
}

/// Reads `cwd`.
pub(crate) fn cwd(fields: &Fields<'_>, context: &Context<'_>, report: &mut Report) -> PathBuf {
    fields.get("cwd").and_then(|field| path(&field, context, report)).unwrap_or_else(|| context.folder.to_owned())
}

/// Reads a path, relative to the folder of the file.
pub(crate) fn path(field: &Field<'_>, context: &Context<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = field.filled_text(report)?;
    if text.starts_with("~/") || text == "~" {
        field.fault(report, "begins with `~`, which only shells replace").hint("write the whole path");
        return None;
    }
    Some(context.folder.join(text))
}
