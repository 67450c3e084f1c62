//! How figures go to disk and come back: digests by minutes, hours and days, automatic restarts by the minute, and the one
//! switch of the whole fleet.
//!
//! All of them are rows of one table, by name and slot:
//!
//! | name | slot | data |
//! |---|---|---|
//! | `duration:AGENT` | `minute`, `hour`, `day` | a digest of how long its successful executions took |
//! | `request:AGENT` | the same | a digest of that agent's answers |
//! | `waiting` | the same | a digest of waiting times |
//! | `restarts` | `restarts` | when in this minute automatic restarts were: milliseconds, 32 bits each |
//! | `paused` | `switch` | who paused the triggers |

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::percentiles::{Slot, SlotRow};
use werkpilot_core::time::Timestamp;
use werkpilot_store::row::figures::DigestRow;
use werkpilot_store::{Change, Reader, StoreError};

/// The name of the digest of waiting times.
const WAITING: &str = "waiting";
/// Before the name of the agent whose executions they are.
const DURATION: &str = "duration:";
/// Before the name of the agent that answers.
const REQUEST: &str = "request:";
/// Name and slot of automatic restarts.
const RESTARTS: &str = "restarts";
/// The slots of switches.
const SWITCH: &str = "switch";
/// The name of the switch that pauses all triggers.
const PAUSED: &str = "paused";
/// Restarts kept of one minute: what the global breaker remembers.
const RESTARTS_A_MINUTE: usize = 10_000;

const MINUTE_MS: i64 = 60_000;

/// What there are digests of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure<A> {
    /// Waiting times of all executions.
    Waiting,
    /// How long an agent's successful executions took.
    Duration(A),
    /// Latencies of an agent's answers on the bus.
    Request(A),
}

/// By index, as long as the orchestrator runs.
pub type LiveFigure = Figure<AgentIndex>;
/// By name, as rows have it.
pub type NamedFigure = Figure<AgentName>;

impl<A> Figure<A> {
    /// The agent, if it is one's.
    pub fn agent(&self) -> Option<&A> {
        match self {
            Self::Waiting => None,
            Self::Duration(agent) | Self::Request(agent) => Some(agent),
        }
    }

    /// The same of whom `of` names.
    pub fn try_map<B>(&self, of: impl FnOnce(&A) -> Option<B>) -> Option<Figure<B>> {
        match self {
            Self::Waiting => Some(Figure::Waiting),
            Self::Duration(agent) => of(agent).map(Figure::Duration),
            Self::Request(agent) => of(agent).map(Figure::Request),
        }
    }
}

impl NamedFigure {
    /// The figure of this name; `None`: there can't be one.
    pub fn parse(name: &str) -> Option<Self> {
        let agent = |name: &str| AgentName::new(name).ok();
        match (name.strip_prefix(DURATION), name.strip_prefix(REQUEST)) {
            (Some(name), _) => agent(name).map(Self::Duration),
            (_, Some(name)) => agent(name).map(Self::Request),
            _ => (name == WAITING).then_some(Self::Waiting),
        }
    }

    /// A row of it, as the store keeps it.
    pub fn keep(&self, row: SlotRow) -> Change {
        let SlotRow { slot, at, data } = row;
        let (name, slot) = (self.to_string(), slot.as_str().to_owned());
        Change::PutDigest(Box::new(DigestRow { name, slot, slot_at: at, data: data.into_vec() }))
    }
}

impl fmt::Display for NamedFigure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => f.write_str(WAITING),
            Self::Duration(agent) => write!(f, "{DURATION}{agent}"),
            Self::Request(agent) => write!(f, "{REQUEST}{agent}"),
        }
    }
}

/// A row of minutes, hours or days; `None`: it is another one, or can't be read.
pub fn slot_row(row: &DigestRow) -> Option<SlotRow> {
    let slot = Slot::parse(&row.slot)?;
    let read = SlotRow { slot, at: row.slot_at, data: row.data.clone().into_boxed_slice() };
    if read.digest().is_none() {
        log::warn!("failed to read a {} of {}, which is left out", row.slot, row.name);
        return None;
    }
    Some(read)
}

/// What a start reads of the digests: not the whole history of them.
#[derive(Debug, Default)]
pub struct KeptDigests {
    /// The newest row of each name and slot; of restarts all.
    pub newest: Vec<DigestRow>,
    /// Minutes of the last hour, of waiting times and answers.
    pub last_hour: Vec<DigestRow>,
}

