//! The real binary: what it says, what it answers, and how it ends.

mod check;
mod generate;
mod help;
mod offline;
mod running;
mod simulate;
mod support;
