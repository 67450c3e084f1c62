//! Which dead letters are meant.

use super::letter::DeadLetter;
use super::standing::LetterState;
use crate::ids::AgentName;
use crate::time::Timestamp;

/// Which dead letters are meant; the default is all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Of this agent.
    pub agent: Option<AgentName>,
    /// With this signature.
    pub signature: Option<String>,
    /// In one of these states; empty: any.
    pub states: Vec<LetterState>,
    /// Given up then or later.
    pub since: Option<Timestamp>,
    /// Given up before.
    pub until: Option<Timestamp>,
    /// With this text in error, log, circumstances or payload, whatever its case.
    pub text: Option<String>,
}

impl LetterFilter {
    /// Whether all are meant.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether this letter is meant, as far as it is here: a payload that is kept elsewhere is not looked into.
    pub fn fits(&self, letter: &DeadLetter) -> bool {
        self.agent.as_ref().is_none_or(|agent| *agent == letter.agent)
            && self.signature.as_ref().is_none_or(|signature| *signature == letter.signature)
            && (self.states.is_empty() || self.states.contains(&letter.standing.state))
            && self.since.is_none_or(|since| letter.timestamp >= since)
            && self.until.is_none_or(|until| letter.timestamp < until)
            && self.text.as_ref().is_none_or(|text| mentions(letter, &text.to_lowercase()))
    }
}

fn mentions(letter: &DeadLetter, lower: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(lower);
    has(&letter.error)
        || letter.execution.log_tail.iter().any(|line| has(line))
        || letter.execution.payload.as_ref().is_some_and(|payload| has(&String::from_utf8_lossy(payload)))
}
