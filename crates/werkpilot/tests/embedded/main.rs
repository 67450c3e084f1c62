//! The library as a Rust program uses it: in-process agents beside real processes, asked by the same calls.

mod agents;
mod circles;
mod failures;
mod refusals;
mod support;
mod talking;
