//! Profiles: who used what when memory became critical. Files under `<state>/profiles`, one per profile.
//!
//! Invariant: at most [`KEPT_PROFILES`] are kept; a file is there whole or not at all.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::memory::{Action, Level, Usage};
use werkpilot_core::time::Timestamp;
use werkpilot_process::heap::{self, HeapFigures};
use werkpilot_process::memory::{Pressure, Rollup};

use super::source::{Details, Look};
use crate::house::House;

/// The last so many are kept: enough to see a pattern, and a few hundred kilobytes with a thousand agents.
pub const KEPT_PROFILES: usize = 10;

/// Why there is no such profile, or none can be kept.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is none of this name.
    #[error("find the profile {0}: there is none, or it is one of the older ones that were not kept")]
    Unknown(String),
    /// The disk said no.
    #[error("keep the profile in {path}: {source}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there is no profile.
    #[error("read the profile {0}: it is damaged")]
    Damaged(String),
}

/// Who used what.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Its name: the time, without what a file name should not have.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// How short memory was.
    pub level: Level,
    /// How much was used, and of what.
    pub usage: Option<Usage>,
    /// Who is about to be disabled because of it.
    pub shed: Vec<AgentName>,
    /// The orchestrator itself.
    pub orchestrator: Own,
    /// The host: `MemTotal` and `MemAvailable`.
    pub host: Option<Host>,
    /// The pressure on memory.
    pub pressure: Option<PressureView>,
    /// All agents that had processes, the largest first.
    pub agents: Vec<AgentProfile>,
    /// Where the profile of the orchestrator's heap is, or why there is none.
    #[serde(rename = "heapProfile")]
    pub heap: Value,
}

/// The orchestrator in a profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Own {
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Its heap.
    pub heap: HeapView,
    /// What its memory is made of.
    pub rollup: Option<RollupView>,
}

/// The host in a profile.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// `MemTotal`.
    pub total_bytes: u64,
    /// `MemAvailable`.
    pub available_bytes: u64,
}

/// An agent in a profile.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentProfile {
    /// Its name.
    pub name: AgentName,
    /// 1, 2 or 3.
    pub priority: u8,
    /// `job` or `service`.
    pub kind: &'static str,
    /// What counted.
    pub bytes: u64,
    /// `pss` or `rss`: what that is.
    pub measured: &'static str,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Proportional share.
    pub pss_bytes: Option<u64>,
    /// Processes of all its trees.
    pub processes: u32,
    /// CPU time of its live processes.
    pub cpu_seconds: f64,
    /// The most that a check has seen.
    pub peak_bytes: u64,
    /// What its memory is made of.
    pub rollup: Option<RollupView>,
}

/// Figures of jemalloc, bytes (jemalloc(3): stats).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct HeapView {
    allocated: u64,
    active: u64,
    resident: u64,
    mapped: u64,
    retained: u64,
}

impl From<HeapFigures> for HeapView {
    fn from(heap: HeapFigures) -> Self {
        let HeapFigures { allocated, active, resident, mapped, retained } = heap;
        Self { allocated, active, resident, mapped, retained }
    }
}

/// `smaps_rollup`, bytes (proc(5): smaps).
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollupView {
    rss: u64,
    pss: u64,
    pss_anon: u64,
    shared_clean: u64,
    shared_dirty: u64,
    private_clean: u64,
    private_dirty: u64,
    anonymous: u64,
    swap: u64,
}

impl From<Rollup> for RollupView {
    fn from(rollup: Rollup) -> Self {
        let Rollup { rss, pss, pss_anon, shared_clean, shared_dirty, private_clean, private_dirty, anonymous, swap } =
            rollup;
        Self { rss, pss, pss_anon, shared_clean, shared_dirty, private_clean, private_dirty, anonymous, swap }
    }
}

/// Shares of time that are lost to a shortage of memory (PSI), percent.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PressureView {
    /// `cgroup` or `host`.
    pub of: &'static str,
    /// Somebody waited, within the last ten seconds.
    pub some_avg10: f64,
    /// Within the last minute.
    pub some_avg60: f64,
    /// Everybody waited, within the last ten seconds.
    pub full_avg10: f64,
    /// Within the last minute.
    pub full_avg60: f64,
}

