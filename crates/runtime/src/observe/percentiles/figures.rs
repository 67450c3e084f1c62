//! Figures over time, from disk and memory: what charts draw, and percentiles of any window.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::percentiles::{Digest, InMemory, Points, Slot, SlotFigures, Summary};
use werkpilot_core::time::Timestamp;
use werkpilot_store::{Reader, StoreError};

use super::kept::{NamedFigure, slot_row};
use crate::handle::{ControlError, Handle};
use crate::state::ReadError;

/// Points of one answer at most: a day of minutes, and some.
pub const MOST_POINTS: u64 = 1_500;

/// Which points are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FiguresQuery {
    /// `minute` (for 24 hours), `hour` (for 30 days) or `day` (for 90 days); without: minutes.
    #[param(pattern = "^(minute|hour|day)$")]
    pub resolution: Option<String>,
    /// From this time on; without: an hour of minutes, a day of hours, or 30 days.
    pub since: Option<Timestamp>,
    /// Before this time; without: now.
    pub until: Option<Timestamp>,
}

/// Why a query can't be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FiguresError {
    /// There is no such resolution.
    #[error("{0} is no resolution; there are minute, hour and day")]
    UnknownResolution(String),
    /// It ends before it begins.
    #[error("until ({until}) is before since ({since})")]
    Backwards {
        /// The beginning.
        since: Timestamp,
        /// The end.
        until: Timestamp,
    },
    /// Too much for one answer.
    #[error(
        "that would be {points} points, and there are at most {MOST_POINTS}: ask for a shorter time, or for {coarser}"
    )]
    TooMany {
        /// So many.
        points: u64,
        /// What to ask for instead.
        coarser: &'static str,
    },
}

/// A query that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The slots.
    pub slot: Slot,
    /// From this time on; where a slot begins.
    pub since: Timestamp,
    /// Before this time.
    pub until: Timestamp,
}

impl FiguresQuery {
    /// What it asks for, at this time.
    ///
    /// # Errors
    /// [`FiguresError`]
    pub fn span(&self, now: Timestamp) -> Result<Span, FiguresError> {
        let word = self.resolution.as_deref().filter(|word| !word.is_empty()).unwrap_or("minute");
        let slot = Slot::parse(word).ok_or_else(|| FiguresError::UnknownResolution(word.to_owned()))?;
        let usual = match slot {
            Slot::Minute => Duration::from_hours(1),
            Slot::Hour => Duration::from_hours(24),
            Slot::Day => Duration::from_hours(24 * 30),
        };
        // What is in the same millisecond as the question belongs to it.
        let until = self.until.unwrap_or_else(|| now + Duration::from_millis(1));
        let since = self.since.unwrap_or_else(|| before(until, usual));
        if since > until {
            return Err(FiguresError::Backwards { since, until });
        }
        let points = slot.number(until).abs_diff(slot.number(since));
        if points > MOST_POINTS {
            let coarser = if slot == Slot::Minute { "hours" } else { "days" };
            return Err(FiguresError::TooMany { points, coarser });
        }
        Ok(Span { slot, since: slot.start(since), until })
    }
}

fn before(at: Timestamp, span: Duration) -> Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(millis))
}

/// Percentiles in milliseconds, with the time of their slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = FigurePoint)]
pub struct Point {
    /// When the slot began.
    pub at: Timestamp,
    /// Percentiles, mean and count.
    #[serde(flatten)]
    pub summary: Summary,
}

/// A figure over time.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FiguresView {
    /// What of: `duration:agent-sales`, `request:agent-sales`, `waiting`.
    pub name: String,
    /// `minute`, `hour` or `day`.
    pub resolution: &'static str,
    /// Where the first slot begins.
    pub since: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// Slots with values, oldest first.
    pub points: Vec<Point>,
    /// All of them as one.
    pub whole: Summary,
}

/// The parts of a figure in some span of time: those of the disk, and what is in memory.
///
/// # Errors
/// [`StoreError`]: the disk does not answer.
pub fn points(reader: &Reader, name: &str, span: Span, memory: InMemory) -> Result<Points, StoreError> {
    let rows = reader.digests(name, span.slot.as_str(), span.since, span.until)?;
    Ok(Points::new(span.slot, rows.iter().filter_map(slot_row), memory))
}

/// The finest slots that are kept for as long ago as `since`, and begin of the first one.
pub fn finest(since: Timestamp, until: Timestamp, now: Timestamp) -> Span {
    let kept = Slot::ALL.into_iter().find(|slot| now.since(since) <= slot.kept_for());
    let slot = kept.unwrap_or(Slot::Day);
    Span { slot, since: slot.start(since), until }
}

