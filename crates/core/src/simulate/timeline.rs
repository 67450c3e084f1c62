//! What runs when, one by one: the executions of a simulation in the order of their triggers, up to a bound.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::report::code_of;
use crate::dispatcher::Action;
use crate::event::{End, Event as Fact};
use crate::ids::{AgentName, RunId};
use crate::time::{Timestamp, as_ms};
use crate::trigger::Trigger;

/// An execution of a simulation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Whose.
    pub agent: AgentName,
    /// `schedule`, `every`, `after` or `startup`.
    pub trigger: String,
    /// The time that its schedule or interval names.
    pub scheduled_for: Option<Timestamp>,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it got its worker, the first time.
    pub started_at: Option<Timestamp>,
    /// The how-manieth start of all it was, from 1: of two at the same instant the smaller one was first.
    pub order: Option<u64>,
    /// When it ended; null: it is left at the end.
    pub ended_at: Option<Timestamp>,
    /// How.
    pub end: Option<End>,
    /// Attempts that ended.
    pub attempts: u32,
    /// Until it got its worker, the last time.
    pub waited_ms: f64,
    /// Why it ended so, unless it succeeded: a code of reasons.
    pub reason: Option<String>,
}

/// The first executions, and how many there were beyond.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// In the order of their triggers.
    pub entries: Vec<Planned>,
    /// Those for which there was no room.
    pub omitted: u64,
    #[serde(skip)]
    capacity: usize,
    /// Only of this agent.
    #[serde(skip)]
    only: Option<AgentName>,
    /// Where those are that have no end yet.
    #[serde(skip)]
    live: HashMap<RunId, usize>,
    #[serde(skip)]
    starts: u64,
}

impl Timeline {
    pub(super) fn new(capacity: usize, only: Option<AgentName>) -> Self {
        Self { capacity, only, ..Self::default() }
    }

    pub(super) fn answered(&mut self, action: &Action, now: Timestamp) {
        match action {
            Action::Emit(Fact::ExecutionQueued { agent, run, trigger, scheduled_for }) => {
                self.add(agent, *run, trigger, *scheduled_for, now);
            }
            Action::Start(grant) => {
                self.starts += 1;
                let order = self.starts;
                if let Some(entry) = self.entry(grant.run).filter(|entry| entry.started_at.is_none()) {
                    entry.started_at = Some(now);
                    entry.order = Some(order);
                }
            }
            Action::Keep(finished) => {
                // Never accepted; or there was no room for it, and there is none now.
                if !self.live.contains_key(&finished.run) {
                    self.add(&finished.agent, finished.run, &finished.trigger, finished.scheduled_for, now);
                }
                let Some(entry) = self.entry(finished.run) else { return };
                entry.ended_at = Some(now);
                entry.end = Some(finished.end);
                entry.attempts = u32::try_from(finished.attempts.len()).unwrap_or(u32::MAX);
                entry.waited_ms = as_ms(finished.waited);
                entry.reason = finished.reason.as_ref().map(code_of);
                self.live.remove(&finished.run);
            }
            Action::Cancel { .. } | Action::Emit(_) | Action::DeadLetter(_) | Action::Sample { .. } => {}
        }
    }

    fn entry(&mut self, run: RunId) -> Option<&mut Planned> {
        self.entries.get_mut(*self.live.get(&run)?)
    }

    fn add(
        &mut self,
        agent: &AgentName,
        run: RunId,
        trigger: &Trigger,
        scheduled_for: Option<Timestamp>,
        now: Timestamp,
    ) {
        if self.entries.len() >= self.capacity || self.only.as_ref().is_some_and(|only| only != agent) {
            return;
        }
        self.live.insert(run, self.entries.len());
        self.entries.push(Planned {
            agent: agent.clone(),
            trigger: trigger.kind().to_owned(),
            scheduled_for,
            queued_at: now,
            started_at: None,
            order: None,
            ended_at: None,
            end: None,
            attempts: 0,
            waited_ms: 0.0,
            reason: None,
        });
    }

    /// What still waits has waited until now.
    pub(super) fn close(&mut self, now: Timestamp) {
        for position in std::mem::take(&mut self.live).into_values() {
            let entry = &mut self.entries[position];
            entry.waited_ms = as_ms(entry.started_at.unwrap_or(now).since(entry.queued_at));
        }
    }
}
