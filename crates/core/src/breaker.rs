//! The two breakers: [`RestartWindow`] over all agents, [`AgentBreaker`] for one of them.
//!
//! A window is half open at its old end: at `now`, what happened in `(now − window, now]` counts, so any interval
//! `[t, t + window)` holds at most the allowed number. Neither reads a clock.

mod kept;

use std::collections::VecDeque;
use std::time::Duration;

pub use kept::{KeptBreaker, KeptState};

use crate::reason::Reason;
use crate::settings;
use crate::time::{Moment, Point};

/// Restarts that are remembered for [`RestartWindow::count_within`], where the window itself needs fewer: 80 kB.
const REMEMBERED: usize = 10_000;

/// How far back restarts are remembered where the window itself is shorter: the metrics show the last hour.
const REMEMBERED_FOR: Duration = Duration::from_hours(1);

/// The longest cooldown: an agent that fails for good is still tried once a day.
pub(crate) const LONGEST_COOLDOWN: Duration = Duration::from_hours(24);

/// The global breaker: at most `max_restarts` automatic restarts of all agents in any `window`; 0 is unlimited.
///
/// Remembers at most `max_restarts` or 10,000 moments, whichever is more; counts saturate there.
#[derive(Clone, Debug)]
pub struct RestartWindow {
    max_restarts: u32,
    window: Duration,
    /// Oldest first.
    taken: VecDeque<Point>,
    total: u64,
}

impl RestartWindow {
    /// With nothing taken. `max_restarts` 0 is unlimited.
    pub const fn new(max_restarts: u32, window: Duration) -> Self {
        Self { max_restarts, window, taken: VecDeque::new(), total: 0 }
    }

    /// Takes over what was taken so long ago, also before this orchestrator started. What was taken since is forgotten.
    pub fn restore(&mut self, ages: impl IntoIterator<Item = Duration>, now: Moment) {
        let mut taken: Vec<Point> = ages.into_iter().map(|age| Point::ago(now, age)).collect();
        taken.sort_unstable();
        self.taken = taken.into();
        self.forget(now);
    }

    /// Restarts taken since this was made, the restored ones not counted.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Takes one restart, if there is room.
    ///
    /// # Errors
    /// The moment at which there will be room, if nobody else takes it.
    pub fn try_take(&mut self, now: Moment) -> Result<(), Moment> {
        if let Some(room) = self.room_at(now) {
            return Err(room);
        }
        // A clock never runs backwards; should a caller's do, the order (and with it the invariant) is kept.
        let at = self.taken.back().map_or(Point::of(now), |last| Point::of(now).max(*last));
        self.taken.push_back(at);
        self.total += 1;
        Ok(())
    }

    /// When the next restart may be taken; `None` is now.
    pub fn room_at(&mut self, now: Moment) -> Option<Moment> {
        self.forget(now);
        if self.max_restarts == 0 || self.within(now, self.window) < self.max_restarts {
            return None;
        }
        let blocking = self.taken.len() - self.max_restarts as usize;
        Some(self.taken[blocking].plus(self.window).moment())
    }

    /// Restarts in the last `window`.
    pub fn count(&mut self, now: Moment) -> u32 {
        self.count_within(now, self.window)
    }

    /// Restarts in the last `span`; exact for spans up to the window or an hour, whichever is longer.
    pub fn count_within(&mut self, now: Moment, span: Duration) -> u32 {
        self.forget(now);
        self.within(now, span)
    }

    /// New limits, in effect at once. What was taken stays taken.
    pub const fn configure(&mut self, max_restarts: u32, window: Duration) {
        self.max_restarts = max_restarts;
        self.window = window;
    }

    fn within(&self, now: Moment, span: Duration) -> u32 {
        let old = self.taken.partition_point(|at| at.plus(span) <= Point::of(now));
        u32::try_from(self.taken.len() - old).unwrap_or(u32::MAX)
    }

