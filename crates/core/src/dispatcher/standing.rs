//! Where executions stand, for `why`: behind whom in the line and for what reason, after whom, until when.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use super::runs::{Park, Phase, Run};
use super::{Dispatcher, Live};
use crate::dead_letters::Attempt;
use crate::ids::{AgentIndex, AgentName, RunId};
use crate::queue::RunKey;
use crate::reason::Reason;
use crate::time::Moment;

/// An execution, or a service's start that waits, with all that is known of where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RunStanding {
    /// As lists show it.
    pub live: Live,
    /// The instance, for a start of a service.
    pub instance: Option<u16>,
    /// When it was accepted.
    pub accepted: Moment,
    /// When it got its worker, if its program runs.
    pub granted: Option<Moment>,
    /// When its delay is over, if it backs off.
    pub until: Option<Moment>,
    /// Why it is being ended, if somebody asked for that.
    pub cancelled: Option<Reason>,
    /// Its last attempt that failed.
    pub failed: Option<Attempt>,
    /// Its place in the line, if it is in line.
    pub place: Option<Place>,
    /// The execution of the same agent that has to end first.
    pub previous: Option<Holder>,
    /// Whether it waits for room for automatic restarts.
    pub wants_room: bool,
}

/// What waits longest of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongestWait {
    /// Why.
    pub reason: Reason,
    /// When it was accepted.
    pub accepted: Moment,
    /// When its delay is over, if it backs off.
    pub until: Option<Moment>,
    /// Attempts that failed.
    pub failed: u32,
}

/// A place in the line for a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// How many go before it.
    pub ahead: usize,
    /// The priority of its agent.
    pub priority: u8,
    /// The same after ageing.
    pub level: u8,
    /// Who is directly ahead.
    pub before: Option<Before>,
}

/// Who is directly ahead in the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Before {
    /// Which execution.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// What puts it there.
    pub by: Rank,
    /// The priority of its agent.
    pub priority: u8,
    /// The same after ageing.
    pub effective_priority: u8,
}

/// What puts one execution before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Its agent is more important.
    Priority,
    /// It has waited for so long that it counts as more important.
    Ageing,
    /// Its agent is nearer to the ground of the dependency graph.
    Depth,
    /// It came first.
    Earlier,
}

/// An execution whose program runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// Which execution.
    #[serde(rename = "runId")]
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// For how long; zero for one that has not begun.
    #[serde(rename = "running_ms", serialize_with = "ms")]
    pub running: Duration,
}

/// Automatic restarts of all agents together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRoom {
    /// Within the window.
    pub used: u32,
    /// At most; 0 is unlimited.
    pub max_restarts: u32,
    /// The window.
    pub window: Duration,
    /// When there is room again; `None` is now.
    pub room_at: Option<Moment>,
}

fn ms<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(crate::time::as_ms(*duration))
}

impl Dispatcher {
    /// All of an agent that has not ended, in the order of admission. Puts the line in order: for who asks now and then.
    pub fn standings(&mut self, agent: AgentIndex, now: Moment) -> Vec<RunStanding> {
        let lives = self.live(agent);
        let keys: Vec<RunKey> = match self.entries.get(agent.slot()) {
            Some(entry) => entry.live.iter().copied().collect(),
            None => return Vec::new(),
        };
        let waits = |key: &RunKey| self.runs.get(*key).phase == Phase::Queued && self.runs.get(*key).instance.is_none();
        let line = if keys.iter().any(waits) { self.jobs.in_order(now) } else { Vec::new() };
        let positions: HashMap<RunKey, usize> = line.iter().enumerate().map(|(at, place)| (place.key, at)).collect();
        let standing = |(key, live): (RunKey, Live)| {
            let run = self.runs.get(key);
            let position = positions.get(&key).copied();
            RunStanding {
                live,
                instance: run.instance,
                accepted: run.accepted,
                granted: run.granted.filter(|_| run.phase == Phase::Running),
                until: match run.phase {
                    Phase::BackingOff { until } => Some(until),
                    _ => None,
                },
                cancelled: run.cancelled.as_deref().cloned(),
                failed: run.attempts().last().cloned(),
                place: position.map(|at| {
                    let before = at.checked_sub(1).map(|before| &line[before]);
                    Place {
                        ahead: at,
                        priority: self.priority(run),
                        level: line[at].level,
                        before: before.map(|before| self.before(run, line[at].level, before.key, before.level)),
                    }
                }),
                previous: (run.phase == Phase::Parked(Park::Previous)).then(|| self.previous(key, now)).flatten(),
                wants_room: run.phase == Phase::Parked(Park::RestartRoom),
            }
        };
        keys.into_iter().zip(lives).map(standing).collect()
    }

