//! A fact as it is shared by all who look at it: remembered, kept by an earlier life, or on its way to a listener.

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::stream::Place;
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::EventFilter;
use werkpilot_store::row::event::EventRow;

use crate::state::facts::Told;

/// A fact, with its text once somebody has wanted it.
#[derive(Debug)]
pub struct Fact {
    source: Source,
    text: OnceLock<Arc<[u8]>>,
}

#[derive(Debug)]
enum Source {
    /// Of this life.
    Recorded(Recorded),
    /// Of an earlier one.
    Kept(EventRow),
}

/// As [`Told`], straight from the event.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    time: Timestamp,
    #[serde(rename = "type")]
    topic: &'a str,
    message: String,
    data: &'a Event,
}

impl From<Recorded> for Fact {
    fn from(recorded: Recorded) -> Self {
        Self { source: Source::Recorded(recorded), text: OnceLock::new() }
    }
}

impl From<EventRow> for Fact {
    fn from(row: EventRow) -> Self {
        Self { source: Source::Kept(row), text: OnceLock::new() }
    }
}

impl Fact {
    /// Its number.
    pub fn seq(&self) -> u64 {
        match &self.source {
            Source::Recorded(recorded) => recorded.seq,
            Source::Kept(row) => row.seq,
        }
    }

    /// When it was recorded.
    pub fn time(&self) -> Timestamp {
        match &self.source {
            Source::Recorded(recorded) => recorded.time,
            Source::Kept(row) => row.at,
        }
    }

    /// Where it is among all.
    pub fn place(&self) -> Place {
        Place { seq: self.seq(), at: Some(self.time()) }
    }

    /// The fact, if it is of this life.
    pub fn recorded(&self) -> Option<&Recorded> {
        match &self.source {
            Source::Recorded(recorded) => Some(recorded),
            Source::Kept(_) => None,
        }
    }

    /// The row, if it is of an earlier life.
    pub fn row(&self) -> Option<&EventRow> {
        match &self.source {
            Source::Recorded(_) => None,
            Source::Kept(row) => Some(row),
        }
    }

    /// Whether it is one of those that are wanted.
    pub fn fits(&self, filter: &EventFilter) -> bool {
        match &self.source {
            Source::Recorded(recorded) => filter.hears(recorded),
            Source::Kept(row) => filter.fits(row),
        }
    }

    /// `seq`, `time`, `type`, `message` and `data` as JSON on one line.
    pub fn json(&self) -> String {
        let json = match &self.source {
            Source::Recorded(Recorded { seq, time, event }) => serde_json::to_string(&Line {
                seq: *seq,
                time: *time,
                topic: event.topic(),
                message: event.to_string(),
                data: event,
            }),
            Source::Kept(row) => serde_json::to_string(&Told::from(row.clone())),
        };
        json.expect("names, texts and numbers")
    }

    /// What it is as text: made the first time it is asked for, by whoever asks, and the same for all.
    pub fn rendered(&self, render: impl FnOnce(&Self) -> Vec<u8>) -> Arc<[u8]> {
        self.text.get_or_init(|| render(self).into()).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::facts::row_of;

    #[test]
    fn it_says_the_same_before_and_after_a_restart() {
        let event = Event::TriggersPaused { paused: true, by: "a \"b\"\n".to_owned() };
        let recorded = Recorded { seq: 7, time: Timestamp::from_secs(1_700_000_000), event };
        let (old, new) = (Fact::from(row_of(&recorded)), Fact::from(recorded));
        assert_eq!(old.json().parse::<serde_json::Value>().unwrap(), new.json().parse::<serde_json::Value>().unwrap());
        assert_eq!((old.place(), old.seq()), (new.place(), 7));
        assert!(!new.json().contains('\n'));
    }

    #[test]
    fn its_text_is_made_once() {
        let event = Event::TriggersPaused { paused: true, by: String::new() };
        let fact = Fact::from(Recorded { seq: 1, time: Timestamp::default(), event });
        assert_eq!(&*fact.rendered(|fact| fact.seq().to_string().into_bytes()), b"1");
        assert_eq!(&*fact.rendered(|_| unreachable!("it is there")), b"1");
    }
}
