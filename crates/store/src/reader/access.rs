//! Tokens, keys of requests and the audit log. A file of an older schema, which only a start brings up to date, has none.

use rusqlite::params;
use serde::Serialize;
use werkpilot_core::audit::{Broken, Link, Sealed, Verifier, in_words};
use werkpilot_core::digest::Digest;
use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;

use super::{EXAMINED, PAGE, Reader, contains};
use crate::error::StoreError;
use crate::names::Names;
use crate::row::idempotency::KeyRow;
use crate::row::token::TokenRow;
use crate::row::{audit, run_bytes, whole};

/// Which entries of the audit log, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only those with a lower number: the cursor of the page before.
    pub before: Option<u64>,
    /// By this one, whole.
    pub who: Option<String>,
    /// With this text in the action, in its words or in the target, whatever its case.
    pub action: Option<String>,
    /// Then or later.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
}

/// A page of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<Sealed>,
    /// Where the next page begins; `None`: there is none. A page with few entries may have a next one.
    pub next: Option<u64>,
    /// The newest entry that was written.
    pub head: Link,
    /// Where the chain does not hold, of the part of it that this page looked at, filtered out or not.
    pub broken: Option<Broken>,
}

/// What the whole chain is found to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Entries that were verified.
    pub entries: u64,
    /// The newest entry that was pruned.
    pub anchor: Link,
    /// The newest entry: note its hash elsewhere to be sure of all before it.
    pub head: Link,
    /// The first place at which it does not hold.
    pub broken: Option<Broken>,
}

impl AuditFilter {
    fn takes(&self, sealed: &Sealed) -> bool {
        let entry = &sealed.entry;
        let action = self.action.as_ref().map(|text| text.to_lowercase());
        self.who.as_ref().is_none_or(|who| entry.who == *who)
            && action.is_none_or(|text| {
                contains(&entry.action, &text)
                    || contains(in_words(&entry.action), &text)
                    || entry.target.as_ref().is_some_and(|target| contains(target, &text))
            })
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
    }
}

impl Reader {
    /// All tokens, revoked ones too, in the order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where one is not what was written; the same for all below.
    pub fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        if self.is_before_access()? {
            return Ok(Vec::new());
        }
        self.all("SELECT * FROM tokens ORDER BY id", [], TokenRow::read)
    }

    /// What is remembered of a key.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn key(&self, key: Digest) -> Result<Option<KeyRow>, StoreError> {
        if self.is_before_access()? {
            return Ok(None);
        }
        Ok(self.all("SELECT * FROM idempotency WHERE key = ?1", params![key.as_bytes()], KeyRow::read)?.pop())
    }

    /// Whether there ever was an execution or accepted trigger of this id, as far as is known.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn knows_run(&self, run: RunId) -> Result<bool, StoreError> {
        let sql =
            "SELECT EXISTS (SELECT 1 FROM triggers WHERE run = ?1) OR EXISTS (SELECT 1 FROM executions WHERE run = ?1)";
        Ok(self.conn.prepare_cached(sql)?.query_row([run_bytes(run)], |row| row.get(0))?)
    }

    /// A page of the audit log. The chain is followed over all entries that it looks at.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn audit(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        if self.is_before_access()? {
            return Ok(AuditPage::default());
        }
        self.view(|| self.audit_page(filter))
    }

    fn audit_page(&self, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
        let (anchor, head) = (audit::end(&self.conn, audit::ANCHOR)?, audit::end(&self.conn, audit::HEAD)?);
        let limit = filter.limit.clamp(1, PAGE);
        let mut statement = self.conn.prepare_cached("SELECT * FROM audit WHERE id < ?1 ORDER BY id DESC")?;
        let mut rows = statement.query(params![filter.before.map_or(i64::MAX, whole)])?;
        let mut page = AuditPage { head, ..AuditPage::default() };
        // What must stand before the entry that was looked at last; nothing is known of the first one of a further page.
        let mut newer: Option<Sealed> = None;
        let (mut examined, mut names) = (0, Names::default());
        let mut broken = None;
        loop {
            let Some(row) = rows.next()? else {
                // The oldest one links to what was pruned, or to the start.
                let last = newer.as_ref().map_or(Ok(()), |oldest| linked(anchor, oldest));
                broken = last.err().or(broken);
                break;
            };
            let entry = audit::read(row, &self.conn, &mut names)?;
            let holds = match &newer {
                Some(newer) => linked(entry.link(), newer),
                None if filter.before.is_none() => Verifier::new(entry.link()).finish(head).map(|_| ()),
                None => Ok(()),
            };
            // The lowest one is the first.
            broken = holds.err().or(broken);
            if page.entries.len() == limit || examined == EXAMINED {
                page.next = newer.map(|newer| newer.id);
                break;
            }
            examined += 1;
            newer = Some(entry.clone());
            if filter.takes(&entry) {
                page.entries.push(entry);
            }
        }
        if examined == 0 && filter.before.is_none() && broken.is_none() {
            broken = Verifier::new(anchor).finish(head).err();
        }
        page.broken = broken;
        Ok(page)
    }

    /// Verifies the whole chain: some 5 µs per entry.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn verify_audit(&self) -> Result<AuditReport, StoreError> {
        if self.is_before_access()? {
            return Ok(AuditReport { entries: 0, anchor: Link::START, head: Link::START, broken: None });
        }
        self.view(|| Ok(verified(&self.conn)?))
    }

    /// Answers several questions from one view of the database, while others write.
    fn view<T>(&self, ask: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.conn.execute_batch("BEGIN")?;
        let answer = ask();
        self.conn.execute_batch("COMMIT")?;
        answer
    }

    fn is_before_access(&self) -> Result<bool, StoreError> {
        let version: i64 = self.conn.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok(version < 3)
    }
}

fn linked(older: Link, newer: &Sealed) -> Result<(), Broken> {
    Verifier::new(older).on(newer)
}

/// Follows the whole chain.
pub(crate) fn verified(conn: &rusqlite::Connection) -> Result<AuditReport, crate::error::RowError> {
    let (anchor, head) = (audit::end(conn, audit::ANCHOR)?, audit::end(conn, audit::HEAD)?);
    let mut report = AuditReport { entries: 0, anchor, head, broken: None };
    let mut statement = conn.prepare_cached("SELECT * FROM audit ORDER BY id")?;
    let mut rows = statement.query([])?;
    let (mut verifier, mut names) = (Verifier::new(anchor), Names::default());
    while let Some(row) = rows.next()? {
        if let Err(broken) = verifier.on(&audit::read(row, conn, &mut names)?) {
            report.broken = Some(broken);
            return Ok(report);
        }
        report.entries += 1;
    }
    report.broken = verifier.finish(head).err();
    Ok(report)
}