    /// What an agent's execution, or a service's start, waits for that waits longest. Cheap: nothing is put in order.
    pub fn longest_wait(&self, agent: AgentIndex) -> Option<LongestWait> {
        let entry = self.entries.get(agent.slot())?;
        let runs = entry.live.iter().map(|key| self.runs.get(*key));
        let run = runs.filter(|run| run.phase != Phase::Running).min_by_key(|run| run.accepted)?;
        let until = match run.phase {
            Phase::BackingOff { until } => Some(until),
            _ => None,
        };
        let (reason, failed) = (self.why_waiting(run), run.attempt.saturating_sub(1));
        Some(LongestWait { reason, accepted: run.accepted, until, failed })
    }

    /// Whose executions the workers are busy with, the longest first.
    pub fn holders(&self, now: Moment) -> Vec<Holder> {
        let busy = self.runs.iter().filter(|(_, run)| run.phase == Phase::Running && run.instance.is_none());
        let mut holders: Vec<Holder> = busy.map(|(_, run)| self.holder(run, now)).collect();
        holders.sort_by(|a, b| b.running.cmp(&a.running).then_with(|| a.run.cmp(&b.run)));
        holders
    }

    /// How much of the limit of all automatic restarts is used.
    pub fn restart_room(&mut self, now: Moment) -> RestartRoom {
        let (max_restarts, window) = self.restart_limit;
        RestartRoom { used: self.restarts.count(now), max_restarts, window, room_at: self.restarts.room_at(now) }
    }

    fn holder(&self, run: &Run, now: Moment) -> Holder {
        let agent = self.entries[run.agent.slot()].profile.name.clone();
        let began = run.granted.filter(|_| run.phase == Phase::Running);
        Holder { run: run.id, agent, running: began.map_or(Duration::ZERO, |since| now.since(since)) }
    }

    fn priority(&self, run: &Run) -> u8 {
        self.entries[run.agent.slot()].profile.priority.number()
    }

    fn before(&self, run: &Run, level: u8, before: RunKey, its_level: u8) -> Before {
        let other = self.runs.get(before);
        let depth = |run: &Run| self.entries[run.agent.slot()].profile.depth;
        let (priority, own) = (self.priority(other), self.priority(run));
        let by = match its_level.cmp(&level) {
            std::cmp::Ordering::Less if priority < own => Rank::Priority,
            std::cmp::Ordering::Less => Rank::Ageing,
            _ if depth(other) < depth(run) => Rank::Depth,
            _ => Rank::Earlier,
        };
        let agent = self.entries[other.agent.slot()].profile.name.clone();
        Before { run: other.id, agent, by, priority, effective_priority: its_level }
    }

    /// The first of those of the same agent that had their turn, or came earlier.
    fn previous(&self, key: RunKey, now: Moment) -> Option<Holder> {
        let entry = &self.entries[self.runs.get(key).agent.slot()];
        let others = || entry.live.iter().copied().filter(|other| *other != key).map(|other| self.runs.get(other));
        let first = others().find(|run| run.phase == Phase::Running).or_else(|| others().find(|run| run.started));
        first.or_else(|| others().next()).map(|run| self.holder(run, now))
    }
}
