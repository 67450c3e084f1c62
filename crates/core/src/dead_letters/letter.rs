//! A dead letter: what failed, with its whole case. The names in JSON are the predecessor's.

use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use super::standing::Standing;
use crate::exit::Exit;
use crate::ids::{AgentName, RunId};
use crate::signature::signature;
use crate::status::Status;
use crate::time::{Timestamp, as_ms};
use crate::trigger::Trigger;

/// A dead letter as its maker knows it; the ring adds id and signature. [`DeadLetterDraft::new`] takes what is always
/// known, the rest is filled in where it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetterDraft {
    /// Whose execution it was.
    pub agent: AgentName,
    /// Which execution.
    pub run: RunId,
    /// What went wrong, for people.
    pub error: String,
    /// When it was given up.
    pub timestamp: Timestamp,
    /// Failed attempts of this execution; `None`: as many as there are `attempts`.
    pub restart_count: Option<u32>,
    /// The agent's group.
    pub department: String,
    /// The agent's schedule, if it has one.
    pub schedule: Option<String>,
    /// When the agent's probe last had a result.
    pub last_health_check: Option<Timestamp>,
    /// What asked for the execution.
    pub trigger: Trigger,
    /// What it got on stdin.
    pub payload: Option<Arc<[u8]>>,
    /// How the last attempt ended, if there was one.
    pub exit: Option<Exit>,
    /// Every attempt, first one first.
    pub attempts: Vec<Attempt>,
    /// The last lines of its output.
    pub log_tail: Vec<String>,
    /// How its dependencies were.
    pub dependencies: Vec<DependencyState>,
    /// The most bytes that its process tree was seen to use.
    pub memory: Option<u64>,
}

impl DeadLetterDraft {
    /// What is known of everything that fails for good.
    #[expect(clippy::too_many_arguments, reason = "each is one field, and none may be left out")]
    pub fn new(
        agent: AgentName,
        run: RunId,
        error: String,
        timestamp: Timestamp,
        department: String,
        schedule: Option<String>,
        trigger: Trigger,
        dependencies: Vec<(AgentName, Status)>,
    ) -> Self {
        let dependencies = dependencies.into_iter().map(|(agent, status)| DependencyState { agent, status }).collect();
        Self {
            agent,
            run,
            error,
            timestamp,
            restart_count: None,
            department,
            schedule,
            last_health_check: None,
            trigger,
            payload: None,
            exit: None,
            attempts: Vec::new(),
            log_tail: Vec::new(),
            dependencies,
            memory: None,
        }
    }

    /// The letter, open, under this id.
    pub fn into_letter(self, id: u64) -> DeadLetter {
        let failed = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX);
        DeadLetter {
            id,
            signature: signature(&self.error),
            agent: self.agent,
            run: self.run,
            error: self.error,
            timestamp: self.timestamp,
            restart_count: self.restart_count.unwrap_or(failed),
            origin: self.trigger.dead_letter(),
            payload_bytes: self.payload.as_ref().map(|payload| payload.len() as u64),
            standing: Standing::open(self.timestamp),
            execution: ExecutionData {
                department: self.department,
                schedule: self.schedule,
                last_health_check: self.last_health_check,
                trigger: self.trigger,
                payload: self.payload,
                exit: self.exit,
                attempts: self.attempts,
                log_tail: self.log_tail,
                dependencies: self.dependencies,
                memory: self.memory.map(|peak_bytes| MemoryUse { peak_bytes }),
            },
        }
    }
}

/// What failed for good.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// Counts from 1.
    pub id: u64,
    /// Whose execution it was.
    #[serde(rename = "agentName")]
    pub agent: AgentName,
    /// Which execution.
    #[serde(rename = "runId")]
    pub run: RunId,
    /// What went wrong, for people.
    pub error: String,
    /// The error with its particulars folded away: what letters are grouped by.
    pub signature: String,
    /// When it was given up.
    pub timestamp: Timestamp,
    /// Failed attempts of this execution.
    pub restart_count: u32,
    /// The letter that it was a replay of, where that one was gone already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<u64>,
    /// Size of the payload, wherever that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_bytes: Option<u64>,
    /// What is being done about it.
    #[serde(flatten)]
    pub standing: Standing,
    /// All else.
    #[serde(rename = "executionData")]
    pub execution: ExecutionData,
}