    /// Drops what no question can be about any more, leaving room for one more.
    fn forget(&mut self, now: Moment) {
        let span = self.window.max(REMEMBERED_FOR);
        let old = self.taken.partition_point(|at| at.plus(span) <= Point::of(now));
        let kept = (self.max_restarts as usize).max(REMEMBERED);
        let surplus = self.taken.len().saturating_sub(kept);
        self.taken.drain(..old.max(surplus));
    }
}

/// What an [`AgentBreaker`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerEvent {
    /// An execution of the agent became a dead letter.
    DeadLetter,
    /// An execution succeeded.
    Succeeded,
    /// The service was restarted automatically.
    Restarted,
    /// The service's uptime passed `healthy_for`.
    HealthyFor,
    /// The deadline that was asked for.
    DeadlineReached,
    /// A manual start, or the agent was enabled.
    Reset,
    /// It is to be tried before its cooldown is over.
    Trial,
}

/// What an [`AgentBreaker`] answers.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub enum BreakerAction {
    /// Nothing changed.
    None,
    /// It opened: the agent is `disabled_by_failure`.
    Opened {
        /// Why.
        reason: Reason,
        /// Until its trial.
        cooldown: Duration,
    },
    /// The cooldown is over: one trial may run.
    HalfOpened,
    /// It closed: the agent takes part again.
    Closed(Reason),
}

/// Where an [`AgentBreaker`] stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// All is well.
    #[default]
    Closed,
    /// Nothing runs.
    Open {
        /// When it becomes half-open.
        until: Moment,
        /// How long it is open in all.
        cooldown: Duration,
    },
    /// One trial may run, or runs.
    HalfOpen {
        /// How long it was open; twice that if the trial fails.
        cooldown: Duration,
    },
}

/// One agent's breaker: too many dead letters in a row, or too many restarts within a window, open it.
///
/// | state | dead letter | restarted | succeeded, healthy for | deadline, trial | reset |
/// |---|---|---|---|---|---|
/// | closed | counts; opens at `dead_letters` | counts; opens above `agent_restarts` | counts afresh | – | counts afresh |
/// | open | – | – | – | half-open | closed |
/// | half-open | open, cooldown doubled | open, cooldown doubled | closed | – | closed |
///
/// A limit of 0 never opens it. Remembers at most `agent_restarts` moments, and none before the first restart.
#[derive(Clone, Debug)]
pub struct AgentBreaker {
    limits: Limits,
    state: BreakerState,
    dead_letters_in_a_row: u32,
    /// Oldest first; allocated with the first restart.
    restarts: VecDeque<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    dead_letters: u32,
    restarts: u32,
    window: Duration,
    cooldown: Duration,
}

impl From<&settings::Breaker> for Limits {
    fn from(settings: &settings::Breaker) -> Self {
        Self {
            dead_letters: settings.dead_letters,
            restarts: settings.agent_restarts,
            window: settings.agent_window,
            cooldown: settings.cooldown,
        }
    }
}

impl AgentBreaker {
    /// Closed, with nothing counted.
    pub fn new(settings: &settings::Breaker) -> Self {
        Self {
            limits: settings.into(),
            state: BreakerState::Closed,
            dead_letters_in_a_row: 0,
            restarts: VecDeque::new(),
        }
    }

    /// New limits; they are looked at with the next event, and a cooldown in progress keeps its length.
    pub fn configure(&mut self, settings: &settings::Breaker) {
        self.limits = settings.into();
    }

    /// Where it stands.
    pub const fn state(&self) -> BreakerState {
        self.state
    }

