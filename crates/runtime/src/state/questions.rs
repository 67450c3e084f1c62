//! Questions about what was: answered from memory as far as that goes back, else from the disk.

use std::time::Duration;

use werkpilot_core::event::Recorded;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_process::logs;
use werkpilot_store::Reader;
use werkpilot_store::reader::{EventFilter, HistoryFilter};
use werkpilot_store::row::event::EventRow;

use super::facts::{Begun, FactPage, FactQuery, Remembered, join, missing, row_of};
use super::history::{ExecutionView, HistoryPage, kept_history};
use super::{Ledger, ReadError};
use crate::handle::{ANSWER, ControlError, Handle};
use crate::house::House;
use crate::observe::events::AwaitFact;

/// What was remembered of the facts when it was asked.
struct Snapshot {
    past: Vec<EventRow>,
    last: Vec<Recorded>,
    from: u64,
    newest: u64,
    begun: Option<Begun>,
}

impl Snapshot {
    /// What may fit; who asked looks closer, on a thread of its own.
    fn take(house: &House, filter: &EventFilter) -> Self {
        let book = house.events.borrow();
        let fits = |seq: u64, agent: Option<&AgentName>, topic: &str| {
            seq > filter.after && filter.before.is_none_or(|before| seq < before) && filter.is_about(agent, topic)
        };
        let past = book.past().filter(|row| fits(row.seq, row.agent.as_ref(), &row.topic)).cloned().collect();
        let last = book.iter().filter(|fact| fits(fact.seq, fact.event.agent(), fact.event.topic())).cloned().collect();
        Self { past, last, from: book.oldest(), newest: book.newest(), begun: book.begun() }
    }

    fn remembered(self, filter: &EventFilter) -> Remembered {
        let mut rows = self.past;
        rows.extend(self.last.iter().map(row_of));
        rows.retain(|row| filter.fits(row));
        Remembered { rows, from: self.from, newest: self.newest }
    }
}

impl Handle {
    /// A page of the facts, oldest first.
    ///
    /// # Errors
    /// [`ControlError`]: the orchestrator or the disk does not answer.
    pub async fn facts(&self, query: &FactQuery) -> Result<FactPage, ControlError> {
        let filter = query.filter();
        let wanted = filter.clone();
        let snapshot = self.consult(move |house| Snapshot::take(house, &wanted)).await?;
        let begun = snapshot.begun;
        let memory = snapshot.remembered(&filter);
        let mut oldest = memory.from;
        let disk = match missing(&filter, &memory) {
            None => None,
            Some(missing) => {
                let ask = move |reader: &Reader| Ok((reader.events(&missing)?, reader.oldest_event()?));
                kept(self.ledger().read(ask).await)?.map(|(page, kept)| {
                    oldest = oldest.min(kept.unwrap_or(oldest));
                    page
                })
            }
        };
        Ok(FactPage { oldest: Some(oldest), begun, ..join(&filter, memory, disk) })
    }

    /// A page of the facts that come after `query.after`; while there is none, waits for one up to `patience`.
    ///
    /// # Errors
    /// [`ControlError::TooManyWaiters`], or the orchestrator or the disk does not answer.
    pub async fn facts_to_come(&self, query: &FactQuery, patience: Duration) -> Result<FactPage, ControlError> {
        // Without a number to go on from, it is the newest one of now.
        let after = match query.after {
            Some(after) => after,
            None => self.consult(|house| house.events.borrow().newest()).await?,
        };
        let query = FactQuery { after: Some(after), ..query.clone() };
        let page = self.facts(&query).await?;
        // A number beyond the newest is of another sequence: nothing comes after it.
        if !page.events.is_empty() || page.next.is_some() || after > page.newest {
            return Ok(page);
        }
        let filter = EventFilter { after: after.max(page.newest), ..query.filter() };
        let fact = self.posts().events.ask(AwaitFact(filter), ANSWER).await?.ok_or(ControlError::TooManyWaiters)?;
        // Whatever ends it, the answer is what there is then.
        let _ = tokio::time::timeout(patience, fact).await;
        self.facts(&query).await
    }

