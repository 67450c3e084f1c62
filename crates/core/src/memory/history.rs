//! How much memory was used in the last two hours, in at most [`POINTS`] points.
//!
//! A point is the most of its step. The step begins with a second and doubles when the points are used up, so that the first
//! minutes are shown as finely as hours are coarsely. Steady time: a clock that is set leaves no gap.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// So many points are kept of each series: a kilobyte.
pub const POINTS: usize = 120;
/// How far back is shown.
pub const SPAN: Duration = Duration::from_hours(2);
/// With steps of this length all points last for [`SPAN`].
const LONGEST_STEP_SECS: u32 = 64;
const KIB: u64 = 1_024;

/// The most that was used within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    /// Second at which the step begins.
    second: u32,
    kib: u32,
}

/// Memory over time; nothing is allocated before the first point.
#[derive(Clone, Debug)]
pub struct History {
    step_secs: u32,
    points: VecDeque<Point>,
}

impl Default for History {
    fn default() -> Self {
        Self { step_secs: 1, points: VecDeque::new() }
    }
}

impl History {
    /// So much is used now.
    pub fn take(&mut self, bytes: u64, now: Moment) {
        let now_secs = secs(now);
        self.forget(now_secs);
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        let second = now_secs - now_secs % self.step_secs;
        match self.points.back_mut() {
            // A clock never runs backwards; should a caller's do, the order is kept.
            Some(last) if last.second >= second => last.kib = last.kib.max(kib),
            _ => self.points.push_back(Point { second, kib }),
        }
        while self.points.len() > POINTS {
            self.make_room();
        }
    }

    fn forget(&mut self, now_secs: u32) {
        let span = u32::try_from(SPAN.as_secs()).unwrap_or(u32::MAX);
        while self.points.front().is_some_and(|point| point.second + span < now_secs) {
            self.points.pop_front();
        }
    }

    /// Steps twice as long; at the longest step the oldest point goes.
    fn make_room(&mut self) {
        if self.step_secs >= LONGEST_STEP_SECS {
            self.points.pop_front();
            return;
        }
        self.step_secs *= 2;
        let mut merged: VecDeque<Point> = VecDeque::with_capacity(POINTS + 1);
        for point in &self.points {
            let second = point.second - point.second % self.step_secs;
            match merged.back_mut() {
                Some(last) if last.second == second => last.kib = last.kib.max(point.kib),
                _ => merged.push_back(Point { second, ..*point }),
            }
        }
        self.points = merged;
    }

    /// The length of a step.
    pub fn step(&self) -> Duration {
        Duration::from_secs(u64::from(self.step_secs))
    }

    /// When each step began, and the most bytes within it; oldest first.
    pub fn points(&self) -> impl Iterator<Item = (Moment, u64)> {
        self.points.iter().map(|point| (Moment::from_secs(u64::from(point.second)), u64::from(point.kib) * KIB))
    }
}

/// Seconds since the start; 136 years of them fit.
fn secs(now: Moment) -> u32 {
    u32::try_from(now.as_nanos() / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(samples: impl IntoIterator<Item = (u64, u64)>) -> History {
        let mut history = History::default();
        for (secs, kib) in samples {
            history.take(kib * KIB, Moment::from_secs(secs));
        }
        history
    }

    #[test]
    fn the_first_two_minutes_are_shown_by_the_second_and_hours_by_the_minute() {
        let history = of((0..120).map(|secs| (secs, secs)));
        assert_eq!((history.step(), history.points().count()), (Duration::from_secs(1), 120));
        let history = of((0..121).map(|secs| (secs, secs)));
        assert_eq!((history.step(), history.points().count()), (Duration::from_secs(2), 61));
        assert_eq!(history.points().nth(1), Some((Moment::from_secs(2), 3 * KIB)), "the most of both seconds");
        let history = of((0..7_200).map(|secs| (secs, 5)));
        assert_eq!(history.step(), Duration::from_secs(64));
        assert!(history.points().next().unwrap().0 <= Moment::from_secs(64), "two hours are there");
    }

    #[test]
    fn what_is_older_than_two_hours_is_forgotten_and_gaps_stay_gaps() {
        let history = of([(0, 1), (10_000, 2), (10_060, 3)]);
        let points: Vec<_> = history.points().collect();
        assert_eq!(points, [(Moment::from_secs(10_000), 2 * KIB), (Moment::from_secs(10_060), 3 * KIB)]);
    }

    proptest! {
        #[test]
        fn points_are_bounded_in_order_and_none_is_more_than_was_used(
            samples in prop::collection::vec((0_u64..200, 0_u64..1_000_000), 1..400)
        ) {
            let (mut history, mut now) = (History::default(), 0);
            for (step, kib) in &samples {
                now += step;
                history.take(kib * KIB, Moment::from_secs(now));
                prop_assert!(history.points.len() <= POINTS);
            }
            let points: Vec<_> = history.points().collect();
            prop_assert!(points.windows(2).all(|two| two[0].0 < two[1].0));
            prop_assert!(points.iter().all(|(at, _)| *at <= Moment::from_secs(now)));
            let most = samples.iter().map(|(_, kib)| kib * KIB).max().unwrap_or(0);
            prop_assert!(points.iter().all(|(_, bytes)| *bytes <= most));
            prop_assert!(points.last().unwrap().1 >= samples.last().unwrap().1 * KIB, "the newest is shown");
        }
    }
}