impl From<Pressure> for PressureView {
    fn from(pressure: Pressure) -> Self {
        Self {
            of: if pressure.of_cgroup { "cgroup" } else { "host" },
            some_avg10: pressure.some.avg10,
            some_avg60: pressure.some.avg60,
            full_avg10: pressure.full.avg10,
            full_avg60: pressure.full.avg60,
        }
    }
}

/// A profile in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProfileSummary {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub at: Option<String>,
    /// Bytes of its file.
    pub size_bytes: u64,
    /// Whether there is a profile of the heap beside it.
    pub heap_profile: bool,
}

impl Profile {
    /// What there is at this moment, before those are shed that the actions name.
    pub fn of(house: &House, look: &Look, details: &Details, actions: &[Action], at: Timestamp) -> Self {
        let (book, directory) = (house.memory.borrow(), house.directory.borrow());
        let name_of = |agent: AgentIndex| Some(directory.get(agent)?.name.clone());
        let shed = actions.iter().filter_map(|action| match action {
            Action::Shed { agent, .. } => name_of(*agent),
            _ => None,
        });
        let agents = book.agents.iter().filter(|(_, memory)| memory.processes > 0).filter_map(|(agent, memory)| {
            let slot = directory.get(*agent)?;
            let rollups = details.trees.iter().filter(|(process, _)| process.agent == *agent);
            Some(AgentProfile {
                name: slot.name.clone(),
                priority: house.priority_of(&slot.spec).number(),
                kind: if slot.spec.job().is_some() { "job" } else { "service" },
                bytes: memory.bytes,
                measured: memory.measured(),
                rss_bytes: memory.rss_bytes,
                pss_bytes: memory.pss_bytes,
                processes: memory.processes,
                cpu_seconds: memory.cpu.as_secs_f64(),
                peak_bytes: memory.peak_bytes,
                rollup: rollups.map(|(_, rollup)| *rollup).reduce(Rollup::plus).map(RollupView::from),
            })
        });
        let mut agents: Vec<AgentProfile> = agents.collect();
        agents.sort_by_key(|agent| std::cmp::Reverse(agent.bytes));
        Self {
            id: at.to_string().replace(['-', ':'], ""),
            at,
            level: book.level,
            usage: book.ladder.usage(),
            shed: shed.collect(),
            orchestrator: Own {
                rss_bytes: look.own_rss_bytes,
                heap: look.heap.into(),
                rollup: details.own.map(RollupView::from),
            },
            host: look.host.map(|host| Host { total_bytes: host.total_bytes, available_bytes: host.available_bytes }),
            pressure: look.pressure.map(PressureView::from),
            agents,
            heap: Value::Null,
        }
    }
}

/// Where profiles are.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("profiles")
}

/// Writes a profile, with one of the heap where that is switched on, and lets go of the oldest. Its name.
pub fn keep(folder: &Path, mut profile: Profile) -> Result<String, ProfileError> {
    let failed = |source| ProfileError::Io { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let dump = folder.join(format!("{}.heap", profile.id));
    profile.heap = match heap::profile(&dump) {
        Ok(()) => serde_json::json!({ "file": dump.display().to_string() }),
        Err(error) => serde_json::json!({ "none": format!("failed to {error}") }),
    };
    let text = serde_json::to_vec_pretty(&profile).map_err(|error| failed(io::Error::other(error)))?;
    let (unfinished, file) = (folder.join(".unfinished"), folder.join(format!("{}.json", profile.id)));
    fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &file)).map_err(failed)?;
    for old in names(folder).iter().rev().skip(KEPT_PROFILES) {
        for kind in ["json", "heap"] {
            // Most have no profile of the heap.
            let _ = fs::remove_file(folder.join(format!("{old}.{kind}")));
        }
    }
    Ok(profile.id)
}

