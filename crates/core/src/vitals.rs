//! How the orchestrator itself is: its parts, what is wrong with each, and which of them matters for whom.
//!
//! All times are steady, so a clock that is set does not look like an illness.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::time::{Moment, as_ms, human};

/// How far back the worst lag is looked for.
pub const LAG_WINDOW: Duration = Duration::from_mins(1);
/// An event loop that is later than this makes everything late: answers, restarts, schedules. A busy one is late by
/// milliseconds.
pub const LATE_LOOP: Duration = Duration::from_secs(1);
/// A schedule whose next time is overdue by more than this does not work: ten thousand executions of one second are
/// queued within a tenth of it.
pub const LATE_SCHEDULE: Duration = Duration::from_secs(5);
/// Less free space than this is little on any disk: the logs of one agent, or a copy of the store, may need as much.
pub const DISK_SCARCE_BYTES: u64 = 100 << 20;
/// A twentieth left is little …
const DISK_LOW_SHARE: u64 = 20;
/// … unless the disk is so large that it lasts all the same.
const DISK_LOW_BYTES: u64 = 1 << 30;

/// How late the event loop was, now and within the last minute.
#[derive(Clone, Debug, Default)]
pub struct LagMeter(VecDeque<(Moment, Duration)>);

impl LagMeter {
    /// Takes one measurement. Those older than [`LAG_WINDOW`] are forgotten.
    pub fn take(&mut self, lag: Duration, now: Moment) {
        while self.0.front().is_some_and(|(at, _)| now.since(*at) >= LAG_WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, lag));
    }

    /// The last measurement.
    pub fn last(&self) -> Option<Duration> {
        self.0.back().map(|(_, lag)| *lag)
    }

    /// The worst one within the last minute.
    pub fn worst(&self, now: Moment) -> Option<Duration> {
        self.0.iter().filter(|(at, _)| now.since(*at) < LAG_WINDOW).map(|(_, lag)| *lag).max()
    }
}

/// What is left on the disk of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskSpace {
    /// What the orchestrator may still write.
    pub free_bytes: u64,
    /// The size of the disk.
    pub total_bytes: u64,
}

impl DiskSpace {
    /// Whether there is little. That is a warning: whether the disk takes what it is given is the store's to tell.
    pub const fn is_low(self) -> bool {
        let Self { free_bytes, total_bytes } = self;
        free_bytes < DISK_SCARCE_BYTES || (free_bytes < DISK_LOW_BYTES && free_bytes < total_bytes / DISK_LOW_SHARE)
    }
}

/// A part of the orchestrator that can be well or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Its life: booting, running, shutting down.
    Phase,
    /// Its system actors.
    Actors,
    /// Its event loop.
    EventLoop,
    /// What keeps the state.
    Store,
    /// The disk of the state.
    Disk,
    /// What starts executions in time.
    Schedule,
}

impl Part {
    /// Whether the orchestrator is not ready while this part fails.
    pub const fn is_needed_to_be_ready(self) -> bool {
        matches!(self, Self::Phase | Self::Actors)
    }

    /// Whether the orchestrator is not healthy while this part fails.
    pub const fn is_needed_to_be_healthy(self) -> bool {
        !matches!(self, Self::Phase)
    }
}

/// How a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// Well.
    Ok,
    /// Somebody should look at it.
    Warning,
    /// It does not do its work.
    Failing,
}

/// What is wrong with a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Trouble {
    /// The boot is not over.
    Booting,
    /// It goes down.
    ShuttingDown,
    /// System actors are not there.
    ActorsMissing {
        /// Which.
        actors: Vec<&'static str>,
    },
    /// The event loop is late.
    LoopLate {
        /// By how much.
        #[serde(serialize_with = "ms", rename = "lag_ms")]
        #[schema(value_type = f64)]
        lag: Duration,
    },
    /// The state is not kept.
    NotKept {
        /// What the disk said.
        reason: String,
    },
    /// There is little room on the disk of the state.
    DiskLow {
        /// What is left.
        free_bytes: u64,
        /// Of how much.
        total_bytes: u64,
    },
    /// The disk does not tell how much room there is.
    DiskUnknown {
        /// What the system said.
        reason: String,
    },
    /// A scheduled time is over and nothing has happened.
    ScheduleLate {
        /// For how long.
        #[serde(serialize_with = "ms", rename = "lag_ms")]
        #[schema(value_type = f64)]
        lag: Duration,
    },
}

fn ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_ms(*duration))
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Booting => f.write_str("the boot is not over"),
            Self::ShuttingDown => f.write_str("it is shutting down"),
            Self::ActorsMissing { actors } => write!(f, "actors are not there: {}", actors.join(", ")),
            Self::LoopLate { lag } => write!(f, "the event loop is late by {}", human(*lag)),
            Self::NotKept { reason } => write!(f, "the state is not kept: {reason}"),
            Self::DiskLow { free_bytes, total_bytes } => {
                write!(f, "{} of {} MiB are free on the disk of the state", free_bytes >> 20, total_bytes >> 20)
            }
            Self::DiskUnknown { reason } => write!(f, "the disk of the state does not tell its room: {reason}"),
            Self::ScheduleLate { lag } => write!(f, "a scheduled time is overdue by {}", human(*lag)),
        }
    }
}

