//! What the ladder does next, and when.

use crate::ids::AgentIndex;

/// What happens next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    /// Nothing has been measured yet.
    #[default]
    Measure,
    /// All is well: memory is given back, and a warning told, from here on.
    Warn {
        /// `warning_percent`.
        at_percent: u8,
    },
    /// A warning was told. Agents are shed from here on.
    Shed {
        /// `critical_percent`.
        at_percent: u8,
        /// The first of them; `None`: nobody may be shed.
        first: Option<AgentIndex>,
    },
    /// It is critical, and what was shed is not enough: more is shed at the next check.
    ShedMore {
        /// The first of them, if one has come; `None`: there is nobody left who may be shed.
        first: Option<AgentIndex>,
    },
    /// Who was shed comes back, this one first.
    Enable {
        /// Whom.
        first: AgentIndex,
        /// `recover_percent`; `None`: it is under that, and the next check does it.
        under_percent: Option<u8>,
    },
}

impl Next {
    /// For people. `name` tells how an agent is called.
    pub fn sentence(&self, name: impl Fn(AgentIndex) -> String) -> String {
        let first = |agent: &Option<AgentIndex>| agent.map(&name);
        match self {
            Self::Measure => "the first check".to_owned(),
            Self::Warn { at_percent } => {
                format!("at {at_percent} % memory is given back and memory.warning is told")
            }
            Self::Shed { at_percent, first: agent } => match first(agent) {
                Some(agent) => format!("at {at_percent} % agents of priority 3 are disabled, {agent} first"),
                None => format!("at {at_percent} % agents of priority 3 would be disabled, but none uses memory"),
            },
            Self::ShedMore { first: agent } => match first(agent) {
                Some(agent) => format!("{agent} is disabled at the next check, unless that is not needed any more"),
                None => "nothing more can be freed: no agent of priority 3 is left that may be disabled".to_owned(),
            },
            Self::Enable { first, under_percent: Some(percent) } => {
                format!("{} is enabled again once less than {percent} % is used", name(*first))
            }
            Self::Enable { first, under_percent: None } => {
                format!("{} is enabled again at the next check", name(*first))
            }
        }
    }
}
