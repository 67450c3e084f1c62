//! The supervision tree and the life of the fleet: boot, reload, shutdown.

pub mod agent;
pub mod boot;
pub mod department;
pub mod kept;
pub mod reload;
pub mod shutdown;
pub mod supervisor;
