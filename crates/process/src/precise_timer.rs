//! A timer that wakes when it is due, not at the next millisecond: the executor's own timers round up to one, and the
//! schedule promises to be faster than that.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timerfd(2) on the steady clock. One sleeper at a time.
#[derive(Debug)]
pub struct PreciseTimer(AsyncFd<OwnedFd>);

impl PreciseTimer {
    /// A timer that is not set. Has to be made inside a tokio runtime.
    ///
    /// # Errors
    /// No more descriptors, or no runtime that watches them.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: the descriptor is owned, valid, and stays open for as long as the registration lives: AsyncFd owns it.
        let watched = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        watched.map(Self).map_err(|error| error.into_parts().1)
    }

    /// Returns when `duration` is over. A later call replaces an earlier one.
    ///
    /// # Errors
    /// What the operating system says; a timer that was once made does not fail in practice.
    pub async fn sleep(&self, duration: Duration) -> io::Result<()> {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would mean "never".
        let value = Timespec::try_from(duration.max(Duration::from_nanos(1))).map_err(io::Error::other)?;
        let setting = Itimerspec { it_interval: zero, it_value: value };
        rustix::time::timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &setting)?;
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| {
                let mut expirations = [0; 8];
                rustix::io::read(timer, &mut expirations).map_err(io::Error::from)
            });
            // Otherwise it was an expiry of an earlier call: wait on.
            if let Ok(read) = read {
                return read.map(|_| ());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn it_sleeps_as_long_as_it_is_told_and_can_be_set_again() {
        let timer = PreciseTimer::new().unwrap();
        for duration in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(5)] {
            let begin = Instant::now();
            timer.sleep(duration).await.unwrap();
            assert!(begin.elapsed() >= duration);
        }
    }
}
