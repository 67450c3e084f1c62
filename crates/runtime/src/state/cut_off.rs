//! What the end of the last orchestrator cut off: each of these executions gets its end, and what its agent wants done
//! about it is done before the fleet boots.
//!
//! Invariant: after this nothing of the last start is without an end, and what was promised is a letter, waits for its
//! agent's boot, or was to be ignored.

use std::collections::{BTreeMap, BTreeSet};

use werkpilot_core::dead_letters::DeadLetterDraft;
use werkpilot_core::event::{End, Event};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::spec::{AgentSpec, OnLost};
use werkpilot_core::time::Timestamp;
use werkpilot_core::trigger::Trigger;
use werkpilot_store::row::execution::{ExecutionRow, Why};
use werkpilot_store::row::trigger::TriggerRow;
use werkpilot_store::{Change, ExecutionEnd};

use super::triggers::new_run;

/// What is to be done about what was cut off.
#[derive(Debug, Default)]
pub struct CutOff {
    /// To be written down, each batch whole or not at all.
    pub batches: Vec<Vec<Change>>,
    /// To be told.
    pub events: Vec<Event>,
    /// To be kept as dead letters, each with the end of its execution.
    pub letters: Vec<(Box<DeadLetterDraft>, Vec<Change>)>,
    /// To be run once their agents boot.
    pub triggers: BTreeMap<AgentName, Vec<TriggerRow>>,
}

/// Decides. `known` are triggers whose id an ended execution has already: they get a new one.
pub fn settle(
    live: Vec<ExecutionRow>,
    triggers: Vec<TriggerRow>,
    known: &BTreeSet<RunId>,
    specs: &BTreeMap<AgentName, &AgentSpec>,
    now: Timestamp,
) -> CutOff {
    let mut out = CutOff::default();
    let mut triggers: BTreeMap<RunId, TriggerRow> = triggers.into_iter().map(|row| (row.run, row)).collect();
    for row in live {
        let promised = triggers.remove(&row.run);
        out.interrupt(row, promised, specs, now);
    }
    let mut waiting: Vec<_> = triggers.into_values().collect();
    waiting.sort_by_key(|row| (row.accepted_at, row.run));
    for row in waiting {
        if specs.get(&row.agent).is_none_or(|spec| spec.job().is_none()) {
            out.batches.push(vec![Change::DropTrigger(row.run)]);
            continue;
        }
        let renamed = known.contains(&row.run);
        out.run_again(row, renamed, now);
    }
    out
}

impl CutOff {
    fn interrupt(
        &mut self,
        row: ExecutionRow,
        promised: Option<TriggerRow>,
        specs: &BTreeMap<AgentName, &AgentSpec>,
        now: Timestamp,
    ) {
        let reason = Reason::OrchestratorEnded;
        let end = ExecutionEnd { why: Some(Why::from(&reason)), ..ExecutionEnd::new(row.run, now, End::Interrupted) };
        let end = Change::EndExecution(Box::new(end));
        self.events.push(Event::ExecutionEnded {
            agent: row.agent.clone(),
            run: row.run,
            end: End::Interrupted,
            trigger: row.trigger.clone(),
            attempts: row.attempt,
            duration: None,
            waited: std::time::Duration::ZERO,
            exit: None,
            reason: Some(reason.clone()),
        });
        let spec = specs.get(&row.agent);
        // A replay belongs to its letter, which is open again; an agent that is gone wants nothing.
        let on_lost = match (&row.trigger, spec) {
            (Trigger::Replay { .. }, _) | (_, None) => OnLost::Ignore,
            (_, Some(spec)) => spec.on_lost,
        };
        match (on_lost, spec) {
            (OnLost::DeadLetter, Some(spec)) => {
                let mut draft = DeadLetterDraft::new(
                    row.agent,
                    row.run,
                    reason.to_string(),
                    now,
                    spec.department.clone(),
                    spec.job().and_then(|job| job.triggers.schedule.clone()),
                    row.trigger,
                    Vec::new(),
                );
                draft.payload = promised.and_then(|row| row.payload).map(Into::into);
                draft.restart_count = Some(row.attempt.max(1));
                self.letters.push((Box::new(draft), vec![end]));
            }
            (OnLost::Rerun, Some(_)) => {
                let again = promised.unwrap_or(TriggerRow {
                    run: row.run,
                    agent: row.agent,
                    trigger: row.trigger,
                    origin: row.origin,
                    scheduled_for: row.scheduled_for,
                    accepted_at: now,
                    payload: None,
                    cause: None,
                });
                self.batches.push(vec![end]);
                self.run_again(again, true, now);
            }
            _ => self.batches.push(vec![end]),
        }
    }

    /// Under a new id where the old one has its end.
    fn run_again(&mut self, mut row: TriggerRow, renamed: bool, now: Timestamp) {
        if renamed {
            let old = std::mem::replace(&mut row.run, new_run(now));
            self.batches.push(vec![Change::AcceptTrigger(Box::new(row.clone())), Change::DropTrigger(old)]);
        }
        self.triggers.entry(row.agent.clone()).or_default().push(row);
    }
}
