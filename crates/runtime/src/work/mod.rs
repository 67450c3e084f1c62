//! The gate through which every start goes.

pub mod queue;
