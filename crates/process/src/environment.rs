//! The environment of a child: what the product guide promises (sections 3 and 5), and nothing else.
//!
//! Later sources win: the orchestrator's own variables that every child gets, the home and name of `user`, `env_inherit`,
//! `env_file`, `env`, `secrets`, the runtime's (`NATS_URL` …), ours.

use std::ffi::{CString, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use werkpilot_core::spec::{Probe, ReadyCheck};

use crate::env_file::{self, LineError};
use crate::launch::Launch;
use crate::users::User;

/// What every child gets of ours.
const ALWAYS: [&str; 7] = ["PATH", "HOME", "USER", "LANG", "LC_*", "TZ", "TMPDIR"];

/// The longest secret, a quarter of what the kernel takes for one variable (`MAX_ARG_STRLEN`, execve(2)).
const MAX_SECRET: u64 = 32 * 1024;

/// The largest `env_file`: the kernel takes no more than 6 MB for all variables together.
const MAX_ENV_FILE: u64 = 1 << 20;

/// Why an environment could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("read env_file `{path}`: {source}; create it, or correct `env_file`")]
    File { path: PathBuf, source: io::Error },
    #[error("read env_file `{path}`: line {line} {error}")]
    Line { path: PathBuf, line: usize, error: LineError },
    #[error("read the secret `{name}` from `{path}`: {source}")]
    Secret { name: String, path: PathBuf, source: io::Error },
    #[error("read the secret `{name}` from `{path}`: it has a NUL byte")]
    SecretNul { name: String, path: PathBuf },
    #[error("read `{path}`: it is larger than {limit} bytes")]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("set the variable `{name}`: its value has a NUL byte")]
    Nul { name: String },
}

/// The orchestrator's own environment, read once.
pub(crate) struct OwnEnvironment(Vec<(Vec<u8>, Vec<u8>)>);

/// Names and values while they are put together.
#[derive(Default)]
struct Builder(Vec<(Vec<u8>, Vec<u8>)>);

impl Builder {
    fn set(&mut self, name: &[u8], value: &[u8]) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_vec(), value.to_vec())),
        }
    }

    fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// A finished environment.
pub(crate) struct ChildEnvironment {
    /// `NAME=value` texts.
    pub entries: Vec<CString>,
    /// The child's PATH.
    pub path: Option<Vec<u8>>,
}

/// Whether `name` is meant by `pattern`, which is a name or a beginning with `*` after it.
fn meant(pattern: &str, name: &[u8]) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning.as_bytes()),
        None => name == pattern.as_bytes(),
    }
}

fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    use io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((u64::try_from(bytes.len()).unwrap_or(u64::MAX) <= limit).then_some(bytes))
}

impl OwnEnvironment {
    /// The environment of this process as it is now.
    pub fn read() -> Self {
        Self::from_pairs(std::env::vars_os())
    }

    fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into_vec(), value.into_vec())).collect())
    }

    /// The environment for `launch`; `notify_socket` only where it has one.
    pub fn for_child(
        &self,
        launch: &Launch,
        user: Option<&User>,
        notify_socket: Option<&Path>,
    ) -> Result<ChildEnvironment, EnvironmentError> {
        let mut built = Builder(Vec::with_capacity(24));
        let source = &launch.spec.environment;
        for (name, value) in &self.0 {
            if ALWAYS.iter().any(|pattern| meant(pattern, name)) {
                built.set(name, value);
            }
        }
        if let Some((name, home)) = user.and_then(|user| user.entry.as_ref()) {
            built.set(b"USER", name.to_bytes());
            built.set(b"HOME", home.to_bytes());
        }
        for (name, value) in &self.0 {
            if source.inherit.iter().any(|pattern| meant(pattern, name)) {
                built.set(name, value);
            }
        }
        if let Some(path) = &source.file {
            add_file(&mut built, path)?;
        }
        for (name, value) in &source.set {
            built.set(name.as_bytes(), value.as_bytes());
        }
        for (name, path) in &source.secrets {
            built.set(name.as_bytes(), &secret(name, path)?);
        }
        for (name, value) in &launch.extra_env {
            built.set(name.as_bytes(), value.as_bytes());
        }
        add_ours(&mut built, launch, notify_socket);
        finish(built)
    }
}

