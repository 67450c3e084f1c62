//! A figure over the minutes, hours and days: what is being filled now, and which rows are to be kept of it.
//!
//! Invariant: every value is in one row of each slot, in the end. Only the minute, hour and day at hand are in memory; a
//! minute that is over is written once more and merged into its hour and its day.
//!
//! Slots follow the wall clock, and a row is named by the time at which its first value came. So a restart, or a wall clock
//! that is set, makes a second row of the same slot, which readers merge with the first ([`Points`]), and never one that
//! replaces what was there.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Digest, Summary};
use crate::time::{Clocks, Moment, Timestamp};

/// A row that changes all the time is written this often. One that changes seldom is written at once: the pauses within
/// a minute double, from 10 ms on. So what a crash takes is not older than what came before it in that minute.
pub const BETWEEN_WRITES: Duration = Duration::from_secs(5);

/// After the first write in a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// In the place of the version: a minute that was not over when it was written, and is not in its hour and its day.
const UNFINISHED: u8 = 0x80;

/// The slots of time that digests are kept of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Kept for a day.
    Minute,
    /// Kept for 30 days.
    Hour,
    /// A day of UTC, kept for 90 days.
    Day,
}

impl Slot {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The slot of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|slot| slot.as_str() == word)
    }

    /// How long it is.
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
        }
    }

    /// How long its rows are kept.
    pub const fn kept_for(self) -> Duration {
        match self {
            Self::Minute => Duration::from_hours(24),
            Self::Hour => Duration::from_hours(24 * 30),
            Self::Day => Duration::from_hours(24 * 90),
        }
    }

    /// When the slot of this time began.
    pub fn start(self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(self.number(at).saturating_mul(self.millis()))
    }

    /// The slot of this time, counted from the Unix epoch.
    pub fn number(self, at: Timestamp) -> i64 {
        at.as_millis().div_euclid(self.millis())
    }

    fn millis(self) -> i64 {
        i64::try_from(self.length().as_millis()).unwrap_or(i64::MAX)
    }
}

/// A row to keep: replaces the one of the same slot and time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotRow {
    /// Its slot.
    pub slot: Slot,
    /// When its first value came.
    pub at: Timestamp,
    /// The digest.
    pub data: Box<[u8]>,
}

impl SlotRow {
    /// Its digest; `None`: the bytes are none.
    pub fn digest(&self) -> Option<Digest> {
        let mut data = self.data.clone();
        *data.first_mut()? &= !UNFINISHED;
        Digest::decode(&data)
    }

    /// The same of a minute that is over: it is in its hour and its day.
    pub fn finished(&self) -> Option<Digest> {
        self.digest().filter(|_| !self.is_unfinished())
    }

    fn is_unfinished(&self) -> bool {
        self.data.first().is_some_and(|first| first & UNFINISHED != 0)
    }
}

/// A part of a slot: in the form in which it is kept, which takes less than a digest does.
#[derive(Clone, Debug)]
struct Part {
    at: Timestamp,
    data: Box<[u8]>,
}

impl Part {
    fn digest(&self) -> Digest {
        Digest::decode(&self.data).unwrap_or_default()
    }
}

/// The minute, hour and day at hand. Values that have just come are their owner's until it hands them in, as `fresh`.
#[derive(Clone, Debug, Default)]
pub struct Series {
    minute: Option<Part>,
    /// Begin and end of the minute at hand, in milliseconds.
    span: (i64, i64),
    hour: Option<Part>,
    day: Option<Part>,
    /// When the minute's row was written last.
    written: Option<Moment>,
    /// The pause after that.
    pause: Duration,
    /// Is written whenever its owner looks, without pauses.
    prompt: bool,
    /// The minute has values that are not written.
    dirty: bool,
    /// When its owner looks at it next; the owner's.
    pub wake: Option<Moment>,
}

impl Series {
    /// A series as it was, from the newest row of each slot. A minute that was being filled is taken up, and finished at
    /// the next look.
    pub fn restored(rows: impl IntoIterator<Item = SlotRow>) -> Self {
        let mut series = Self::default();
        for row in rows {
            let Some(digest) = row.digest() else { continue };
            let part = Part { at: row.at, data: digest.encode() };
            match row.slot {
                Slot::Minute if row.is_unfinished() => series.begin(part),
                Slot::Minute => {}
                Slot::Hour => series.hour = Some(part),
                Slot::Day => series.day = Some(part),
            }
        }
        series
    }

