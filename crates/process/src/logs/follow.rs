//! Reading on from a position, for callers that poll; survives rotation.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::str::FromStr;
use std::time::SystemTime;

use werkpilot_core::ids::{AgentName, RunId};

use super::{LineFilter, LogLine, file_of};

/// The most that one call reads from one file.
const MAX_READ: u64 = 256 * 1024;

/// A place in an agent's log: a file, by what stays the same when it is renamed, and an offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// The file's inode; 0 before there is a file.
    pub inode: u64,
    /// When the file was made, nanoseconds since the Unix epoch, as inodes are used again; 0 where that is not known.
    pub created: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// A text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no position in a log; take one that an answer named")]
pub struct BadPosition;

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.inode, self.created, self.offset)
    }
}

impl FromStr for LogPosition {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        let mut parts = text.split('-').map(|part| {
            let good = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(part, 16).ok().filter(|_| good).ok_or(BadPosition)
        });
        let mut next = || parts.next().unwrap_or(Err(BadPosition));
        let position = Self { inode: next()?, created: next()?, offset: next()? };
        if parts.next().is_some() { Err(BadPosition) } else { Ok(position) }
    }
}

impl LogPosition {
    pub(super) fn at(metadata: &Metadata, offset: u64) -> Self {
        let created = metadata.created().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        let created = created.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Self { inode: metadata.ino(), created, offset }
    }

    pub(super) fn is_in(&self, metadata: &Metadata) -> bool {
        Self::at(metadata, self.offset) == *self && self.offset <= metadata.len()
    }
}

/// The position after all that has been written.
///
/// # Errors
/// A file that cannot be read.
pub fn end_position(logs_dir: &Path, agent: &AgentName) -> io::Result<LogPosition> {
    // Between two renames of a rotation there may be no current file, only the one before it.
    for number in [0, 1] {
        match std::fs::metadata(file_of(logs_dir, agent.as_str(), number)) {
            Ok(metadata) => return Ok(LogPosition::at(&metadata, metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(LogPosition::default())
}

/// The lines after `position`, oldest first, and where to read on. With `run` only those of that run.
///
/// A call reads at most 256 KiB per file; the caller repeats it until no lines come, and then after a while. If the file of
/// `position` has been removed meanwhile, reading goes on with the oldest one there is. [`LogPosition::default`] is the
/// beginning of all.
///
/// # Errors
/// Files that cannot be read.
pub fn read_from(
    logs_dir: &Path,
    agent: &AgentName,
    position: LogPosition,
    run: Option<&RunId>,
) -> io::Result<(Vec<LogLine>, LogPosition)> {
    read_on(logs_dir, agent, position, &LineFilter::default().of_run(run))
}

/// As [`read_from`], only the lines that fit.
///
/// # Errors
/// Files that cannot be read.
pub fn read_on(
    logs_dir: &Path,
    agent: &AgentName,
    position: LogPosition,
    filter: &LineFilter,
) -> io::Result<(Vec<LogLine>, LogPosition)> {
    let mut newest_first: Vec<(File, Metadata)> = Vec::new();
    let mut from = 0;
    for number in 0.. {
        let file = match File::open(file_of(logs_dir, agent.as_str(), number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if newest_first.last().is_some_and(|(_, newer)| newer.ino() == metadata.ino()) {
            // A rotation between two opens gives the same file again.
            continue;
        }
        let found = position.is_in(&metadata);
        newest_first.push((file, metadata));
        if found {
            from = position.offset;
            break;
        }
    }
    let (mut lines, mut reached) = (Vec::new(), position);
    for (file, metadata) in newest_first.iter().rev() {
        let consumed = complete_lines(file, from, metadata.len(), |line| {
            let line = std::str::from_utf8(line).ok().and_then(LogLine::parse);
            lines.extend(line.filter(|line| filter.fits(line)));
        })?;
        reached = LogPosition::at(metadata, from + consumed);
        if from + consumed < metadata.len() {
            break;
        }
        from = 0;
    }
    Ok((lines, reached))
}

/// Hands out complete lines from `from` on and returns how many bytes they had.
fn complete_lines(file: &File, from: u64, end: u64, mut line: impl FnMut(&[u8])) -> io::Result<u64> {
    let mut bytes = vec![0; usize::try_from((end.saturating_sub(from)).min(MAX_READ)).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    for text in bytes[..complete].split_inclusive(|byte| *byte == b'\n') {
        line(&text[..text.len() - 1]);
    }
    Ok(u64::try_from(complete).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::LogBook;
    use std::time::Instant;
    use werkpilot_core::settings::Logs;

    struct Fixture {
        dir: tempfile::TempDir,
        book: LogBook,
        agent: AgentName,
    }

    impl Fixture {
        fn new(files: u32) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let limits = Logs { max_file: 200, files, ..Logs::default() };
            let book = LogBook::new(dir.path().to_owned(), limits);
            Self { dir, book, agent: AgentName::new("a").unwrap() }
        }

        fn write(&mut self, numbers: std::ops::Range<u32>) {
            for number in numbers {
                let line = format!("2026-11-21T08:40:00.123Z 000000000000 O {number}\n");
                self.book.append(&self.agent, line.as_bytes(), Instant::now());
            }
        }

        fn read(&self, position: &mut LogPosition) -> Vec<u32> {
            let (lines, next) = read_from(self.dir.path(), &self.agent, *position, None).unwrap();
            *position = next;
            lines.iter().map(|line| line.text.parse().unwrap()).collect()
        }
    }

    #[test]
    fn a_follower_sees_each_line_once_over_rotations() {
        let mut log = Fixture::new(50);
        let mut position = LogPosition::default();
        let mut seen = Vec::new();
        for round in 0..40 {
            log.write(round * 3..round * 3 + 3);
            seen.extend(log.read(&mut position));
        }
        assert_eq!(seen, (0..120).collect::<Vec<_>>());
        assert_eq!(log.read(&mut position), Vec::<u32>::new());
    }

    #[test]
    fn a_position_reads_back_and_what_is_none_does_not() {
        let position = LogPosition { inode: u64::MAX, created: 0, offset: 4_096 };
        assert_eq!(position.to_string().parse(), Ok(position));
        for bad in ["", "1", "1-2", "1-2-3-4", "1-2-x", "1--3", "+1-2-3", "1-2-10000000000000000"] {
            assert_eq!(bad.parse::<LogPosition>(), Err(BadPosition), "{bad}");
        }
    }

    #[test]
    fn a_follower_begins_at_the_end_and_before_there_is_a_file() {
        let mut log = Fixture::new(5);
        let mut early = end_position(log.dir.path(), &log.agent).unwrap();
        log.write(0..2);
        let mut late = end_position(log.dir.path(), &log.agent).unwrap();
        log.write(2..3);
        assert_eq!(log.read(&mut early), [0, 1, 2]);
        assert_eq!(log.read(&mut late), [2]);
    }

    #[test]
    fn a_follower_that_is_too_slow_goes_on_with_the_oldest_file() {
        let mut log = Fixture::new(2);
        let mut position = LogPosition::default();
        log.write(0..1);
        assert_eq!(log.read(&mut position), [0]);
        log.write(1..100);
        let seen = log.read(&mut position);
        assert_eq!(seen.last(), Some(&99));
        assert!(seen.windows(2).all(|pair| pair[0] + 1 == pair[1]));
    }
}
