//! Why something is as it is: the cause, the cause of the cause, what follows by itself and when, and what a person may do.
//!
//! [`of_agent`], [`of_live_run`] and [`of_ended_run`] make an explanation of what is known ([`AgentAccount`] and the
//! like); they look at nothing themselves. A cause is a [`Reason`](crate::reason::Reason) that decided, in its own words,
//! or a [`Link`], a circumstance beside the reasons. Each has a code for programs and a sentence for people.

mod account;
mod advice;
mod agent;
mod chain;
mod ended;
mod kept;
mod link;
mod live;
mod notes;
mod outlook;
mod text;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::agent::LastWords;
use crate::ids::{AgentName, RunId};
use crate::time::Timestamp;

pub use account::{
    AgentAccount, DependencyAccount, EndedAccount, LastRun, LetterAccount, LiveAccount, MemoryAccount, ProbeAccount,
    Restart,
};
pub use agent::of_agent;
pub use ended::of_ended_run;
pub use kept::{KeptAccount, of_kept_agent, of_kept_run};
pub use link::Link;
pub use live::of_live_run;

/// Facts that are shown with an explanation.
pub const FACTS: usize = 8;
/// How far down the chain of unhealthy dependencies is followed: deeper ones are the business of those in between.
pub const DEPTH: usize = 5;

/// An explanation: one form for programs, [`Why::to_text`] for people.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// `agent` or `execution`.
    pub subject: &'static str,
    /// The agent that it is about, or whose execution it is about.
    pub agent: AgentName,
    /// The execution, if it is about one.
    pub run_id: Option<RunId>,
    /// The agent's status; `waiting`, `running` or the end of the execution.
    pub state: String,
    /// Since when, where that is known.
    pub since: Option<Timestamp>,
    /// All in a line.
    pub summary: String,
    /// The causes: each is the cause of the nearest one before it that is less deep.
    pub chain: Vec<Cause>,
    /// What belongs to it without being its cause; deeper ones explain those before them.
    pub notes: Vec<Cause>,
    /// What follows by itself; the soonest first.
    pub next: Vec<Next>,
    /// What a person may do about it.
    pub actions: Vec<Advice>,
    /// What happened last, oldest first.
    pub facts: Vec<Fact>,
    /// What its program said before its last failure, where that belongs to it; null for who may not read its log.
    pub last_words: Option<LastWords>,
}

/// A cause, or a circumstance.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// 0 is what it is about itself.
    pub depth: usize,
    /// For programs: the code of a reason or of a link.
    pub code: String,
    /// For people.
    pub text: String,
    /// When it came about.
    pub at: Option<Timestamp>,
    /// Another agent that it is about.
    pub agent: Option<AgentName>,
    /// The execution that it is about.
    pub run_id: Option<RunId>,
    /// What belongs to the code.
    pub data: Value,
}

/// Something that will happen by itself.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Next {
    /// For programs: `trial`, `start`, `retry`, `due`, `restart`, `kill`, `timeout`, `not_ready`, `ageing`, `room`,
    /// `catch_up`, `comes_back`, `starts`, `unhealthy`, `nothing` …
    pub what: &'static str,
    /// For people, without the time.
    pub text: String,
    /// When; null: that depends.
    pub at: Option<Timestamp>,
    /// The same from now, in milliseconds.
    pub in_ms: Option<f64>,
    /// Another agent that it happens to.
    pub agent: Option<AgentName>,
    /// On what it depends.
    pub condition: Option<String>,
}

/// Something that a person may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Advice {
    /// The command.
    pub command: String,
    /// What it does.
    pub effect: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fact {
    /// When.
    pub at: Timestamp,
    /// Its topic.
    pub topic: String,
    /// What.
    pub text: String,
}

impl Why {
    /// As the API answers it: with its text.
    pub fn to_json(&self) -> Value {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["text"] = Value::String(self.to_text());
        json
    }
}

#[cfg(test)]
mod tests;
