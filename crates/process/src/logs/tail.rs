//! The last lines of an agent's log, read backwards over rotated files.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use werkpilot_core::ids::{AgentName, RunId};

use super::{LogLine, file_of};

/// How much is read at a time.
const BLOCK: u64 = 64 * 1024;

/// How far back is looked for lines of a run: all that is kept with the defaults (5 files of 10 MiB).
const MAX_SCAN: u64 = 64 << 20;

/// The last `lines` lines of the agent's log, oldest first; with `run` only those of that run. An agent without a log
/// has none.
///
/// # Errors
/// Files that cannot be read.
pub fn read_tail(logs_dir: &Path, agent: &AgentName, run: Option<&RunId>, lines: usize) -> io::Result<Vec<LogLine>> {
    let run = run.map(RunId::short);
    let mut newest_first = Vec::new();
    let (mut scanned, mut inode) = (0, 0);
    for number in 0.. {
        let file = match File::open(file_of(logs_dir, agent.as_str(), number)) {
            // Between two renames of a rotation there may be no current file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if std::mem::replace(&mut inode, metadata.ino()) == metadata.ino() {
            // A rotation between two opens gives the same file again.
            continue;
        }
        backwards(&file, MAX_SCAN.saturating_sub(scanned), |line| {
            let wanted = |line: &LogLine| run.as_ref().is_none_or(|run| line.run == *run);
            if newest_first.len() < lines {
                newest_first.extend(std::str::from_utf8(line).ok().and_then(LogLine::parse).filter(wanted));
            }
            newest_first.len() < lines
        })?;
        scanned += metadata.len();
        if newest_first.len() >= lines || scanned >= MAX_SCAN {
            break;
        }
    }
    newest_first.reverse();
    Ok(newest_first)
}

/// Hands out the complete lines of a file from its last to its first, until `more` says no or `max` bytes are read.
fn backwards(file: &File, max: u64, mut more: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let end = file.metadata()?.len();
    let lowest = end.saturating_sub(max);
    let (mut start, mut rest) = (end, Vec::new());
    while start > lowest {
        let from = start.saturating_sub(BLOCK).max(lowest);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or(0)];
        file.read_exact_at(&mut block, from)?;
        block.append(&mut rest);
        start = from;
        let mut upto = block.len();
        while let Some(newline) = block[..upto].iter().rposition(|byte| *byte == b'\n') {
            // What follows the last newline of the file is a line that is being written.
            if upto < block.len() && !more(&block[newline + 1..upto]) {
                return Ok(());
            }
            upto = newline;
            block.truncate(newline + 1);
        }
        rest = block;
    }
    if let Some(line) = rest.strip_suffix(b"\n")
        && start == 0
    {
        more(line);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, numbers: std::ops::Range<u32>, run: &str) {
        std::fs::create_dir_all(dir.join("a")).unwrap();
        let line = |number| format!("2026-11-21T08:40:00.123Z {run} O line {number} {}\n", "x".repeat(90));
        std::fs::write(dir.join("a").join(name), numbers.map(line).collect::<String>()).unwrap();
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.split(" x").next().unwrap_or_default()).collect()
    }

    #[test]
    fn the_last_lines_are_read_over_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "1.log", 0..2_000, "000000000000");
        write(dir.path(), "current.log", 2_000..2_003, "000000000000");
        let agent = AgentName::new("a").unwrap();
        let lines = read_tail(dir.path(), &agent, None, 5).unwrap();
        assert_eq!(texts(&lines), ["line 1998", "line 1999", "line 2000", "line 2001", "line 2002"]);
        let all = read_tail(dir.path(), &agent, None, 10_000).unwrap();
        assert_eq!(all.len(), 2_003);
        assert_eq!(texts(&all)[..2], ["line 0", "line 1"]);
    }

    #[test]
    fn only_the_runs_own_lines_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunId::from_parts(1, 7);
        write(dir.path(), "1.log", 0..3, &run.short());
        write(dir.path(), "current.log", 3..9, "ffffffffffff");
        let lines = read_tail(dir.path(), &AgentName::new("a").unwrap(), Some(&run), 2).unwrap();
        assert_eq!(texts(&lines), ["line 1", "line 2"]);
    }

    #[test]
    fn an_agent_without_a_log_has_no_lines_and_a_line_in_the_making_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let agent = AgentName::new("a").unwrap();
        assert_eq!(read_tail(dir.path(), &agent, None, 5).unwrap(), []);
        write(dir.path(), "current.log", 0..2, "000000000000");
        let mut text = std::fs::read(dir.path().join("a/current.log")).unwrap();
        text.truncate(text.len() - 4);
        std::fs::write(dir.path().join("a/current.log"), text).unwrap();
        assert_eq!(texts(&read_tail(dir.path(), &agent, None, 5).unwrap()), ["line 0"]);
    }
}