/// What is known of one part. As JSON it is `part`, `state` and, unless it is well, `trouble` and `reason`, its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartReport {
    /// Which.
    pub part: Part,
    /// How it is.
    pub state: PartState,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PartReport {
    /// A part that is well.
    pub const fn ok(part: Part) -> Self {
        Self { part, state: PartState::Ok, trouble: None, reason: None }
    }

    /// A part with a trouble.
    pub fn of(part: Part, state: PartState, trouble: Trouble) -> Self {
        Self { part, state, reason: Some(trouble.to_string()), trouble: Some(trouble) }
    }

    /// Failing with this trouble, if there is one.
    pub fn unless(part: Part, trouble: Option<Trouble>) -> Self {
        trouble.map_or_else(|| Self::ok(part), |trouble| Self::of(part, PartState::Failing, trouble))
    }

    /// The disk's.
    pub fn of_disk(space: Option<&Result<DiskSpace, String>>) -> Self {
        match space {
            Some(Ok(space)) if space.is_low() => {
                let DiskSpace { free_bytes, total_bytes } = *space;
                Self::of(Part::Disk, PartState::Warning, Trouble::DiskLow { free_bytes, total_bytes })
            }
            None | Some(Ok(_)) => Self::ok(Part::Disk),
            Some(Err(reason)) => {
                Self::of(Part::Disk, PartState::Warning, Trouble::DiskUnknown { reason: reason.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const GIB: u64 = 1 << 30;
    const MIB: u64 = 1 << 20;

    #[rstest]
    #[case::plenty(500 * GIB, 1_000 * GIB, PartState::Ok)]
    #[case::a_small_share_of_a_large_disk(20 * GIB, 1_000 * GIB, PartState::Ok)]
    #[case::a_twentieth(500 * MIB, 100 * GIB, PartState::Warning)]
    #[case::a_small_disk(150 * MIB, GIB, PartState::Ok)]
    #[case::scarce(99 * MIB, 1_000 * GIB, PartState::Warning)]
    #[case::a_tiny_disk(50 * MIB, 50 * MIB, PartState::Warning)]
    #[case::none(0, 0, PartState::Warning)]
    fn room_on_the_disk(#[case] free_bytes: u64, #[case] total_bytes: u64, #[case] state: PartState) {
        let space = DiskSpace { free_bytes, total_bytes };
        assert_eq!(space.is_low(), state != PartState::Ok);
        assert_eq!(PartReport::of_disk(Some(&Ok(space))).state, state);
    }

    #[test]
    fn a_disk_that_does_not_answer_is_a_warning_and_one_not_asked_yet_is_none() {
        let report = PartReport::of_disk(Some(&Err("stale file handle".to_owned())));
        assert_eq!(report.state, PartState::Warning);
        assert!(report.reason.unwrap().ends_with("stale file handle"));
        assert_eq!(PartReport::of_disk(None).state, PartState::Ok);
    }

    #[test]
    fn the_worst_lag_is_that_of_the_last_minute() {
        let mut meter = LagMeter::default();
        assert_eq!((meter.last(), meter.worst(Moment::ZERO)), (None, None));
        let ms = Duration::from_millis;
        for (second, lag) in [(1, 900), (2, 3), (30, 40)] {
            meter.take(ms(lag), Moment::from_secs(second));
        }
        assert_eq!((meter.last(), meter.worst(Moment::from_secs(30))), (Some(ms(40)), Some(ms(900))));
        assert_eq!(meter.worst(Moment::from_secs(61)), Some(ms(40)));
        for second in 31..2_000 {
            meter.take(ms(1), Moment::from_secs(second));
        }
        assert!(meter.0.len() <= 61, "it forgets");
    }

    #[test]
    fn a_trouble_has_a_code_and_a_sentence() {
        let lag = Duration::from_millis(1_500);
        let report = PartReport::unless(Part::EventLoop, Some(Trouble::LoopLate { lag }));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["trouble"], serde_json::json!({ "code": "loop_late", "lag_ms": 1_500.0 }));
        assert_eq!((&json["part"], &json["state"]), (&"event_loop".into(), &"failing".into()));
        assert_eq!(json["reason"], "the event loop is late by 1.5s");
        assert_eq!(serde_json::to_value(PartReport::ok(Part::Disk)).unwrap().as_object().unwrap().len(), 2);
    }

    #[test]
    fn a_boot_that_is_not_over_is_no_illness_and_a_sick_store_does_not_turn_traffic_away() {
        assert!(Part::Phase.is_needed_to_be_ready() && !Part::Phase.is_needed_to_be_healthy());
        assert!(!Part::Store.is_needed_to_be_ready() && Part::Store.is_needed_to_be_healthy());
    }
}
