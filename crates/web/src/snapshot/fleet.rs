//! The fleet at one moment, as bytes: each agent is written as JSON once, and every answer is made of these rows.
//!
//! Invariant: a row's version is the number of the snapshot in which it changed last. What only tells how time goes by
//! (`uptimeSeconds`) is no change.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::Write;
use std::ops::Range;
use std::sync::OnceLock;

use actix_web::web::Bytes;
use serde::Serialize;
use tokio::time::Instant;
use werkpilot_core::ids::AgentName;
use werkpilot_runtime::view::Overview;

use crate::api::agents::PAGE;
use crate::compress::gzip;

/// Agents that went, of which their last viewers can still be told; who has looked away for longer gets all anew.
const REMOVED_KEPT: usize = 1_000;
/// What a row has that is no change.
const UPTIME: &[u8] = b"\"uptimeSeconds\":";

/// Where a fleet stands among those before it.
#[derive(Debug)]
pub(super) struct Line {
    /// Its number. Numbers of another start of the orchestrator are others.
    pub version: u64,
    /// Who is as old or older can't be told what changed.
    floor: u64,
    removed: VecDeque<(u64, AgentName)>,
    /// Of the list of agents: it changes with every byte of it.
    edition: u64,
}

#[derive(Debug)]
struct Row {
    name: AgentName,
    place: Range<usize>,
    version: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// What it tells is not older than this.
    pub begun: Instant,
    /// The newest event when it was begun.
    pub event: u64,
    /// Counts the snapshots of this server.
    pub number: u64,
    metrics: Form,
    agents: OnceLock<Form>,
    rows: Vec<Row>,
    line: Line,
}

/// An answer, and the same compressed once somebody wanted it.
#[derive(Debug)]
pub(crate) struct Form {
    pub plain: Bytes,
    /// For its `ETag`.
    pub tag: String,
    compressed: OnceLock<Bytes>,
}

impl Form {
    fn new(plain: Bytes, tag: String) -> Self {
        Self { plain, tag, compressed: OnceLock::new() }
    }

    /// The same, compressed.
    pub fn compressed(&self) -> Bytes {
        self.compressed.get_or_init(|| gzip(&self.plain).unwrap_or_else(|| self.plain.clone())).clone()
    }
}

/// What changed, as it is told.
#[derive(Serialize)]
struct Removed<'a>(Vec<&'a AgentName>);

impl Fleet {
    /// The fleet that `overview` tells of, after the one `before` it. `epoch`: no two starts have the same.
    pub fn new(
        overview: Overview,
        begun: Instant,
        event: u64,
        epoch: u64,
        before: Option<&Self>,
    ) -> serde_json::Result<Self> {
        let Overview { system, agents, metrics, dead_letter_queue } = overview;
        let mut out = Vec::with_capacity(before.map_or(4_096, |before| before.metrics.plain.len() + 1_024));
        out.extend_from_slice(b"{\"system\":");
        serde_json::to_writer(&mut out, &system)?;
        out.extend_from_slice(b",\"agents\":[");
        let mut rows = Vec::with_capacity(agents.len());
        for agent in agents {
            if !rows.is_empty() {
                out.push(b',');
            }
            let start = out.len();
            serde_json::to_writer(&mut out, &agent)?;
            rows.push(Row { name: agent.name, place: start..out.len(), version: 0 });
        }
        out.extend_from_slice(b"],\"metrics\":");
        serde_json::to_writer(&mut out, &metrics)?;
        out.extend_from_slice(b",\"deadLetterQueue\":");
        serde_json::to_writer(&mut out, &dead_letter_queue)?;
        out.push(b'}');
        let number = before.map_or(1, |before| before.number + 1);
        let tag = format!("\"{epoch:x}-{number:x}\"");
        let mut fleet = Self {
            begun,
            event,
            number,
            metrics: Form::new(out.into(), tag),
            agents: OnceLock::new(),
            rows,
            line: Line { version: epoch, floor: epoch, removed: VecDeque::new(), edition: number },
        };
        match before {
            Some(before) => fleet.follow(before),
            None => fleet.rows.iter_mut().for_each(|row| row.version = epoch),
        }
        Ok(fleet)
    }

