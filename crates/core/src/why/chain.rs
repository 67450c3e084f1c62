//! Making of causes: a reason or a link becomes its code, its sentence and its data.

use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

use super::Cause;
use crate::ids::{AgentName, RunId};
use crate::reason::Reason;
use crate::time::Timestamp;

impl Cause {
    /// Of a reason or a link.
    pub(super) fn of(depth: usize, value: &(impl Serialize + Display)) -> Self {
        Self::kept(depth, value.to_string(), serde_json::to_value(value).unwrap_or_default())
    }

    /// Of a reason. That of a status which says the status again is cut to what is new.
    pub(super) fn of_reason(depth: usize, reason: &Reason) -> Self {
        let cause = Self::of(depth, reason);
        match reason {
            Reason::Disabled { why, .. } if !why.is_empty() => Self { text: why.clone(), ..cause },
            _ => cause,
        }
    }

    /// Of what was kept of a reason: its sentence, its code and its fields.
    pub(super) fn kept(depth: usize, text: String, mut data: Value) -> Self {
        let code = data.as_object_mut().and_then(|data| data.remove("code"));
        let code = code.and_then(|code| code.as_str().map(ToOwned::to_owned)).unwrap_or_else(|| "unknown".to_owned());
        Self { depth, code, text, at: None, agent: None, run_id: None, data }
    }

    pub(super) fn at(mut self, at: Option<Timestamp>) -> Self {
        self.at = at;
        self
    }

    pub(super) fn about(mut self, agent: &AgentName) -> Self {
        self.agent = Some(agent.clone());
        self
    }

    pub(super) fn of_run(mut self, run: RunId) -> Self {
        self.run_id = Some(run);
        self
    }
}