    /// When to say [`BreakerEvent::DeadlineReached`].
    pub const fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            BreakerState::Open { until, .. } => Some(until),
            BreakerState::Closed | BreakerState::HalfOpen { .. } => None,
        }
    }

    /// The one place where the state changes.
    pub fn on(&mut self, event: BreakerEvent, now: Moment) -> BreakerAction {
        use BreakerEvent as E;
        use BreakerState as S;
        match (self.state, event) {
            (S::Closed, E::DeadLetter) => {
                let reason = self.count_dead_letter();
                if self.limits.dead_letters == 0 || self.dead_letters_in_a_row < self.limits.dead_letters {
                    return BreakerAction::None;
                }
                self.open(reason, self.limits.cooldown, now)
            }
            (S::Closed, E::Restarted) => match self.count_restart(now) {
                Some(reason) => self.open(reason, self.limits.cooldown, now),
                None => BreakerAction::None,
            },
            (S::Closed, E::Succeeded) => {
                self.dead_letters_in_a_row = 0;
                BreakerAction::None
            }
            (S::Closed, E::HealthyFor | E::Reset) => {
                self.count_afresh();
                BreakerAction::None
            }
            (S::Open { until, cooldown }, E::DeadlineReached) if now >= until => {
                self.state = S::HalfOpen { cooldown };
                BreakerAction::HalfOpened
            }
            (S::Open { cooldown, .. }, E::Trial) => {
                self.state = S::HalfOpen { cooldown };
                BreakerAction::HalfOpened
            }
            (S::HalfOpen { cooldown }, E::DeadLetter | E::Restarted) => {
                self.open(Reason::TrialFailed, self.doubled(cooldown), now)
            }
            (S::HalfOpen { .. }, E::Succeeded | E::HealthyFor) => self.close(Reason::TrialSucceeded),
            (S::Open { .. } | S::HalfOpen { .. }, E::Reset) => {
                self.close(Reason::ByOperator { by: "an operator".to_owned() })
            }
            // Ends of what was still running when it opened, and deadlines that came early, late or twice.
            (S::Open { .. }, E::DeadLetter | E::Succeeded | E::Restarted | E::HealthyFor)
            | (_, E::DeadlineReached)
            | (S::Closed | S::HalfOpen { .. }, E::Trial) => BreakerAction::None,
        }
    }

    fn count_dead_letter(&mut self) -> Reason {
        self.dead_letters_in_a_row = self.dead_letters_in_a_row.saturating_add(1);
        Reason::TooManyDeadLetters { count: self.dead_letters_in_a_row }
    }

    /// The reason to open, if this restart is one too many.
    fn count_restart(&mut self, now: Moment) -> Option<Reason> {
        let Limits { restarts: allowed, window, .. } = self.limits;
        if allowed == 0 {
            return None;
        }
        let moments = &mut self.restarts;
        let old = moments.partition_point(|at| at.plus(window) <= Point::of(now));
        moments.drain(..old);
        let restarts = u32::try_from(moments.len()).unwrap_or(u32::MAX).saturating_add(1);
        if restarts > allowed {
            return Some(Reason::TooManyRestarts { restarts, window });
        }
        let at = moments.back().map_or(Point::of(now), |last| Point::of(now).max(*last));
        moments.push_back(at);
        None
    }

    fn open(&mut self, reason: Reason, cooldown: Duration, now: Moment) -> BreakerAction {
        self.state = BreakerState::Open { until: now + cooldown, cooldown };
        self.restarts = VecDeque::new();
        BreakerAction::Opened { reason, cooldown }
    }

    fn close(&mut self, reason: Reason) -> BreakerAction {
        self.state = BreakerState::Closed;
        self.count_afresh();
        BreakerAction::Closed(reason)
    }

    fn count_afresh(&mut self) {
        self.dead_letters_in_a_row = 0;
        self.restarts = VecDeque::new();
    }

    /// Twice as long, at most a day or what the settings ask for, whichever is longer.
    fn doubled(&self, cooldown: Duration) -> Duration {
        cooldown.saturating_mul(2).min(LONGEST_COOLDOWN.max(self.limits.cooldown))
    }
}

#[cfg(test)]
mod tests;