/// The circumstances of a dead letter. Read back without the payload, which is kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionData {
    /// The agent's group.
    pub department: String,
    /// The agent's schedule, if it has one.
    pub schedule: Option<String>,
    /// When the agent's probe last had a result.
    pub last_health_check: Option<Timestamp>,
    /// What asked for the execution.
    pub trigger: Trigger,
    /// What the execution got on stdin. Shown as `payload` if it is text, else as `payloadBase64`.
    #[serde(flatten, serialize_with = "payload", deserialize_with = "no_payload")]
    #[schema(value_type = ShownPayload)]
    pub payload: Option<Arc<[u8]>>,
    /// How the last attempt ended, if there was one.
    pub exit: Option<Exit>,
    /// Every attempt, first one first.
    pub attempts: Vec<Attempt>,
    /// The last lines of its output.
    pub log_tail: Vec<String>,
    /// How its dependencies were.
    pub dependencies: Vec<DependencyState>,
    /// What it used, if that was seen.
    pub memory: Option<MemoryUse>,
}

/// The payload of a dead letter in JSON; null: there was none.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is the schema of what `payload` writes")]
struct ShownPayload {
    /// As text, if it is text.
    payload: Option<String>,
    /// Else as base 64.
    #[schema(nullable = false)]
    payload_base64: Option<String>,
}

/// One attempt of an execution.
#[expect(clippy::struct_field_names, reason = "the API calls an attempt's number so")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Counts from 1.
    pub attempt: u32,
    /// When its program was started.
    pub started_at: Timestamp,
    /// Until its program ended.
    #[serde(rename = "durationMs", serialize_with = "ms", deserialize_with = "from_ms")]
    #[schema(value_type = f64)]
    pub duration: Duration,
    /// How it ended.
    pub exit: Exit,
}

/// How a dependency was when the execution was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyState {
    /// The dependency.
    pub agent: AgentName,
    /// Its status.
    pub status: Status,
}

/// Memory of an agent's whole process tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryUse {
    /// The most that was seen, resident.
    pub peak_bytes: u64,
}

/// A dead letter as the open overview shows it: the predecessor's fields, id and signature; no payload and no log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicDeadLetter<'a> {
    /// Counts from 1.
    pub id: u64,
    /// Whose execution it was.
    pub agent_name: &'a AgentName,
    /// What went wrong, for people.
    pub error: &'a str,
    /// The error with its particulars folded away.
    pub signature: &'a str,
    /// When it was given up.
    pub timestamp: Timestamp,
    /// Failed attempts of this execution.
    pub restart_count: u32,
    /// All else that is for everybody.
    pub execution_data: PublicExecutionData<'a>,
}

/// The part of [`ExecutionData`] that is for everybody.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublicExecutionData<'a> {
    /// The agent's group.
    pub department: &'a str,
    /// The agent's schedule, if it has one.
    pub schedule: Option<&'a str>,
    /// When the agent's probe last had a result.
    pub last_health_check: Option<Timestamp>,
}

impl DeadLetter {
    /// What everybody may see of it.
    pub fn public(&self) -> PublicDeadLetter<'_> {
        PublicDeadLetter {
            id: self.id,
            agent_name: &self.agent,
            error: &self.error,
            signature: &self.signature,
            timestamp: self.timestamp,
            restart_count: self.restart_count,
            execution_data: PublicExecutionData {
                department: &self.execution.department,
                schedule: self.execution.schedule.as_deref(),
                last_health_check: self.execution.last_health_check,
            },
        }
    }
}

fn ms<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(as_ms(*duration))
}

fn from_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)? / 1_000.0).map_err(serde::de::Error::custom)
}

#[expect(clippy::unnecessary_wraps, reason = "serde's deserialize_with answers a result")]
fn no_payload<'de, D: Deserializer<'de>>(_: D) -> Result<Option<Arc<[u8]>>, D::Error> {
    Ok(None)
}

#[expect(clippy::ref_option, reason = "serde's serialize_with takes a reference to the field")]
fn payload<S: Serializer>(payload: &Option<Arc<[u8]>>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    match payload.as_deref().map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => map.serialize_entry("payload", &None::<&str>)?,
        Some((_, Ok(text))) => map.serialize_entry("payload", text)?,
        Some((bytes, Err(_))) => map.serialize_entry("payloadBase64", &base64(bytes))?,
    }
    map.end()
}

/// Base 64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(ALPHABET[value as usize]) });
        }
    }
    text
}
