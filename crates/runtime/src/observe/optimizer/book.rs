//! What outlives the optimizer's actor: the decisions, the numbers of the reports, the time of the night.

use werkpilot_core::optimizer::{Decision, Decisions, ReportSummary};
use werkpilot_core::time::{Clocks, Timestamp};
use werkpilot_core::timetable::Timetable;
use werkpilot_store::row::optimizer::DecisionRow;

/// The optimizer's book.
#[derive(Debug, Default)]
pub struct OptimizerBook {
    /// All decisions that are remembered.
    pub decisions: Decisions,
    /// Its one entry is the run of the night.
    pub(super) timetable: Timetable,
    /// The newest report.
    pub newest_report: Option<ReportSummary>,
    /// Who asked for the run that is going on, and when.
    running: Option<(String, Timestamp)>,
}

impl OptimizerBook {
    /// The book as it was.
    pub fn restored(decisions: &[DecisionRow], newest_report: Option<ReportSummary>) -> Self {
        Self { decisions: Decisions::restored(read(decisions)), newest_report, ..Self::default() }
    }

    /// Takes in what is on disk and was not known to be: the answer to a batch may be lost with the store's writer. Whether
    /// there was such a decision.
    pub(super) fn adopt(&mut self, newest_report: Option<ReportSummary>, decisions: &[DecisionRow]) -> bool {
        let known = self.newest_report.as_ref().map_or(0, |newest| newest.id);
        if let Some(newest) = newest_report.filter(|newest| newest.id > known) {
            self.newest_report = Some(newest);
        }
        let newest = self.decisions.newest();
        let unknown: Vec<Decision> = read(decisions).filter(|decision| decision.id > newest).collect();
        let any = !unknown.is_empty();
        for decision in unknown {
            self.decisions.put(decision);
        }
        any
    }

    /// When the next run of the night is.
    pub fn next_run(&self, now: Clocks) -> Option<Timestamp> {
        self.timetable.next_of(super::ENTRY, now).map(|next| next.at)
    }

    /// Who asked for the run that is going on, and since when it is.
    pub fn running(&self) -> Option<(String, Timestamp)> {
        self.running.clone()
    }

    pub(super) fn set_running(&mut self, running: Option<(String, Timestamp)>) {
        self.running = running;
    }
}

fn read(rows: &[DecisionRow]) -> impl Iterator<Item = Decision> {
    rows.iter().filter_map(|row| {
        let warn = |error| log::warn!("failed to read decision {}, which is not in effect: {error}", row.id);
        row.data.read::<Decision>().map_err(warn).ok()
    })
}
