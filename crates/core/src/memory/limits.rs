//! `memory_max`: who is over it in two checks in a row.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Member, TreeReading};
use crate::agent::ProcessKey;
use crate::ids::AgentIndex;

/// Who was over its limit at the last check.
#[derive(Debug, Default)]
pub(super) struct Limits {
    over: BTreeSet<ProcessKey>,
}

impl Limits {
    /// Looks at all trees. One that could not be read stays as it was; one that is gone is forgotten.
    pub fn check(&mut self, trees: &[TreeReading], members: &BTreeMap<AgentIndex, &Member>, out: &mut Vec<Action>) {
        let before = std::mem::take(&mut self.over);
        for tree in trees {
            let Some(limit) = members.get(&tree.process.agent).and_then(|member| member.memory_max) else { continue };
            let was_over = before.contains(&tree.process);
            match tree.bytes {
                Some(used_bytes) if used_bytes > limit && was_over => {
                    out.push(Action::RestartForLimit { process: tree.process, used_bytes, limit_bytes: limit });
                }
                Some(used_bytes) if used_bytes > limit => {
                    self.over.insert(tree.process);
                }
                None if was_over => {
                    self.over.insert(tree.process);
                }
                Some(_) | None => {}
            }
        }
    }

    /// Whether a process of this agent is over its limit, and is ended at the next check if it still is.
    pub fn is_over(&self, agent: AgentIndex) -> bool {
        let (first, last) = (ProcessKey { agent, serial: 0 }, ProcessKey { agent, serial: u32::MAX });
        self.over.range(first..=last).next().is_some()
    }
}
