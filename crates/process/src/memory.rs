//! Memory: of programs with all that they started, of the host, and our own.
//!
//! Invariant: what can't be read is `None` and never zero.

mod cgroup;
mod host;
mod pressure;
mod rollup;
mod trees;

use std::collections::BTreeMap;
use std::time::Duration;

pub use cgroup::{CgroupLimit, cgroup_limit};
pub use host::{HostMemory, host};
pub use pressure::{Pressure, Stall, pressure};
pub use rollup::{Rollup, Unread};
pub use trees::Sampler;

use crate::proc_fs;

/// What a leader and all its descendants use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeMemory {
    /// Resident memory. Pages that several processes share are counted once for each.
    pub rss_bytes: u64,
    /// Proportional share, which counts shared pages once. `None`: not all processes of the tree let us read it, or there
    /// was no time for it in this check.
    pub pss_bytes: Option<u64>,
    /// How many processes there are, the leader included.
    pub processes: u32,
    /// CPU time of those that live, user and system.
    pub cpu: Duration,
}

impl TreeMemory {
    /// The fairer of the two figures.
    pub fn bytes(&self) -> u64 {
        self.pss_bytes.unwrap_or(self.rss_bytes)
    }
}

/// The memory of these leaders with all that they started. Who looks again and again keeps a [`Sampler`].
pub fn tree_rss(leaders: &[i32]) -> BTreeMap<i32, TreeMemory> {
    Sampler::default().trees(leaders).unwrap_or_default()
}

/// Our own resident memory, bytes; 0 where the system does not tell.
pub fn own_rss() -> u64 {
    read_own_rss().unwrap_or(0)
}

/// Our own resident memory, bytes; `None` where the system does not tell.
pub fn read_own_rss() -> Option<u64> {
    let own_pid = i32::try_from(std::process::id()).ok()?;
    Some(proc_fs::stat(own_pid)?.rss_pages * page_bytes())
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_more_than_is_available_and_we_use_some() {
        let host = host().unwrap();
        assert!(host.total_bytes > host.available_bytes && host.available_bytes > 0);
        assert!(own_rss() > 100_000);
    }

    #[test]
    fn a_leader_that_is_gone_is_left_out() {
        assert_eq!(tree_rss(&[i32::MAX]), BTreeMap::new());
    }
}
