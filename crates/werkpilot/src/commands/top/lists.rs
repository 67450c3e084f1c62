//! What is known of the fleet, a list per tab: what of it fits the filter, and in which order.
//!
//! Invariant: filter and order say what is shown of it; what was heard stays as it was.

use clap::ValueEnum;
use werkpilot_core::status::Status;

use super::data::{Agent, Fact, Fleet, Letter, Line, Queue, System, Waiting};

/// What can be looked at: each is a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tab {
    /// All agents.
    #[default]
    Agents,
    /// What waits.
    Queue,
    /// What happened.
    Events,
    /// What failed for good.
    Letters,
    /// What an agent writes.
    Logs,
}

impl Tab {
    /// In the order of their keys.
    pub const ALL: [Self; 5] = [Self::Agents, Self::Queue, Self::Events, Self::Letters, Self::Logs];

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Agents => "Agents",
            Self::Queue => "Queue",
            Self::Events => "Events",
            Self::Letters => "Dead letters",
            Self::Logs => "Logs",
        }
    }
}

/// How agents are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those that need attention first.
    #[default]
    Attention,
    /// By name.
    Name,
    /// The largest first.
    Memory,
    /// The slowest first.
    Latency,
}

impl Order {
    /// The one after it; after the last, the first.
    pub const fn next(self) -> Self {
        match self {
            Self::Attention => Self::Name,
            Self::Name => Self::Memory,
            Self::Memory => Self::Latency,
            Self::Latency => Self::Attention,
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Attention => "what needs attention first",
            Self::Name => "by name",
            Self::Memory => "by memory",
            Self::Latency => "by p95",
        }
    }
}

/// All that is known, and how it is looked through.
#[derive(Debug, Default)]
pub struct Lists {
    /// How agents are ordered.
    pub order: Order,
    /// What names and texts have to contain.
    pub filter: String,
    /// The orchestrator and its agents.
    pub fleet: Fleet,
    /// What waits.
    pub queue: Queue,
    /// What happened, oldest first.
    pub events: Vec<Fact>,
    /// What failed for good, oldest first.
    pub letters: Vec<Letter>,
    /// What the agent whose log is shown wrote, oldest first.
    pub log: Vec<Line>,
}

impl Lists {
    /// The orchestrator.
    pub fn system(&self) -> &System {
        &self.fleet.system
    }

    /// How many agents there are in all.
    pub fn fleet_size(&self) -> usize {
        self.fleet.agents.len()
    }

    /// Whether there is a service of this name.
    pub fn is_service(&self, name: &str) -> bool {
        self.fleet.agents.iter().any(|agent| agent.name == name && agent.kind == "service")
    }

    /// How many agents have each status, in the order in which they first come.
    pub fn statuses(&self) -> Vec<(&str, usize)> {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for agent in &self.fleet.agents {
            match counts.iter_mut().find(|(status, _)| *status == agent.status) {
                Some((_, count)) => *count += 1,
                None => counts.push((&agent.status, 1)),
            }
        }
        counts.sort_by_key(|(status, _)| std::cmp::Reverse(urgency(status)));
        counts
    }

    /// The agents that fit, in order.
    pub fn agents(&self) -> Vec<&Agent> {
        let fits = |agent: &&Agent| {
            self.fits(&[&agent.name, &agent.department, &agent.status, agent.reason.as_deref().unwrap_or_default()])
        };
        let mut agents: Vec<&Agent> = self.fleet.agents.iter().filter(fits).collect();
        match self.order {
            Order::Attention => agents.sort_by_key(|agent| std::cmp::Reverse(urgency(&agent.status))),
            Order::Name => agents.sort_by(|a, b| a.name.cmp(&b.name)),
            Order::Memory => agents.sort_by(|a, b| largest(a.memory_bytes, b.memory_bytes)),
            Order::Latency => agents.sort_by(|a, b| largest(a.p95, b.p95)),
        }
        agents
    }

    /// What waits and fits.
    pub fn waiting(&self) -> Vec<&Waiting> {
        self.queue.waiting.iter().filter(|waiting| self.fits(&[&waiting.agent])).collect()
    }

    /// The events that fit, oldest first.
    pub fn events(&self) -> Vec<&Fact> {
        self.events.iter().filter(|fact| self.fits(&[&fact.topic, &fact.message])).collect()
    }

    /// The dead letters that fit, newest first.
    pub fn letters(&self) -> Vec<&Letter> {
        let fits = |letter: &&Letter| self.fits(&[&letter.agent_name, &letter.error, &letter.state]);
        self.letters.iter().rev().filter(fits).collect()
    }

    /// The lines that fit, oldest first.
    pub fn log(&self) -> Vec<&Line> {
        self.log.iter().filter(|line| self.fits(&[&line.text])).collect()
    }

