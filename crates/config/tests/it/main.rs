//! The config crate from outside: files in, registry or faults out.

mod faults;
mod full;
mod notify;
mod origins;
mod predecessor;
mod reload;
mod scale;
mod schemas;
mod settings;
mod support;
