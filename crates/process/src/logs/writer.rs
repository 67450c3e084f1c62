//! Writes the agents' logs: opened at the first line, rotated by size, at most so many open at a time.
//!
//! A write never fails towards the caller: what cannot be written (a full disk) is dropped and counted.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use werkpilot_core::ids::AgentName;
use werkpilot_core::settings::Logs;

use super::file_of;

/// Log files open at a time: enough for all busy agents, a fraction of any limit of open files.
const MAX_OPEN: usize = 256;

/// A file that was not written for so long is closed, so that an idle agent costs no descriptor.
const IDLE: Duration = Duration::from_secs(30);

struct OpenLog {
    file: File,
    size: u64,
    used: Instant,
}

/// All agents' logs.
pub(crate) struct LogBook {
    dir: PathBuf,
    limits: Logs,
    open: HashMap<AgentName, OpenLog>,
    /// Bytes written since the total was last checked.
    since_prune: u64,
    /// Lines that could not be written.
    dropped: u64,
}

impl LogBook {
    pub fn new(dir: PathBuf, limits: Logs) -> Self {
        Self { dir, limits, open: HashMap::new(), since_prune: 0, dropped: 0 }
    }

    /// New limits; they hold from the next write on.
    pub fn set_limits(&mut self, limits: Logs) {
        self.limits = limits;
    }

    pub fn limits(&self) -> &Logs {
        &self.limits
    }

    /// Appends whole lines to the agent's log, rotating between lines where the file is full.
    pub fn append(&mut self, agent: &AgentName, mut lines: &[u8], now: Instant) {
        while !lines.is_empty() {
            match self.append_some(agent, lines, now) {
                Ok(written) => lines = &lines[written..],
                Err(error) => return self.drop_lines(agent, lines, &error),
            }
        }
    }

    /// Whether enough was written to look at the total again; asking sets the count back.
    pub fn take_prune_due(&mut self) -> bool {
        // A sixteenth: the total is exceeded by no more than that for a while.
        let due = self.since_prune > self.limits.max_total / 16;
        if due {
            self.since_prune = 0;
        }
        due
    }

    /// Closes the files that nobody writes to any more.
    pub fn close_idle(&mut self, now: Instant) {
        self.open.retain(|_, log| now.duration_since(log.used) < IDLE);
    }

