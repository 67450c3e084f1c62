//! The score of an agent, 0 to 100: how far it can be relied on.
//!
//! | part | weight | of | what |
//! |---|---|---|---|
//! | success | 50 | job | succeeded executions over those that succeeded, failed or timed out, of seven days |
//! | | | service | time in which it was ready over time in which it was wanted, of seven days |
//! | latency | 20 | job | p95 of the seven days before today over that of today, at most 1 |
//! | stability | 20 | both | 1 / (1 + automatic restarts in the last hour), once it has run |
//! | punctuality | 10 | job | scheduled executions that began within 5 s of their time, of seven days |
//!
//! Parts without data drop out and the others are rescaled; without any there is no score. Days are days of UTC.
//! [`Record`] counts; it never reads a clock.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::event::End;
use crate::status::Status;
use crate::time::{Clocks, Moment, Timestamp};

/// Days that a score looks at, today among them.
pub const DAYS: i32 = 7;

/// How late a scheduled execution may begin. Who writes a crontab line thinks in minutes, and a queue that is not full
/// takes milliseconds.
pub const TOLERANCE: Duration = Duration::from_secs(5);

/// How long a restart is held against an agent.
const RESTARTS: Duration = Duration::from_hours(1);

/// Restarts that are remembered: with so many the part is 0.4 %.
const MOST_RESTARTS: usize = 255;

const DAY_MS: i64 = 86_400_000;

/// The parts of a score, each 0 to 1; `None` without data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Parts {
    /// A job's executions that succeeded, or a service's time in which it was ready.
    pub success: Option<f64>,
    /// Whether it is as fast as it was.
    pub latency: Option<f64>,
    /// Whether it runs without restarts.
    pub stability: Option<f64>,
    /// Whether it begins when it is due.
    pub punctuality: Option<f64>,
}

/// A score with its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    /// 0 to 100, to two decimals; `None` without data.
    pub value: Option<f64>,
    /// What it is made of.
    pub parts: Parts,
}

impl Score {
    /// The score of these parts.
    pub fn of(parts: Parts) -> Self {
        let weighted =
            [(parts.success, 50.0), (parts.latency, 20.0), (parts.stability, 20.0), (parts.punctuality, 10.0)];
        let known = weighted.into_iter().filter_map(|(part, weight)| Some((part?.clamp(0.0, 1.0), weight)));
        let (sum, weights) = known.fold((0.0, 0.0), |(sum, all), (part, weight)| (sum + part * weight, all + weight));
        let value = (weights > 0.0).then(|| (sum / weights * 10_000.0).round() / 100.0);
        Self { value, parts }
    }
}

/// The latency part: the p95 of the seven days before today over that of today, at most 1. Before today, because slow
/// executions of today would lift the measure that they are held to.
pub fn latency(before_ms: Option<f64>, today_ms: Option<f64>) -> Option<f64> {
    let (before, today) = (before_ms?, today_ms?);
    // What takes no time at all is as fast as anything.
    Some(if today > before { before / today } else { 1.0 })
}

/// What is asked of a service at the moment, and whether it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Nobody wants it to run: stopped, switched off, made to give its memory away, or being ended.
    #[default]
    Unwanted,
    /// It should be ready, and is not.
    Wanted,
    /// It is ready.
    Ready,
}

impl From<Status> for Presence {
    fn from(status: Status) -> Self {
        match status {
            Status::Running | Status::Idle => Self::Ready,
            Status::Stopping | Status::Stopped | Status::Disabled | Status::DisabledByMemory => Self::Unwanted,
            Status::Starting
            | Status::Queued
            | Status::BackingOff
            | Status::Unhealthy
            | Status::Error
            | Status::Timeout
            | Status::Missing
            | Status::DisabledByFailure => Self::Wanted,
        }
    }
}

/// How a scheduled execution began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// So long after it was due.
    Late(Duration),
    /// Not at all: the queue was full.
    Never,
}

/// What is counted on one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Executions that succeeded, or milliseconds of being ready.
    pub good: u64,
    /// Executions that succeeded, failed or timed out, or milliseconds of being wanted.
    pub all: u64,
    /// Scheduled executions that began in time.
    pub on_time: u32,
    /// Scheduled executions that began, or were refused.
    pub scheduled: u32,
}

/// What is known of an agent: seven days of counts, an hour of restarts. At most 300 bytes, but for restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Day (since the Unix epoch) and its counts, oldest first.
    days: VecDeque<(i32, Counts)>,
    restarts: VecDeque<Timestamp>,
    presence: Presence,
    /// Until when the presence is counted.
    counted: Moment,
    /// Of that: less than a millisecond, which is counted the next time.
    rest: Duration,
}

