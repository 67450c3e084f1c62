//! What `/proc` says of single processes. Whatever is gone by then is `None`.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use werkpilot_core::ids::RunId;

/// Bytes of an environment that are searched; a run id further back is not found.
const MAX_ENVIRON: u64 = 1 << 20;

/// A part of `/proc/<pid>/stat` (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub zombie: bool,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    /// User and system time, clock ticks.
    pub cpu_ticks: u64,
    /// Start, clock ticks since boot.
    pub start_ticks: u64,
    /// Resident memory, pages.
    pub rss_pages: u64,
}

fn read(path: &str, buffer: &mut [u8]) -> Option<usize> {
    File::open(path).ok()?.read(buffer).ok()
}

/// The line has 52 numbers and a name of at most 64 bytes.
const STAT_LINE: usize = 1536;

pub(crate) fn stat(pid: i32) -> Option<Stat> {
    let mut buffer = [0; STAT_LINE];
    let length = read(&format!("/proc/{pid}/stat"), &mut buffer)?;
    parse_line(&buffer[..length])
}

/// `/proc`, open: for who reads of many processes.
pub(crate) struct Proc(OwnedFd);

impl Proc {
    pub fn open() -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Some(Self(rustix::fs::open("/proc", flags, Mode::empty()).ok()?))
    }

    /// The same as [`stat`], at half the cost: no path from the root, nothing on the heap.
    pub fn stat(&self, pid: i32) -> Option<Stat> {
        let mut path = [0; 24];
        write!(&mut path[..], "{pid}/stat\0").ok()?;
        let path = CStr::from_bytes_until_nul(&path).ok()?;
        let file = rustix::fs::openat(&self.0, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut buffer = [0; STAT_LINE];
        let length = rustix::io::read(&file, &mut buffer).ok()?;
        parse_line(&buffer[..length])
    }
}

fn parse_line(line: &[u8]) -> Option<Stat> {
    parse_stat(std::str::from_utf8(line).ok().or_else(|| after_name(line))?)
}

/// The numbers of a line whose name is no UTF-8.
fn after_name(line: &[u8]) -> Option<&str> {
    let close = line.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&line[close..]).ok()
}

fn parse_stat(line: &str) -> Option<Stat> {
    // The name may contain blanks and parentheses; the fields after it do not.
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    // From field 7 on; some between those that we want may be negative.
    let mut number = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    let cpu_ticks = number(14 - 7)? + number(0)?;
    let start_ticks = number(22 - 16)?;
    let rss_pages = number(24 - 23).unwrap_or(0);
    Some(Stat { zombie, parent, group, session, cpu_ticks, start_ticks, rss_pages })
}

/// `WERKPILOT_RUN_ID` as the program found it when it was executed.
pub(crate) fn run_id(pid: i32) -> Option<RunId> {
    let mut environ = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(MAX_ENVIRON).read_to_end(&mut environ).ok()?;
    let value = environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"WERKPILOT_RUN_ID="))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// All process ids, in no order.
pub(crate) fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The id of this boot; empty where the kernel does not tell.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_nasty_name_is_read() {
        let line =
            "42 (a) R (b) S 7 8 9 0 -1 4194304 1 2 3 4 100 20 5 6 20 0 1 0 987654 2000000 321 18446744073709551615";
        let stat = parse_stat(line).unwrap();
        let expected = Stat {
            zombie: false,
            parent: 7,
            group: 8,
            session: 9,
            cpu_ticks: 120,
            start_ticks: 987_654,
            rss_pages: 321,
        };
        assert_eq!(stat, expected);
    }

    #[test]
    fn we_are_found_ourselves() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = stat(own).unwrap();
        assert!(stat.rss_pages > 0 && stat.start_ticks > 0 && !stat.zombie);
        assert_eq!(Proc::open().unwrap().stat(own).unwrap().start_ticks, stat.start_ticks);
        assert_eq!(Proc::open().unwrap().stat(i32::MAX), None);
        assert!(pids().contains(&own));
    }
}
