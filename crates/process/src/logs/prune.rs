//! Keeps all logs together under their total.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use werkpilot_core::settings::Logs;

use super::generation;

/// A `current.log` that was not written for so long counts as rotated; the writer closes its files much earlier.
const ABANDONED: Duration = Duration::from_mins(10);

struct Entry {
    path: PathBuf,
    inode: u64,
    size: u64,
    written: SystemTime,
    removable: bool,
}

/// Removes the oldest rotated files until the total is kept, and those beyond `files` per agent. Returns how many.
///
/// # Errors
/// A logs folder that cannot be read; single files that are in the way are left.
pub(crate) fn prune(logs_dir: &Path, limits: &Logs, now: SystemTime) -> io::Result<u32> {
    let mut removed = 0;
    let mut kept = Vec::new();
    for agent in std::fs::read_dir(logs_dir)?.flatten() {
        let Ok(files) = std::fs::read_dir(agent.path()) else { continue };
        for file in files.flatten() {
            let Some(number) = file.file_name().to_str().and_then(generation) else { continue };
            let Ok(metadata) = file.metadata() else { continue };
            if number >= limits.files.max(1) {
                removed += u32::from(std::fs::remove_file(file.path()).is_ok());
                continue;
            }
            let written = metadata.modified().unwrap_or(now);
            let abandoned = now.duration_since(written).is_ok_and(|age| age > ABANDONED);
            let (inode, removable) = (metadata.ino(), number > 0 || abandoned);
            kept.push(Entry { path: file.path(), inode, size: metadata.len(), written, removable });
        }
    }
    // A file that was renamed while we looked has been seen twice.
    kept.sort_by_key(|entry| entry.inode);
    kept.dedup_by_key(|entry| entry.inode);
    let mut total: u64 = kept.iter().map(|entry| entry.size).sum();
    kept.sort_by_key(|entry| entry.written);
    for entry in kept.iter().filter(|entry| entry.removable) {
        if total <= limits.max_total {
            break;
        }
        // By now another, newer file may have the name.
        let same = std::fs::metadata(&entry.path).is_ok_and(|metadata| metadata.ino() == entry.inode);
        if same && std::fs::remove_file(&entry.path).is_ok() {
            total -= entry.size;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, age_s: u64, now: SystemTime) {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, [b'x'; 100]).unwrap();
        let time = now - Duration::from_secs(age_s);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn the_oldest_rotated_files_go_first_and_files_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        file(dir.path(), "a/current.log", 1, now);
        file(dir.path(), "a/1.log", 300, now);
        file(dir.path(), "a/2.log", 400, now);
        file(dir.path(), "b/1.log", 350, now);
        file(dir.path(), "c/current.log", 5_000, now);
        file(dir.path(), "c/9.log", 1, now);
        file(dir.path(), "c/notes.txt", 9_000, now);
        let limits = Logs { files: 5, max_total: 250, ..Logs::default() };
        assert_eq!(prune(dir.path(), &limits, now).unwrap(), 4);
        let left = |name: &str| dir.path().join(name).exists();
        assert!(left("a/current.log") && left("a/1.log") && left("c/notes.txt"));
        assert!(!left("a/2.log") && !left("b/1.log") && !left("c/current.log") && !left("c/9.log"));
    }
}
