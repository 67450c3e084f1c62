//! The last lines of an agent's log, read backwards over rotated files.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use werkpilot_core::ids::{AgentName, RunId};

use super::{LineFilter, LogLine, LogPosition, file_of};

/// How much is read at a time.
const BLOCK: u64 = 64 * 1024;

/// How far back is looked for lines of a run: all that is kept with the defaults (5 files of 10 MiB).
const MAX_SCAN: u64 = 64 << 20;

/// Lines of a log, and where those before them are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// What was looked at begins here; `None`: there is nothing before it.
    pub before: Option<LogPosition>,
}

/// The last `lines` lines of the agent's log, oldest first; with `run` only those of that run. An agent without a log
/// has none.
///
/// # Errors
/// Files that cannot be read.
pub fn read_tail(logs_dir: &Path, agent: &AgentName, run: Option<&RunId>, lines: usize) -> io::Result<Vec<LogLine>> {
    let most = Most { lines, bytes: usize::MAX };
    Ok(read_back(logs_dir, agent, &LineFilter::default().of_run(run), None, most)?.lines)
}

/// How much is wanted at most.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Lines.
    pub lines: usize,
    /// Bytes of their texts; the line that exceeds them is the last one.
    pub bytes: usize,
}

/// The last lines that fit, those before a position if there is one. At most 64 MiB are looked at: with a filter that
/// fits little there may be more where the page says. A position in a file that has been removed has nothing before it.
///
/// # Errors
/// Files that cannot be read.
pub fn read_back(
    logs_dir: &Path,
    agent: &AgentName,
    filter: &LineFilter,
    before: Option<LogPosition>,
    most: Most,
) -> io::Result<LogPage> {
    let (mut page, mut bytes) = (LogPage::default(), 0);
    let (mut scanned, mut inode, mut found) = (0, 0, before.is_none());
    for number in 0.. {
        let file = match File::open(file_of(logs_dir, agent.as_str(), number)) {
            // Between two renames of a rotation there may be no current file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // All there is has been looked at.
                page.before = None;
                break;
            }
            opened => opened?,
        };
        let metadata = file.metadata()?;
        if std::mem::replace(&mut inode, metadata.ino()) == metadata.ino() {
            // A rotation between two opens gives the same file again.
            continue;
        }
        let here = before.filter(|before| !found && before.is_in(&metadata));
        found |= here.is_some();
        if !found {
            continue;
        }
        let end = here.map_or(metadata.len(), |before| before.offset);
        let mut begin = end;
        backwards(&file, end, MAX_SCAN.saturating_sub(scanned), |line, offset| {
            if page.lines.len() < most.lines {
                begin = offset;
                let line = std::str::from_utf8(line).ok().and_then(LogLine::parse).filter(|line| filter.fits(line));
                bytes += line.as_ref().map_or(0, |line| line.text.len());
                page.lines.extend(line);
            }
            page.lines.len() < most.lines && bytes < most.bytes
        })?;
        page.before = Some(LogPosition::at(&metadata, begin));
        scanned += end;
        if page.lines.len() >= most.lines || bytes >= most.bytes || scanned >= MAX_SCAN {
            break;
        }
    }
    page.lines.reverse();
    Ok(page)
}

/// Hands out the complete lines before `end`, the last one first, with their offsets, until `more` says no or `max` bytes are
/// read.
fn backwards(file: &File, end: u64, max: u64, mut more: impl FnMut(&[u8], u64) -> bool) -> io::Result<()> {
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
            let offset = start + newline as u64 + 1;
            // What follows the last newline of the file is a line that is being written.
            if upto < block.len() && !more(&block[newline + 1..upto], offset) {
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
        more(line, 0);
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
    fn paging_back_tells_each_line_once_over_rotated_files() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "2.log", 0..7, "000000000000");
        write(dir.path(), "1.log", 7..1_500, "000000000000");
        write(dir.path(), "current.log", 1_500..1_503, "000000000000");
        let agent = AgentName::new("a").unwrap();
        let all = read_tail(dir.path(), &agent, None, 10_000).unwrap();
        let few = LineFilter::default().with_text(Some("LINE 14"));
        let fits = |line: &&LogLine| few.fits(line);
        for (filter, expected) in
            [(&LineFilter::default(), all.clone()), (&few, all.iter().filter(fits).cloned().collect())]
        {
            for lines in [1, 3, 10, 1_000] {
                let (mut seen, mut before) = (Vec::new(), None);
                loop {
                    let most = Most { lines, bytes: 20_000 };
                    let page = read_back(dir.path(), &agent, filter, before, most).unwrap();
                    let bytes: usize = page.lines.iter().map(|line| line.text.len()).sum();
                    let full = page.lines.len() == lines || (20_000..20_200).contains(&bytes);
                    assert!(full || page.before.is_none(), "a page is full, or the last one");
                    seen.splice(0..0, page.lines);
                    before = page.before;
                    if before.is_none() {
                        break;
                    }
                }
                assert!(seen == expected, "{lines}: {} of {}", seen.len(), expected.len());
            }
        }
        let gone = LogPosition { inode: 1, created: 1, offset: 1 };
        let most = Most { lines: 5, bytes: 1_000 };
        assert_eq!(read_back(dir.path(), &agent, &few, Some(gone), most).unwrap(), LogPage::default());
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