    fn append_some(&mut self, agent: &AgentName, lines: &[u8], now: Instant) -> io::Result<usize> {
        let max_file = self.limits.max_file;
        let log = self.opened(agent, now)?;
        let room = usize::try_from(max_file.saturating_sub(log.size)).unwrap_or(usize::MAX);
        let fits = if lines.len() <= room {
            lines.len()
        } else {
            lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
        };
        let length = match (fits, log.size) {
            (0, 0) => lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |newline| newline + 1),
            (0, _) => {
                self.rotate(agent)?;
                return Ok(0);
            }
            (fits, _) => fits,
        };
        log.used = now;
        let written = log.file.write(&lines[..length])?;
        let written_size = u64::try_from(written).unwrap_or(0);
        log.size += written_size;
        self.since_prune += written_size;
        if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) }
    }

    fn opened(&mut self, agent: &AgentName, now: Instant) -> io::Result<&mut OpenLog> {
        if !self.open.contains_key(agent) {
            if self.open.len() >= MAX_OPEN {
                let oldest = self.open.iter().min_by_key(|(_, log)| log.used).map(|(name, _)| name.clone());
                oldest.map(|name| self.open.remove(&name));
            }
            let path = file_of(&self.dir, agent.as_str(), 0);
            let create = || OpenOptions::new().append(true).create(true).open(&path);
            let file = match create() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(self.dir.join(agent.as_str()))?;
                    create()?
                }
                opened => opened?,
            };
            let size = file.metadata()?.len();
            self.open.insert(agent.clone(), OpenLog { file, size, used: now });
        }
        Ok(self.open.get_mut(agent).expect("it has just been put there"))
    }

    /// `current.log` becomes `1.log`, `1.log` becomes `2.log` and so on; the last one is removed.
    fn rotate(&mut self, agent: &AgentName) -> io::Result<()> {
        self.open.remove(agent);
        let path = |number| file_of(&self.dir, agent.as_str(), number);
        let last = self.limits.files.max(1) - 1;
        if last == 0 {
            return std::fs::remove_file(path(0));
        }
        for number in (0..last).rev() {
            match std::fs::rename(path(number), path(number + 1)) {
                Err(error) if number == 0 => return Err(error),
                // There are not that many yet.
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn drop_lines(&mut self, agent: &AgentName, lines: &[u8], error: &io::Error) {
        self.open.remove(agent);
        let before = self.dropped;
        self.dropped += lines.split(|byte| *byte == b'\n').count() as u64 - 1;
        // The first one, and then each thousandth: a full disk must not flood our own log.
        if before == 0 || before / 1_000 != self.dropped / 1_000 {
            log::error!(agent = agent.as_str(), dropped = self.dropped; "cannot write the log of {agent}: {error}; lines are dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::read_to_string;

    fn book(max_file: u64, files: u32) -> (tempfile::TempDir, LogBook, AgentName) {
        let dir = tempfile::tempdir().unwrap();
        let limits = Logs { max_file, files, ..Logs::default() };
        let book = LogBook::new(dir.path().to_owned(), limits);
        (dir, book, AgentName::new("a").unwrap())
    }

    #[test]
    fn files_rotate_between_lines_and_only_so_many_are_kept() {
        let (dir, mut book, agent) = book(10, 3);
        for number in 1..=5 {
            book.append(&agent, format!("line-{number}\n").as_bytes(), Instant::now());
        }
        let read = |name: &str| read_to_string(dir.path().join("a").join(name)).unwrap();
        assert_eq!(
            (read("current.log"), read("1.log"), read("2.log")),
            ("line-5\n".into(), "line-4\n".into(), "line-3\n".into())
        );
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 3);
    }

    #[test]
    fn a_chunk_larger_than_a_file_is_spread_over_files() {
        let (dir, mut book, agent) = book(10, 9);
        book.append(&agent, b"one\ntwo\nthree\na-line-longer-than-a-file\nend\n", Instant::now());
        let read = |name: &str| read_to_string(dir.path().join("a").join(name)).unwrap();
        assert_eq!(read("3.log"), "one\ntwo\n");
        assert_eq!(read("2.log"), "three\n");
        assert_eq!(read("1.log"), "a-line-longer-than-a-file\n");
        assert_eq!(read("current.log"), "end\n");
    }

    #[test]
    fn with_one_file_the_old_lines_go() {
        let (dir, mut book, agent) = book(10, 1);
        book.append(&agent, b"line-1\nline-2\n", Instant::now());
        assert_eq!(read_to_string(dir.path().join("a/current.log")).unwrap(), "line-2\n");
        assert_eq!(std::fs::read_dir(dir.path().join("a")).unwrap().count(), 1);
    }

    #[test]
    fn lines_that_cannot_be_written_are_dropped_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "a file where a folder should be").unwrap();
        let mut book = LogBook::new(dir.path().to_owned(), Logs::default());
        book.append(&AgentName::new("a").unwrap(), b"one\ntwo\n", Instant::now());
        assert_eq!(book.dropped, 2);
    }

    #[test]
    fn no_more_than_the_bound_are_open_and_idle_ones_are_closed() {
        let (_dir, mut book, _) = book(1 << 20, 2);
        let now = Instant::now();
        for number in 0..MAX_OPEN + 10 {
            book.append(&AgentName::new(&format!("a{number}")).unwrap(), b"x\n", now);
        }
        assert_eq!(book.open.len(), MAX_OPEN);
        book.close_idle(now + IDLE);
        assert!(book.open.is_empty());
    }
}
