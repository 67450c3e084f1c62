//! What looks and remembers: events, dead letters, percentiles, memory, probes.

pub mod audit;
pub mod dead_letters;
pub mod events;
pub mod health;
pub mod memory;
pub mod notifications;
pub mod optimizer;
pub mod percentiles;
pub mod recent;
pub mod scores;
pub mod stream;
pub mod vitals;