    /// The same without pauses between writes: for what there is one of.
    #[must_use]
    pub fn prompt(self) -> Self {
        Self { prompt: true, ..self }
    }

    /// Whether a value of now belongs to another minute than the one at hand, which is to be closed first.
    pub fn is_over(&self, now: Timestamp) -> bool {
        let (begin, end) = self.span;
        self.minute.is_some() && !(begin..end).contains(&now.as_millis())
    }

    /// A value comes. `true`: it is the first one that is not written, so its owner has to look at [`Series::next`].
    pub fn touch(&mut self, now: Timestamp) -> bool {
        if self.minute.is_none() {
            self.begin(Part { at: now, data: Box::default() });
        }
        !std::mem::replace(&mut self.dirty, true)
    }

    fn begin(&mut self, minute: Part) {
        let begin = Slot::Minute.start(minute.at);
        self.span = (begin.as_millis(), (begin + Slot::Minute.length()).as_millis());
        self.minute = Some(minute);
    }

    /// Takes values into the minute at hand.
    pub fn absorb(&mut self, fresh: &mut [f32]) {
        if let Some(minute) = self.minute.as_mut().filter(|_| !fresh.is_empty()) {
            let mut digest = minute.digest();
            digest.absorb(fresh);
            minute.data = digest.encode();
        }
    }

    /// When there is something to do: to write the minute, or to finish it.
    pub fn next(&self, now: Clocks) -> Option<Moment> {
        self.minute.as_ref()?;
        if self.is_over(now.wall) {
            return Some(now.steady);
        }
        let end = now.steady + Timestamp::from_millis(self.span.1).since(now.wall);
        if !self.dirty {
            return Some(end);
        }
        Some(self.writable().map_or(now.steady, |at| at.max(now.steady)).min(end))
    }

    /// From when on the minute may be written again.
    fn writable(&self) -> Option<Moment> {
        self.written.filter(|_| !self.prompt).map(|written| written + self.pause)
    }

    /// Does what is to be done by now; answers the minute that is over, if one is.
    pub fn drive(&mut self, fresh: &mut Vec<f32>, now: Clocks, out: &mut Vec<SlotRow>) -> Option<(Timestamp, Digest)> {
        if self.is_over(now.wall) {
            return self.close(fresh, out);
        }
        if self.dirty && self.writable().is_none_or(|at| at <= now.steady) {
            self.write(fresh, now.steady, out);
        }
        None
    }

    /// Writes the minute at hand as it is, if that is not done.
    pub fn write(&mut self, fresh: &mut [f32], now: Moment, out: &mut Vec<SlotRow>) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        self.pause = if self.written.is_none() { FIRST_PAUSE } else { (self.pause * 2).min(BETWEEN_WRITES) };
        self.written = Some(now);
        if let Some((at, digest)) = self.at_hand(fresh) {
            let mut data = digest.encode();
            data[0] |= UNFINISHED;
            out.push(SlotRow { slot: Slot::Minute, at, data });
        }
    }

    /// Finishes the minute: its row, and those of its hour and its day.
    pub fn close(&mut self, fresh: &mut Vec<f32>, out: &mut Vec<SlotRow>) -> Option<(Timestamp, Digest)> {
        let at_hand = self.at_hand(fresh);
        fresh.clear();
        (self.minute, self.written, self.dirty) = (None, None, false);
        let (at, minute) = at_hand?;
        out.push(SlotRow { slot: Slot::Minute, at, data: minute.encode() });
        for (slot, part) in [(Slot::Hour, &mut self.hour), (Slot::Day, &mut self.day)] {
            let before = part.take().filter(|part| slot.number(part.at) == slot.number(at));
            let (at, mut digest) = before.map_or_else(|| (at, Digest::new()), |part| (part.at, part.digest()));
            digest.merge(&minute);
            let data = digest.encode();
            out.push(SlotRow { slot, at, data: data.clone() });
            *part = Some(Part { at, data });
        }
        Some((at, minute))
    }

    /// The minute at hand with what has just come.
    pub fn at_hand(&self, fresh: &mut [f32]) -> Option<(Timestamp, Digest)> {
        let minute = self.minute.as_ref()?;
        let mut digest = minute.digest();
        digest.absorb(fresh);
        (!digest.is_empty()).then_some((minute.at, digest))
    }

    /// The day of `now` so far.
    pub fn today(&self, fresh: &mut [f32], now: Timestamp) -> Digest {
        let is_today = |at: Timestamp| Slot::Day.number(at) == Slot::Day.number(now);
        let day = self.day.as_ref().filter(|day| is_today(day.at)).map(Part::digest);
        let minute = self.at_hand(fresh).filter(|(at, _)| is_today(*at)).map(|(_, digest)| digest);
        Digest::gathered(day.iter().chain(&minute))
    }

    /// What of it is in memory, to be laid over what was read from disk.
    pub fn in_memory(&self, fresh: &mut [f32]) -> InMemory {
        let part = |part: &Option<Part>| part.as_ref().map(|part| (part.at, part.digest()));
        InMemory { minute: self.at_hand(fresh), hour: part(&self.hour), day: part(&self.day) }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        [&self.minute, &self.hour, &self.day].into_iter().flatten().map(|part| part.data.len()).sum()
    }
}

