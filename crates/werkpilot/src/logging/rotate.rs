//! The orchestrator's own log on disk: `current.log`, before it `1.log`, `2.log` and so on, like the agents' logs.
//!
//! At most `files` files of at most `max_file` bytes, but for a single record that is longer.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that makes room for itself.
#[derive(Debug)]
pub(super) struct RotatingFile {
    dir: PathBuf,
    current: File,
    written: u64,
    max_file: u64,
    files: u32,
}

impl RotatingFile {
    /// Goes on with the current file of a folder, which is made if it is not there.
    pub fn open(dir: PathBuf, max_file: u64, files: u32) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        let current = append_to(&dir)?;
        let written = current.metadata()?.len();
        Ok(Self { dir, current, written, max_file, files: files.max(1) })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| self.dir.join(format!("{number}.log"));
        let oldest = self.files - 1;
        for number in (1..oldest).rev() {
            ignore_missing(fs::rename(numbered(number), numbered(number + 1)))?;
        }
        let current = self.dir.join("current.log");
        match oldest {
            0 => fs::remove_file(current)?,
            _ => fs::rename(current, numbered(1))?,
        }
        self.current = append_to(&self.dir)?;
        self.written = 0;
        Ok(())
    }
}

fn append_to(dir: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(dir.join("current.log"))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Write for RotatingFile {
    /// Writes all of it: the logger hands over one record at a time, and a record is not to be torn apart.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.written > 0 && self.written + record.len() as u64 > self.max_file {
            // A log that can't be rotated is still better than none.
            let _ = self.rotate();
        }
        self.current.write_all(record)?;
        self.written += record.len() as u64;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_newest_records_are_kept_within_the_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::open(dir.path().to_owned(), 10, 3).unwrap();
        for record in ["one\n", "two\n", "three\n", "four\n", "five\n", "six\n", "seven\n"] {
            log.write_all(record.as_bytes()).unwrap();
        }
        assert_eq!(names(dir.path()), ["1.log", "2.log", "current.log"]);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!([read("2.log"), read("1.log"), read("current.log")], ["three\n", "four\nfive\n", "six\nseven\n"]);
    }

    #[test]
    fn a_single_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = RotatingFile::open(dir.path().to_owned(), 4, 1).unwrap();
        log.write_all(b"one\n").unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(names(dir.path()), ["current.log"]);
        assert_eq!(fs::read_to_string(dir.path().join("current.log")).unwrap(), "two\n");
    }

    #[test]
    fn the_next_start_goes_on_where_the_last_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        for record in ["one\n", "two\n"] {
            RotatingFile::open(dir.path().to_owned(), 100, 2).unwrap().write_all(record.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(dir.path().join("current.log")).unwrap(), "one\ntwo\n");
    }
}
