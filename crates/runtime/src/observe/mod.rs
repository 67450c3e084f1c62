//! What looks and remembers: events, dead letters, percentiles, memory, probes.

pub mod dead_letters;
pub mod events;
pub mod memory;
pub mod percentiles;
pub mod prober;
