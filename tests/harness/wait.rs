//! Waiting for the world: the one place of the promise tests that sleeps.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything takes on a loaded machine with two cores: it decides only how long a failure takes.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// Looks until `condition` has an answer.
///
/// # Panics
/// If there is none within `patience`; `what` is told then.
#[track_caller]
pub fn wait_for<T>(what: &str, patience: Duration, condition: impl FnMut() -> Option<T>) -> T {
    look(patience, condition).unwrap_or_else(|| panic!("waited {patience:?} in vain for: {what}"))
}

/// Looks until `condition` is true, for at most [`PATIENCE`].
///
/// # Panics
/// If it is not true by then.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, PATIENCE, || condition().then_some(()));
}

/// Looks until `condition` has an answer or `patience` is over.
pub(crate) fn look<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        match condition() {
            None if begun.elapsed() < patience => thread::sleep(INTERVAL),
            answer => return answer,
        }
    }
}
