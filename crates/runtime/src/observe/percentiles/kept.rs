//! How figures go to disk and come back: digests by the minute, automatic restarts by the minute, and the one switch of
//! the whole fleet.
//!
//! All of them are rows of one table, by name and slot:
//!
//! | name | slot | data |
//! |---|---|---|
//! | `waiting` | `minute` | a digest of waiting times |
//! | `request:AGENT` | `minute` | a digest of that agent's answers |
//! | `restarts` | `restarts` | when in this minute automatic restarts were: milliseconds, 32 bits each |
//! | `paused` | `switch` | who paused the triggers |

use std::collections::BTreeMap;
use std::time::Duration;

use werkpilot_core::ids::AgentName;
use werkpilot_core::percentiles::DigestRing;
use werkpilot_core::time::{Clocks, Timestamp};
use werkpilot_store::Change;
use werkpilot_store::row::figures::DigestRow;

/// The slots of digests.
const MINUTE: &str = "minute";
/// The name of the digest of waiting times.
const WAITING: &str = "waiting";
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

/// The digests of waiting times and of requests, by agent.
pub fn rings(rows: &[DigestRow], now: Clocks) -> (DigestRing, BTreeMap<AgentName, DigestRing>) {
    let (mut waiting, mut requests) = (DigestRing::minutes(), BTreeMap::new());
    for row in rows.iter().filter(|row| row.slot == MINUTE) {
        let agent = row.name.strip_prefix(REQUEST).and_then(|agent| AgentName::new(agent).ok());
        let ring = match agent {
            Some(agent) => requests.entry(agent).or_insert_with(DigestRing::minutes),
            None if row.name == WAITING => &mut waiting,
            None => continue,
        };
        if !ring.restore(now.wall.since(row.slot_at), &row.data, now.steady) {
            log::warn!("failed to read a minute of {}, which is left out", row.name);
        }
    }
    (waiting, requests)
}

/// A ring that knows as which row its newest slot is written: the same one all its time, whatever the wall clock does.
#[derive(Debug)]
pub struct KeptRing {
    /// The ring.
    pub ring: DigestRing,
    /// Number of its newest slot, and when that began on the wall clock.
    written: Option<(i64, Timestamp)>,
}

impl KeptRing {
    /// A ring of which nothing is written, but for what was restored.
    pub const fn new(ring: DigestRing) -> Self {
        Self { ring, written: None }
    }

    /// The row of its newest slot, of waiting times or of this agent's answers; none if all of it was restored.
    pub fn row(&mut self, agent: Option<&AgentName>, now: Clocks) -> Option<Change> {
        let (number, age, data) = self.ring.newest(now.steady)?;
        let slot_at = match self.written {
            Some((same, slot_at)) if same == number => slot_at,
            _ => {
                let millis = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.wall.as_millis().saturating_sub(millis))
            }
        };
        self.written = Some((number, slot_at));
        let name = agent.map_or_else(|| WAITING.to_owned(), |agent| format!("{REQUEST}{agent}"));
        Some(Change::PutDigest(Box::new(DigestRow { name, slot: MINUTE.to_owned(), slot_at, data })))
    }
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

    /// The row of this minute, if it is not written yet.
    pub fn row(&mut self) -> Option<Change> {
        let data = self.offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let slot_at = Timestamp::from_millis(self.minute * MINUTE_MS);
        let (name, slot) = (RESTARTS.to_owned(), RESTARTS.to_owned());
        std::mem::take(&mut self.dirty).then(|| Change::PutDigest(Box::new(DigestRow { name, slot, slot_at, data })))
    }
}

/// Forgets what no question can be about any more: an hour of digests, and the restarts of the global breaker's window.
pub fn forget(restart_window: Duration, now: Timestamp) -> [Change; 2] {
    let (hour, minute) = (Duration::from_hours(1), Duration::from_mins(1));
    let before = |span: Duration| {
        let millis = i64::try_from((span + minute).as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(now.as_millis().saturating_sub(millis))
    };
    [
        Change::DropDigests { slot: MINUTE.to_owned(), before: before(hour) },
        Change::DropDigests { slot: RESTARTS.to_owned(), before: before(hour.max(restart_window)) },
    ]
}

/// Who paused the triggers, and since when, if they are paused.
pub fn paused(rows: &[DigestRow]) -> Option<(String, Timestamp)> {
    let row = rows.iter().find(|row| row.slot == SWITCH && row.name == PAUSED)?;
    Some((String::from_utf8_lossy(&row.data).into_owned(), row.slot_at))
}

/// What to write when the triggers are paused or resumed.
pub fn pause(paused: bool, by: &str, now: Timestamp) -> Vec<Change> {
    let slot = SWITCH.to_owned();
    // It is the only switch.
    let mut changes = vec![Change::DropDigests { slot: slot.clone(), before: Timestamp::from_millis(i64::MAX) }];
    if paused {
        let (name, data) = (PAUSED.to_owned(), by.as_bytes().to_vec());
        changes.push(Change::PutDigest(Box::new(DigestRow { name, slot, slot_at: now, data })));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows as the store would hold them after these changes.
    fn stored(changes: impl IntoIterator<Item = Change>) -> Vec<DigestRow> {
        let mut rows = BTreeMap::new();
        for change in changes {
            match change {
                Change::PutDigest(row) => {
                    rows.insert((row.name.clone(), row.slot.clone(), row.slot_at.as_millis()), *row);
                }
                Change::DropDigests { slot, before } => {
                    rows.retain(|_, row| row.slot != slot || row.slot_at.as_millis() >= before.as_millis());
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
    fn a_digest_comes_back_with_the_same_figures_and_is_forgotten_after_an_hour() {
        let now = |secs| Clocks {
            steady: werkpilot_core::time::Moment::from_secs(secs),
            wall: Timestamp::from_secs(1_000_000 + i64::try_from(secs).unwrap()),
        };
        let mut ring = DigestRing::minutes();
        for value in 0..1_000 {
            ring.push(f64::from(value), now(90).steady);
        }
        let mut ring = KeptRing::new(ring);
        // The wall clock is set in between.
        let set = Clocks { wall: now(500).wall, ..now(96) };
        let rows = stored([ring.row(None, now(95)), ring.row(None, set)].into_iter().flatten());
        assert_eq!((rows.len(), rows[0].slot_at), (1, now(60).wall));
        let hour = Duration::from_hours(1);
        let before = ring.ring.merged(hour, now(95).steady);
        // The next orchestrator: its steady clock begins anew.
        let later =
            |wall: i64| Clocks { steady: werkpilot_core::time::Moment::from_secs(1), wall: Timestamp::from_secs(wall) };
        let start = later(1_000_100);
        let (restored, _) = rings(&rows, start);
        assert_eq!(restored.merged(hour, start.steady), before);
        let too_late = later(1_000_000 + 3_700);
        assert_eq!(rings(&rows, too_late).0.merged(hour, too_late.steady).count, 0);
    }
}