/// The names of all profiles, oldest first.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let files = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        files.filter_map(|file| file.strip_suffix(".json").map(str::to_owned)).filter(|name| is_name(name)).collect();
    names.sort_unstable();
    names
}

/// Whether this can be the name of a profile: nobody else's file is ever asked for.
fn is_name(text: &str) -> bool {
    let known = |c: char| c.is_ascii_digit() || matches!(c, 'T' | 'Z' | '.');
    !text.starts_with('.') && text.len() < 64 && !text.is_empty() && text.chars().all(known)
}

/// All profiles, newest first.
pub fn list(state_dir: &Path) -> Vec<ProfileSummary> {
    let folder = folder(state_dir);
    let summary = |id: String| {
        let text = fs::read(folder.join(format!("{id}.json"))).unwrap_or_default();
        let profile: Value = serde_json::from_slice(&text).unwrap_or_default();
        ProfileSummary {
            at: profile["at"].as_str().map(str::to_owned),
            size_bytes: text.len() as u64,
            heap_profile: folder.join(format!("{id}.heap")).exists(),
            id,
        }
    };
    names(&folder).into_iter().rev().map(summary).collect()
}

/// One profile, as it was written.
///
/// # Errors
/// [`ProfileError`]: there is none of this name, or it is damaged.
pub fn read(state_dir: &Path, id: &str) -> Result<Value, ProfileError> {
    let unknown = || ProfileError::Unknown(id.to_owned());
    if !is_name(id) {
        return Err(unknown());
    }
    let text = fs::read(folder(state_dir).join(format!("{id}.json"))).map_err(|_| unknown())?;
    serde_json::from_slice(&text).map_err(|_| ProfileError::Damaged(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(minute: i64) -> Profile {
        let at = Timestamp::from_secs(1_790_000_000 + minute * 60);
        Profile {
            id: at.to_string().replace(['-', ':'], ""),
            at,
            level: Level::Critical,
            usage: None,
            shed: Vec::new(),
            orchestrator: Own { rss_bytes: Some(1), heap: HeapFigures::default().into(), rollup: None },
            host: None,
            pressure: None,
            agents: Vec::new(),
            heap: Value::Null,
        }
    }

    #[test]
    fn the_last_ten_are_kept_and_each_says_why_it_has_no_heap() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(list(state.path()), []);
        let ids: Vec<String> = (0..12).map(|minute| keep(&folder(state.path()), profile(minute)).unwrap()).collect();
        let listed: Vec<String> = list(state.path()).into_iter().map(|summary| summary.id).collect();
        assert_eq!(listed, ids[2..].iter().rev().cloned().collect::<Vec<_>>(), "newest first");
        let newest = read(state.path(), &ids[11]).unwrap();
        assert_eq!((&newest["level"], &newest["id"]), (&Value::from("critical"), &Value::from(ids[11].clone())));
        assert!(newest["heapProfile"]["none"].as_str().unwrap().starts_with("failed to profile the heap"), "{newest}");
        assert!(matches!(read(state.path(), &ids[0]), Err(ProfileError::Unknown(_))), "it had to make room");
    }

    #[test]
    fn nothing_else_is_read_however_it_is_asked_for() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join("secret.json"), "{}").unwrap();
        fs::create_dir(folder(state.path())).unwrap();
        fs::write(folder(state.path()).join("20260101T000000.000Z.json"), "half of").unwrap();
        for id in ["../secret", "", ".", "..", "a", "%2e%2e", "20260101T000000.000Z/../x", &"1".repeat(100)] {
            assert!(matches!(read(state.path(), id), Err(ProfileError::Unknown(_))), "{id}");
        }
        assert!(matches!(read(state.path(), "20260101T000000.000Z"), Err(ProfileError::Damaged(_))));
        assert_eq!(list(state.path())[0].at, None);
    }

    #[test]
    fn a_disk_that_says_no_is_told_of() {
        let state = tempfile::tempdir().unwrap();
        fs::write(folder(state.path()), "a file where the folder should be").unwrap();
        let error = keep(&folder(state.path()), profile(1)).unwrap_err();
        assert!(error.to_string().starts_with("keep the profile in "), "{error}");
    }
}
