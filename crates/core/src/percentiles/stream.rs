//! Figures of one agent, or of all: a series with the values that have just come.

use std::collections::VecDeque;
use std::time::Duration;

use super::series::{InMemory, Series, SlotRow};
use super::{Digest, SampleWindow, Summary};
use crate::time::{Clocks, Moment, Point, Timestamp};

/// Values that a [`Stream`] gathers before it sorts them into its digest.
const FRESH: usize = 256;

/// The parts of the last hour, and how long each is.
const RECENT_SLOTS: i64 = 6;
const RECENT_SLOT: Duration = Duration::from_mins(10);

/// How long an agent's successful executions took: the last so many exactly, and all of them by minutes, hours and days.
///
/// The newest samples of the window are the series' fresh values, so that both together take at most 6 KiB.
#[derive(Clone, Debug)]
pub struct Durations {
    window: SampleWindow,
    /// Samples at the end of the window that are not in the series yet.
    fresh: u16,
    /// By minutes, hours and days.
    pub series: Series,
}

impl Durations {
    /// Of nothing yet, over the last `samples` (1 to 1,000).
    pub fn new(samples: u16) -> Self {
        Self { window: SampleWindow::new(samples), fresh: 0, series: Series::default() }
    }

    /// As they were.
    pub const fn restored(window: SampleWindow, series: Series) -> Self {
        Self { window, fresh: 0, series }
    }

    /// An execution took so long. `true`: look at [`Series::next`].
    pub fn push(&mut self, duration: Duration, now: Clocks, out: &mut Vec<SlotRow>) -> bool {
        if self.series.is_over(now.wall) {
            self.close(out);
        } else if self.fresh == self.window.capacity() {
            let mut fresh = self.fresh();
            self.series.absorb(&mut fresh);
            self.fresh = 0;
        }
        self.window.push(duration);
        self.fresh += 1;
        self.series.touch(now.wall)
    }

    /// The exact window.
    pub const fn window(&self) -> &SampleWindow {
        &self.window
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, samples: u16) {
        let mut fresh = self.fresh();
        self.series.absorb(&mut fresh);
        self.fresh = 0;
        self.window.resize(samples);
    }

    /// Does what the series has to do by now.
    pub fn drive(&mut self, now: Clocks, out: &mut Vec<SlotRow>) {
        let mut fresh = self.fresh();
        if self.series.drive(&mut fresh, now, out).is_some() {
            self.fresh = 0;
        }
    }

    /// Writes the minute at hand, if that is not done.
    pub fn write(&mut self, now: Moment, out: &mut Vec<SlotRow>) {
        let mut fresh = self.fresh();
        self.series.write(&mut fresh, now, out);
    }

    /// Finishes the minute at hand.
    pub fn close(&mut self, out: &mut Vec<SlotRow>) {
        let mut fresh = self.fresh();
        self.series.close(&mut fresh, out);
        self.fresh = 0;
    }

    /// The day so far.
    pub fn today(&self, now: Timestamp) -> Digest {
        self.series.today(&mut self.fresh(), now)
    }

    /// What is in memory of the series.
    pub fn in_memory(&self) -> InMemory {
        self.series.in_memory(&mut self.fresh())
    }

    /// Bytes that it takes, with itself.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.window.heap_bytes() + self.series.heap_bytes()
    }

    #[expect(clippy::cast_possible_truncation, reason = "32-bit floats are exact to seven digits")]
    fn fresh(&self) -> Vec<f32> {
        self.window.newest_ms(self.fresh).map(|ms| ms as f32).collect()
    }
}

/// Latencies or waiting times: by minutes, hours and days, and of the last hour.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    fresh: Vec<f32>,
    recent: Recent,
    /// By minutes, hours and days.
    pub series: Series,
}

impl Stream {
    /// As it was: a series, and the finished minutes of the last hour.
    pub fn restored(series: Series, minutes: impl IntoIterator<Item = SlotRow>, now: Clocks) -> Self {
        let mut recent = Recent::default();
        for row in minutes {
            if let Some(digest) = row.finished() {
                recent.add(now.wall.since(row.at), &digest, now.steady);
            }
        }
        Self { fresh: Vec::new(), recent, series }
    }

