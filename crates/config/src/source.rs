//! What was read, and where in it something stands. A position is a byte range; lines and columns are counted on demand.
//!
//! Variables of the environment and options of the command line are sources too, of one line each, so that a fault in
//! them is shown in the same way as one in a file.

use std::fmt;
use std::path::PathBuf;

/// Files beyond this are refused: a registry of 10,000 agents has about 2 MiB.
pub(crate) const MAX_FILE_BYTES: u64 = 64 << 20;

/// Where a source comes from, in the order in which faults are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SourceKind {
    /// A `*.toml` of the registry, or the registry folder itself.
    Registry,
    /// `agent-registry.json`.
    Predecessor,
    /// `werkpilot.toml`.
    Config,
    /// A variable of the environment.
    Environment,
    /// An option of the command line.
    CommandLine,
}

/// A byte range in a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) source: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// One text with a name.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) kind: SourceKind,
    pub(crate) name: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: String,
    line_starts: Vec<u32>,
}

impl fmt::Debug for Source {
    /// Without the text, which may be megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

impl Source {
    pub(crate) fn new(kind: SourceKind, name: String, path: Option<PathBuf>, text: String) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(newlines.map(|(index, _)| offset(index + 1))).collect();
        Self { kind, name, path, text, line_starts }
    }

    /// Replaces control characters, byte by byte, so that a line can be shown on a terminal and no place moves.
    pub(crate) fn make_printable(&mut self) {
        let bad = |c: char| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t');
        if self.text.contains(bad) {
            self.text = self.text.replace(bad, "?");
        }
    }

    /// Replaces a secret by stars, as many as it has bytes, so that no place moves.
    pub(crate) fn hide(&mut self, span: Span) {
        let (start, end) = (span.start as usize, span.end as usize);
        if let Some(secret) = self.text.get(start..end) {
            let hidden: String = secret.bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
            self.text.replace_range(start..end, &hidden);
        }
    }

    /// Line and column, both from 1, the column counted in characters.
    pub(crate) fn position(&self, at: u32) -> (u32, u32) {
        let line = self.line_of(at);
        let start = self.line_starts[line] as usize;
        let before = self.text.get(start..at as usize).unwrap_or_default();
        (offset(line + 1), offset(before.chars().count() + 1))
    }

    /// Index of the line that has this byte, from 0.
    pub(crate) fn line_of(&self, at: u32) -> usize {
        self.line_starts.partition_point(|start| *start <= at) - 1
    }

    /// Index of the last line, from 0.
    pub(crate) fn last_line(&self) -> usize {
        self.line_starts.len() - 1
    }

    /// First byte of a line, and the byte after its last one, the line's end excluded.
    pub(crate) fn line_bounds(&self, line: usize) -> (usize, usize) {
        let start = self.line_starts[line] as usize;
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| *next as usize - 1);
        (start, end)
    }

    /// The text at a place.
    pub(crate) fn slice(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }
}

/// A byte offset as it is kept; texts are shorter than 4 GiB ([`MAX_FILE_BYTES`]).
pub(crate) fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new(SourceKind::Registry, "a".into(), None, "a\nüb\n".to_owned());
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (2, 1));
        assert_eq!(source.position(4), (2, 2));
        assert_eq!(source.position(6), (3, 1));
        assert_eq!(source.line_bounds(1), (2, 5));
    }
}