impl KeptDigests {
    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError`]: they can't be read, or are not what was written.
    pub fn read(reader: &Reader, now: Timestamp) -> Result<Self, StoreError> {
        let mut newest = reader.newest_digests()?;
        newest.retain(|row| row.slot != RESTARTS);
        let (minute, end) = (Slot::Minute.as_str(), Timestamp::from_millis(i64::MAX));
        let hour = before(now, Duration::from_hours(1));
        let recent = newest.iter().filter(|row| row.slot == minute && row.slot_at.as_millis() >= hour.as_millis());
        let mut last_hour = Vec::new();
        for row in recent.filter(|row| !row.name.starts_with(DURATION)) {
            last_hour.extend(reader.digests(&row.name, minute, hour, end)?);
        }
        newest.extend(reader.digests(RESTARTS, RESTARTS, Timestamp::from_millis(i64::MIN), end)?);
        Ok(Self { newest, last_hour })
    }

    /// The rows by figure: the newest of each slot, and the minutes of the last hour.
    pub fn by_figure(&self) -> HashMap<String, (Vec<SlotRow>, Vec<SlotRow>)> {
        let mut figures: HashMap<String, (Vec<SlotRow>, Vec<SlotRow>)> = HashMap::new();
        for row in &self.newest {
            if let Some(read) = slot_row(row) {
                figures.entry(row.name.clone()).or_default().0.push(read);
            }
        }
        for row in &self.last_hour {
            if let Some(read) = slot_row(row) {
                figures.entry(row.name.clone()).or_default().1.push(read);
            }
        }
        figures
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(millis))
}

/// Forgets of a figure what is older than its slots are kept.
pub fn forget(name: &str, now: Timestamp) -> Vec<Change> {
    let of_slot = |slot: Slot| Change::DropDigests {
        name: name.to_owned(),
        slot: slot.as_str().to_owned(),
        before: before(now, slot.kept_for()),
    };
    if NamedFigure::parse(name).is_some() { Slot::ALL.into_iter().map(of_slot).collect() } else { Vec::new() }
}

/// Forgets the restarts that the global breaker does not look at any more.
pub fn forget_restarts(window: Duration, now: Timestamp) -> Change {
    let span = window.max(Duration::from_hours(1)) + Duration::from_mins(1);
    Change::DropDigests { name: RESTARTS.to_owned(), slot: RESTARTS.to_owned(), before: before(now, span) }
}

/// How long ago automatic restarts were. One that seems to come is one of now: the clock was set back.
pub fn restart_ages(rows: &[DigestRow], now: Timestamp) -> Vec<Duration> {
    let of_row = |row: &DigestRow| {
        let began = row.slot_at;
        offsets(&row.data).into_iter().map(move |ms| now.since(began + Duration::from_millis(ms.into())))
    };
    rows.iter().filter(|row| row.slot == RESTARTS).flat_map(of_row).collect()
}

fn offsets(data: &[u8]) -> Vec<u32> {
    data.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

/// Automatic restarts of the present minute.
#[derive(Debug, Default)]
pub struct RestartLog {
    minute: i64,
    offsets: Vec<u32>,
    dirty: bool,
}

impl RestartLog {
    /// Goes on in the minute that was written last.
    pub fn restored(rows: &[DigestRow]) -> Self {
        let newest = rows.iter().filter(|row| row.slot == RESTARTS).max_by_key(|row| row.slot_at.as_millis());
        newest.map_or_else(Self::default, |row| Self {
            minute: row.slot_at.as_millis().div_euclid(MINUTE_MS),
            offsets: offsets(&row.data),
            dirty: false,
        })
    }

    /// So many were taken; the row of the minute before, if this begins a new one and that is not written yet.
    pub fn take(&mut self, count: u64, at: Timestamp) -> Option<Change> {
        let minute = at.as_millis().div_euclid(MINUTE_MS);
        let finished = if minute == self.minute {
            None
        } else {
            let row = self.row();
            (self.minute, self.offsets) = (minute, Vec::new());
            row
        };
        let offset = u32::try_from(at.as_millis().rem_euclid(MINUTE_MS)).unwrap_or(0);
        let room = RESTARTS_A_MINUTE.saturating_sub(self.offsets.len());
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(room);
        self.offsets.extend(std::iter::repeat_n(offset, count));
        self.dirty = true;
        finished
    }

    /// Whether the row of this minute is to be written.
    pub const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// The row of this minute, if it is not written yet.
    pub fn row(&mut self) -> Option<Change> {
        let data = self.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let slot_at = Timestamp::from_millis(self.minute * MINUTE_MS);
        let (name, slot) = (RESTARTS.to_owned(), RESTARTS.to_owned());
        std::mem::take(&mut self.dirty).then(|| Change::PutDigest(Box::new(DigestRow { name, slot, slot_at, data })))
    }
}

/// Who paused the triggers, and since when, if they are paused.
pub fn paused(rows: &[DigestRow]) -> Option<(String, Timestamp)> {
    let row = rows.iter().find(|row| row.slot == SWITCH && row.name == PAUSED)?;
    Some((String::from_utf8_lossy(&row.data).into_owned(), row.slot_at))
}

/// What to write when the triggers are paused or resumed.
pub fn pause(paused: bool, by: &str, now: Timestamp) -> Vec<Change> {
    let (name, slot) = (PAUSED.to_owned(), SWITCH.to_owned());
    let before = Timestamp::from_millis(i64::MAX);
    let mut changes = vec![Change::DropDigests { name: name.clone(), slot: slot.clone(), before }];
    if paused {
        let data = by.as_bytes().to_vec();
        changes.push(Change::PutDigest(Box::new(DigestRow { name, slot, slot_at: now, data })));
    }
    changes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The rows as the store would hold them after these changes.
    fn stored(changes: impl IntoIterator<Item = Change>) -> Vec<DigestRow> {
        let mut rows = BTreeMap::new();
        for change in changes {
            match change {
                Change::PutDigest(row) => {
                    rows.insert((row.name.clone(), row.slot.clone(), row.slot_at.as_millis()), *row);
                }
                Change::DropDigests { name, slot, before } => {
                    let goes = |row: &DigestRow| row.name == name && row.slot == slot && row.slot_at < before;
                    rows.retain(|_, row| !goes(row));
                }
                other => panic!("{other:?}"),
            }
        }
        rows.into_values().collect()
    }

    #[test]
    fn restarts_come_back_with_their_times_whatever_the_minute() {
        let mut log = RestartLog::default();
        let times = [59_000, 59_990, 60_000, 61_500];
        let mut changes = Vec::new();
        for ms in times {
            changes.extend(log.take(1, Timestamp::from_millis(ms)));
        }
        changes.extend(log.row());
        assert_eq!(log.row(), None, "written once");
        // A restart of the orchestrator within the minute, and two more.
        let mut next = RestartLog::restored(&stored(changes.clone()));
        changes.extend(next.take(2, Timestamp::from_millis(62_000)));
        changes.extend(next.row());
        let now = Timestamp::from_millis(70_000);
        let mut ages: Vec<u128> = restart_ages(&stored(changes), now).iter().map(Duration::as_millis).collect();
        ages.sort_unstable();
        assert_eq!(ages, [8_000, 8_000, 8_500, 10_000, 10_010, 11_000]);
    }

    #[test]
    fn paused_is_remembered_until_it_is_resumed() {
        let now = Timestamp::from_secs(5);
        let mut changes = pause(true, "me", now);
        assert_eq!(paused(&stored(changes.clone())), Some(("me".to_owned(), now)));
        changes.extend(pause(false, "me", now));
        assert_eq!(paused(&stored(changes)), None);
    }

    #[test]
    fn names_of_figures_are_read_as_they_are_written() {
        let agent = AgentName::new("agent-sales").unwrap();
        for (figure, name) in [
            (NamedFigure::Waiting, "waiting"),
            (NamedFigure::Duration(agent.clone()), "duration:agent-sales"),
            (NamedFigure::Request(agent), "request:agent-sales"),
        ] {
            assert_eq!(figure.to_string(), name);
            assert_eq!(NamedFigure::parse(name), Some(figure));
        }
        for name in ["", "restarts", "paused", "duration:", "request:No Such", "waiting:a", "duration"] {
            assert_eq!(NamedFigure::parse(name), None, "{name}");
        }
    }

    #[test]
    fn only_digests_are_forgotten_by_age() {
        let now = Timestamp::from_secs(10_000_000);
        let dropped = |name: &str| -> Vec<(String, u64)> {
            let gone = forget(name, now).into_iter().map(|change| match change {
                Change::DropDigests { slot, before, .. } => (slot, now.since(before).as_secs() / 3_600),
                other => panic!("{other:?}"),
            });
            gone.collect()
        };
        let hours = [("minute", 24), ("hour", 24 * 30), ("day", 24 * 90)].map(|(slot, hours)| (slot.to_owned(), hours));
        assert_eq!(dropped("duration:a"), hours);
        assert_eq!(dropped("waiting"), hours);
        assert_eq!(dropped("paused"), []);
    }
}