    /// Gives the rows their versions.
    fn follow(&mut self, before: &Self) {
        let next = before.line.version + 1;
        let same_order = self.rows.iter().map(|row| &row.name).eq(before.rows.iter().map(|row| &row.name));
        let by_name: HashMap<&AgentName, &Row> =
            if same_order { HashMap::new() } else { before.rows.iter().map(|row| (&row.name, row)).collect() };
        let (mut changed, mut same_bytes) = (!same_order, same_order);
        for (index, row) in self.rows.iter_mut().enumerate() {
            let known = if same_order { before.rows.get(index) } else { by_name.get(&row.name).copied() };
            let new = &self.metrics.plain[row.place.clone()];
            let old = known.map(|known| &before.metrics.plain[known.place.clone()]);
            same_bytes &= old == Some(new);
            row.version = match (known, old) {
                (Some(known), Some(old)) if old == new || without_uptime(old) == without_uptime(new) => known.version,
                _ => {
                    changed = true;
                    next
                }
            };
        }
        self.line.version = if changed { next } else { before.line.version };
        self.line.edition = if same_bytes { before.line.edition } else { self.number };
        self.line.floor = before.line.floor;
        self.line.removed.clone_from(&before.line.removed);
        if !same_order {
            let here: HashSet<&AgentName> = self.rows.iter().map(|row| &row.name).collect();
            let gone = before.rows.iter().filter(|row| !here.contains(&row.name));
            self.line.removed.extend(gone.map(|row| (next, row.name.clone())));
            while self.line.removed.len() > REMOVED_KEPT {
                self.line.floor = self.line.removed.pop_front().map_or(next, |(version, _)| version);
            }
        }
    }

    /// `GET /metrics`.
    pub fn metrics(&self) -> &Form {
        &self.metrics
    }

    /// The first page of `GET /api/v1/agents`.
    pub fn agents(&self, epoch: u64) -> &Form {
        self.agents.get_or_init(|| {
            let page = &self.rows[..self.rows.len().min(PAGE)];
            let bytes =
                page.last().map_or(0, |last| last.place.end) - page.first().map_or(0, |first| first.place.start);
            let mut out = Vec::with_capacity(bytes + 64);
            out.extend_from_slice(b"{\"agents\":[");
            self.write_rows(page.iter(), &mut out);
            let next = page.last().filter(|_| self.rows.len() > PAGE).map(|last| &last.name);
            let _ = write!(out, "],\"next\":{}}}", serde_json::to_string(&next).unwrap_or_default());
            Form::new(out.into(), format!("\"{epoch:x}-{:x}\"", self.line.edition))
        })
    }

    /// What changed since a version, or all.
    pub fn changes(&self, since: Option<u64>) -> Vec<u8> {
        let Line { version, floor, removed, .. } = &self.line;
        let since = since.filter(|since| since >= floor && since <= version);
        let rows = self.rows.iter().filter(|row| since.is_none_or(|since| row.version > since));
        let here = |name: &AgentName| self.rows.iter().any(|row| row.name == *name);
        let gone = removed.iter().filter(|(at, name)| since.is_some_and(|since| *at > since) && !here(name));
        let gone = Removed(gone.map(|(_, name)| name).collect());
        let mut out = Vec::new();
        let _ = write!(out, "{{\"version\":{version},\"full\":{},\"agents\":[", since.is_none());
        self.write_rows(rows, &mut out);
        let _ = write!(out, "],\"removed\":{}}}", serde_json::to_string(&gone).unwrap_or_default());
        out
    }

    fn write_rows<'a>(&'a self, rows: impl Iterator<Item = &'a Row>, out: &mut Vec<u8>) {
        for (index, row) in rows.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.metrics.plain[row.place.clone()]);
        }
    }
}