/// What of a series is in memory: with the times of its rows.
#[derive(Clone, Debug, Default)]
pub struct InMemory {
    minute: Option<(Timestamp, Digest)>,
    hour: Option<(Timestamp, Digest)>,
    day: Option<(Timestamp, Digest)>,
}

/// The figures of one slot of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlotFigures {
    /// When the slot began.
    pub at: Timestamp,
    /// Percentiles, mean and count.
    pub summary: Summary,
}

/// A series from disk and memory, slot by slot.
#[derive(Clone, Debug)]
pub struct Points {
    slot: Slot,
    parts: BTreeMap<i64, Digest>,
    minute: Option<(Timestamp, Digest)>,
}

impl Points {
    /// From rows of one slot, and what is in memory, which is the newer one of two with the same time. Rows that are no
    /// digests are left out.
    pub fn new(slot: Slot, rows: impl IntoIterator<Item = SlotRow>, memory: InMemory) -> Self {
        let read = rows.into_iter().filter_map(|row| Some((row.at.as_millis(), row.digest()?)));
        let mut parts: BTreeMap<i64, Digest> = read.collect();
        let InMemory { minute, hour, day } = memory;
        let (newer, minute) = match slot {
            Slot::Minute => (minute, None),
            Slot::Hour => (hour, minute),
            Slot::Day => (day, minute),
        };
        parts.extend(newer.map(|(at, digest)| (at.as_millis(), digest)));
        Self { slot, parts, minute }
    }

    /// All parts from `since` on and before `until`, with their times.
    fn between(&self, since: Timestamp, until: Timestamp) -> impl Iterator<Item = (Timestamp, &Digest)> {
        let parts = self.parts.iter().map(|(at, digest)| (Timestamp::from_millis(*at), digest));
        let minute = self.minute.iter().map(|(at, digest)| (*at, digest));
        parts.chain(minute).filter(move |(at, _)| *at >= since && *at < until)
    }

    /// The figures slot by slot, oldest first; of those from `since` on and before `until` that have values.
    pub fn figures(&self, since: Timestamp, until: Timestamp) -> Vec<SlotFigures> {
        let mut slots: BTreeMap<i64, Vec<&Digest>> = BTreeMap::new();
        for (at, digest) in self.between(since, until) {
            slots.entry(self.slot.start(at).as_millis()).or_default().push(digest);
        }
        let figures = slots.into_iter().map(|(at, parts)| SlotFigures {
            at: Timestamp::from_millis(at),
            summary: Digest::gathered(parts).summary(),
        });
        figures.collect()
    }

    /// All of it from `since` on and before `until` as one.
    pub fn merged(&self, since: Timestamp, until: Timestamp) -> Digest {
        Digest::gathered(self.between(since, until).map(|(_, digest)| digest))
    }
}