/// The day of this time, since the Unix epoch.
pub fn day(at: Timestamp) -> i32 {
    i32::try_from(at.as_millis().div_euclid(DAY_MS)).unwrap_or(i32::MAX)
}

impl Record {
    /// A record as it was: counts of its days, and its last restarts.
    pub fn restored(days: impl IntoIterator<Item = (i32, Counts)>, restarts: Vec<Timestamp>) -> Self {
        let mut days: Vec<_> = days.into_iter().collect();
        days.sort_by_key(|(day, _)| *day);
        Self { days: days.into(), restarts: restarts.into(), ..Self::default() }
    }

    /// Whether there is nothing to tell of.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty() && self.restarts.is_empty()
    }

    /// A job's execution has its end. Only what the program did counts, not what was withheld from it.
    pub fn on_end(&mut self, end: End, now: Timestamp) {
        let good = match end {
            End::Succeeded => 1,
            End::Failed | End::TimedOut => 0,
            End::Skipped | End::Refused | End::Cancelled | End::Interrupted | End::Lost => return,
        };
        let counts = self.today(now);
        counts.good += good;
        counts.all += 1;
    }

    /// A scheduled execution began, or did not; a spread of its times by up to `jitter` is as it should be.
    pub fn on_scheduled(&mut self, begin: Begin, jitter: Duration, now: Timestamp) {
        let counts = self.today(now);
        counts.scheduled += 1;
        counts.on_time += u32::from(matches!(begin, Begin::Late(late) if late <= TOLERANCE + jitter));
    }

    /// It was restarted, or its execution retried, without anybody asking.
    pub fn on_restart(&mut self, now: Timestamp) {
        if self.restarts.len() >= MOST_RESTARTS {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
    }

    /// A service is wanted, ready, or neither, from now on.
    pub fn on_presence(&mut self, presence: Presence, now: Clocks) {
        self.settle(now);
        self.presence = presence;
    }

    /// What is asked of the service.
    pub const fn presence(&self) -> Presence {
        self.presence
    }

    /// Counts the time until now. It is counted into the day in which it ends, so this is to be called now and then.
    pub fn settle(&mut self, now: Clocks) {
        let passed = now.steady.since(self.counted) + self.rest;
        self.counted = now.steady;
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        self.rest = passed.saturating_sub(Duration::from_millis(millis));
        let ready = self.presence == Presence::Ready;
        if self.presence == Presence::Unwanted || millis == 0 {
            return;
        }
        let counts = self.today(now.wall);
        counts.all += millis;
        counts.good += if ready { millis } else { 0 };
    }

    /// All parts but the latency, which is for others to know.
    pub fn parts(&mut self, latency: Option<f64>, now: Clocks) -> Parts {
        self.settle(now);
        self.forget(now.wall);
        let mut all = Counts::default();
        for (_, counts) in &self.days {
            all.good += counts.good;
            all.all += counts.all;
            all.on_time += counts.on_time;
            all.scheduled += counts.scheduled;
        }
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let success = share(all.good, all.all);
        let restarts = self.restarts.len() as f64;
        let has_run = success.is_some() || !self.restarts.is_empty();
        Parts {
            success,
            latency,
            stability: has_run.then(|| 1.0 / (1.0 + restarts)),
            punctuality: share(all.on_time.into(), all.scheduled.into()),
        }
    }

    /// When a part changes by itself: the oldest restart is forgiven.
    pub fn next_change(&self, now: Timestamp) -> Option<Duration> {
        let oldest = self.restarts.front()?;
        Some((*oldest + RESTARTS).since(now) + Duration::from_millis(1))
    }

    /// What was counted today, and restarts of the last hour: what is to be kept.
    pub fn of_today(&self, now: Timestamp) -> (Counts, impl Iterator<Item = Timestamp>) {
        let today = self.days.iter().find(|(of, _)| *of == day(now)).map(|(_, counts)| *counts);
        (today.unwrap_or_default(), self.restarts.iter().copied())
    }

    fn today(&mut self, now: Timestamp) -> &mut Counts {
        let today = day(now);
        let place = self.days.partition_point(|(day, _)| *day < today);
        if self.days.get(place).is_none_or(|(day, _)| *day != today) {
            self.days.insert(place, (today, Counts::default()));
        }
        &mut self.days[place].1
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = day(now) - DAYS;
        self.days.retain(|(day, _)| *day > oldest);
        self.restarts.retain(|at| now.since(*at) < RESTARTS);
    }
}

#[cfg(test)]
mod tests;
