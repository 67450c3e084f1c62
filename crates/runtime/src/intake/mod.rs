//! What asks for executions by itself: time (the bus comes with its issue).

pub mod catch_up;
pub mod schedule;
