//! Who runs, on disk, for the orchestrator that comes after a crash: `<state>/run/processes`.
//!
//! A file of lines of equal length, one slot per live process, written in place without fsync: what is in the page
//! cache outlives us, if not the machine, and neither do the processes. The first line names the boot. A slot has the
//! run id before the program is started, and the pid after. The start time of a process need not be read from `/proc`:
//! it lies between the two times written here, which cost nothing (15 µs against 0.1).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};
use werkpilot_core::ids::RunId;

use crate::proc_fs;

/// Bytes of a slot: run id 36, pid 10, two times of 20 each, blanks and newline.
const SLOT: usize = 96;

/// A line of the journal: a process that was live when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub run: RunId,
    /// 0 if the crash came before the program was started, or just after.
    pub pid: i32,
    /// Nanoseconds of `CLOCK_BOOTTIME` before the start.
    pub before: u64,
    /// And after it; 0 like `pid`.
    pub after: u64,
}

/// Nanoseconds of the clock that `/proc/<pid>/stat` counts starts in.
pub(crate) fn boottime() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("run").join("processes")
}

/// The live processes of this orchestrator.
pub(crate) struct Journal {
    file: Option<File>,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    free: Vec<u32>,
    used_up_to: u32,
}

/// A slot that is in use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    number: u32,
    run: RunId,
    before: u64,
}

impl Journal {
    /// Makes an empty journal in `state_dir`; without one nothing is kept.
    pub fn create(state_dir: Option<&Path>) -> io::Result<Self> {
        let file = match state_dir {
            None => None,
            Some(dir) => {
                let path = path_in(dir);
                std::fs::create_dir_all(dir.join("run"))?;
                let file = File::create(path)?;
                file.write_all_at(&line(&format!("werkpilot-processes 1 {}", proc_fs::boot_id())), 0)?;
                Some(file)
            }
        };
        Ok(Self { file, slots: Mutex::default() })
    }

    /// Notes that a program is about to be started.
    pub fn intend(&self, run: RunId) -> Slot {
        let number = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.free.pop().unwrap_or_else(|| {
                slots.used_up_to += 1;
                slots.used_up_to
            })
        };
        let slot = Slot { number, run, before: boottime() };
        self.write(slot, &format!("{run} {:10} {:20} {:20}", 0, slot.before, 0));
        slot
    }

    /// Notes that it has been started.
    pub fn started(&self, slot: Slot, pid: i32) {
        self.write(slot, &format!("{} {pid:10} {:20} {:20}", slot.run, slot.before, boottime()));
    }

    /// Notes that it has ended, or was not started.
    pub fn ended(&self, slot: Slot) {
        self.write(slot, "");
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).free.push(slot.number);
    }

    fn write(&self, slot: Slot, text: &str) {
        if let Some(file) = &self.file {
            // A full disk costs the next start its knowledge, and must not cost this one anything.
            let _ = file.write_all_at(&line(text), u64::from(slot.number) * SLOT as u64);
        }
    }
}

/// `text` and blanks, as long as a slot.
fn line(text: &str) -> [u8; SLOT] {
    let mut line = [b' '; SLOT];
    let length = text.len().min(SLOT - 1);
    line[..length].copy_from_slice(&text.as_bytes()[..length]);
    line[SLOT - 1] = b'\n';
    line
}

/// What the last orchestrator left behind: nothing if the machine has been booted since.
pub(crate) fn read(state_dir: &Path) -> io::Result<Vec<Entry>> {
    let text = match std::fs::read(path_in(state_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    if lines.next().map(str::trim_end) != Some(&format!("werkpilot-processes 1 {}", proc_fs::boot_id())) {
        return Ok(Vec::new());
    }
    Ok(lines.filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Entry> {
    let mut fields = line.split_ascii_whitespace();
    Some(Entry {
        run: fields.next()?.parse().ok()?,
        pid: fields.next()?.parse().ok()?,
        before: fields.next()?.parse().ok()?,
        after: fields.next()?.parse().ok()?,
    })
}

/// Forgets what [`read`] told.
pub(crate) fn clear(state_dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(path_in(state_dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_is_read_back_and_slots_are_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(Some(dir.path())).unwrap();
        let runs: Vec<RunId> = (1..=3).map(|n| RunId::from_parts(n, u128::from(n))).collect();
        let slots: Vec<Slot> = runs.iter().map(|run| journal.intend(*run)).collect();
        journal.started(slots[0], 4_000_000);
        journal.started(slots[1], 43);
        journal.ended(slots[1]);
        let entries = read(dir.path()).unwrap();
        assert_eq!(
            entries.iter().map(|entry| (entry.run, entry.pid)).collect::<Vec<_>>(),
            [(runs[0], 4_000_000), (runs[2], 0)]
        );
        assert!(entries[0].before <= entries[0].after && entries[0].before > 0);
        assert_eq!(journal.intend(runs[1]).number, slots[1].number);
        clear(dir.path()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
    }

    #[test]
    fn a_journal_of_another_boot_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(Some(dir.path())).unwrap();
        journal.intend(RunId::from_parts(1, 1));
        let path = path_in(dir.path());
        let text = std::fs::read_to_string(&path).unwrap().replace(&proc_fs::boot_id(), "another");
        std::fs::write(&path, text).unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
    }
}
