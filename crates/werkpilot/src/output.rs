//! What goes to stdout: text and tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::failure::{Code, Failure};

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// Whether JSON is wanted.
    pub json: bool,
    /// Columns of the terminal; `None`: it is none.
    width: Option<u16>,
}

impl Output {
    /// Looks at stdout.
    pub fn new(json: bool) -> Self {
        let size = || rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0);
        let width = io::stdout().is_terminal().then(|| size().map_or(80, |size| size.ws_col));
        Self { json, width }
    }

    /// Stdout that is no terminal.
    #[cfg(test)]
    pub fn in_a_pipe() -> Self {
        Self { json: false, width: None }
    }

    /// A table: on a terminal as wide as that, else every row on one line. Its cells need not be [`printable`].
    pub fn table(self, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
        table(self.width, header, rows)
    }
}

/// Writes text to stdout; a newline at its end is added if there is none.
pub fn print(text: &str) -> Result<(), Failure> {
    let newline = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
    write(&format!("{text}{newline}"))
}

/// Writes JSON with indentation to stdout.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    write(&format!("{:#}\n", serde_json::to_value(value).unwrap_or_default()))
}

/// A reader that has had enough (`| head`) is no failure.
fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Code::Io, format!("failed to write to stdout: {error}")))
        }
        Err(_) => std::process::exit(0),
        Ok(()) => Ok(()),
    }
}

fn table(width: Option<u16>, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    match width {
        Some(width) => table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    table.set_header(header.iter().map(|title| title.to_uppercase()).collect::<Vec<_>>());
    table.add_rows(rows.into_iter().map(|row| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>()));
    let columns = table.column_count();
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 == columns { 0 } else { 2 }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Bytes as people read them: `12.3 MiB`.
pub fn bytes(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1_024.0 && unit + 1 < units.len() {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// `1 agent`, `2 agents`.
pub fn count(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// An agent's output must not be able to steer the terminal of whoever reads it; colours are let through.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let colour = colour_length(rest);
        if colour > 0 {
            shown.push_str(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        match character {
            '\t' => shown.push('\t'),
            '\r' => {}
            control if control.is_control() => shown.push('\u{fffd}'),
            other => shown.push(other),
        }
        rest = &rest[character.len_utf8()..];
    }
    // Its colours end with its line.
    if shown.contains('\u{1b}') {
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// Bytes of the colour sequence (ECMA-48, SGR) that the text begins with; 0 if there is none.
fn colour_length(text: &str) -> usize {
    let Some(parameters) = text.strip_prefix("\u{1b}[") else { return 0 };
    match parameters.find(|character: char| !character.is_ascii_digit() && character != ';') {
        Some(end) if parameters[end..].starts_with('m') => "\u{1b}[".len() + end + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["agent-sales".to_owned(), "a reason that is so long that it needs several lines".to_owned()],
            vec!["b".to_owned(), String::new()],
        ]
    }

    #[test]
    fn a_table_in_a_pipe_has_a_line_per_row_and_no_borders() {
        let text = table(None, &["name", "reason"], rows());
        assert_eq!(text, "NAME         REASON\nagent-sales  a reason that is so long that it needs several lines\nb\n");
    }

    #[test]
    fn a_table_on_a_terminal_fits_it() {
        let text = table(Some(40), &["name", "reason"], rows());
        assert!(text.lines().all(|line| line.len() <= 40), "{text}");
        assert!(text.lines().count() > 3, "{text}");
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!([0.0, 1_023.0, 1_536.0, 12_897_484.8].map(bytes), ["0 B", "1023 B", "1.5 KiB", "12.3 MiB"]);
    }

    #[test]
    fn an_agents_output_cannot_steer_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(printable("\u{1b}[1;31mred"), "\u{1b}[1;31mred\u{1b}[0m");
        assert_eq!(printable("tab\tend\r"), "tab\tend");
    }
}
