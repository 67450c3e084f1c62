//! What the last orchestrator of this state folder left behind.

use std::collections::BTreeSet;

use werkpilot_core::dead_letters::DeadLetter;
use werkpilot_core::ids::RunId;
use werkpilot_core::optimizer::ReportSummary;
use werkpilot_core::score::{DAYS, day};
use werkpilot_store::row::agent::{AgentState, SchedulePosition};
use werkpilot_store::row::event::EventRow;
use werkpilot_store::row::execution::ExecutionRow;
use werkpilot_store::row::figures::{AgentSamples, ScoreRow};
use werkpilot_store::row::optimizer::DecisionRow;
use werkpilot_store::row::trigger::TriggerRow;
use werkpilot_store::{Reader, StoreError};

use crate::clock::Clock;
use crate::observe::percentiles::kept::KeptDigests;

/// Facts that are taken back into memory for `events` and `why`.
const EVENTS: usize = 1_000;

/// What was left behind. All of it is small.
#[derive(Debug, Default)]
pub struct Restored {
    /// States of agents.
    pub agents: Vec<AgentState>,
    /// How far the schedules were.
    pub schedules: Vec<SchedulePosition>,
    /// Durations of successful executions.
    pub samples: Vec<AgentSamples>,
    /// Digests of durations, request latencies and waiting times, as far as a start needs them.
    pub digests: KeptDigests,
    /// Scores of the days that count.
    pub scores: Vec<ScoreRow>,
    /// Executions without an end: cut off.
    pub live: Vec<ExecutionRow>,
    /// Durable triggers whose execution has no end.
    pub triggers: Vec<TriggerRow>,
    /// Those of these triggers whose id an execution has that has ended: cancelled by a shutdown.
    pub cancelled: BTreeSet<RunId>,
    /// The last facts, oldest first.
    pub events: Vec<EventRow>,
    /// The number of the newest fact.
    pub newest_event: u64,
    /// The last execution of each agent that ended.
    pub last_ends: Vec<ExecutionRow>,
    /// Decisions of the optimizer.
    pub decisions: Vec<DecisionRow>,
    /// The newest report of the optimizer.
    pub newest_report: Option<ReportSummary>,
    /// Dead letters without their payloads, oldest first.
    pub letters: Vec<DeadLetter>,
    /// The number of the newest dead letter.
    pub newest_letter: u64,
    /// Dead letters that gave way to newer ones, ever.
    pub evicted_letters: u64,
}

impl Restored {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`StoreError`]: it can't be read, or is not what was written.
    pub fn read(reader: &Reader) -> Result<Self, StoreError> {
        let now = Clock::wall();
        let triggers = reader.triggers()?;
        let mut cancelled = BTreeSet::new();
        for trigger in &triggers {
            if reader.execution(trigger.run)?.is_some_and(|row| row.ended_at.is_some()) {
                cancelled.insert(trigger.run);
            }
        }
        Ok(Self {
            agents: reader.agents()?,
            schedules: reader.schedules()?,
            samples: reader.samples()?,
            digests: KeptDigests::read(reader, now)?,
            scores: reader.scores(day(now) - DAYS + 1)?,
            live: reader.live()?,
            triggers,
            cancelled,
            events: reader.last_events(EVENTS)?,
            newest_event: reader.newest_event()?,
            last_ends: reader.last_ends()?,
            decisions: reader.decisions()?,
            newest_report: reader.reports(None, 1)?.first().map(ReportSummary::from),
            letters: letters(reader)?,
            newest_letter: reader.newest_letter()?,
            evicted_letters: reader.evicted_letters()?,
        })
    }
}

fn letters(reader: &Reader) -> Result<Vec<DeadLetter>, StoreError> {
    let mut all = Vec::new();
    let mut filter = werkpilot_store::reader::LetterFilter { oldest_first: true, limit: PAGE, ..Default::default() };
    loop {
        let page = reader.letters(&filter)?;
        for row in page.rows {
            let letter = row
                .letter()
                .map_err(|error| StoreError::Damaged { what: format!("dead letter {}: {error}", row.id).into() })?;
            all.push(letter);
        }
        filter.after = page.next;
        if filter.after.is_none() {
            return Ok(all);
        }
    }
}

/// Letters that are read at a time, with payloads of up to a megabyte each.
const PAGE: usize = 100;