    /// Rows of a list.
    pub fn rows(&self, tab: Tab) -> usize {
        match tab {
            Tab::Agents => self.agents().len(),
            Tab::Queue => self.waiting().len(),
            Tab::Events => self.events().len(),
            Tab::Letters => self.letters().len(),
            Tab::Logs => self.log().len(),
        }
    }

    /// The agent that a row is about; rows of events and logs say nothing of it.
    pub fn agent_of(&self, tab: Tab, row: usize) -> Option<String> {
        match tab {
            Tab::Agents => self.agents().get(row).map(|agent| agent.name.clone()),
            Tab::Queue => self.waiting().get(row).map(|waiting| waiting.agent.clone()),
            Tab::Letters => self.letters().get(row).map(|letter| letter.agent_name.clone()),
            Tab::Events | Tab::Logs => None,
        }
    }

    fn fits(&self, texts: &[&str]) -> bool {
        let wanted = self.filter.to_lowercase();
        wanted.split_whitespace().all(|word| texts.iter().any(|text| text.to_lowercase().contains(word)))
    }
}

fn largest(a: Option<f64>, b: Option<f64>) -> std::cmp::Ordering {
    b.unwrap_or(-1.0).total_cmp(&a.unwrap_or(-1.0))
}

/// How much a status asks for a person: core's order of statuses, from the best to the worst; but what somebody has
/// disabled is as it should be.
fn urgency(status: &str) -> usize {
    let status = if status == "disabled" { "stopped" } else { status };
    Status::ALL.iter().position(|known| known.as_str() == status).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lists() -> Lists {
        let agents = json!([
            { "name": "agent-db", "department": "data", "kind": "service", "status": "running",
              "memoryBytes": 1_048_576 },
            { "name": "agent-sales", "department": "sales", "kind": "job", "status": "error",
              "reason": "exited with code 1", "p95": 1_250.0 },
            { "name": "agent-report", "department": "sales", "kind": "job", "status": "disabled", "memoryBytes": 4_096,
              "p95": 80.0 },
        ]);
        let letters = json!([
            { "id": 6, "agentName": "agent-sales", "error": "exited with code 1",
              "timestamp": "2026-11-21T08:00:00.123Z", "restartCount": 4, "state": "open" },
            { "id": 7, "agentName": "agent-report", "error": "timed out after 5s",
              "timestamp": "2026-11-21T08:39:00.123Z", "restartCount": 1, "state": "open" },
        ]);
        Lists {
            fleet: Fleet { agents: serde_json::from_value(agents).unwrap(), ..Fleet::default() },
            letters: serde_json::from_value(letters).unwrap(),
            ..Lists::default()
        }
    }

    fn names(lists: &Lists) -> Vec<&str> {
        lists.agents().into_iter().map(|agent| agent.name.as_str()).collect()
    }

    #[test]
    fn what_needs_attention_comes_first_and_what_was_disabled_on_purpose_last() {
        assert_eq!(names(&lists()), ["agent-sales", "agent-report", "agent-db"]);
        assert_eq!(lists().statuses(), [("error", 1), ("disabled", 1), ("running", 1)]);
    }

    #[test]
    fn each_order_leads_to_the_next_and_the_last_to_the_first() {
        let mut lists = lists();
        let mut seen = Vec::new();
        for _ in 0..4 {
            lists.order = lists.order.next();
            seen.push((lists.order.title(), names(&lists)[0].to_owned()));
        }
        let seen: Vec<(&str, &str)> = seen.iter().map(|(order, first)| (*order, first.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("by name", "agent-db"),
                ("by memory", "agent-db"),
                ("by p95", "agent-sales"),
                ("what needs attention first", "agent-sales"),
            ]
        );
    }

    #[test]
    fn a_filter_takes_words_in_any_order_and_whatever_their_case() {
        for (filter, found) in [("error sales", &["agent-sales"][..]), ("CODE", &["agent-sales"]), ("code db", &[])] {
            let lists = Lists { filter: filter.to_owned(), ..lists() };
            assert_eq!(names(&lists), found, "{filter}");
        }
        let sales = Lists { filter: "sales".to_owned(), ..lists() };
        assert_eq!((sales.rows(Tab::Agents), sales.rows(Tab::Letters), sales.rows(Tab::Queue)), (2, 1, 0));
    }

    #[test]
    fn a_row_is_about_the_agent_that_stands_there() {
        let lists = lists();
        assert_eq!(lists.agent_of(Tab::Agents, 0).as_deref(), Some("agent-sales"));
        // The newest letter comes first.
        assert_eq!(lists.agent_of(Tab::Letters, 0).as_deref(), Some("agent-report"));
        assert_eq!((lists.agent_of(Tab::Agents, 3), lists.agent_of(Tab::Events, 0)), (None, None));
    }
}
