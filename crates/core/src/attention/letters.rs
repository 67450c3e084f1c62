//! Dead letters of the last hour, by what they have in common.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::account::AgentStanding;
use super::{Item, Kind, Severity, counted, listed};
use crate::dead_letters::{DeadLetter, LetterState};
use crate::ids::AgentName;
use crate::status::Status;
use crate::time::Timestamp;

/// Dead letters are new for so long.
pub const LATELY: Duration = Duration::from_hours(1);

/// New dead letters with one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLetters {
    /// What they have in common.
    pub signature: String,
    /// How many there are.
    pub count: usize,
    /// Whose they are, by name.
    pub agents: Vec<AgentName>,
    /// When the first of them was given up.
    pub since: Timestamp,
    /// The newest of them.
    pub newest: u64,
    /// What it says.
    pub error: String,
}

/// The dead letters of the last hour that nobody has dealt with, by signature, most frequent first.
pub fn new_letters<'a>(letters: impl Iterator<Item = &'a DeadLetter>, now: Timestamp) -> Vec<NewLetters> {
    let mut groups: BTreeMap<&str, NewLetters> = BTreeMap::new();
    let open = |letter: &&DeadLetter| letter.standing.state != LetterState::Replayed;
    for letter in letters.filter(open).filter(|letter| now.since(letter.timestamp) < LATELY) {
        let group = groups.entry(&letter.signature).or_insert_with(|| NewLetters {
            signature: letter.signature.clone(),
            count: 0,
            agents: Vec::new(),
            since: letter.timestamp,
            newest: 0,
            error: String::new(),
        });
        group.count += 1;
        group.since = group.since.min(letter.timestamp);
        if letter.id > group.newest {
            (group.newest, group.error) = (letter.id, letter.error.clone());
        }
        if let Err(place) = group.agents.binary_search(&letter.agent) {
            group.agents.insert(place, letter.agent.clone());
        }
    }
    let mut groups: Vec<NewLetters> = groups.into_values().collect();
    groups.sort_by_key(|group| (Reverse(group.count), Reverse(group.newest)));
    groups
}

/// A single letter of an agent that is told already is not told again.
pub(super) fn items(groups: &[NewLetters], agents: &[AgentStanding]) -> Vec<Item> {
    let told = |name: &AgentName| {
        let fails = |agent: &AgentStanding| {
            matches!(agent.status, Status::Error | Status::Timeout | Status::Missing | Status::DisabledByFailure)
        };
        agents.iter().any(|agent| agent.name == *name && fails(agent))
    };
    let is_news = |group: &&NewLetters| group.count > 1 || !group.agents.iter().all(told);
    groups.iter().filter(is_news).map(item).collect()
}

fn item(group: &NewLetters) -> Item {
    let names: Vec<&AgentName> = group.agents.iter().collect();
    let title = format!("{} of {} within the last hour", counted(group.count, "new dead letter"), listed(&names));
    let hint = match names.as_slice() {
        [only] => format!(
            "`werkpilot dlq show {}` has the newest with its log; `werkpilot dlq replay --agent {only}` runs them again",
            group.newest
        ),
        _ => format!("`werkpilot dlq show {}` has the newest with its log; `werkpilot dlq list` has all", group.newest),
    };
    let item = Item::new(Severity::Warning, Kind::DeadLetters, title, group.error.clone());
    let item = item.since(Some(group.since)).hint(hint).concerns(&names);
    let agent = if let [only] = names.as_slice() { Some((*only).clone()) } else { None };
    Item { agent, weight: group.count, ..item }
}
