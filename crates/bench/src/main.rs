//! Whole-program benchmarks.
fn main() {}
