//! The last durations per agent: 64 to a row, in a ring of rows, so that a sample costs a part of one small row.
//!
//! Samples of one commit are collected and each row is written once.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::error::RowError;
use crate::row::whole;
use crate::sum;

pub(crate) const TABLE: &str = "samples";
/// Samples to a row.
const CHUNK: u64 = 64;
/// Rows per agent: one is being filled, the others hold 1,000 samples.
const CHUNKS: u64 = 17;
/// Samples that a reader is given, as many as `percentiles.samples` may ask for.
pub(crate) const MOST: usize = 1_000;
/// From here on a sample counts milliseconds, as in `werkpilot_core::percentiles`.
const COARSE: u32 = 1 << 31;

/// The row of an agent that is being filled.
#[derive(Debug)]
struct Open {
    /// Number of its first sample.
    first: u64,
    samples: Vec<u32>,
    dirty: bool,
}

/// What is collected for the next commit, and what is known from the last one.
#[derive(Debug, Default)]
pub(super) struct SampleCache {
    open: BTreeMap<i64, Open>,
}

impl SampleCache {
    pub(super) fn push(&mut self, conn: &Connection, agent: i64, duration: Duration) -> Result<(), RowError> {
        let open = match self.open.entry(agent) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(load(conn, agent)?),
        };
        if open.samples.len() as u64 == CHUNK {
            put(conn, agent, open)?;
            *open = Open { first: open.first + CHUNK, samples: Vec::with_capacity(64), dirty: false };
        }
        open.samples.push(encode(duration));
        open.dirty = true;
        Ok(())
    }

    pub(super) fn write(&mut self, conn: &Connection) -> Result<(), RowError> {
        self.open.iter_mut().filter(|(_, open)| open.dirty).try_for_each(|(agent, open)| put(conn, *agent, open))
    }

    pub(super) fn forget(&mut self, agent: i64) {
        self.open.remove(&agent);
    }
}

fn put(conn: &Connection, agent: i64, open: &mut Open) -> Result<(), RowError> {
    let sql = "INSERT OR REPLACE INTO samples VALUES (?1, ?2, ?3, ?4, ?5)";
    let chunk = whole(open.first / CHUNK % CHUNKS);
    let data: Vec<u8> = open.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    sum::write(conn, sql, TABLE, &[&agent, &chunk, &whole(open.first), &data])?;
    open.dirty = false;
    Ok(())
}

/// The newest row of an agent.
fn load(conn: &Connection, agent: i64) -> Result<Open, RowError> {
    let sql = "SELECT * FROM samples WHERE agent = ?1 ORDER BY first DESC LIMIT 1";
    let found = conn.prepare_cached(sql)?.query_row([agent], |row| Ok(chunk(row))).optional()?;
    let (_, first, samples) = found.transpose()?.unwrap_or_default();
    Ok(Open { first, samples, dirty: false })
}

/// Agent, number of the first sample, samples.
pub(crate) fn chunk(row: &Row<'_>) -> Result<(i64, u64, Vec<u32>), RowError> {
    sum::verify(TABLE, row)?;
    let first = u64::try_from(row.get::<_, i64>(2)?).map_err(|_| RowError::Value { table: TABLE, column: "first" })?;
    let data: Vec<u8> = row.get(3)?;
    let samples = data.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    Ok((row.get(0)?, first, samples.collect()))
}

/// The rows of one agent, in any order: how many samples there ever were, and the last ones, oldest first.
pub(crate) fn window(mut chunks: Vec<(u64, Vec<u32>)>) -> (u64, Vec<Duration>) {
    chunks.sort_unstable_by_key(|(first, _)| *first);
    let count = chunks.last().map_or(0, |(first, samples)| first + samples.len() as u64);
    let all: Vec<u32> = chunks.into_iter().flat_map(|(_, samples)| samples).collect();
    let durations = all[all.len().saturating_sub(MOST)..].iter().copied().map(decode).collect();
    (count, durations)
}

fn encode(duration: Duration) -> u32 {
    match u32::try_from(duration.as_micros()) {
        Ok(micros) if micros < COARSE => micros,
        _ => u32::try_from(duration.as_millis()).map_or(u32::MAX, |millis| millis.saturating_add(COARSE)),
    }
}

const fn decode(sample: u32) -> Duration {
    if sample < COARSE { Duration::from_micros(sample as u64) } else { Duration::from_millis((sample - COARSE) as u64) }
}
