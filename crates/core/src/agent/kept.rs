//! What of an agent outlives the orchestrator: its switch, its breaker, and how long its instances still wait.
//!
//! Times are relative to when the value was taken (`at`), so that a wall clock that is set back keeps nobody waiting for
//! longer than planned. What is missing in an old file has its default.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Agent, Body, LastWords};
use crate::breaker::{AgentBreaker, KeptBreaker, KeptState};
use crate::exit::Exit;
use crate::reason::Reason;
use crate::settings::Breaker;
use crate::status::Status;
use crate::time::{Clocks, Timestamp};

/// What of an agent outlives the orchestrator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// When this was taken; not part of the text, its keeper knows it.
    #[serde(skip)]
    pub at: Timestamp,
    /// How an operator left its switch; `None` is as the registry says.
    pub switch: Option<Switch>,
    /// Whether an operator stopped it, and nobody started it again.
    pub stopped: bool,
    /// That it was disabled because memory was short, and had not come back.
    pub shed: Option<KeptShed>,
    /// Its own breaker.
    pub breaker: KeptBreaker,
    /// A service's instances, those with something to remember.
    pub instances: Vec<KeptInstance>,
    /// Whether the command of a job was missing last.
    pub missing: bool,
    /// What its program said before its last failure.
    pub last_words: Option<LastWords>,
}

/// A switch as an operator left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "switch", rename_all = "snake_case")]
pub enum Switch {
    /// Disabled.
    Off {
        /// By whom.
        by: String,
    },
    /// Enabled, though the registry says `enabled = false`.
    On {
        /// By whom.
        by: String,
    },
}

/// Why an agent was disabled when memory was short: see [`Reason::MemoryPressure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptShed {
    /// How much was used, percent.
    pub percent: u16,
    /// `critical_percent`.
    pub threshold: u8,
    /// What it used itself.
    pub used_bytes: u64,
}

/// What is remembered of a service's instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptInstance {
    /// Its number, from 0.
    pub instance: u16,
    /// Automatic restarts in a row: the exponent of its backoff.
    pub restarts_in_a_row: u32,
    /// What its backoff left to wait, if it backed off.
    pub wait: Option<KeptWait>,
}

/// A backoff in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptWait {
    /// So much is left of it.
    pub left_ms: u64,
    /// How its process ended.
    pub exit: Exit,
    /// Whether the start that follows is an automatic restart.
    pub counted: bool,
}

impl KeptWait {
    /// Of an instance that waits because of `reason`.
    pub(super) fn new(left: Duration, reason: &Reason, counted: bool) -> Self {
        let exit = match reason {
            Reason::Exited { exit } => exit.clone(),
            Reason::NotReady { .. } => Exit::TimedOut,
            other => Exit::Unresponsive(other.to_string()),
        };
        Self { left_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX), exit, counted }
    }
}

/// Tells one state from another: equal as long as nothing happens, however much time passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Of switch, stop and the breaker's position: what people and events are told of.
    pub switches: u64,
    /// Of all the rest.
    pub rest: u64,
}

impl Kept {
    /// The same after `enable` or `disable`, as [`Agent::command`] will leave it.
    #[must_use]
    pub fn switched(mut self, on: bool, enabled_in_registry: bool, by: &str) -> Self {
        let by = by.to_owned();
        self.shed = None;
        if on {
            self.switch = (!enabled_in_registry).then_some(Switch::On { by });
            self.breaker = KeptBreaker::default();
        } else if !matches!(self.switch, Some(Switch::Off { .. })) {
            self.switch = Some(Switch::Off { by });
        }
        self
    }
}

impl Agent {
    /// Makes it as it was, before its boot. Cooldowns and backoffs went on while nobody was there.
    pub fn restore(&mut self, kept: &Kept, breaker: &Breaker, now: Clocks) {
        let passed = now.wall.since(kept.at);
        let core = &mut self.core;
        core.disabled = match &kept.switch {
            Some(Switch::Off { by }) => Some((Status::Disabled, Reason::ByOperator { by: by.clone() })),
            Some(Switch::On { by }) if !core.spec.enabled => {
                core.switched_on = Some(by.clone());
                None
            }
            _ => core.disabled.take(),
        };
        if let (Some(KeptShed { percent, threshold, used_bytes }), None) = (kept.shed, &core.disabled) {
            let reason = Reason::MemoryPressure { percent, threshold, used_bytes };
            core.disabled = Some((Status::DisabledByMemory, reason));
        }
        core.stopped = kept.stopped;
        core.breaker = AgentBreaker::restored(breaker, &kept.breaker, passed, now.steady);
        core.opened.clone_from(&kept.breaker.why);
        core.last_words.clone_from(&kept.last_words);
        match &mut self.body {
            Body::Job(jobs) => jobs.restore(kept.missing),
            Body::Service(service) => service.restore(&kept.instances, passed, now.steady),
        }
    }

    /// What of it outlives the orchestrator.
    pub fn kept(&self, now: Clocks) -> Kept {
        let core = &self.core;
        let switch = match (&core.disabled, &core.switched_on) {
            (Some((Status::Disabled, Reason::ByOperator { by })), _) => Some(Switch::Off { by: by.clone() }),
            (None, Some(by)) => Some(Switch::On { by: by.clone() }),
            _ => None,
        };
        let shed = match core.disabled {
            Some((Status::DisabledByMemory, Reason::MemoryPressure { percent, threshold, used_bytes })) => {
                Some(KeptShed { percent, threshold, used_bytes })
            }
            _ => None,
        };
        let (missing, instances) = match &self.body {
            Body::Job(jobs) => (jobs.missing(), Vec::new()),
            Body::Service(service) => (false, service.kept(now.steady)),
        };
        let breaker = core.breaker.kept(now.steady);
        let why = core.opened.clone().filter(|_| breaker.state != KeptState::Closed);
        let breaker = KeptBreaker { why, ..breaker };
        let last_words = core.last_words.clone();
        Kept { at: now.wall, switch, stopped: core.stopped, shed, breaker, instances, missing, last_words }
    }

    /// Tells whether [`Agent::kept`] has changed.
    pub fn mark(&self) -> Mark {
        let core = &self.core;
        let (mut switches, mut rest) = (DefaultHasher::new(), DefaultHasher::new());
        match &core.disabled {
            Some((status, Reason::ByOperator { by })) => (1, status, by).hash(&mut switches),
            Some((status, _)) => (2, status).hash(&mut switches),
            None => core.switched_on.hash(&mut switches),
        }
        (core.stopped, core.breaker.state()).hash(&mut switches);
        core.breaker.mark(&mut rest);
        core.last_words.hash(&mut rest);
        match &self.body {
            Body::Job(jobs) => jobs.missing().hash(&mut rest),
            Body::Service(service) => service.mark(&mut rest),
        }
        Mark { switches: switches.finish(), rest: rest.finish() }
    }
}
