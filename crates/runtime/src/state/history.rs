//! Executions as they are told: from their rows, and from what is known of those that have no end yet.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::dispatcher::Live;
use werkpilot_core::event::{End, Event, Recorded};
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::{Timestamp, as_ms};
use werkpilot_core::trigger::Trigger;
use werkpilot_store::reader::{HistoryCursor, HistoryFilter};
use werkpilot_store::row::execution::ExecutionRow;
use werkpilot_store::{Json, Reader, StoreError};

/// Executions, unless the caller says otherwise; and the most of them.
const LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

/// The words of all kinds of triggers.
const KINDS: [&str; 7] = ["schedule", "every", "subject", "after", "startup", "manual", "replay"];

/// Which executions are wanted, newest first. The default is all that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// Of this agent.
    pub agent: Option<AgentName>,
    /// With one of these ends, with commas between: `failed,timed_out`.
    #[param(
        pattern = "^(succeeded|failed|timed_out|skipped|refused|cancelled|interrupted|lost)(,(succeeded|failed|timed_out|skipped|refused|cancelled|interrupted|lost))*$"
    )]
    pub state: Option<String>,
    /// Ended then or later.
    pub since: Option<Timestamp>,
    /// Ended before.
    pub until: Option<Timestamp>,
    /// Asked for by this kind of trigger.
    #[param(pattern = "^(schedule|every|subject|after|startup|manual|replay)$")]
    pub trigger: Option<String>,
    /// With this text in id, reason or exit.
    pub text: Option<String>,
    /// At most so many.
    #[param(minimum = 1, maximum = 1_000)]
    pub limit: Option<usize>,
    /// Where the page before ended.
    #[param(pattern = "^[0-9]{1,15}-[0-9]{1,18}$")]
    pub cursor: Option<String>,
}

/// Why a query can't be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// There is no such end.
    #[error(
        "{0} is no end of an execution; there are succeeded, failed, timed_out, skipped, refused, cancelled, interrupted and lost"
    )]
    UnknownEnd(String),
    /// There is no such trigger.
    #[error("{0} is no kind of trigger; there are schedule, every, subject, after, startup, manual and replay")]
    UnknownTrigger(String),
    /// It is not what a page before answered.
    #[error("{0} is no cursor: take the `next` of the page before")]
    BadCursor(String),
}

impl HistoryQuery {
    /// As the store takes it.
    ///
    /// # Errors
    /// [`QueryError`]: a word is none of ours.
    pub fn filter(&self) -> Result<HistoryFilter, QueryError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let words = given(&self.state);
        let words = words.iter().flat_map(|words| words.split(',')).map(str::trim);
        let ends = words.map(end).collect::<Result<_, _>>()?;
        let trigger = given(&self.trigger);
        if let Some(kind) = trigger.as_ref().filter(|kind| !KINDS.contains(&kind.as_str())) {
            return Err(QueryError::UnknownTrigger(kind.clone()));
        }
        Ok(HistoryFilter {
            agent: self.agent.clone(),
            ends,
            since: self.since,
            until: self.until,
            trigger,
            text: given(&self.text),
            limit: self.limit.unwrap_or(LIMIT).clamp(1, MAX_LIMIT),
            after: given(&self.cursor).map(cursor).transpose()?,
        })
    }
}

fn end(word: &str) -> Result<End, QueryError> {
    End::ALL.into_iter().find(|end| end.as_str() == word).ok_or_else(|| QueryError::UnknownEnd(word.to_owned()))
}

fn cursor(text: String) -> Result<HistoryCursor, QueryError> {
    let parsed = text
        .split_once('-')
        .and_then(|(ended, id)| Some(HistoryCursor { ended_ms: ended.parse().ok()?, id: id.parse().ok()? }));
    parsed.ok_or(QueryError::BadCursor(text))
}

/// A page of the history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPage {
    /// The executions, newest first.
    pub executions: Vec<ExecutionView>,
    /// Where the next page begins; null: there is none. A page with few rows may have a next one.
    pub next: Option<String>,
}

/// An execution with everything that is known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    /// Its id.
    pub run_id: RunId,
    /// Whose.
    pub agent: AgentName,
    /// `waiting`, `running`, or the word of its end.
    pub state: String,
    /// What asked for it.
    pub trigger: Trigger,
    /// The dead letter that it replays, if it does.
    pub origin: Option<u64>,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// When it was accepted.
    pub queued_at: Option<Timestamp>,
    /// When its first program was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Attempts so far.
    pub attempts: u32,
    /// Time spent waiting for a worker.
    pub waited_ms: Option<f64>,
    /// Of the last attempt.
    pub duration_ms: Option<f64>,
    /// How the last attempt's program ended.
    pub exit: Option<Exit>,
    /// Why it is as it is, in a sentence.
    pub reason: Option<String>,
    /// The same for programs.
    pub cause: Option<Value>,
    /// The most memory that its process tree was seen to use.
    pub peak_memory_bytes: Option<u64>,
    /// Its attempts one by one.
    pub attempt_list: Option<Value>,
    /// Where its output is: the `folder` in the state folder, and the `mark` that its lines carry there, however often
    /// the files are rotated.
    pub log: Option<Value>,
}

fn place_of_log(run: RunId, agent: &AgentName) -> Value {
    serde_json::json!({ "folder": format!("logs/{agent}"), "mark": run.short() })
}

