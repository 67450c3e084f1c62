//! How long a start waits after the machine was short of something: processes, files, memory.
//!
//! Every shortage in a row doubles the delay. What fails while the delay of a shortage lasts met the same shortage: many
//! executions of an agent (`overlap = "allow"`) that fail at once wait as long as one of them would alone.

use std::time::Duration;

use crate::time::Moment;

/// First delay after the machine was short of something; doubles up to [`LONGEST`].
const FIRST: Duration = Duration::from_millis(100);
/// Longest delay after a shortage: files and processes come free within seconds or not for long.
const LONGEST: Duration = Duration::from_secs(30);

/// The shortages in a row that a job, or an instance of a service, has met.
#[derive(Debug, Default)]
pub(super) struct Shortage {
    /// How long the last one makes a start wait, and until when; nothing before the first one.
    last: Option<(Duration, Moment)>,
}

impl Shortage {
    /// A start failed: the delay until it is tried again.
    pub fn met(&mut self, now: Moment) -> Duration {
        let delay = match self.last {
            Some((delay, until)) if now < until => return delay,
            Some((delay, _)) => (delay * 2).min(LONGEST),
            None => FIRST,
        };
        self.last = Some((delay, now + delay));
        delay
    }

    /// A start went well.
    pub fn is_over(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_in_a_row_wait_longer_and_longer_up_to_half_a_minute() {
        let (mut shortage, mut now) = (Shortage::default(), Moment::ZERO);
        let mut delays = Vec::new();
        for _ in 0..11 {
            let delay = shortage.met(now);
            delays.push(delay.as_millis());
            now = now + delay;
        }
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000]);
        shortage.is_over();
        assert_eq!(shortage.met(now), FIRST);
    }

    #[test]
    fn what_fails_at_the_same_time_has_met_the_same_shortage() {
        let mut shortage = Shortage::default();
        for _ in 0..1_000 {
            assert_eq!(shortage.met(Moment::ZERO), FIRST);
        }
        let later = Moment::ZERO + FIRST;
        assert_eq!(shortage.met(later), 2 * FIRST);
        assert_eq!(shortage.met(later + FIRST), 2 * FIRST, "it lasts");
    }
}
