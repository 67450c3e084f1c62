//! Facts in one form, whether they are remembered or were kept: rows with their sentence, pages of both.
//!
//! Invariant: a page has each fact once, though the last ones are both in memory and on disk.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::event::{Event, Recorded, TopicPattern};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_store::reader::{EventFilter, Page};
use werkpilot_store::row::event::EventRow;
use werkpilot_store::{Json, Reader, StoreError};

/// The member of a row's data that has the sentence ([`WithMessage`]): a row has no column for it, and the wording is that
/// of its time.
const MESSAGE: &str = "message";

/// A fact as it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    /// Its number.
    pub seq: u64,
    /// When it was recorded.
    pub time: Timestamp,
    /// Its topic.
    #[serde(rename = "type")]
    pub topic: String,
    /// One sentence.
    pub message: String,
    /// Its data.
    pub data: Value,
}

impl From<EventRow> for Told {
    fn from(row: EventRow) -> Self {
        let mut data = row.data.value();
        let message = data.as_object_mut().and_then(|data| data.remove(MESSAGE));
        let message = message.and_then(|text| text.as_str().map(ToOwned::to_owned)).unwrap_or_default();
        Self { seq: row.seq, time: row.at, topic: row.topic, message, data }
    }
}

/// A fact's data with its sentence in it.
#[derive(Serialize)]
struct WithMessage<'a> {
    #[serde(flatten)]
    event: &'a Event,
    message: String,
}

/// The row of a fact, its sentence included.
pub fn row_of(recorded: &Recorded) -> EventRow {
    let event = &recorded.event;
    EventRow::with_data(recorded, Json::of(&WithMessage { event, message: event.to_string() }))
}

/// Which facts are wanted. With `after` or `since` the oldest of them first; else the newest, in the order of time too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct FactQuery {
    /// Only those with a higher number.
    pub after: Option<u64>,
    /// Only those with a lower number.
    pub before: Option<u64>,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before.
    pub until: Option<Timestamp>,
    /// About one of these agents, separated by commas.
    #[serde(rename = "agent", with = "comma_separated")]
    #[param(value_type = Option<String>, pattern = "^[a-z0-9][a-z0-9_-]{0,62}(,[a-z0-9][a-z0-9_-]{0,62})*$")]
    pub agents: Vec<AgentName>,
    /// About this execution.
    pub run: Option<RunId>,
    /// Of one of these topics, or fitting one of these patterns (`agent.*`, `memory.>`), separated by commas.
    #[serde(rename = "type", with = "comma_separated")]
    #[param(value_type = Option<String>, pattern = "^(([a-z0-9_]+|[*])([.]([a-z0-9_]+|[*]))*([.]>)?|>)(,(([a-z0-9_]+|[*])([.]([a-z0-9_]+|[*]))*([.]>)?|>))*$")]
    pub topics: Vec<TopicPattern>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
}

/// Facts, unless the caller says otherwise; and the most of them.
const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

impl FactQuery {
    /// As the store takes it.
    pub fn filter(&self) -> EventFilter {
        EventFilter {
            after: self.after.unwrap_or(0),
            before: self.before,
            agents: self.agents.clone(),
            run: self.run,
            topics: self.topics.clone(),
            since: self.since,
            until: self.until,
            newest_first: self.after.is_none() && self.since.is_none(),
            limit: self.limit.unwrap_or(LIMIT).clamp(1, MAX_LIMIT),
        }
    }
}

/// A page of facts, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FactPage {
    /// The facts.
    pub events: Vec<Told>,
    /// The number of the newest fact of all.
    pub newest: u64,
    /// Where the next page begins: for `after`, or for `before` where neither `after` nor `since` was given.
    pub next: Option<u64>,
    /// From this number on, all facts are there; where `after` is less than the one before it, facts are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<u64>,
    /// The orchestrator's life, if one answered. Where it is another one than before, numbers that were told before, and are
    /// not less than its first one, were given anew after a crash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
}

/// A life of the orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Begun {
    /// The number of its first fact.
    pub event: u64,
    /// Its start: two lives may begin with the same number.
    pub at: Timestamp,
}

/// A list as one value of a query.
mod comma_separated {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: ToString, S: Serializer>(list: &[T], serializer: S) -> Result<S::Ok, S::Error> {
        let words: Vec<String> = list.iter().map(ToString::to_string).collect();
        (!words.is_empty()).then(|| words.join(",")).serialize(serializer)
    }

    pub fn deserialize<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
        let words = text.iter().flat_map(|text| text.split(',')).map(str::trim);
        words.map(|word| word.parse().map_err(serde::de::Error::custom)).collect()
    }
}

/// A page of what is on disk, for when no orchestrator runs.
///
/// # Errors
/// [`StoreError`]: it can't be read.
pub fn kept_facts(reader: &Reader, query: &FactQuery) -> Result<FactPage, StoreError> {
    let filter = query.filter();
    let page = reader.events(&filter)?;
    let newest = reader.newest_event()?;
    let oldest = reader.oldest_event()?;
    Ok(FactPage { oldest, ..finish(&filter, page.rows, page.next, newest) })
}

/// What is remembered of the facts that are wanted.
#[derive(Debug)]
pub(super) struct Remembered {
    /// Those that fit, oldest first.
    pub rows: Vec<EventRow>,
    /// The number from which on all facts are remembered.
    pub from: u64,
    /// The number of the newest fact.
    pub newest: u64,
}

