//! An execution: from its intent over its start to its one end.

use std::time::Duration;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize, Serializer};
use werkpilot_core::event::End;
use werkpilot_core::exit::Exit;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::time::{Timestamp, as_ms};
use werkpilot_core::trigger::Trigger;

use super::{Columns, Json, millis, run_bytes, span, whole};
use crate::error::RowError;
use crate::names::Names;
use crate::sum;

pub(crate) const TABLE: &str = "executions";

/// How far an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutionState {
    /// Accepted; none of its programs was started, as far as the disk knows.
    Intent,
    /// A program was started, or is between two attempts.
    Started,
    /// It has its end.
    Ended(End),
}

impl ExecutionState {
    /// The word: `intent`, `started`, or that of the end.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Started => "started",
            Self::Ended(end) => end.as_str(),
        }
    }

    /// As it is kept. `succeeded` is 2 and all other ends are above: indices of the schema count on it.
    const fn number(self) -> i64 {
        match self {
            Self::Intent => 0,
            Self::Started => 1,
            Self::Ended(End::Succeeded) => 2,
            Self::Ended(End::Failed) => 3,
            Self::Ended(End::TimedOut) => 4,
            Self::Ended(End::Skipped) => 5,
            Self::Ended(End::Refused) => 6,
            Self::Ended(End::Cancelled) => 7,
            Self::Ended(End::Interrupted) => 8,
            Self::Ended(End::Lost) => 9,
        }
    }

    pub(crate) const fn from_number(number: i64) -> Option<Self> {
        Some(match number {
            0 => Self::Intent,
            1 => Self::Started,
            2 => Self::Ended(End::Succeeded),
            3 => Self::Ended(End::Failed),
            4 => Self::Ended(End::TimedOut),
            5 => Self::Ended(End::Skipped),
            6 => Self::Ended(End::Refused),
            7 => Self::Ended(End::Cancelled),
            8 => Self::Ended(End::Interrupted),
            9 => Self::Ended(End::Lost),
            _ => return None,
        })
    }
}

impl Serialize for ExecutionState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Which process an attempt is, so that it can be told from a later one with the same pid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its process id.
    pub pid: i32,
    /// When it started, in ticks since the machine did (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
    /// In which life of the machine (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

/// Why an execution ended as it did: for people, and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// One sentence.
    pub text: String,
    /// The reason with its code and fields.
    pub data: Json,
}

impl From<&Reason> for Why {
    fn from(reason: &Reason) -> Self {
        Self { text: reason.to_string(), data: Json::of(reason) }
    }
}

/// An execution as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExecutionRow {
    /// Which.
    pub run: RunId,
    /// Whose.
    pub agent: AgentName,
    /// How far it is.
    pub state: ExecutionState,
    /// What asked for it.
    pub trigger: Trigger,
    /// The dead letter that it replays, if it does.
    pub origin: Option<u64>,
    /// The time that it was scheduled for.
    pub scheduled_for: Option<Timestamp>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// When its first program was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Attempts started so far.
    pub attempt: u32,
    /// The process of the attempt.
    pub process: Option<ProcessMark>,
    /// A JSON array of all attempts.
    pub attempts: Option<Json>,
    /// Time spent waiting for a worker.
    #[serde(rename = "waited_ms", serialize_with = "maybe_ms")]
    pub waited: Option<Duration>,
    /// Of the last attempt.
    #[serde(rename = "duration_ms", serialize_with = "maybe_ms")]
    pub duration: Option<Duration>,
    /// How the last attempt's program ended.
    pub exit: Option<Exit>,
    /// Why it ended as it did.
    pub why: Option<Why>,
    /// The most memory that its process tree was seen to use.
    pub peak_bytes: Option<u64>,
    /// Where its output is.
    pub log: Option<Json>,
}

impl ExecutionRow {
    /// An execution that was accepted now and has no more than that.
    pub const fn intent(run: RunId, agent: AgentName, trigger: Trigger, queued_at: Timestamp) -> Self {
        Self {
            run,
            agent,
            state: ExecutionState::Intent,
            trigger,
            origin: None,
            scheduled_for: None,
            queued_at,
            started_at: None,
            ended_at: None,
            attempt: 0,
            process: None,
            attempts: None,
            waited: None,
            duration: None,
            exit: None,
            why: None,
            peak_bytes: None,
            log: None,
        }
    }

    /// Reads a row of `SELECT *`; answers its id as well.
    pub(crate) fn read(row: &Row<'_>, conn: &Connection, names: &mut Names) -> Result<(i64, Self), RowError> {
        let mut columns = Columns::verified(TABLE, row, conn, names)?;
        let id = columns.get()?;
        let run = columns.run("run")?;
        let agent = columns.agent()?;
        let state = ExecutionState::from_number(columns.get()?);
        let state = state.ok_or(RowError::Value { table: TABLE, column: "state" })?;
        Ok((
            id,
            Self {
                run,
                agent,
                state,
                trigger: columns.typed("trigger")?,
                origin: columns.maybe("origin")?,
                scheduled_for: columns.maybe_time()?,
                queued_at: columns.time()?,
                started_at: columns.maybe_time()?,
                ended_at: columns.maybe_time()?,
                attempt: columns.unsigned("attempt")?,
                process: process(columns.maybe("pid")?, columns.maybe("pid_start")?, columns.get()?),
                attempts: columns.maybe_json()?,
                waited: columns.maybe_span("waited_us")?,
                duration: columns.maybe_span("duration_us")?,
                exit: columns.maybe_typed("exit")?,
                why: why(columns.maybe_json()?, columns.get()?),
                peak_bytes: columns.maybe("peak_bytes")?,
                log: columns.maybe_json()?,
            },
        ))
    }

    /// Runs `INSERT` or `UPDATE`, whose parameters are all columns in the table's order.
    pub(crate) fn write(&self, conn: &Connection, sql: &'static str, id: i64, agent: i64) -> rusqlite::Result<usize> {
        let process = self.process.as_ref();
        let columns: [&dyn rusqlite::ToSql; 22] = [
            &id,
            &run_bytes(self.run),
            &agent,
            &self.state.number(),
            &Json::of(&self.trigger),
            &self.origin.map(whole),
            &millis(self.scheduled_for),
            &self.queued_at.as_millis(),
            &millis(self.started_at),
            &millis(self.ended_at),
            &self.attempt,
            &process.map(|process| process.pid),
            &process.map(|process| whole(process.start_time)),
            &process.map(|process| &process.boot_id),
            &self.attempts,
            &span(self.waited),
            &span(self.duration),
            &self.exit.as_ref().map(Json::of),
            &self.why.as_ref().map(|why| &why.data),
            &self.why.as_ref().map(|why| &why.text),
            &self.peak_bytes.map(whole),
            &self.log,
        ];
        sum::write(conn, sql, TABLE, &columns)
    }
}

fn process(pid: Option<i32>, start_time: Option<u64>, boot_id: Option<String>) -> Option<ProcessMark> {
    Some(ProcessMark { pid: pid?, start_time: start_time?, boot_id: boot_id? })
}

fn why(data: Option<Json>, text: Option<String>) -> Option<Why> {
    Some(Why { data: data?, text: text? })
}

#[expect(clippy::ref_option, reason = "serde's serialize_with takes a reference to the field")]
fn maybe_ms<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(as_ms).serialize(serializer)
}