impl Handle {
    /// A figure over time, of `waiting`, `duration:AGENT` or `request:AGENT`.
    ///
    /// # Errors
    /// [`ControlError`]: there is no such figure, or nobody answers.
    pub async fn figures(&self, name: &str, span: Span) -> Result<FiguresView, ControlError> {
        let points = self.figure_points(name, span).await?;
        let figures = points.figures(span.since, span.until);
        Ok(FiguresView {
            name: name.to_owned(),
            resolution: span.slot.as_str(),
            since: span.since,
            until: span.until,
            points: figures.into_iter().map(|SlotFigures { at, summary }| Point { at, summary }).collect(),
            whole: points.merged(span.since, span.until).summary(),
        })
    }

    /// A figure from `since` on and before `until` as one, from the finest slots that are kept for so long: of the last
    /// 24 hours minutes, of the last 30 days hours, else days.
    ///
    /// # Errors
    /// [`ControlError`]: there is no such figure, or nobody answers.
    pub async fn merged_figure(&self, name: &str, since: Timestamp, until: Timestamp) -> Result<Digest, ControlError> {
        let span = finest(since, until, self.clock().now().wall);
        Ok(self.figure_points(name, span).await?.merged(span.since, until))
    }

    async fn figure_points(&self, name: &str, span: Span) -> Result<Points, ControlError> {
        let Some(figure) = NamedFigure::parse(name) else { return Err(self.unknown_figure(name).await) };
        let wanted = figure.clone();
        let memory = self.consult(move |house| house.samples.borrow().in_memory(&wanted)).await?;
        let is_there = memory.is_some();
        let name = figure.to_string();
        // Minutes that have just ended are on their way.
        let _ = self.ledger().kept(Vec::new()).await;
        let memory = memory.unwrap_or_default();
        let of_memory = memory.clone();
        let asked = name.clone();
        let read = self.ledger().read(move |reader| {
            let is_kept = is_there || reader.has_digests(&asked)?;
            Ok((is_kept, points(reader, &asked, span, memory)?))
        });
        match read.await {
            Ok((true, points)) => Ok(points),
            Err(ReadError::NotKept) if is_there => Ok(Points::new(span.slot, [], of_memory)),
            Ok((false, _)) | Err(ReadError::NotKept) => Err(self.unknown_figure(&name).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Says which figure may have been meant.
    async fn unknown_figure(&self, name: &str) -> ControlError {
        let wanted = name.to_owned();
        let nearest = self.consult(move |house| {
            let directory = house.directory.borrow();
            let agents: Vec<String> =
                directory.names().flat_map(|agent| [format!("duration:{agent}"), format!("request:{agent}")]).collect();
            let names = agents.iter().map(String::as_str).chain(["waiting"]);
            werkpilot_core::suggest::closest(&wanted, names).map(str::to_owned)
        });
        ControlError::UnknownFigure { name: name.to_owned(), suggestion: nearest.await.ok().flatten() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_030);

    fn ago(secs: i64) -> Timestamp {
        Timestamp::from_secs(NOW.as_secs() - secs)
    }

    #[test]
    fn what_is_not_said_is_the_usual() {
        let query = |word: &str| FiguresQuery { resolution: Some(word.to_owned()), ..FiguresQuery::default() };
        let span = FiguresQuery::default().span(NOW).unwrap();
        assert_eq!((span.slot, span.since), (Slot::Minute, Timestamp::from_secs(1_799_996_400)));
        assert_eq!(query("hour").span(NOW).unwrap().since, Slot::Hour.start(ago(86_400)));
        assert_eq!(query("day").span(NOW).unwrap().slot, Slot::Day);
        assert_eq!(query("").span(NOW).unwrap().slot, Slot::Minute);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let query = |word: &str, since, until| FiguresQuery {
            resolution: Some(word.to_owned()),
            since: Some(since),
            until: Some(until),
        };
        assert_eq!(query("second", ago(9), NOW).span(NOW), Err(FiguresError::UnknownResolution("second".to_owned())));
        assert!(matches!(query("hour", NOW, ago(9)).span(NOW), Err(FiguresError::Backwards { .. })));
        assert!(query("minute", ago(86_400), NOW).span(NOW).is_ok());
        let many = query("minute", ago(100_000), NOW).span(NOW);
        assert_eq!(many, Err(FiguresError::TooMany { points: 1_667, coarser: "hours" }));
        let all = query("minute", Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        assert!(matches!(all.span(NOW), Err(FiguresError::TooMany { .. })));
    }

    #[test]
    fn a_window_is_made_of_the_finest_slots_that_are_kept() {
        let slot = |secs| finest(ago(secs), NOW, NOW).slot;
        assert_eq!([slot(60), slot(86_400)], [Slot::Minute; 2]);
        assert_eq!([slot(86_401), slot(30 * 86_400)], [Slot::Hour; 2]);
        assert_eq!([slot(31 * 86_400), slot(1_000 * 86_400)], [Slot::Day; 2]);
    }
}
