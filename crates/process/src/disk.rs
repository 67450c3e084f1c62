//! How much room there is on a disk.

use std::io;
use std::path::Path;

use werkpilot_core::vitals::DiskSpace;

/// The room on the disk that `path` is on, as far as we may use it. May take long where the disk is on the network.
///
/// # Errors
/// What the system says, if it does not tell.
pub fn space(path: &Path) -> io::Result<DiskSpace> {
    let found = rustix::fs::statvfs(path)?;
    Ok(DiskSpace {
        free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
        total_bytes: found.f_blocks.saturating_mul(found.f_frsize),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_has_a_size_and_a_missing_one_says_so() {
        let space = space(&std::env::temp_dir()).unwrap();
        assert!(space.total_bytes >= space.free_bytes && space.total_bytes > 0);
        assert!(super::space(Path::new("/there is no such folder")).is_err());
    }
}
