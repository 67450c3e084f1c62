//! The agents' logs: what they write to stdout and stderr, one folder per agent.
//!
//! `<logs>/<agent>/current.log` is being written, `1.log` is the file before it, `2.log` the one before that. A line is
//! `2026-11-21T08:40:00.123Z 0123456789ab O text`: time, the last 12 digits of the run id, `O` for stdout or `E` for
//! stderr, the text. Lines longer than 16 KiB are split; a small `o` or `e` says that the line goes on in the next line
//! of that run and stream. What is no UTF-8 has been replaced by `U+FFFD`.
//!
//! The functions here block on files; call them from a thread that may.

mod filter;
mod follow;
mod line;
mod prune;
mod tail;
mod writer;

pub use filter::LineFilter;
pub use follow::{BadPosition, LogPosition, end_position, read_from, read_on};
pub(crate) use line::push_line;
pub use line::{LogLine, LogStream};
pub(crate) use prune::prune;
pub use tail::{LogPage, Most, read_back, read_tail};
pub(crate) use writer::LogBook;

use std::path::{Path, PathBuf};

/// The file of an agent that is being written.
const CURRENT: &str = "current.log";

/// The path of generation `number`, 0 being the file that is written.
fn file_of(logs_dir: &Path, agent: &str, number: u32) -> PathBuf {
    let name = if number == 0 { CURRENT.to_owned() } else { format!("{number}.log") };
    logs_dir.join(agent).join(name)
}

/// The generation that a file name means.
fn generation(name: &str) -> Option<u32> {
    match name {
        CURRENT => Some(0),
        _ => name.strip_suffix(".log")?.parse().ok().filter(|number| *number > 0),
    }
}
