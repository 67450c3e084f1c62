//! Dead letters: lists, groups, one.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use serde::Serialize;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;

use super::{Page, Reader, contains};
use crate::error::{RowError, StoreError};
use crate::row::letter::{LetterRow, LetterState, TABLE};
use crate::row::{run_bytes, whole};

/// Which dead letters; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this agent.
    pub agent: Option<AgentName>,
    /// With this signature.
    pub signature: Option<String>,
    /// In one of these states; empty: any.
    pub states: Vec<LetterState>,
    /// Given up then or later.
    pub since: Option<Timestamp>,
    /// Given up before.
    pub until: Option<Timestamp>,
    /// With this text in error, log or payload, whatever its case.
    pub text: Option<String>,
    /// At most so many (1 to 1,000).
    pub limit: usize,
    /// Only letters after this id in the list's order: the last one of the page before.
    pub after: Option<u64>,
    /// Oldest first, as they are replayed; else newest first.
    pub oldest_first: bool,
}

/// Dead letters of one signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterGroup {
    /// What they have in common.
    pub signature: String,
    /// How many there are.
    pub count: u64,
    /// When the first one was given up.
    pub first_seen: Timestamp,
    /// When the last one was given up.
    pub last_seen: Timestamp,
    /// The newest one.
    pub newest: u64,
    /// Whose they are, by name.
    pub agents: Vec<AgentName>,
}

impl LetterFilter {
    /// Whether a letter is one of them.
    pub fn fits(&self, row: &LetterRow) -> bool {
        self.agent.as_ref().is_none_or(|agent| *agent == row.agent)
            && self.signature.as_ref().is_none_or(|signature| *signature == row.signature)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && self.since.is_none_or(|since| row.at >= since)
            && self.until.is_none_or(|until| row.at < until)
            && self.text.as_ref().is_none_or(|text| mentions(row, &text.to_lowercase()))
    }

    /// The query: by the index of what is asked for, in the order of ids.
    const fn sql(&self) -> &'static str {
        match (&self.agent, &self.signature, self.oldest_first) {
            (_, Some(_), false) => {
                "SELECT * FROM dead_letters INDEXED BY dead_letters_signature
                 WHERE signature = ?2 AND id < ?1 ORDER BY id DESC"
            }
            (_, Some(_), true) => {
                "SELECT * FROM dead_letters INDEXED BY dead_letters_signature
                 WHERE signature = ?2 AND id > ?1 ORDER BY id"
            }
            (Some(_), None, false) => {
                "SELECT * FROM dead_letters INDEXED BY dead_letters_agent WHERE agent = ?2 AND id < ?1 ORDER BY id DESC"
            }
            (Some(_), None, true) => {
                "SELECT * FROM dead_letters INDEXED BY dead_letters_agent WHERE agent = ?2 AND id > ?1 ORDER BY id"
            }
            (None, None, false) => "SELECT * FROM dead_letters WHERE id < ?1 ORDER BY id DESC",
            (None, None, true) => "SELECT * FROM dead_letters WHERE id > ?1 ORDER BY id",
        }
    }

    /// What the index led to must be what it was asked for: else the index is damaged.
    fn checked(&self, row: LetterRow) -> Result<LetterRow, RowError> {
        let wrong = match (&self.agent, &self.signature) {
            (_, Some(signature)) => *signature != row.signature,
            (Some(agent), None) => *agent != row.agent,
            (None, None) => false,
        };
        if wrong { Err(RowError::Value { table: TABLE, column: "place in its index" }) } else { Ok(row) }
    }
}

fn mentions(row: &LetterRow, lower: &str) -> bool {
    contains(&row.error, lower)
        || contains(row.context.as_str(), lower)
        || row.payload.as_ref().is_some_and(|payload| contains(&String::from_utf8_lossy(payload), lower))
}

impl Reader {
    /// A page of dead letters; the cursor is the id of the last one looked at.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where a row is not what was written.
    pub fn letters(&self, filter: &LetterFilter) -> Result<Page<LetterRow, u64>, StoreError> {
        let start = filter.after.map_or(if filter.oldest_first { 0 } else { i64::MAX }, whole);
        let page = |params: &[&dyn rusqlite::ToSql]| {
            self.page(
                filter.sql(),
                params,
                filter.limit,
                |row, conn, names| filter.checked(LetterRow::read(row, conn, names)?),
                |_, row| Ok(row.id),
                |row| filter.fits(row),
            )
        };
        match (&filter.agent, &filter.signature) {
            (_, Some(signature)) => page(params![start, signature]),
            (Some(agent), None) => match self.number(agent.as_str())? {
                Some(agent) => page(params![start, agent]),
                None => Ok(Page { rows: Vec::new(), next: None }),
            },
            (None, None) => page(params![start]),
        }
    }

    /// One dead letter.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it is not what was written.
    pub fn letter(&self, id: u64) -> Result<Option<LetterRow>, StoreError> {
        Ok(self.all("SELECT * FROM dead_letters WHERE id = ?1", [whole(id)], LetterRow::read)?.pop())
    }

    /// The dead letter that an execution replays or replayed last.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where it is not what was written.
    pub fn letter_replayed_by(&self, run: RunId) -> Result<Option<LetterRow>, StoreError> {
        Ok(self.all("SELECT * FROM dead_letters WHERE replay_run = ?1", [run_bytes(run)], LetterRow::read)?.pop())
    }

    /// All dead letters by signature, the group with the newest letter first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] where the index is broken.
    pub fn letter_groups(&self) -> Result<Vec<LetterGroup>, StoreError> {
        // The index has all that is needed; the rows, with their payloads, are not touched.
        let sql = "SELECT signature, agent, count(*), min(at_ms), max(at_ms), max(id)
                   FROM dead_letters INDEXED BY dead_letters_signature GROUP BY signature, agent";
        let parts = self.all(sql, [], |row, conn, names| {
            let agent = names.agent(conn, row.get(1)?)?;
            let (count, newest): (i64, i64) = (row.get(2)?, row.get(5)?);
            Ok(LetterGroup {
                signature: row.get(0)?,
                count: count.unsigned_abs(),
                first_seen: Timestamp::from_millis(row.get(3)?),
                last_seen: Timestamp::from_millis(row.get(4)?),
                newest: newest.unsigned_abs(),
                agents: vec![agent],
            })
        })?;
        let mut groups: BTreeMap<String, LetterGroup> = BTreeMap::new();
        for part in parts {
            match groups.get_mut(&part.signature) {
                None => {
                    groups.insert(part.signature.clone(), part);
                }
                Some(group) => merge(group, part),
            }
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort_unstable_by_key(|group| std::cmp::Reverse(group.newest));
        Ok(groups)
    }
}

fn merge(group: &mut LetterGroup, part: LetterGroup) {
    group.count += part.count;
    group.first_seen = group.first_seen.min(part.first_seen);
    group.last_seen = group.last_seen.max(part.last_seen);
    group.newest = group.newest.max(part.newest);
    let agents: BTreeSet<AgentName> = group.agents.drain(..).chain(part.agents).collect();
    group.agents = agents.into_iter().collect();
}
