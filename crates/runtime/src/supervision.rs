//! Our own supervision of actors. Actix restarts an actor that stops, but never one that panics; here the parent does.
//!
//! A supervised actor owns an [`ExitNotice`]. However the actor goes, the notice is dropped, also while a panic
//! unwinds, and tells the parent. The parent starts the actor again: at once the first time, then with growing delays,
//! and not more than [`INTENSITY`] times within [`PERIOD`] (OTP's restart intensity).

use std::cell::RefCell;
use std::time::Duration;

use actix::prelude::*;
use werkpilot_core::breaker::RestartWindow;
use werkpilot_core::time::Moment;

/// Deaths of one actor that are forgiven within [`PERIOD`]. A deterministic fault comes back at once, so five are
/// enough to tell it from bad luck.
pub const INTENSITY: u32 = 5;
/// The window of [`INTENSITY`].
pub const PERIOD: Duration = Duration::from_mins(1);

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers what a panic on this thread says, so that the actor's death can be told with it. Logs it, too; where
/// nothing is logged, the hook that was there before has its say.
pub fn install_panic_hook() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info
            .payload()
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        if log::log_enabled!(log::Level::Error) {
            log::error!("panic: {message}{place}");
        } else {
            before(info);
        }
        LAST_PANIC.with(|last| *last.borrow_mut() = format!("{message}{place}"));
    }));
}

/// What the last panic on this thread said.
pub(crate) fn last_panic() -> String {
    LAST_PANIC.with(|last| last.borrow().clone())
}

/// A supervised actor has gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ActorGone {
    /// Which child of the parent.
    pub child: usize,
    /// What the panic said; `None` if it stopped without one.
    pub panicked: Option<String>,
}

/// Tells the parent when the actor that owns it goes.
#[derive(Debug)]
pub struct ExitNotice {
    parent: Recipient<ActorGone>,
    child: usize,
}

impl ExitNotice {
    /// A notice for the child of that number.
    pub fn new(parent: Recipient<ActorGone>, child: usize) -> Self {
        Self { parent, child }
    }
}

impl Drop for ExitNotice {
    fn drop(&mut self) {
        let panicked = std::thread::panicking().then(last_panic);
        self.parent.do_send(ActorGone { child: self.child, panicked });
    }
}

/// Whether, and after which delay, an actor that died is started again.
#[derive(Debug)]
pub struct Intensity {
    deaths: RestartWindow,
}

impl Default for Intensity {
    fn default() -> Self {
        Self { deaths: RestartWindow::new(INTENSITY, PERIOD) }
    }
}

impl Intensity {
    /// The delay before the restart: nothing for the first death within the period, then 100 ms doubling. `None`: the
    /// actor is given up.
    pub fn on_death(&mut self, now: Moment) -> Option<Duration> {
        let before = self.deaths.count(now);
        self.deaths.try_take(now).ok()?;
        Some(match before {
            0 => Duration::ZERO,
            n => Duration::from_millis(100 << (n - 1).min(6)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_is_forgiven_at_once_and_the_sixth_within_a_minute_is_not() {
        let mut intensity = Intensity::default();
        let delays: Vec<_> = (0..6).map(|n| intensity.on_death(Moment::from_secs(n))).collect();
        let millis = |ms| Some(Duration::from_millis(ms));
        assert_eq!(delays, [millis(0), millis(100), millis(200), millis(400), millis(800), None]);
        assert_eq!(intensity.on_death(Moment::from_secs(120)), millis(0));
    }
}
