//! Whether somebody set the wall clock, told by the steady clock.
//!
//! | the wall clock | is | what happens |
//! |---|---|---|
//! | gained less than [`FORWARD_STEP`] | as good as steady | what is due runs, once |
//! | gained more | set forward | what was certainly jumped over is a misfire; the rest goes on from the new time |
//! | lost less than [`BACKWARD_STEP`] | as good as steady | nothing comes again |
//! | lost up to [`WRONG_CLOCK`] | set back | a fixed time that has come does not come again; intervals go on in real time |
//! | lost more | a wrong clock put right | everything is computed afresh |

use std::time::Duration;

use serde::Serialize;

use super::Clocks;
use crate::time::Timestamp;

/// A clock that gains less between two looks counts as steady. Steps of NTP (from 0.128 s) and chrony's fastest slew
/// (8 %, 5 s between two looks) are corrections within the grain of a crontab, a minute: better run what is due up to
/// a minute late than not at all; no more than that minute's entries can come at once.
pub const FORWARD_STEP: Duration = Duration::from_mins(1);

/// A clock that loses less counts as steady: the shortest schedule has a period of a second, so that none falls silent
/// for longer than its period.
pub const BACKWARD_STEP: Duration = Duration::from_secs(1);

/// A clock that is set back by more was wrong before: no time zone and no daylight saving rule shifts by more than a day.
pub const WRONG_CLOCK: Duration = Duration::from_hours(24);

/// How the wall clock moved against the steady one between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "by")]
pub enum ClockStep {
    /// With it, nearly enough.
    None,
    /// It was set forward by so much.
    Forward(Duration),
    /// It was set back by so much, at most [`WRONG_CLOCK`].
    Backward(Duration),
    /// It was set back by more than [`WRONG_CLOCK`].
    Correction(Duration),
}

impl ClockStep {
    /// Compares two looks at both clocks.
    pub fn between(earlier: Clocks, later: Clocks) -> Self {
        let expected = earlier.wall_at(later.steady);
        let (gained, lost) = (later.wall.since(expected), expected.since(later.wall));
        if gained >= FORWARD_STEP {
            Self::Forward(gained)
        } else if lost > WRONG_CLOCK {
            Self::Correction(lost)
        } else if lost >= BACKWARD_STEP {
            Self::Backward(lost)
        } else {
            Self::None
        }
    }

    /// The wall times that were certainly jumped over, first exclusive, last inclusive. The step may have been right
    /// after the earlier look or right before the later one: what the wall clock may have shown for real is not in it.
    pub(super) fn jumped(self, earlier: Clocks, later: Clocks) -> Option<(Timestamp, Timestamp)> {
        let Self::Forward(_) = self else { return None };
        let elapsed = later.steady.since(earlier.steady);
        let last = later.wall.as_millis().saturating_sub(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX));
        Some((earlier.wall + elapsed, Timestamp::from_millis(last)))
    }
}
