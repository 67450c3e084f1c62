//! Who waits because of whom, down to the root: an agent that waits for one that waits for a third waits for the third.

use std::collections::{HashMap, HashSet};

use super::account::{AgentStanding, is_faulty};
use crate::ids::AgentName;
use crate::reason::DependencyProblem;
use crate::status::Status;

/// Who waits for each agent that fails by itself.
#[derive(Debug, Default)]
pub(super) struct Roots<'a> {
    /// By root: who waits for it, in the order of the account.
    waiting: HashMap<&'a AgentName, Vec<&'a AgentName>>,
    /// Who is told with a root.
    folded: HashMap<&'a AgentName, &'a AgentName>,
}

impl<'a> Roots<'a> {
    /// Who waits because of this agent.
    pub(super) fn waiting_for(&self, agent: &AgentName) -> &[&'a AgentName] {
        self.waiting.get(agent).map_or(&[], Vec::as_slice)
    }

    /// Whether it is told with another.
    pub(super) fn is_folded(&self, agent: &AgentName) -> bool {
        self.folded.contains_key(agent)
    }
}

/// Finds the roots. Each agent is looked at once: the graph has no cycle, and where an account had one, it would end.
pub(super) fn of(agents: &[AgentStanding]) -> Roots<'_> {
    let known: HashMap<&AgentName, &AgentStanding> = agents.iter().map(|agent| (&agent.name, agent)).collect();
    let mut found: HashMap<&AgentName, Vec<&AgentName>> = HashMap::with_capacity(agents.len());
    let mut roots = Roots::default();
    for agent in agents.iter().filter(|agent| is_held_up(agent)) {
        for root in roots_of(agent, &known, &mut found) {
            roots.waiting.entry(root).or_default().push(&agent.name);
            roots.folded.entry(&agent.name).or_insert(root);
        }
    }
    roots
}

/// Whether it does not do its work because of others, and for no reason of its own.
const fn is_held_up(agent: &AgentStanding) -> bool {
    matches!(agent.status, Status::Queued | Status::Idle) && !agent.unhealthy.is_empty()
}

fn roots_of<'a>(
    begin: &'a AgentStanding,
    known: &HashMap<&'a AgentName, &'a AgentStanding>,
    found: &mut HashMap<&'a AgentName, Vec<&'a AgentName>>,
) -> Vec<&'a AgentName> {
    // Without recursion, as a chain may be as long as the registry: who waits for what is not known yet goes back on it.
    let (mut open, mut seen) = (vec![begin], HashSet::from([&begin.name]));
    while let Some(agent) = open.last().copied() {
        if found.contains_key(&agent.name) {
            open.pop();
            continue;
        }
        let held_up_by = held_up_by(agent, known);
        let unknown: Vec<&AgentStanding> = held_up_by
            .iter()
            .copied()
            .filter(|next| !next.is_faulty() && !found.contains_key(&next.name))
            .filter(|next| seen.insert(&next.name))
            .collect();
        if unknown.is_empty() {
            let mut roots: Vec<&AgentName> = Vec::new();
            for next in held_up_by {
                let all = if next.is_faulty() {
                    vec![&next.name]
                } else {
                    found.get(&next.name).cloned().unwrap_or_default()
                };
                for root in all {
                    if !roots.contains(&root) {
                        roots.push(root);
                    }
                }
            }
            found.insert(&agent.name, roots);
            open.pop();
        } else {
            open.extend(unknown);
        }
    }
    found.get(&begin.name).cloned().unwrap_or_default()
}

/// Those of its unhealthy dependencies that something is known of.
fn held_up_by<'a>(
    agent: &'a AgentStanding,
    known: &HashMap<&'a AgentName, &'a AgentStanding>,
) -> Vec<&'a AgentStanding> {
    let counts = |problem: DependencyProblem| match problem {
        DependencyProblem::Status(status) => is_faulty(status) || status == Status::Queued,
        // A job at rest waits for nothing: what has not happened yet is no fault.
        DependencyProblem::NotStarted | DependencyProblem::NotSucceeded => agent.status == Status::Queued,
    };
    let unhealthy = agent.unhealthy.iter().filter(|unhealthy| counts(unhealthy.reason));
    unhealthy.filter_map(|unhealthy| known.get(&unhealthy.dep).copied()).collect()
}
