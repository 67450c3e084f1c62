//! What is wrong with the files, all of it: the one type that `check` prints and the API returns.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use chrono_tz::Tz;
use serde::Serialize;
use serde::ser::SerializeStruct;

use crate::not_effective::MESSAGE;
use crate::source::{Source, SourceKind, Span};

/// One thing that is wrong, where it is, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The file, as it was named by the caller; or `environment`, or `command line`.
    pub file: String,
    /// The line, from 1; none for what has no text (a missing file, a variable).
    pub line: Option<u32>,
    /// The column, counted in characters from 1.
    pub column: Option<u32>,
    /// The dotted key, such as `agent-sales.retry.initial` or `queue.workers`; empty where a whole file is meant.
    pub key: String,
    /// What is wrong, a lower-case fragment.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// A second place that belongs to it, as `file:line:column`: of two agents with one name, the first.
    pub see_also: Option<String>,
    #[serde(skip)]
    pub(crate) span: Option<Span>,
    #[serde(skip)]
    pub(crate) also: Option<(Span, &'static str)>,
}

impl Fault {
    /// Adds what to do about it.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a second place, with a few words about it.
    pub(crate) fn also(&mut self, span: Span, label: &'static str) -> &mut Self {
        self.also = Some((span, label));
        self
    }
}

impl fmt::Display for Fault {
    /// One line: `registry/sales.toml:4:1: agent-sales.prioritty: unknown key (did you mean `priority`?)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, " ({hint})"))
    }
}

/// All faults of all files, in the order of the files and of the lines; never empty.
///
/// As JSON: `{"count": 2, "faults": [{"file": …, "line": …, "column": …, "key": …, "message": …, "hint": …, "see_also": …}]}`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.count_line())]
pub struct Faults {
    pub(crate) faults: Vec<Fault>,
    pub(crate) sources: Vec<Source>,
}

impl Faults {
    /// The faults, in the order of the files and of the lines.
    pub fn as_slice(&self) -> &[Fault] {
        &self.faults
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// `3 faults in 2 files`.
    pub fn count_line(&self) -> String {
        let mut files: Vec<&str> = self.faults.iter().map(|fault| fault.file.as_str()).collect();
        files.sort_unstable();
        files.dedup();
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        match files.as_slice() {
            [only] => format!("{} in {only}", plural(self.faults.len(), "fault")),
            many => {
                let all_files = self.sources.iter().filter(|source| many.contains(&source.name.as_str()));
                let word = if all_files.into_iter().all(|source| source.path.is_some()) { "file" } else { "place" };
                format!("{} in {}", plural(self.faults.len(), "fault"), plural(many.len(), word))
            }
        }
    }
}

impl Serialize for Faults {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Faults", 2)?;
        object.serialize_field("count", &self.faults.len())?;
        object.serialize_field("faults", &self.faults)?;
        object.end()
    }
}

/// Something that is allowed, and worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The file, as it was named by the caller; or `environment`, or `command line`.
    pub file: String,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The dotted key.
    pub key: String,
    /// What is worth knowing, a lower-case fragment.
    pub message: String,
}

impl Notice {
    /// Whether it names a key that does nothing in this version.
    pub fn is_not_effective(&self) -> bool {
        self.message == MESSAGE
    }

    /// `registry/sales.toml:4: agent-sales.subject`.
    pub fn place(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", self.file, self.key)
    }
}

impl fmt::Display for Notice {
    /// `registry/sales.toml:4: agent-sales.subject: …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {}", self.key, self.message)
    }
}

/// Collects what is found while reading.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) sources: Vec<Source>,
    faults: Vec<Fault>,
    notices: Vec<(Option<Span>, Notice)>,
    /// What is shown to nobody.
    hidden: Vec<Span>,
    /// Schedules that are known to be good: registries repeat them, and reading one takes longer than the rest of an
    /// agent.
    pub(crate) good_schedules: HashSet<(String, Tz)>,
}

