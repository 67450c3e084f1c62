//! Reports and decisions of the optimizer.

use rusqlite::params;
use werkpilot_core::optimizer::MOST_DECISIONS;

use super::Applier;
use crate::error::{Conflict, StoreError};
use crate::row::optimizer::{DecisionRow, ReportRow};
use crate::row::whole;

/// Reports that are kept: two months of nights. One of a thousand agents has some 300 kB.
pub const REPORTS_KEPT: u64 = 60;

impl Applier {
    pub(super) fn add_report(&self, row: &ReportRow) -> Result<(), StoreError> {
        if row.insert(&self.conn)? == 0 {
            return Err(Conflict::ReportExists(row.id).into());
        }
        let last = whole(row.id.saturating_sub(REPORTS_KEPT));
        self.run_sql("DELETE FROM reports WHERE id <= ?1", params![last])
    }

    pub(super) fn put_decision(&mut self, row: &DecisionRow) -> Result<(), StoreError> {
        let agent = self.agent(&row.agent)?;
        row.put(&self.conn, agent)?;
        let sql = "DELETE FROM decisions WHERE id <= (SELECT max(id) FROM decisions) - ?1";
        self.run_sql(sql, params![whole(MOST_DECISIONS as u64)])
    }
}
