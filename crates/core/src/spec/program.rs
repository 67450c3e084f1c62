//! What is run: the program, its environment, and as whom it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use utoipa::ToSchema;

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Program {
    /// Program and arguments, never through a shell. Never empty.
    Command(Vec<String>),
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// No program: an actor inside the orchestrator.
    InProcess,
}

impl Program {
    /// The argument vector that is executed; empty for an actor.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Command(argv) => argv.clone(),
            Self::Shell(line) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
            Self::InProcess => Vec::new(),
        }
    }
}

/// Where the environment of the program comes from, beside what every child gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Environment {
    /// Set as they stand. Values are not shown by the API.
    #[serde(serialize_with = "names_only")]
    #[schema(value_type = Vec<String>)]
    pub set: BTreeMap<String, String>,
    /// A file of `NAME=value` lines, absolute, read at each start.
    #[schema(value_type = Option<String>)]
    pub file: Option<PathBuf>,
    /// Names taken over from the orchestrator's environment; a trailing `*` takes every name with that beginning.
    pub inherit: Vec<String>,
    /// Variables whose values are read from files at each start.
    #[schema(value_type = BTreeMap<String, String>)]
    pub secrets: BTreeMap<String, PathBuf>,
}

fn names_only<S: serde::Serializer>(set: &BTreeMap<String, String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(set.keys())
}

/// As whom and within which limits a program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Identity {
    /// User name or number; `None`: as the orchestrator.
    pub user: Option<String>,
    /// Group name or number; `None`: the user's own group, or as the orchestrator.
    pub group: Option<String>,
    /// File mode creation mask; `None`: as the orchestrator.
    pub umask: Option<u32>,
    /// Niceness, -20 to 19; `None`: as the orchestrator.
    pub nice: Option<i32>,
    /// Resource limits (soft and hard), in the unit of setrlimit(2).
    pub limits: BTreeMap<Resource, u64>,
    /// Whether `no_new_privs` is left unset.
    pub allow_new_privileges: bool,
}

/// Resources that can be limited, named as in setrlimit(2) without `RLIMIT_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Address space, bytes.
    As,
    /// Core file, bytes.
    Core,
    /// CPU time, seconds.
    Cpu,
    /// Data segment, bytes.
    Data,
    /// File size, bytes.
    Fsize,
    /// Locked memory, bytes.
    Memlock,
    /// Open files.
    Nofile,
    /// Processes of the user.
    Nproc,
    /// Stack, bytes.
    Stack,
}
