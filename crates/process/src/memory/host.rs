//! What the host has.

use sysinfo::{MemoryRefreshKind, System};

/// What the host has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
}

/// What the host has; `None` where the system does not tell.
pub fn host() -> Option<HostMemory> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let host = HostMemory { total_bytes: system.total_memory(), available_bytes: system.available_memory() };
    // What could not be read is 0, which is no host's memory.
    (host.total_bytes > 0 && host.available_bytes > 0).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_more_than_is_available() {
        let host = host().unwrap();
        assert!(host.total_bytes > host.available_bytes, "{host:?}");
    }
}