fn add_file(built: &mut Builder, path: &Path) -> Result<(), EnvironmentError> {
    let text = read_bounded(path, MAX_ENV_FILE)
        .map_err(|source| EnvironmentError::File { path: path.to_owned(), source })?
        .ok_or_else(|| EnvironmentError::TooLarge { path: path.to_owned(), limit: MAX_ENV_FILE })?;
    let pairs = env_file::parse(&text).map_err(|(line, error)| EnvironmentError::Line {
        path: path.to_owned(),
        line,
        error,
    })?;
    for (name, value) in pairs {
        built.set(name, value);
    }
    Ok(())
}

/// The content of a secret's file, without one newline at its end.
fn secret(name: &str, path: &Path) -> Result<Vec<u8>, EnvironmentError> {
    let mut value = read_bounded(path, MAX_SECRET)
        .map_err(|source| EnvironmentError::Secret { name: name.to_owned(), path: path.to_owned(), source })?
        .ok_or_else(|| EnvironmentError::TooLarge { path: path.to_owned(), limit: MAX_SECRET })?;
    if value.last() == Some(&b'\n') {
        value.pop();
    }
    if value.contains(&0) {
        return Err(EnvironmentError::SecretNul { name: name.to_owned(), path: path.to_owned() });
    }
    Ok(value)
}

fn add_ours(built: &mut Builder, launch: &Launch, notify_socket: Option<&Path>) {
    built.set(b"AGENT_NAME", launch.spec.name.as_str().as_bytes());
    built.set(b"WERKPILOT_RUN_ID", launch.run.to_string().as_bytes());
    built.set(b"WERKPILOT_ATTEMPT", launch.attempt.to_string().as_bytes());
    if let Some(time) = launch.scheduled_for {
        built.set(b"WERKPILOT_SCHEDULED_TIME", time.to_string().as_bytes());
    }
    if let Some(path) = notify_socket {
        built.set(b"NOTIFY_SOCKET", path.as_os_str().as_encoded_bytes());
        if let Some(interval) = watchdog(launch) {
            built.set(b"WATCHDOG_USEC", interval.as_micros().to_string().as_bytes());
        }
    }
}

/// Whether the launch needs a notify socket.
pub(crate) fn wants_notify(launch: &Launch) -> bool {
    let by_notify = || launch.spec.service().is_some_and(|service| service.ready.check == ReadyCheck::Notify);
    watchdog(launch).is_some() || (launch.argv_override.is_none() && by_notify())
}

/// The longest time between two `WATCHDOG=1`, where a watchdog is set.
pub(crate) fn watchdog(launch: &Launch) -> Option<std::time::Duration> {
    if launch.argv_override.is_some() {
        return None;
    }
    let health = launch.spec.service()?.health.as_ref()?;
    (health.probe == Probe::Notify).then_some(health.interval)
}

fn finish(built: Builder) -> Result<ChildEnvironment, EnvironmentError> {
    let path = built.get(b"PATH").map(<[u8]>::to_vec);
    let entry = |(mut name, value): (Vec<u8>, Vec<u8>)| {
        let name_len = name.len();
        name.reserve_exact(value.len() + 2);
        name.push(b'=');
        name.extend_from_slice(&value);
        CString::new(name).map_err(|error| {
            let entry = error.into_vec();
            EnvironmentError::Nul { name: String::from_utf8_lossy(&entry[..name_len]).into_owned() }
        })
    };
    Ok(ChildEnvironment { path, entries: built.0.into_iter().map(entry).collect::<Result<_, _>>()? })
}
