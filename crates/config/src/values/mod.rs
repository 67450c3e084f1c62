//! Values that are written as text: durations, sizes, addresses, expressions of time.

pub(crate) mod address;
pub(crate) mod duration;
pub(crate) mod size;
pub(crate) mod when;