impl Report {
    /// Takes a text in; its number goes into spans.
    pub(crate) fn add_source(&mut self, source: Source) -> u32 {
        self.sources.push(source);
        crate::source::offset(self.sources.len() - 1)
    }

    pub(crate) fn source(&self, span: Span) -> &Source {
        &self.sources[span.source as usize]
    }

    /// Adds a fault at a place.
    pub(crate) fn fault(&mut self, span: Span, key: &str, message: impl Into<String>) -> &mut Fault {
        let file = self.source(span).name.clone();
        self.push(file, Some(span), key, message.into())
    }

    /// Adds a fault that concerns a whole file or folder.
    pub(crate) fn fault_of(&mut self, kind: SourceKind, path: PathBuf, message: impl Into<String>) -> &mut Fault {
        let name = path.display().to_string();
        let source = self.add_source(Source::new(kind, name.clone(), Some(path), String::new()));
        self.push(name, Some(Span { source, start: 0, end: 0 }), "", message.into())
    }

    fn push(&mut self, file: String, span: Option<Span>, key: &str, message: String) -> &mut Fault {
        let fault = Fault {
            file,
            line: None,
            column: None,
            key: key.to_owned(),
            message,
            hint: None,
            see_also: None,
            span,
            also: None,
        };
        self.faults.push(fault);
        self.faults.last_mut().expect("one was pushed")
    }

    /// Adds a notice about a place.
    pub(crate) fn notice(&mut self, span: Span, key: &str, message: impl Into<String>) {
        let source = self.source(span);
        let line = has_text(source).then(|| source.position(span.start).0);
        let notice = Notice { file: source.name.clone(), line, key: key.to_owned(), message: message.into() };
        self.notices.push((Some(span), notice));
    }

    /// Adds a notice about a variable of the environment that is not read.
    pub(crate) fn notice_of_environment(&mut self, variable: &str, message: impl Into<String>) {
        let (file, key) = ("environment".to_owned(), variable.to_owned());
        self.notices.push((None, Notice { file, line: None, key, message: message.into() }));
    }

    /// Shows stars in the place of a secret, whenever its line is shown.
    pub(crate) fn hide(&mut self, span: Span) {
        self.hidden.push(span);
    }

    /// The fault that was found last.
    pub(crate) fn last(&mut self) -> Option<&mut Fault> {
        self.faults.last_mut()
    }

    /// Whether anything is wrong so far.
    pub(crate) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// `file:line:column`.
    pub(crate) fn place(&self, span: Span) -> String {
        let source = self.source(span);
        let (line, column) = source.position(span.start);
        format!("{}:{line}:{column}", source.name)
    }

    /// The notices, or all that is wrong.
    pub(crate) fn finish(mut self) -> Result<Vec<Notice>, Faults> {
        let rank = |span: Option<Span>| span.map(|span| (self.sources[span.source as usize].kind, span));
        if self.faults.is_empty() {
            self.notices.sort_by_key(|(span, _)| (span.is_none(), rank(*span)));
            return Ok(self.notices.into_iter().map(|(_, notice)| notice).collect());
        }
        let mut faults = std::mem::take(&mut self.faults);
        faults.sort_by_key(|fault| rank(fault.span));
        for fault in &mut faults {
            fault.see_also = fault.also.map(|(span, _)| self.place(span));
            let Some(span) = fault.span else { continue };
            let source = self.source(span);
            if has_text(source) {
                let (line, column) = source.position(span.start);
                (fault.line, fault.column) = (Some(line), Some(column));
            }
        }
        for span in self.hidden {
            self.sources[span.source as usize].hide(span);
        }
        self.sources.iter_mut().for_each(Source::make_printable);
        Err(Faults { faults, sources: self.sources })
    }
}

/// Whether a line number means something there.
fn has_text(source: &Source) -> bool {
    source.path.is_some() && !source.text.is_empty()
}
