//! The limit of open files: ours is raised, the children get back what we were started with.
//!
//! Programs that use `select(2)` break above 1,024 descriptors, which is why the soft limit is low by default; so it is
//! raised for the orchestrator alone (systemd.exec(5), `LimitNOFILE=`).

use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit of open files to the hard one; returns the soft limit before and after. What was there before
/// the first call is what children get.
pub fn raise_open_files() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let before = *BEFORE.get_or_init(|| limit);
    // A refusal leaves things as they are, and the second figure says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let after = getrlimit(Resource::Nofile);
    (before.current.unwrap_or(u64::MAX), after.current.unwrap_or(u64::MAX))
}

/// Descriptors that are kept for everything but programs: connections of people, log files, probes.
const RESERVED: u64 = 16;

/// Whether a descriptor of this number is one of the last that the limit allows. A small limit keeps an eighth of itself.
pub(crate) fn is_reserved(descriptor: i32) -> bool {
    let Some(limit) = getrlimit(Resource::Nofile).current else { return false };
    u64::try_from(descriptor).unwrap_or(0) >= limit - RESERVED.min(limit / 8)
}

/// What a child's limit has to be set to, if ours was raised: soft and hard.
pub(crate) fn of_children() -> Option<(u64, u64)> {
    BEFORE.get().map(|limit| (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX)))
}
