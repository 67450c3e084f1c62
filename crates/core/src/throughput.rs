//! How many executions ended in each of the last minutes, and how.
//!
//! A minute is one of the wall clock. At most [`MINUTES`] are kept. A clock that is set back adds to the newest minute until
//! it has caught up: nothing is counted twice, and no minute comes before an older one.

use std::collections::VecDeque;

use serde::Serialize;
use utoipa::ToSchema;

use crate::event::End;
use crate::time::Timestamp;

/// So many minutes are shown.
pub const MINUTES: usize = 60;
const MINUTE_MS: i64 = 60_000;
/// From the first to the last minute that is shown.
const SPAN: i64 = 59;

/// Ends of executions of one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MinuteEnds)]
pub struct Ends {
    /// When the minute began.
    pub at: Timestamp,
    /// That succeeded.
    pub succeeded: u32,
    /// That failed, timed out or are lost.
    pub failed: u32,
    /// Skipped, refused, cancelled, interrupted.
    pub other: u32,
}

impl Ends {
    const fn none(minute: i64) -> Self {
        Self { at: Timestamp::from_millis(minute * MINUTE_MS), succeeded: 0, failed: 0, other: 0 }
    }

    const fn minute(&self) -> i64 {
        self.at.as_millis().div_euclid(MINUTE_MS)
    }

    const fn count(&mut self, end: End, times: u32) {
        let counter = match end {
            End::Succeeded => &mut self.succeeded,
            End::Failed | End::TimedOut | End::Lost => &mut self.failed,
            End::Skipped | End::Refused | End::Cancelled | End::Interrupted => &mut self.other,
        };
        *counter = counter.saturating_add(times);
    }
}

/// The last minutes in which something ended, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Throughput(VecDeque<Ends>);

impl Throughput {
    /// So many executions ended so.
    pub fn count(&mut self, end: End, times: u32, at: Timestamp) {
        let minute = at.as_millis().div_euclid(MINUTE_MS);
        let newest = self.0.back().map(Ends::minute);
        if newest.is_none_or(|newest| newest < minute) {
            if self.0.len() == MINUTES {
                self.0.pop_front();
            }
            self.0.push_back(Ends::none(minute));
        }
        if let Some(ends) = self.0.back_mut() {
            ends.count(end, times);
        }
    }

    /// The last [`MINUTES`] minutes, the present one last; those in which nothing ended included.
    pub fn minutes(&self, now: Timestamp) -> Vec<Ends> {
        let present = now.as_millis().div_euclid(MINUTE_MS);
        // After the clock was set back, what is ahead of it is shown as of now.
        let newest = self.0.back().map_or(present, |ends| ends.minute().max(present));
        let first = newest - SPAN;
        let mut all: Vec<Ends> = (first..=newest).map(Ends::none).collect();
        for ends in &self.0 {
            if let Ok(place) = usize::try_from(ends.minute() - first)
                && let Some(slot) = all.get_mut(place)
            {
                *slot = *ends;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_end_counts_in_its_minute() {
        let mut throughput = Throughput::default();
        let begin = Timestamp::from_secs(6_000);
        for end in End::ALL {
            throughput.count(end, 1, begin);
        }
        throughput.count(End::Succeeded, 2, begin + std::time::Duration::from_secs(119));
        let all = throughput.minutes(begin + std::time::Duration::from_secs(121));
        assert_eq!(all.len(), MINUTES);
        let told = |ends: &Ends| (ends.succeeded, ends.failed, ends.other);
        let last: Vec<_> = all[MINUTES - 3..].iter().map(told).collect();
        assert_eq!(last, [(1, 3, 4), (2, 0, 0), (0, 0, 0)]);
        assert_eq!(all[MINUTES - 3].at, begin);
        assert!(all[..MINUTES - 3].iter().all(|ends| told(ends) == (0, 0, 0)));
        assert!(throughput.minutes(begin + std::time::Duration::from_hours(2)).iter().all(|e| told(e) == (0, 0, 0)));
    }

    proptest! {
        #[test]
        fn minutes_rise_one_by_one_and_nothing_of_the_last_hour_is_lost(
            steps in prop::collection::vec((-100_i64..4_000, 0_usize..8), 0..200)
        ) {
            let mut throughput = Throughput::default();
            let (mut now, mut counted) = (1_000_000_i64, 0_u32);
            for (step, end) in &steps {
                now += step;
                throughput.count(End::ALL[*end], 1, Timestamp::from_secs(now));
                counted += 1;
                prop_assert!(throughput.0.len() <= MINUTES);
            }
            let all = throughput.minutes(Timestamp::from_secs(now));
            prop_assert_eq!(all.len(), MINUTES);
            prop_assert!(all.windows(2).all(|two| two[0].minute() + 1 == two[1].minute()));
            let shown: u32 = all.iter().map(|ends| ends.succeeded + ends.failed + ends.other).sum();
            prop_assert!(shown <= counted);
            if steps.iter().all(|(step, _)| *step < 15) && steps.len() < 200 {
                prop_assert_eq!(shown, counted, "all of it was within the hour");
            }
        }
    }
}
