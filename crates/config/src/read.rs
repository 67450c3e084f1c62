//! From a path to a text to a tree, with what can go wrong on the way.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::Path;

use toml::de::DeTable;

use crate::fault::Report;
use crate::source::{MAX_FILE_BYTES, Source, SourceKind, Span, offset};
use crate::tree::{self, Node};

/// The text of a file, as the number of its source. `None`, and a fault, if it can't be read.
pub(crate) fn text(path: &Path, kind: SourceKind, report: &mut Report) -> Option<u32> {
    let bytes = match bytes(path) {
        Ok(bytes) => bytes,
        Err(ReadError::NotAFile) => {
            report.fault_of(kind, path.to_owned(), "is not a regular file").hint("move it out of the way");
            return None;
        }
        Err(ReadError::TooLarge) => {
            let message = format!("is larger than {} MiB", MAX_FILE_BYTES >> 20);
            report.fault_of(kind, path.to_owned(), message).hint("split it into several files");
            return None;
        }
        Err(ReadError::Io(error)) => {
            let hint = match error.kind() {
                ErrorKind::NotFound if kind == SourceKind::Config => "name a file that is there, or leave it out",
                ErrorKind::NotFound => "if it is a link, it leads nowhere",
                ErrorKind::PermissionDenied => "let the user that runs werkpilot read it",
                _ => "look at the file system",
            };
            report.fault_of(kind, path.to_owned(), format!("failed to read the file: {error}")).hint(hint);
            return None;
        }
    };
    let name = path.display().to_string();
    match String::from_utf8(bytes) {
        Ok(text) => Some(report.add_source(Source::new(kind, name, Some(path.to_owned()), text))),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let byte = error.as_bytes()[at];
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let source = report.add_source(Source::new(kind, name, Some(path.to_owned()), text));
            let span = Span { source, start: offset(at), end: offset(at) };
            report
                .fault(span, "", format!("is not UTF-8: the byte 0x{byte:02X} here begins no character"))
                .hint("save the file as UTF-8");
            None
        }
    }
}

enum ReadError {
    Io(std::io::Error),
    NotAFile,
    TooLarge,
}

/// Looks before it opens: a FIFO would block for ever.
fn bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let metadata = fs::metadata(path).map_err(ReadError::Io)?;
    if !metadata.is_file() {
        return Err(ReadError::NotAFile);
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(ReadError::Io)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    if offset(bytes.len()) > offset(usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX)) {
        return Err(ReadError::TooLarge);
    }
    Ok(bytes)
}

/// A TOML document, as far as it could be read.
pub(crate) struct Document {
    pub(crate) root: Node,
    /// Whether it had no fault of syntax.
    pub(crate) whole: bool,
}

/// Reads a TOML text. Of the faults of syntax the first is told: the others mostly follow from it.
pub(crate) fn toml(source: u32, report: &mut Report) -> Document {
    let text = &report.sources[source as usize].text;
    let (table, errors) = DeTable::parse_recoverable(text);
    let root = tree::from_toml(&table, source);
    let whole = errors.is_empty();
    if let Some(error) = errors.into_iter().min_by_key(|error| error.span().map_or(0, |span| span.start)) {
        let range = error.span().unwrap_or_default();
        let span = Span { source, start: offset(range.start), end: offset(range.end) };
        let message = format!("is not TOML: {}", error.message().replace('\n', "; "));
        report.fault(span, "", message);
    }
    Document { root, whole }
}
