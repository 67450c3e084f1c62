//! The audit log: hands entries to the disk, and holds them in memory while that is not well.
//!
//! Entries are written in the order in which they came. Not an actor: it is written to from any thread, also while the
//! actors are going down. Without a store nothing is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use werkpilot_core::audit::{Entry, TEXT};
use werkpilot_store::{Change, StoreError};

use crate::state::Ledger;

/// Entries that wait in memory for the disk; the oldest give way, which is told.
pub const WAITING: usize = 10_000;
/// Between two looks whether the disk takes them again.
const AGAIN: Duration = Duration::from_millis(500);

/// The way to the audit log. Cheap to clone, for any thread.
#[derive(Clone, Debug)]
pub struct AuditLog {
    ledger: Ledger,
    waiting: Arc<Mutex<Waiting>>,
}

/// What the disk would not take yet.
#[derive(Debug, Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    lost: u64,
    /// Somebody tries again.
    tried: bool,
}

impl Waiting {
    /// Takes one in; whether it is the first, so that somebody has to try again from now on.
    fn push(&mut self, entry: Entry) -> bool {
        self.entries.push_back(entry);
        if self.entries.len() > WAITING {
            self.entries.pop_front();
            self.lost += 1;
            if self.lost.is_power_of_two() {
                let lost = self.lost;
                log::error!("{lost} entries of the audit log are lost: the disk took none for so long");
            }
        }
        !std::mem::replace(&mut self.tried, true)
    }
}

impl AuditLog {
    /// A log on this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger, waiting: Arc::default() }
    }

    /// Writes an entry; resolves when it is on disk, or waits in memory for the disk to be well: then it is `false`. Has to
    /// be called inside a tokio runtime, which goes on living.
    pub async fn write(&self, entry: Entry) -> bool {
        let entry = bounded(entry);
        // Behind those that wait already.
        if !self.lock().tried {
            let result = self.ledger.kept(vec![Change::AddAudit(Box::new(entry.clone()))]).await;
            let Err(error) = result else { return true };
            if !self.lock().tried {
                log::warn!(target: "werkpilot", "The audit log is held in memory until the disk takes it: failed to {error}");
            }
        }
        if self.lock().push(entry) {
            let this = self.clone();
            tokio::spawn(async move { this.try_again().await });
        }
        false
    }

    /// Entries that wait in memory for the disk.
    pub fn waiting(&self) -> usize {
        self.lock().entries.len()
    }

    /// Follows the chain once, and tells of the first place where it does not hold.
    pub async fn verify(&self) {
        match self.ledger.read(werkpilot_store::Reader::verify_audit).await {
            Ok(report) => {
                if let Some(broken) = report.broken {
                    log::error!(target: "werkpilot", "The audit log was tampered with: {broken}; see `werkpilot state check`");
                }
            }
            Err(crate::state::ReadError::NotKept) => {}
            Err(error) => log::error!("failed to {error}"),
        }
    }

    async fn try_again(&self) {
        loop {
            tokio::time::sleep(AGAIN).await;
            if self.offer().await.is_ok() {
                return;
            }
        }
    }

    /// Offers what waits to the disk, in order, all of it or up to the first that it does not take.
    async fn offer(&self) -> Result<(), StoreError> {
        let mut written = 0_u64;
        loop {
            let Some(first) = self.lock().entries.front().cloned() else { break };
            self.ledger.kept(vec![Change::AddAudit(Box::new(first.clone()))]).await?;
            written += 1;
            let mut waiting = self.lock();
            // It may have given way meanwhile.
            if waiting.entries.front() == Some(&first) {
                waiting.entries.pop_front();
            }
            if waiting.entries.is_empty() {
                waiting.tried = false;
                break;
            }
        }
        log::info!(target: "werkpilot", "The audit log is on disk again: {written} entries that waited in memory");
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No text of an entry is longer than it has to be, whoever sends it.
fn bounded(mut entry: Entry) -> Entry {
    let cut = |text: &mut String| {
        if text.len() > TEXT {
            text.truncate(text.floor_char_boundary(TEXT));
            text.push('…');
        }
    };
    [&mut entry.who, &mut entry.way, &mut entry.action].into_iter().for_each(cut);
    [&mut entry.peer, &mut entry.target, &mut entry.detail].into_iter().flatten().for_each(cut);
    entry
}

#[cfg(test)]
mod tests {
    use werkpilot_core::time::Timestamp;
    use werkpilot_store::Store;
    use werkpilot_store::reader::AuditFilter;

    use super::*;

    fn entry(number: usize) -> Entry {
        Entry { who: "ada".to_owned(), action: format!("change {number}"), ..Entry::default() }
    }

    fn log_on(dir: &std::path::Path) -> (AuditLog, Ledger) {
        let ledger = Ledger::new(Store::open(dir, Timestamp::from_secs(1)).unwrap());
        (AuditLog::new(ledger.clone()), ledger)
    }

    async fn actions(ledger: &Ledger) -> Vec<String> {
        let filter = AuditFilter { limit: 1_000, ..AuditFilter::default() };
        let page = ledger.read(move |reader| reader.audit(&filter)).await.unwrap();
        assert_eq!(page.broken, None);
        page.entries.into_iter().rev().map(|sealed| sealed.entry.action).collect()
    }

    #[tokio::test]
    async fn what_the_disk_does_not_take_waits_and_is_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let (log, ledger) = log_on(dir.path());
        assert!(log.write(entry(0)).await);
        ledger.writer().unwrap().limit_pages(1).unwrap();
        // Until a page more is needed, there is room in those that there are.
        let mut number = 1;
        while log.write(Entry { before: Some("x".repeat(4_000)), ..entry(number) }).await {
            number += 1;
            assert!(number < 1_000, "the disk is never full");
        }
        assert!(!log.write(entry(number + 1)).await);
        assert!(!log.write(entry(number + 2)).await);
        assert_eq!(log.waiting(), 3);
        ledger.writer().unwrap().limit_pages(0).unwrap();
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while log.waiting() > 0 {
            assert!(tokio::time::Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(log.write(entry(number + 3)).await);
        let expected: Vec<String> = (0..=number + 3).map(|number| format!("change {number}")).collect();
        assert_eq!(actions(&ledger).await, expected);
    }

    #[test]
    fn the_oldest_give_way_while_too_many_wait() {
        let mut waiting = Waiting::default();
        let first: Vec<bool> = (0..WAITING + 3).map(|number| waiting.push(entry(number))).collect();
        assert!(first[0] && first[1..].iter().all(|first| !first));
        assert_eq!((waiting.entries.len(), waiting.lost), (WAITING, 3));
        assert_eq!(waiting.entries[0], entry(3));
    }

    #[test]
    fn texts_are_cut_off_at_a_character() {
        let entry = bounded(Entry { target: Some("ü".repeat(TEXT)), ..entry(1) });
        let target = entry.target.unwrap();
        assert!(target.len() < TEXT + 4 && target.ends_with("ü…"), "{target}");
    }
}
