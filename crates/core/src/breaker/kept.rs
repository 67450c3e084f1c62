//! What of an agent's breaker outlives the orchestrator.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AgentBreaker, BreakerState};
use crate::settings;
use crate::time::{Moment, Point};

/// What of an [`AgentBreaker`] outlives the orchestrator. Times are relative to when it was taken: a wall clock that is
/// set back keeps nobody out for longer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptBreaker {
    /// Where it stood.
    pub state: KeptState,
    /// While open: until its trial.
    pub left_ms: u64,
    /// How long it was, or is, open.
    pub cooldown_ms: u64,
    /// Why it opened last.
    pub why: Option<String>,
    /// See `dead_letters` of the settings.
    pub dead_letters_in_a_row: u32,
    /// Restarts within its window.
    pub restarts_ms_ago: Vec<u64>,
}

/// The word for a [`BreakerState`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptState {
    /// All is well.
    #[default]
    Closed,
    /// Nothing runs.
    Open,
    /// One trial may run; one that ran was cut off, and is tried again.
    HalfOpen,
}

impl AgentBreaker {
    /// As it was `passed` ago; the cooldown went on meanwhile.
    pub fn restored(settings: &settings::Breaker, kept: &KeptBreaker, passed: Duration, now: Moment) -> Self {
        let cooldown = Duration::from_millis(kept.cooldown_ms);
        let left = Duration::from_millis(kept.left_ms).min(cooldown).saturating_sub(passed);
        let state = match kept.state {
            KeptState::Closed => BreakerState::Closed,
            KeptState::Open => BreakerState::Open { until: now + left, cooldown },
            KeptState::HalfOpen => BreakerState::HalfOpen { cooldown },
        };
        let ages = kept.restarts_ms_ago.iter().map(|age| Duration::from_millis(*age).saturating_add(passed));
        let mut restarts: Vec<Point> = ages.map(|age| Point::ago(now, age)).collect();
        restarts.sort_unstable();
        let dead_letters_in_a_row = kept.dead_letters_in_a_row;
        Self { limits: settings.into(), state, dead_letters_in_a_row, restarts: restarts.into() }
    }

    /// What of it outlives the orchestrator; the reason is the agent's to add.
    pub fn kept(&self, now: Moment) -> KeptBreaker {
        let (state, left, cooldown) = match self.state {
            BreakerState::Closed => (KeptState::Closed, Duration::ZERO, Duration::ZERO),
            BreakerState::Open { until, cooldown } => (KeptState::Open, until.since(now), cooldown),
            BreakerState::HalfOpen { cooldown } => (KeptState::HalfOpen, Duration::ZERO, cooldown),
        };
        KeptBreaker {
            state,
            left_ms: millis(left),
            cooldown_ms: millis(cooldown),
            why: None,
            dead_letters_in_a_row: self.dead_letters_in_a_row,
            restarts_ms_ago: self.restarts.iter().map(|at| millis(at.age(now))).collect(),
        }
    }

    /// Feeds all that [`AgentBreaker::kept`] tells of, but not how long ago it was: the same until something happens.
    pub fn mark(&self, hasher: &mut impl Hasher) {
        self.dead_letters_in_a_row.hash(hasher);
        self.restarts.hash(hasher);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
