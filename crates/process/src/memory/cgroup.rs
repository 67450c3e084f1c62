//! The limit of our cgroup (cgroups(7), and the kernel's cgroup-v1/memory.rst and cgroup-v2.rst).
//!
//! A limit holds for all that is below it, so the smallest on the way up counts. In a container the way up ends at what
//! is mounted there.

use std::path::{Path, PathBuf};

/// From here on up a limit of cgroup v1 is none: the largest number of whole pages in 63 bits, of the largest pages.
const V1_UNLIMITED: u64 = i64::MAX as u64 & !0xFFFF;

/// The limit of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupLimit {
    /// Bytes.
    pub bytes: u64,
    /// 1 or 2.
    pub version: u8,
}

/// The limit of our own cgroup, or of one that it is in; `None`: there is none.
pub fn cgroup_limit() -> Option<CgroupLimit> {
    let folders = own_folders()?;
    smallest(&folders, |path| std::fs::read_to_string(path).ok())
}

/// The folder of our own cgroup v2.
pub(super) fn own_v2_folder() -> Option<PathBuf> {
    own_folders()?.v2.map(|(folder, _)| folder)
}

fn own_folders() -> Option<Folders> {
    let membership = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    Some(Folders::find(&membership, &mounts))
}

/// Where our cgroups are: the folder, and the mount that it is in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Folders {
    v1: Option<(PathBuf, PathBuf)>,
    v2: Option<(PathBuf, PathBuf)>,
}

impl Folders {
    /// From `/proc/self/cgroup` and `/proc/self/mountinfo`.
    fn find(membership: &str, mounts: &str) -> Self {
        let (mut v1, mut v2) = (None, None);
        for line in membership.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if controllers.is_empty() {
                v2 = Some(path);
            } else if controllers.split(',').any(|controller| controller == "memory") {
                v1 = Some(path);
            }
        }
        let mounted = |wanted: &dyn Fn(&str, &str) -> bool, path: &str| {
            mounts.lines().find_map(|line| {
                let (before, after) = line.split_once(" - ")?;
                let mut after = after.split(' ');
                let (kind, options) = (after.next()?, after.nth(1)?);
                let mut before = before.split(' ').skip(3);
                let (root, point) = (before.next()?, Path::new(before.next()?));
                // Seen from inside of a cgroup namespace the path may lie outside of what is mounted.
                let below = path.strip_prefix(root.trim_end_matches('/')).unwrap_or("").trim_start_matches('/');
                let below = if below.split('/').any(|part| part == "..") { "" } else { below };
                wanted(kind, options).then(|| (point.join(below), point.to_owned()))
            })
        };
        let is_v1 = |kind: &str, options: &str| kind == "cgroup" && options.split(',').any(|option| option == "memory");
        Self {
            v1: v1.and_then(|path| mounted(&is_v1, path)),
            v2: v2.and_then(|path| mounted(&|kind, _| kind == "cgroup2", path)),
        }
    }
}

fn smallest(folders: &Folders, read: impl Fn(&Path) -> Option<String>) -> Option<CgroupLimit> {
    let on_the_way_up = |(folder, mount): &(PathBuf, PathBuf), file: &str| {
        let ways = folder.ancestors().take_while(|way| way.starts_with(mount));
        ways.filter_map(|way| read(&way.join(file))?.trim().parse::<u64>().ok()).min()
    };
    let v1 = folders.v1.as_ref().and_then(|own| on_the_way_up(own, "memory.limit_in_bytes"));
    let v1 = v1.filter(|bytes| *bytes < V1_UNLIMITED).map(|bytes| CgroupLimit { bytes, version: 1 });
    let v2 = folders.v2.as_ref().and_then(|own| on_the_way_up(own, "memory.max"));
    let v2 = v2.map(|bytes| CgroupLimit { bytes, version: 2 });
    v1.into_iter().chain(v2).min_by_key(|limit| limit.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
    const HYBRID: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    fn limit(membership: &str, mounts: &str, files: &[(&str, &str)]) -> Option<(u64, u8)> {
        let folders = Folders::find(membership, mounts);
        let read =
            |path: &Path| files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned());
        smallest(&folders, read).map(|limit| (limit.bytes, limit.version))
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let files = [
            ("/sys/fs/cgroup/system.slice/werkpilot.service/memory.max", "max\n"),
            ("/sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/memory.max", "2147483648\n"),
        ];
        assert_eq!(limit("0::/system.slice/werkpilot.service\n", UNIFIED, &files), Some((1 << 30, 2)));
        assert_eq!(limit("0::/system.slice/werkpilot.service\n", UNIFIED, &files[..1]), None);
    }

    #[test]
    fn version_1_has_a_number_that_means_none() {
        let membership = "9:name=systemd:/\n4:cpu,memory:/api/one\n0::/\n";
        let own = "/sys/fs/cgroup/memory/api/one/memory.limit_in_bytes";
        assert_eq!(limit(membership, HYBRID, &[(own, "9223372036854771712\n")]), None);
        assert_eq!(limit(membership, HYBRID, &[(own, "536870912\n")]), Some((1 << 29, 1)));
        let files = [(own, "536870912\n"), ("/sys/fs/cgroup/unified/memory.max", "4096\n")];
        assert_eq!(limit(membership, HYBRID, &files), Some((4_096, 2)), "where both have one");
    }

    #[test]
    fn in_a_container_the_mount_is_all_there_is() {
        let mounts = "29 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup ro\n";
        let files = [("/sys/fs/cgroup/memory.max", "4096\n")];
        assert_eq!(limit("0::/docker/abc\n", mounts, &files), Some((4_096, 2)));
        assert_eq!(limit("0::/../../outside\n", UNIFIED, &files), Some((4_096, 2)));
    }

    #[test]
    fn nonsense_is_no_limit() {
        for (membership, mounts) in [("", ""), ("0", UNIFIED), ("0::/a", "29 23"), ("0::/a", " - "), ("::", UNIFIED)] {
            assert_eq!(limit(membership, mounts, &[("/sys/fs/cgroup/memory.max", "lots")]), None);
        }
    }

    #[test]
    fn our_own_limit_is_readable_whatever_it_is() {
        let folders = own_folders().unwrap();
        assert!(folders.v1.is_some() || folders.v2.is_some() || !Path::new("/sys/fs/cgroup").exists());
        assert!(cgroup_limit().is_none_or(|limit| limit.bytes > 0));
    }
}
