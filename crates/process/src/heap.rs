//! Our own heap, as jemalloc keeps it: its figures, giving back what is free, and profiles of who allocated what.
//!
//! Where another allocator is linked (tests, embedding programs) the figures are zero, and the rest does nothing.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use tikv_jemalloc_ctl::{epoch, raw, stats};

/// Bytes, as jemalloc's `stats` name them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapFigures {
    /// What the program has allocated and not freed.
    pub allocated: u64,
    /// Pages with at least one allocation.
    pub active: u64,
    /// Pages in memory, those for jemalloc's own records included.
    pub resident: u64,
    /// Mapped pages.
    pub mapped: u64,
    /// Given back to the system, but kept as addresses.
    pub retained: u64,
}

/// Why there is no profile of the heap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProfile {
    /// The binary was built without it.
    #[error("profile the heap: this binary was built without it (cargo build --features heap-profiles)")]
    NotBuilt,
    /// Nobody asked for it.
    #[error("profile the heap: it is not switched on (_RJEM_MALLOC_CONF=prof:true, before the start)")]
    Off,
    /// The file could not be written.
    #[error("profile the heap into {0}: {1}")]
    Failed(String, String),
}

/// The figures now; zero where they are not kept.
pub fn figures() -> HeapFigures {
    if epoch::advance().is_err() {
        return HeapFigures::default();
    }
    let number = |read: Result<usize, tikv_jemalloc_ctl::Error>| {
        read.ok().and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
    };
    HeapFigures {
        allocated: number(stats::allocated::read()),
        active: number(stats::active::read()),
        resident: number(stats::resident::read()),
        mapped: number(stats::mapped::read()),
        retained: number(stats::retained::read()),
    }
}

/// Gives the free pages of all arenas back to the system. May take milliseconds.
pub fn purge() {
    // 4096 is MALLCTL_ARENAS_ALL: every arena.
    act(c"arena.4096.purge");
}

/// Empties this thread's cache of small allocations.
pub fn flush_own_cache() {
    act(c"thread.tcache.flush");
}

/// A command of jemalloc that takes and gives nothing. It can't fail in a way that matters: what is not there has
/// nothing to give back.
fn act(name: &std::ffi::CStr) {
    // SAFETY: the name is a C string; a command has neither an old nor a new value, and null is how to say so.
    let _ = unsafe { tikv_jemalloc_sys::mallctl(name.as_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut(), 0) };
}

/// Writes who allocated what is allocated now, for `jeprof`.
///
/// # Errors
/// [`NoProfile`], mostly because profiling costs and is off.
pub fn profile(path: &Path) -> Result<(), NoProfile> {
    if !switch(b"config.prof\0") {
        return Err(NoProfile::NotBuilt);
    }
    if !switch(b"opt.prof\0") {
        return Err(NoProfile::Off);
    }
    let failed = |error: String| NoProfile::Failed(path.display().to_string(), error);
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| failed(error.to_string()))?;
    // SAFETY: `prof.dump` takes a pointer to a C string, which lives until the call returns.
    let dumped = unsafe { raw::write(b"prof.dump\0", name.as_ptr()) };
    dumped.map_err(|error| failed(error.to_string()))
}

fn switch(name: &'static [u8]) -> bool {
    // SAFETY: both names are of a C `bool`, which is a byte of 0 or 1.
    let read = unsafe { raw::read::<u8>(name) };
    read.is_ok_and(|byte| byte == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_back_and_figures_do_no_harm_whoever_the_allocator_is() {
        purge();
        flush_own_cache();
        let figures = figures();
        assert!(figures.allocated <= figures.mapped || figures == HeapFigures::default());
    }

    #[test]
    fn without_profiling_it_says_why_there_is_none() {
        let path = std::env::temp_dir().join("never-written.heap");
        let error = profile(&path).unwrap_err();
        assert!(matches!(error, NoProfile::NotBuilt | NoProfile::Off), "{error}");
        assert!(!path.exists());
    }
}
