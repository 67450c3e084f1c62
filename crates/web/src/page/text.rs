//! Text for the page: escaped, and in words and units that people read.

use std::fmt::{self, Write};
use std::time::Duration;

use werkpilot_core::status::Status;
use werkpilot_core::time::{Timestamp, human};

/// Text that is safe in an element and in a quoted attribute.
pub(super) struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Escape<'a, 'b>(&'a mut fmt::Formatter<'b>);
        impl Write for Escape<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                let mut rest = text;
                while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
                    self.0.write_str(&rest[..at])?;
                    self.0.write_str(match rest.as_bytes()[at] {
                        b'&' => "&amp;",
                        b'<' => "&lt;",
                        b'>' => "&gt;",
                        b'"' => "&quot;",
                        _ => "&#39;",
                    })?;
                    rest = &rest[at + 1..];
                }
                self.0.write_str(rest)
            }
        }
        write!(Escape(f), "{}", self.0)
    }
}

/// The colour of a status: a class of the style sheet. The word stands beside it, so colour is never alone.
pub(super) fn colour(status: Status) -> &'static str {
    match status {
        Status::Running | Status::Idle => "good",
        Status::Starting | Status::Queued | Status::Stopping => "busy",
        Status::BackingOff | Status::Unhealthy => "warn",
        Status::Error | Status::Timeout | Status::Missing | Status::DisabledByMemory | Status::DisabledByFailure => {
            "bad"
        }
        Status::Stopped | Status::Disabled => "off",
    }
}

/// A word of the API for people: `backing off`.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// Milliseconds, or nothing.
pub(super) fn millis(ms: Option<f64>) -> String {
    match ms {
        None => String::new(),
        Some(ms) if ms < 10.0 => format!("{ms:.1} ms"),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) => human(Duration::from_secs_f64(ms / 1_000.0)),
    }
}

/// Bytes, or nothing.
pub(super) fn bytes(bytes: Option<u64>) -> String {
    match bytes {
        None => String::new(),
        Some(bytes) if bytes < 1 << 20 => format!("{} KB", bytes >> 10),
        Some(bytes) if bytes < 10 << 20 => format!("{:.1} MB", bytes as f64 / f64::from(1 << 20)),
        Some(bytes) if bytes < 10 << 30 => format!("{} MB", bytes >> 20),
        Some(bytes) => format!("{} GB", bytes >> 30),
    }
}

/// A time that may be seen from here: `in 25s`, `3m ago`; the time itself on hovering.
pub(super) fn time(at: Timestamp, now: Timestamp) -> String {
    let away = match (at.since(now), now.since(at)) {
        (ahead, _) if !ahead.is_zero() => format!("in {}", human(seconds(ahead))),
        (_, past) if past < Duration::from_secs(1) => "now".to_owned(),
        (_, past) => format!("{} ago", human(seconds(past))),
    };
    format!("<time datetime=\"{at}\" title=\"{at}\">{away}</time>")
}

/// Whole seconds, at least one: finer is of no use on a page that is seconds old.
fn seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_a_browser_is_escaped() {
        assert_eq!(
            Escaped("<b a='1'>\"x\" & y</b>").to_string(),
            "&lt;b a=&#39;1&#39;&gt;&quot;x&quot; &amp; y&lt;/b&gt;"
        );
        assert_eq!(Escaped("größer").to_string(), "größer");
    }

    #[test]
    fn numbers_read_well() {
        let texts = [millis(None), millis(Some(1.234)), millis(Some(250.4)), millis(Some(61_000.0))];
        assert_eq!(texts, ["", "1.2 ms", "250 ms", "1m 1s"]);
        let sizes = [2 << 10, 3 << 19, 50 << 20, 12 << 30].map(|size| bytes(Some(size)));
        assert_eq!(sizes, ["2 KB", "1.5 MB", "50 MB", "12 GB"]);
    }

    #[test]
    fn times_are_seen_from_now() {
        let now = Timestamp::from_secs(1_000);
        let away = |secs| time(Timestamp::from_secs(secs), now).split('>').nth(1).unwrap().to_owned();
        assert_eq!([away(1_025), away(1_000), away(820)], ["in 25s</time", "now</time", "3m ago</time"]);
    }
}