    /// A page of the executions that have ended, newest first.
    ///
    /// # Errors
    /// [`ControlError`]: the disk does not answer.
    pub async fn history(&self, filter: HistoryFilter) -> Result<HistoryPage, ControlError> {
        settle(self.ledger()).await;
        let page = self.ledger().read(move |reader| kept_history(reader, &filter)).await;
        Ok(kept(page)?.unwrap_or_default())
    }

    /// One execution, live or ended, with everything that is known of it.
    ///
    /// # Errors
    /// [`ControlError`]: it is not known, or nobody answers.
    pub async fn execution(&self, run: RunId) -> Result<ExecutionView, ControlError> {
        let (live, ended) = self.consult(move |house| (live(house, run), ended(house, run))).await?;
        settle(self.ledger()).await;
        let row = kept(self.ledger().read(move |reader| reader.execution(run)).await)?.flatten();
        let row = row.map(ExecutionView::from);
        let known = match (row, live) {
            (Some(row), _) if row.has_ended() => Some(row),
            (Some(mut row), Some((_, live))) => {
                row.update(&live);
                Some(row)
            }
            (None, Some((agent, live))) => Some(ExecutionView::live(agent, &live)),
            (row, None) => ended.or(row),
        };
        known.ok_or(ControlError::ForgottenRun(run))
    }

    /// An execution that had ended before anybody here could remember it. `None`: it is live, its end is remembered, or
    /// both are about to be.
    ///
    /// # Errors
    /// [`ControlError`]: it is not known, or nobody answers.
    pub async fn ended_before(&self, run: RunId) -> Result<Option<ExecutionView>, ControlError> {
        if self.consult(move |house| live(house, run).is_some() || ended(house, run).is_some()).await? {
            return Ok(None);
        }
        let row = kept(self.ledger().read(move |reader| reader.execution(run)).await)?.flatten();
        let view = row.map(ExecutionView::from).ok_or(ControlError::ForgottenRun(run))?;
        Ok(Some(view).filter(ExecutionView::has_ended))
    }

    /// The last lines that an execution wrote, oldest first, and whose it is.
    ///
    /// # Errors
    /// [`ControlError`]: it is not known, or its log can't be read.
    pub async fn log_of_run(
        &self,
        run: RunId,
        lines: usize,
    ) -> Result<(ExecutionView, Vec<logs::LogLine>), ControlError> {
        let view = self.execution(run).await?;
        let (dir, agent) = (self.consult(|house| house.state_dir.join("logs")).await?, view.agent.clone());
        let read = tokio::task::spawn_blocking(move || logs::read_tail(&dir, &agent, Some(&run), lines)).await;
        let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        let read = read.map_err(|source| ControlError::Log { agent: view.agent.clone(), source })?;
        Ok((view, read))
    }
}

fn live(house: &House, run: RunId) -> Option<(AgentName, werkpilot_core::dispatcher::Live)> {
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    directory.iter().find_map(|(index, slot)| {
        let live = dispatcher.live(index).into_iter().find(|live| live.run == run)?;
        Some((slot.name.clone(), live))
    })
}

fn ended(house: &House, run: RunId) -> Option<ExecutionView> {
    house.events.borrow().end_of(run).and_then(ExecutionView::of_end)
}

/// Has on disk what was handed in before, so that who asks after the end of an execution finds it. A disk that is not
/// well says so elsewhere.
async fn settle(ledger: &Ledger) {
    let _ = ledger.kept(Vec::new()).await;
}

/// Where nothing is kept, there is nothing.
fn kept<T>(answer: Result<T, ReadError>) -> Result<Option<T>, ControlError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ReadError::NotKept) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