/// What is still to be read from the disk, if what is remembered is not all: the facts before.
pub(super) fn missing(filter: &EventFilter, memory: &Remembered) -> Option<EventFilter> {
    let remembered_all =
        filter.after.saturating_add(1) >= memory.from || (filter.newest_first && memory.rows.len() >= filter.limit);
    if remembered_all {
        return None;
    }
    let before = filter.before.map_or(memory.from, |before| before.min(memory.from));
    let limit = if filter.newest_first { filter.limit - memory.rows.len() } else { filter.limit };
    Some(EventFilter { before: Some(before), limit, ..filter.clone() })
}

/// Puts together what was read, if anything had to be, and what is remembered.
pub(super) fn join(filter: &EventFilter, memory: Remembered, disk: Option<Page<EventRow, u64>>) -> FactPage {
    let Remembered { mut rows, from, newest } = memory;
    let (mut all, next) = disk.map_or((Vec::new(), None), |page| (page.rows, page.next));
    if filter.newest_first {
        let surplus = rows.len().saturating_sub(filter.limit);
        rows.drain(..surplus);
        // With a full page the disk was not asked: whether there is more, the next one tells.
        let unasked = rows.len() == filter.limit && from > 1;
        let next = next.or_else(|| rows.first().map(|row| row.seq).filter(|_| surplus > 0 || unasked));
        rows.reverse();
        rows.append(&mut all);
        return finish(filter, rows, next, newest);
    }
    if next.is_some() {
        // More of them are on disk before it is memory's turn.
        return finish(filter, all, next, newest);
    }
    let room = filter.limit - all.len().min(filter.limit);
    let more = rows.len() > room;
    rows.truncate(room);
    all.append(&mut rows);
    let next = all.last().map(|row| row.seq).filter(|_| more);
    finish(filter, all, next, newest)
}

/// `rows` as the filter orders them.
fn finish(filter: &EventFilter, mut rows: Vec<EventRow>, next: Option<u64>, newest: u64) -> FactPage {
    if filter.newest_first {
        rows.reverse();
    }
    FactPage { events: rows.into_iter().map(Told::from).collect(), newest, next, oldest: None, begun: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: u64) -> EventRow {
        let event = Event::TriggersPaused { paused: true, by: format!("number {seq}") };
        row_of(&Recorded { seq, time: Timestamp::from_secs(1_700_000_000), event })
    }

    #[test]
    fn data_in_data_stays_as_it_is() {
        let agent = AgentName::new("a").unwrap();
        let exit = werkpilot_core::exit::Exit::Code(3);
        let event = Event::AgentFailed { agent, instance: 0, run: RunId::from_parts(1, 2), attempt: 1, exit };
        let text = Event::ConfigRejected { faults: 1, first: "a } and \"{\"".to_owned() };
        for event in [event, text] {
            let data = serde_json::to_value(&event).unwrap();
            let message = event.to_string();
            let told = Told::from(row_of(&Recorded { seq: 1, time: Timestamp::default(), event }));
            assert_eq!((told.data, told.message), (data, message));
        }
    }

    #[test]
    fn a_row_has_its_sentence_and_gives_it_back() {
        let told = Told::from(row(7));
        assert_eq!(told.message, "All triggers paused by number 7");
        assert_eq!(told.data, serde_json::json!({ "paused": true, "by": "number 7" }));
        assert_eq!((told.seq, told.topic.as_str()), (7, "triggers.paused"));
    }

    /// As the store answers.
    fn disk(filter: &EventFilter, newest: u64) -> Page<EventRow, u64> {
        let mut fits: Vec<_> = (1..=newest).map(row).filter(|row| filter.fits(row)).collect();
        if filter.newest_first {
            fits.reverse();
        }
        let more = fits.len() > filter.limit;
        fits.truncate(filter.limit);
        let next = fits.last().map(|row| row.seq).filter(|_| more);
        Page { rows: fits, next }
    }

    fn page(query: &FactQuery, from: u64, newest: u64) -> FactPage {
        let filter = query.filter();
        let rows = (from..=newest).map(row).filter(|row| filter.fits(row)).collect();
        let memory = Remembered { rows, from, newest };
        let disk = missing(&filter, &memory).map(|filter| disk(&filter, newest));
        join(&filter, memory, disk)
    }

    /// Facts in all, those that are remembered, and facts to a page.
    fn cases() -> impl Iterator<Item = (u64, u64, usize)> {
        let cases = [1_u64, 2, 7, 12].into_iter().flat_map(|newest| (0..=newest).map(move |kept| (newest, kept)));
        cases.flat_map(|(newest, kept)| [1, 2, 3, 5, 20].map(|limit| (newest, kept, limit)))
    }

    #[test]
    fn pages_upwards_tell_each_fact_once() {
        for (newest, kept, limit) in cases() {
            let mut query = FactQuery { after: Some(0), limit: Some(limit), ..FactQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = page(&query, newest + 1 - kept, newest);
                seen.extend(page.events.iter().map(|told| told.seq));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            assert!(seen.iter().copied().eq(1..=newest), "{newest} {kept} {limit}: {seen:?}");
        }
    }

    #[test]
    fn pages_downwards_tell_each_fact_once() {
        for (newest, kept, limit) in cases() {
            let mut query = FactQuery { limit: Some(limit), ..FactQuery::default() };
            let mut seen = Vec::new();
            loop {
                let page = page(&query, newest + 1 - kept, newest);
                seen.extend(page.events.iter().rev().map(|told| told.seq));
                let Some(next) = page.next else { break };
                query.before = Some(next);
            }
            assert!(seen.iter().copied().eq((1..=newest).rev()), "{newest} {kept} {limit}: {seen:?}");
        }
    }
}