    /// A value comes; one that is not finite is left out. `true`: look at [`Series::next`].
    #[expect(clippy::cast_possible_truncation, reason = "32-bit floats are exact to seven digits")]
    pub fn push(&mut self, value_ms: f64, now: Clocks, out: &mut Vec<SlotRow>) -> bool {
        let value = value_ms as f32;
        if !value.is_finite() {
            return false;
        }
        if self.series.is_over(now.wall) {
            self.close(now, out);
        } else if self.fresh.len() == FRESH {
            self.series.absorb(&mut self.fresh);
            self.fresh.clear();
        }
        self.fresh.push(value);
        self.series.touch(now.wall)
    }

    /// Does what the series has to do by now.
    pub fn drive(&mut self, now: Clocks, out: &mut Vec<SlotRow>) {
        if let Some((at, minute)) = self.series.drive(&mut self.fresh, now, out) {
            self.recent.add(now.wall.since(at), &minute, now.steady);
            self.fresh.shrink_to_fit();
        }
    }

    /// Writes the minute at hand, if that is not done.
    pub fn write(&mut self, now: Moment, out: &mut Vec<SlotRow>) {
        self.series.write(&mut self.fresh, now, out);
    }

    /// Finishes the minute at hand.
    pub fn close(&mut self, now: Clocks, out: &mut Vec<SlotRow>) {
        if let Some((at, minute)) = self.series.close(&mut self.fresh, out) {
            self.recent.add(now.wall.since(at), &minute, now.steady);
        }
    }

    /// Of the last hour: of the minute at hand and of 50 to 60 minutes before it.
    pub fn last_hour(&self, now: Clocks) -> Summary {
        let at_hand = self.series.at_hand(&mut self.fresh.clone());
        let at_hand = at_hand.filter(|(at, _)| now.wall.since(*at) < Duration::from_hours(1));
        let recent = self.recent.digests(now.steady).chain(at_hand.iter().map(|(_, digest)| digest));
        Digest::gathered(recent).summary()
    }

    /// What is in memory of the series.
    pub fn in_memory(&self) -> InMemory {
        self.series.in_memory(&mut self.fresh.clone())
    }

    /// Bytes that it takes, with itself.
    pub fn bytes(&self) -> usize {
        let recent: usize =
            self.recent.0.iter().map(|(_, digest)| size_of::<(i64, Digest)>() + digest.heap_bytes()).sum();
        size_of::<Self>() + self.fresh.capacity() * size_of::<f32>() + recent + self.series.heap_bytes()
    }
}

/// A digest cannot forget, so there is one for each ten minutes of the last hour. By the steady clock, so that setting the
/// wall clock moves nothing; numbers before the start of the orchestrator are negative.
#[derive(Clone, Debug, Default)]
struct Recent(VecDeque<(i64, Digest)>);

impl Recent {
    fn number(point: Point) -> i64 {
        point.as_nanos().div_euclid(i64::try_from(RECENT_SLOT.as_nanos()).unwrap_or(i64::MAX))
    }

    fn add(&mut self, age: Duration, digest: &Digest, now: Moment) {
        let (number, current) = (Self::number(Point::ago(now, age)), Self::number(Point::of(now)));
        while self.0.front().is_some_and(|(oldest, _)| current - oldest >= RECENT_SLOTS) {
            self.0.pop_front();
        }
        if current - number >= RECENT_SLOTS {
            return;
        }
        let place = self.0.partition_point(|(other, _)| *other < number);
        match self.0.get_mut(place).filter(|(same, _)| *same == number) {
            Some((_, slot)) => slot.merge(digest),
            None => self.0.insert(place, (number, digest.clone())),
        }
    }

    fn digests(&self, now: Moment) -> impl Iterator<Item = &Digest> {
        let current = Self::number(Point::of(now));
        self.0.iter().filter(move |(number, _)| current - number < RECENT_SLOTS).map(|(_, digest)| digest)
    }
}
