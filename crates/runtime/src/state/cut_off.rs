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

#[cfg(test)]
mod tests {
    use werkpilot_core::spec::Program;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn name() -> AgentName {
        AgentName::new("orders").unwrap()
    }

    fn job(on_lost: OnLost) -> AgentSpec {
        let mut job = AgentSpec::job_named(name(), Program::Shell("true".to_owned()));
        job.on_lost = on_lost;
        job
    }

    fn run(number: u128) -> RunId {
        RunId::from_parts(1, number)
    }

    fn live(number: u128, trigger: Trigger) -> ExecutionRow {
        ExecutionRow::intent(run(number), name(), trigger, NOW)
    }

    fn promised(number: u128) -> TriggerRow {
        TriggerRow {
            run: run(number),
            agent: name(),
            trigger: Trigger::Manual { by: "test".to_owned(), force: false },
            origin: None,
            scheduled_for: None,
            accepted_at: NOW,
            payload: Some(b"7".to_vec()),
            cause: None,
        }
    }

    fn settled(spec: Option<&AgentSpec>, live: Vec<ExecutionRow>, triggers: Vec<TriggerRow>) -> CutOff {
        let specs = spec.into_iter().map(|spec| (name(), spec)).collect();
        settle(live, triggers, &BTreeSet::new(), &specs, NOW)
    }

    fn ends(changes: &[Change], number: u128) -> bool {
        matches!(changes, [Change::EndExecution(end)] if end.run == run(number) && end.end == End::Interrupted)
    }

    #[test]
    fn what_was_cut_off_has_one_end_and_what_its_agent_wants_is_done() {
        for on_lost in [OnLost::DeadLetter, OnLost::Rerun, OnLost::Ignore] {
            let out = settled(Some(&job(on_lost)), vec![live(1, Trigger::Schedule)], Vec::new());
            assert_eq!(out.events.len(), 1);
            let again: Vec<&TriggerRow> = out.triggers.values().flatten().collect();
            match on_lost {
                OnLost::DeadLetter => {
                    assert!(out.batches.is_empty() && again.is_empty());
                    assert!(ends(&out.letters[0].1, 1), "the letter and the end are one batch");
                }
                OnLost::Rerun => {
                    assert!(ends(&out.batches[0], 1) && out.letters.is_empty());
                    assert!(again.len() == 1 && again[0].run != run(1), "under an id of its own");
                    let kept = Change::AcceptTrigger(Box::new(again[0].clone()));
                    assert_eq!(out.batches[1], [kept, Change::DropTrigger(run(1))]);
                }
                OnLost::Ignore => {
                    assert!(ends(&out.batches[0], 1) && out.batches.len() == 1);
                    assert!(out.letters.is_empty() && again.is_empty());
                }
            }
        }
    }

    #[test]
    fn a_letter_has_the_payload_that_was_promised() {
        let row = promised(1);
        let out = settled(Some(&job(OnLost::DeadLetter)), vec![live(1, row.trigger.clone())], vec![row]);
        assert_eq!(out.letters[0].0.payload.as_deref(), Some(&b"7"[..]));
        assert!(out.triggers.is_empty(), "it is not run as well");
    }

    #[test]
    fn a_replay_and_an_agent_that_is_gone_only_get_their_end() {
        let replay = live(1, Trigger::Replay { dead_letter: 3 });
        for (spec, row) in [(Some(job(OnLost::Rerun)), replay), (None, live(1, Trigger::Schedule))] {
            let out = settled(spec.as_ref(), vec![row], Vec::new());
            assert!(ends(&out.batches[0], 1) && out.batches.len() == 1);
            assert!(out.letters.is_empty() && out.triggers.is_empty());
        }
    }

    #[test]
    fn a_promise_that_waited_is_kept_under_a_new_id_only_where_the_old_one_has_its_end() {
        let job = job(OnLost::Ignore);
        let specs = BTreeMap::from([(name(), &job)]);
        let out = settle(Vec::new(), vec![promised(1), promised(2)], &BTreeSet::from([run(2)]), &specs, NOW);
        let waiting: Vec<RunId> = out.triggers[&name()].iter().map(|row| row.run).collect();
        assert!(waiting.len() == 2 && waiting.contains(&run(1)) && !waiting.contains(&run(2)), "{waiting:?}");
        assert_eq!(out.batches.len(), 1);
        assert_eq!(out.batches[0][1], Change::DropTrigger(run(2)));
        let gone = settled(None, Vec::new(), vec![promised(1)]);
        assert_eq!(gone.batches, [vec![Change::DropTrigger(run(1))]]);
        assert!(gone.triggers.is_empty());
    }
}