/// What comes before the uptime's value, and what comes after it. In a text its quotes would be escaped.
fn without_uptime(row: &[u8]) -> (&[u8], &[u8]) {
    let Some(begin) = row.windows(UPTIME.len()).position(|window| window == UPTIME) else { return (row, &[]) };
    let (before, value) = row.split_at(begin + UPTIME.len());
    let end = value.iter().position(|byte| matches!(byte, b',' | b'}')).unwrap_or(value.len());
    (before, &value[end..])
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_uptime_is_no_change() {
        let row = |uptime: &str| format!("{{\"name\":\"a\",\"uptimeSeconds\":{uptime},\"restarts\":0}}").into_bytes();
        assert_eq!(without_uptime(&row("1.5")), without_uptime(&row("null")));
        let other = br#"{"name":"b","uptimeSeconds":1.5,"restarts":0}"#;
        assert_ne!(without_uptime(&row("1.5")), without_uptime(other));
        let odd = br#"{"description":"\"uptimeSeconds\":1,","restarts":0}"#;
        assert_eq!(without_uptime(odd), (odd.as_slice(), [].as_slice()));
        assert_eq!(without_uptime(br#"{"uptimeSeconds":2}"#).1, b"}");
    }

    /// Rows by hand: `(name, text, version)`.
    fn fleet(rows: &[(&str, &str)], before: Option<&Fleet>) -> Fleet {
        let mut out = Vec::new();
        let rows = rows.iter().map(|(name, text)| {
            let begin = out.len();
            let _ = write!(out, "{{\"name\":\"{name}\",\"status\":\"{text}\"}}");
            Row { name: AgentName::new(name).unwrap(), place: begin..out.len(), version: 100 }
        });
        let rows = rows.collect();
        let number = before.map_or(1, |before| before.number + 1);
        let mut fleet = Fleet {
            begun: Instant::now(),
            event: 0,
            number,
            metrics: Form::new(out.into(), String::new()),
            agents: OnceLock::new(),
            rows,
            line: Line { version: 100, floor: 100, removed: VecDeque::new(), edition: number },
        };
        if let Some(before) = before {
            fleet.follow(before);
        }
        fleet
    }

    fn told(fleet: &Fleet, since: Option<u64>) -> (u64, bool, Vec<String>, Vec<String>) {
        let told: Value = serde_json::from_slice(&fleet.changes(since)).unwrap();
        let names =
            |list: &Value| list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
        let agents = told["agents"].as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap().to_owned());
        let agents = agents.collect();
        (told["version"].as_u64().unwrap(), told["full"].as_bool().unwrap(), agents, names(&told["removed"]))
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn who_has_looked_before_is_told_what_changed_since() {
        let first = fleet(&[("a", "idle"), ("b", "idle"), ("c", "idle")], None);
        assert_eq!(told(&first, None), (100, true, list(&["a", "b", "c"]), list(&[])));
        let second = fleet(&[("a", "idle"), ("b", "running"), ("c", "idle")], Some(&first));
        assert_eq!(told(&second, Some(100)), (101, false, list(&["b"]), list(&[])));
        let third = fleet(&[("a", "idle"), ("b", "running"), ("c", "idle")], Some(&second));
        assert_eq!(told(&third, Some(101)), (101, false, list(&[]), list(&[])));
        let fourth = fleet(&[("d", "idle"), ("a", "idle"), ("b", "running")], Some(&third));
        assert_eq!(told(&fourth, Some(101)), (102, false, list(&["d"]), list(&["c"])));
        assert_eq!(told(&fourth, Some(100)), (102, false, list(&["d", "b"]), list(&["c"])));
        let back = fleet(&[("a", "idle"), ("b", "running"), ("c", "idle"), ("d", "idle")], Some(&fourth));
        assert_eq!(told(&back, Some(101)), (103, false, list(&["c", "d"]), list(&[])));
    }

    #[test]
    fn who_has_a_number_of_another_start_gets_all() {
        let first = fleet(&[("a", "idle")], None);
        for since in [Some(99), Some(101), Some(0), Some(u64::MAX)] {
            assert!(told(&first, since).1, "{since:?}");
        }
        let mut last = first;
        for number in 0..=REMOVED_KEPT {
            last = fleet(&[(&format!("n{number}"), "idle")], Some(&last));
        }
        assert!(told(&last, Some(100)).1, "too much is forgotten");
        assert!(!told(&last, Some(200)).1);
    }

    #[test]
    fn the_list_has_a_new_tag_when_a_byte_of_it_is_new() {
        let first = fleet(&[("a", "idle")], None);
        let same = fleet(&[("a", "idle")], Some(&first));
        let other = fleet(&[("a", "running")], Some(&same));
        assert_eq!(first.agents(7).tag, same.agents(7).tag);
        assert_ne!(same.agents(7).tag, other.agents(7).tag);
    }
}
