//! Failpoints: where a test can end the process as a power cut would, between two steps of the writer.
//!
//! `WERKPILOT_FAILPOINT=name:count` kills the process the `count`-th time that it comes to `name`. The names are
//! `accept`, `start`, `finish`, `dead_letter`, `replay`, `report`, `key` and `audit`, each with `.before` (its transaction is written and not
//! committed) or `.after` (it is committed, and nobody has been told). In debug builds, and with the feature `failpoints`;
//! else nothing of this is compiled in but an empty function.

/// Comes by a failpoint.
#[cfg(any(debug_assertions, feature = "failpoints"))]
pub(crate) fn reach(step: &str, side: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| parse(&std::env::var("WERKPILOT_FAILPOINT").ok()?));
    let Some((name, left)) = armed else { return };
    if name.strip_prefix(step).and_then(|rest| rest.strip_prefix('.')) == Some(side)
        && left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        // SIGKILL: no handler, no destructor, no flush, as at a crash.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}

#[cfg(any(debug_assertions, feature = "failpoints"))]
fn parse(text: &str) -> Option<(String, std::sync::atomic::AtomicU32)> {
    let (name, count) = text.split_once(':').unwrap_or((text, "1"));
    Some((name.to_owned(), count.parse::<u32>().ok().filter(|count| *count > 0)?.into()))
}

/// Comes by a failpoint: not in this build.
#[cfg(not(any(debug_assertions, feature = "failpoints")))]
pub(crate) const fn reach(_: &str, _: &str) {}

#[cfg(all(test, debug_assertions))]
mod tests {
    #[test]
    fn a_failpoint_has_a_name_and_a_count() {
        let parsed = |text| super::parse(text).map(|(name, count)| (name, count.into_inner()));
        assert_eq!(parsed("accept.before:3"), Some(("accept.before".to_owned(), 3)));
        assert_eq!(parsed("start.after"), Some(("start.after".to_owned(), 1)));
        assert_eq!(parsed("start.after:0"), None);
    }
}
