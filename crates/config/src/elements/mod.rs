//! The elements of the registry, one per file: its keys with their defaults, and how it is read.

pub(crate) mod agent;
pub(crate) mod backoff;
pub(crate) mod departments;
pub(crate) mod dependencies;
pub(crate) mod environment;
pub(crate) mod health;
pub(crate) mod identity;
pub(crate) mod job;
pub(crate) mod kind;
pub(crate) mod notify;
pub(crate) mod predecessor;
pub(crate) mod program;
pub(crate) mod ready;
pub(crate) mod service;
pub(crate) mod stop;

use std::path::Path;

use chrono_tz::Tz;
use werkpilot_core::settings::Settings;

/// What the elements of one file need to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    /// The folder of the file, absolute.
    pub(crate) folder: &'a Path,
    /// For defaults that `werkpilot.toml` sets.
    pub(crate) settings: &'a Settings,
    /// The zone of schedules that name none.
    pub(crate) zone: Tz,
}
