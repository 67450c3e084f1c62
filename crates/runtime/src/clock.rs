//! The one place that reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use werkpilot_core::time::{Clocks, Moment, Timestamp};

/// Reads the steady and the wall clock together. Steady time counts from the making of the clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    /// The kernel's steady clock at that time.
    kernel_start: Duration,
}

/// The coarse clock goes forward at least so often: a hundred times a second at the least, by the kernel's `CONFIG_HZ`.
const TICK: Duration = Duration::from_millis(10);

impl Clock {
    /// A clock that starts now. It follows `tokio::time::pause`, so that tests need not wait.
    pub fn start() -> Self {
        Self { start: tokio::time::Instant::now(), kernel_start: kernel(ClockId::Monotonic) }
    }

    /// Both clocks.
    pub fn now(&self) -> Clocks {
        Clocks { steady: self.steady(), wall: Self::wall() }
    }

    /// Both clocks at the last full millisecond of the wall clock: what is so far ahead on one is so far ahead on the
    /// other, to the microsecond.
    pub fn now_to_the_millisecond(&self) -> Clocks {
        let steady = self.steady();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let past_it = Duration::from_nanos(u64::from(since_epoch.subsec_nanos() % 1_000_000));
        Clocks { steady: steady - past_it, wall: Self::wall_of(since_epoch) }
    }

    /// The steady clock.
    pub fn steady(&self) -> Moment {
        Moment::from_nanos(u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The steady clock as the kernel's last tick left it: never before the true time, and at most two hundredths of a
    /// second after it. A fifth of the cost. Does not follow `tokio::time::pause`.
    pub fn coarse(&self) -> Moment {
        let since = (kernel(ClockId::MonotonicCoarse) + TICK).saturating_sub(self.kernel_start);
        Moment::from_nanos(since.as_secs() * 1_000_000_000 + u64::from(since.subsec_nanos()))
    }

    /// The wall clock.
    pub fn wall() -> Timestamp {
        Self::wall_of(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    fn wall_of(since_epoch: Duration) -> Timestamp {
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Since a point on the wall clock, finer than a [`Timestamp`] has it; zero if it is still to come.
    pub fn wall_since(past: Timestamp) -> Duration {
        let past = UNIX_EPOCH + Duration::from_millis(u64::try_from(past.as_millis()).unwrap_or(0));
        SystemTime::now().duration_since(past).unwrap_or_default()
    }

    /// The instant of a moment, for timers.
    pub fn instant(&self, moment: Moment) -> tokio::time::Instant {
        self.start + moment.since(Moment::ZERO)
    }

    /// The same as a standard instant.
    pub fn std_instant(&self, moment: Moment) -> Instant {
        self.instant(moment).into_std()
    }
}

fn kernel(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    let nanos = u32::try_from(now.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), nanos)
}
