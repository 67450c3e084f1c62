//! What can be asked of the optimizer from outside.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use werkpilot_core::optimizer::{Decision, Report, ReportSummary};
use werkpilot_store::{Reader, StoreError};

use super::{ControlError, Handle, not_kept};
use crate::observe::optimizer::{Crash, Optimize, OptimizeError, UndoDecision};
use crate::state::ReadError;

/// A run reads up to 100,000 executions and prunes in small steps: a minute is much, on a slow disk.
const RUN: Duration = Duration::from_mins(10);
/// The decision is on disk first: a slow one takes seconds.
const DISK: Duration = Duration::from_secs(10);
/// Reports of a page at most: more than are kept.
const PAGE: usize = 100;

/// A page of the reports, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub struct ReportPage {
    /// The reports.
    pub reports: Vec<ReportSummary>,
    /// `before` or `cursor` of the next page; null: this is the last one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// A page of the reports, from the disk alone.
///
/// # Errors
/// [`StoreError`]: it can't be read.
pub fn kept_reports(reader: &Reader, before: Option<u64>, limit: usize) -> Result<ReportPage, StoreError> {
    let limit = limit.clamp(1, PAGE);
    let mut rows = reader.reports(before, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    Ok(ReportPage { reports: rows.iter().map(ReportSummary::from).collect(), next })
}

impl Handle {
    /// Has the optimizer look back, now. Of a dry run nothing is kept, applied or tidied.
    ///
    /// # Errors
    /// [`ControlError`]: it is at it already, or the disk does not play along.
    pub async fn optimize(&self, dry_run: bool, by: &str) -> Result<Report, ControlError> {
        Ok(self.posts.optimizer.ask(Optimize { dry_run, by: by.to_owned() }, RUN).await??)
    }

    /// A page of the reports, newest first.
    ///
    /// # Errors
    /// [`ControlError`]: the disk does not answer.
    pub async fn reports(&self, before: Option<u64>, limit: usize) -> Result<ReportPage, ControlError> {
        let page = self.ledger.read(move |reader| kept_reports(reader, before, limit)).await;
        Ok(kept(page)?.unwrap_or_default())
    }

    /// One report, as it was written.
    ///
    /// # Errors
    /// [`ControlError`]: there is none, or the disk does not answer.
    pub async fn report(&self, id: u64) -> Result<Value, ControlError> {
        let row = kept(self.ledger.read(move |reader| reader.report(id)).await)?.flatten();
        row.map(|row| row.data.value()).ok_or(ControlError::UnknownReport(id))
    }

    /// All decisions that are remembered, newest first.
    ///
    /// # Errors
    /// [`ControlError`]: the orchestrator does not answer.
    pub async fn decisions(&self) -> Result<Vec<Decision>, ControlError> {
        self.consult(|house| house.optimizer.borrow().decisions.iter().cloned().collect()).await
    }

    /// Undoes a decision.
    ///
    /// # Errors
    /// [`ControlError`]: there is none, it does not stand, or the disk refuses; then it is in effect as before.
    pub async fn undo_decision(&self, id: u64, by: &str) -> Result<Decision, ControlError> {
        Ok(self.posts.optimizer.ask(UndoDecision { id, by: by.to_owned() }, DISK).await??)
    }

    /// Ends the optimizer's actor by a panic: a drill. Nothing of a run that is going on is applied.
    pub fn crash_optimizer(&self) {
        self.posts.optimizer.tell(Crash);
    }
}

/// Where nothing is kept, there is nothing.
fn kept<T>(answer: Result<T, ReadError>) -> Result<Option<T>, ControlError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(ReadError::NotKept) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl From<OptimizeError> for ControlError {
    fn from(error: OptimizeError) -> Self {
        match error {
            OptimizeError::NotKept(error) => not_kept(error),
            OptimizeError::Read(error) => Self::State(error),
            OptimizeError::Refused(werkpilot_core::optimizer::UndoRefusal::Unknown(id)) => Self::UnknownDecision(id),
            other => Self::Optimizer(other),
        }
    }
}
