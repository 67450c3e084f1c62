//! The two kinds of time: [`Moment`] on the steady clock, [`Timestamp`] on the wall clock. Neither can be read here.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point on the steady clock: nanoseconds since the orchestrator started. Never jumps, means nothing elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The start of the orchestrator.
    pub const ZERO: Self = Self(0);

    /// A moment so many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A moment so many milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// A moment so many seconds after the start.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;
    /// Saturates at the end of the clock, 584 years after the start.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;
    /// Saturates at the start.
    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A point on the steady clock that may lie before the start of the orchestrator: nanoseconds, negative before it. What
/// was restored happened there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point(i64);

impl Point {
    pub fn of(moment: Moment) -> Self {
        Self(i64::try_from(moment.as_nanos()).unwrap_or(i64::MAX))
    }

    /// So long before `now`.
    pub fn ago(now: Moment, age: Duration) -> Self {
        Self(Self::of(now).0.saturating_sub(nanos(age)))
    }

    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// So much later.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// How long ago it is; zero for what is still to come.
    pub fn age(self, now: Moment) -> Duration {
        Duration::from_nanos(u64::try_from(Self::of(now).0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// The same moment; what was before the start becomes the start.
    pub fn moment(self) -> Moment {
        Moment(u64::try_from(self.0).unwrap_or(0))
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A point on the wall clock: milliseconds since the Unix epoch. Shown and stored as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From seconds since the Unix epoch.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs * 1_000)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The same point as a chrono value. Points outside chrono's range (± 262,000 years) become the epoch.
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// The time from `earlier` to this; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        DateTime::parse_from_rfc3339(&text).map(|time| Self::from(time.to_utc())).map_err(serde::de::Error::custom)
    }
}

/// Both clocks, read at the same instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// The steady clock.
    pub steady: Moment,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Clocks {
    /// What the wall clock showed at `moment`, or will show, if nobody sets it.
    pub fn wall_at(self, moment: Moment) -> Timestamp {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let shift = millis(moment.since(self.steady)) - millis(self.steady.since(moment));
        Timestamp::from_millis(self.wall.as_millis().saturating_add(shift))
    }
}

/// Milliseconds with fractions, as JSON shows durations.
pub fn as_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// A duration as people read it: `350ms`, `1.5s`, `2m 5s`, `3h 10m`, `2d 4h`.
pub fn human(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0 => format!("{}ms", duration.as_millis()),
        1..=9 => {
            let tenths = duration.as_millis() / 100;
            if tenths.is_multiple_of(10) { format!("{secs}s") } else { format!("{}.{}s", tenths / 10, tenths % 10) }
        }
        10..=59 => format!("{secs}s"),
        60..=3_599 => two(secs, 60, "m", 1, "s"),
        3_600..=86_399 => two(secs, 3_600, "h", 60, "m"),
        _ => two(secs, 86_400, "d", 3_600, "h"),
    }
}

/// A duration as the registry writes it, to the millisecond: `250ms`, `1m30s`, `90d`.
pub fn exact(duration: Duration) -> String {
    use std::fmt::Write;

    const UNITS: [(&str, u128); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let mut left = duration.as_millis();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if left >= millis {
            let _ = write!(text, "{}{unit}", left / millis);
            left %= millis;
        }
    }
    text
}

fn two(secs: u64, big: u64, big_unit: &str, small: u64, small_unit: &str) -> String {
    match secs % big / small {
        0 => format!("{}{big_unit}", secs / big),
        rest => format!("{}{big_unit} {rest}{small_unit}", secs / big),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_saturate() {
        assert_eq!(Moment::ZERO - Duration::from_secs(1), Moment::ZERO);
        assert_eq!(Moment::from_secs(1).since(Moment::from_secs(2)), Duration::ZERO);
        assert_eq!((Moment::from_nanos(u64::MAX) + Duration::MAX).as_nanos(), u64::MAX);
    }

    #[test]
    fn timestamps_read_and_write_rfc_3339() {
        let time = Timestamp::from_millis(1_700_000_000_123);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.123Z");
        let json = serde_json::to_string(&time).unwrap();
        assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), time);
    }

    #[test]
    fn durations_are_written_as_the_registry_has_them() {
        let cases = [(0, "0s"), (250, "250ms"), (90_000, "1m30s"), (7_776_000_000, "90d"), (3_600_001, "1h1ms")];
        for (millis, text) in cases {
            assert_eq!(exact(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn durations_read_well() {
        let cases = [
            (350, "350ms"),
            (1_000, "1s"),
            (1_500, "1.5s"),
            (59_000, "59s"),
            (60_000, "1m"),
            (125_000, "2m 5s"),
            (11_400_000, "3h 10m"),
            (187_200_000, "2d 4h"),
        ];
        for (millis, text) in cases {
            assert_eq!(human(Duration::from_millis(millis)), text);
        }
    }
}