impl From<ExecutionRow> for ExecutionView {
    fn from(row: ExecutionRow) -> Self {
        let ms = |duration: Option<Duration>| duration.map(as_ms);
        let state = match row.state.as_str() {
            "intent" => "waiting",
            "started" => "running",
            end => end,
        };
        let attempt_list = row.attempts.as_ref().map(Json::value);
        let listed = attempt_list.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
        let log = row.log.as_ref().map_or_else(|| place_of_log(row.run, &row.agent), Json::value);
        Self {
            run_id: row.run,
            agent: row.agent,
            state: state.to_owned(),
            trigger: row.trigger,
            origin: row.origin,
            scheduled_for: row.scheduled_for,
            queued_at: Some(row.queued_at),
            started_at: row.started_at,
            ended_at: row.ended_at,
            attempts: row.attempt.max(u32::try_from(listed).unwrap_or(u32::MAX)),
            waited_ms: ms(row.waited),
            duration_ms: ms(row.duration),
            exit: row.exit,
            reason: row.why.as_ref().map(|why| why.text.clone()),
            cause: row.why.map(|why| why.data.value()),
            peak_memory_bytes: row.peak_bytes,
            attempt_list,
            log: Some(log),
        }
    }
}

impl ExecutionView {
    /// One of which the disk does not know yet.
    pub(crate) fn live(agent: AgentName, live: &Live) -> Self {
        let mut view = Self::bare(live.run, agent, live.trigger.clone());
        view.update(live);
        view
    }

    /// What is known of it at this moment, where the disk has its intent only.
    pub(crate) fn update(&mut self, live: &Live) {
        if live.running { "running" } else { "waiting" }.clone_into(&mut self.state);
        self.attempts = self.attempts.max(if live.running { live.attempt } else { live.attempt.saturating_sub(1) });
        self.reason = live.reason.as_ref().map(ToString::to_string);
        self.cause = live.reason.as_ref().and_then(|reason| serde_json::to_value(reason).ok());
    }

    /// From the fact of its end, which may be ahead of the disk by a moment.
    pub(crate) fn of_end(recorded: &Recorded) -> Option<Self> {
        let Event::ExecutionEnded { agent, run, end, trigger, attempts, duration, waited, exit, reason } =
            &recorded.event
        else {
            return None;
        };
        Some(Self {
            state: end.to_string(),
            ended_at: Some(recorded.time),
            attempts: *attempts,
            waited_ms: Some(as_ms(*waited)),
            duration_ms: duration.map(as_ms),
            exit: exit.clone(),
            reason: reason.as_ref().map(ToString::to_string),
            cause: reason.as_ref().and_then(|reason| serde_json::to_value(reason).ok()),
            ..Self::bare(*run, agent.clone(), trigger.clone())
        })
    }

    fn bare(run_id: RunId, agent: AgentName, trigger: Trigger) -> Self {
        let log = Some(place_of_log(run_id, &agent));
        Self {
            run_id,
            agent,
            state: String::new(),
            trigger,
            origin: None,
            scheduled_for: None,
            queued_at: None,
            started_at: None,
            ended_at: None,
            attempts: 0,
            waited_ms: None,
            duration_ms: None,
            exit: None,
            reason: None,
            cause: None,
            peak_memory_bytes: None,
            attempt_list: None,
            log,
        }
    }

    /// Its end as the event would tell it, but for the number, which is not known any more.
    pub fn as_end(&self) -> Value {
        serde_json::json!({
            "seq": null,
            "time": self.ended_at,
            "type": format!("execution.{}", self.state),
            "data": {
                "agent": self.agent,
                "run": self.run_id,
                "end": self.state,
                "trigger": self.trigger,
                "attempts": self.attempts,
                "duration_ms": self.duration_ms,
                "waited_ms": self.waited_ms,
                "exit": self.exit,
                "reason": self.cause,
            },
        })
    }

    /// Whether it has its end.
    pub fn has_ended(&self) -> bool {
        self.ended_at.is_some()
    }
}

/// A page of the history, as it is on disk.
///
/// # Errors
/// [`StoreError`]: it can't be read.
pub fn kept_history(reader: &Reader, filter: &HistoryFilter) -> Result<HistoryPage, StoreError> {
    let page = reader.history(filter)?;
    Ok(HistoryPage {
        executions: page.rows.into_iter().map(ExecutionView::from).collect(),
        next: page.next.map(|cursor| format!("{}-{}", cursor.ended_ms, cursor.id)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_none_of_ours_are_told() {
        let query = HistoryQuery { state: Some("failed,broken".to_owned()), ..HistoryQuery::default() };
        assert_eq!(query.filter(), Err(QueryError::UnknownEnd("broken".to_owned())));
        let query = HistoryQuery { trigger: Some("cron".to_owned()), ..HistoryQuery::default() };
        assert_eq!(query.filter(), Err(QueryError::UnknownTrigger("cron".to_owned())));
        let query = HistoryQuery { cursor: Some("7".to_owned()), ..HistoryQuery::default() };
        assert_eq!(query.filter(), Err(QueryError::BadCursor("7".to_owned())));
    }

    #[test]
    fn a_query_becomes_a_filter() {
        let query = HistoryQuery {
            state: Some("failed, timed_out".to_owned()),
            trigger: Some("manual".to_owned()),
            cursor: Some("1700000000000-42".to_owned()),
            limit: Some(5_000),
            ..HistoryQuery::default()
        };
        let filter = query.filter().unwrap();
        assert_eq!(filter.ends, [End::Failed, End::TimedOut]);
        assert_eq!(filter.after, Some(HistoryCursor { ended_ms: 1_700_000_000_000, id: 42 }));
        assert_eq!(filter.limit, 1_000);
    }
}
