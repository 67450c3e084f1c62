//! `werkpilot why`: the cause chain of an agent's status or of an execution, from the same reasons that decided.

use serde::Serialize;
use werkpilot_core::breaker::BreakerState;
use werkpilot_core::event::{Event, Recorded};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::reason::DependencyProblem;
use werkpilot_core::status::Status;
use werkpilot_core::time::{Timestamp, human};
use werkpilot_store::row::event::EventRow;

use crate::directory::Slot;
use crate::house::House;
use crate::state::Told;
use crate::view::short_reason;

/// How far down the chain of unhealthy dependencies is followed: deeper ones are the business of those in between.
const DEPTH: usize = 5;
/// Recent facts that are shown with an explanation.
const FACTS: usize = 8;

/// An explanation: one form for programs, [`Why::to_text`] for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Why {
    /// The agent that it is about.
    pub agent: AgentName,
    /// The execution, if it is about one.
    pub run_id: Option<RunId>,
    /// The agent's status, or the execution's state or end.
    pub state: String,
    /// The cause, then the cause of the cause, and so on.
    pub because: Vec<String>,
    /// What will happen next, and when.
    pub next: Option<String>,
    /// What happened last, oldest first.
    pub facts: Vec<Fact>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fact {
    /// When.
    pub at: Timestamp,
    /// Its topic.
    pub topic: String,
    /// What.
    pub text: String,
}

impl Why {
    /// For a terminal.
    pub fn to_text(&self) -> String {
        use std::fmt::Write;
        let mut text = match self.run_id {
            Some(run) => format!("Execution {run} of {}: {}\n", self.agent, self.state),
            None => format!("{} is {}\n", self.agent, self.state),
        };
        for (depth, because) in self.because.iter().enumerate() {
            let _ = writeln!(text, "{}because {because}", "  ".repeat(depth + 1));
        }
        if let Some(next) = &self.next {
            let _ = writeln!(text, "  next: {next}");
        }
        for fact in &self.facts {
            let _ = writeln!(text, "  {}  {}", fact.at, fact.text);
        }
        text
    }
}

/// Explains an agent, by name, or an execution, by id. `None`: there is neither.
pub fn why(house: &House, subject: &str) -> Option<Why> {
    let directory = house.directory.borrow();
    if let Some(index) = directory.find(subject) {
        return Some(of_agent(house, index, directory.get(index)?));
    }
    of_run(house, subject.parse().ok()?)
}

fn of_agent(house: &House, index: AgentIndex, slot: &Slot) -> Why {
    let status = house.dispatcher.borrow().status(index);
    let mut because = Vec::new();
    explain(house, index, status, 0, &mut because);
    Why {
        agent: slot.name.clone(),
        run_id: None,
        state: status.to_string(),
        because,
        next: next_of_agent(house, index, slot, status),
        facts: facts(house, |event| event.agent() == Some(&slot.name), |row| row.agent.as_ref() == Some(&slot.name)),
    }
}

fn explain(house: &House, index: AgentIndex, status: Status, depth: usize, because: &mut Vec<String>) {
    let dispatcher = house.dispatcher.borrow();
    let directory = house.directory.borrow();
    because.extend(short_reason(&dispatcher, index, status));
    if status == Status::Idle
        && let Some(last) = directory.get(index).and_then(|slot| {
            let events = house.events.borrow();
            events.last_run_of(&slot.name).cloned()
        })
    {
        let reason = last.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        because.push(format!("it waits for its next trigger; its last execution {}{reason}", last.end));
    }
    if depth == DEPTH {
        return;
    }
    for unhealthy in dispatcher.unhealthy_dependencies(index) {
        let why = unhealthy.error.map(|error| format!(": {error}")).unwrap_or_default();
        because.push(format!("its dependency {} is {}{why}", unhealthy.dep, unhealthy.reason.as_str()));
        if let (DependencyProblem::Status(status), Some(dependency)) =
            (unhealthy.reason, directory.find(unhealthy.dep.as_str()))
        {
            let before = because.len();
            explain(house, dependency, status, depth + 1, because);
            // The dependency's own reason is in its line already.
            if because.len() > before && because[before - 1].ends_with(because[before].as_str()) {
                because.remove(before);
            }
        }
    }
}

fn next_of_agent(house: &House, index: AgentIndex, slot: &Slot, status: Status) -> Option<String> {
    let now = house.now();
    let machine = slot.machine.borrow();
    if let BreakerState::Open { until, .. } = machine.breaker_state() {
        return Some(format!("one trial in {}", human(until.since(now.steady))));
    }
    let attempts = machine.instances().into_iter().filter_map(|instance| instance.next_attempt);
    if let Some(at) = attempts.min() {
        return Some(format!("started again in {}", human(at.since(now.steady))));
    }
    if status.is_disabled() {
        return Some(format!("nothing, until `werkpilot enable {}`", slot.name));
    }
    if status == Status::Stopped {
        return Some(format!("nothing, until `werkpilot start {}`", slot.name));
    }
    let missed = house.positions.borrow().waiting(index);
    if missed > 0 {
        return Some(format!("it catches up: {missed} more times at which it was due wait, one after the other"));
    }
    let next = house.timetable.borrow().next_of(index, now)?;
    Some(format!("due at {} (in {})", next.at, human(next.at.since(now.wall))))
}

fn of_run(house: &House, run: RunId) -> Option<Why> {
    let facts = facts(house, |event| is_about(event, run), |row| row.run == Some(run));
    if let Some(ended) = house.events.borrow().end_of(run)
        && let Event::ExecutionEnded { agent, end, trigger, reason, .. } = &ended.event
    {
        let mut because: Vec<String> = reason.iter().map(ToString::to_string).collect();
        because.push(format!("it was triggered by {trigger}"));
        return Some(Why {
            agent: agent.clone(),
            run_id: Some(run),
            state: end.to_string(),
            because,
            next: None,
            facts,
        });
    }
    let directory = house.directory.borrow();
    let dispatcher = house.dispatcher.borrow();
    directory.iter().find_map(|(index, slot)| {
        let live = dispatcher.live(index).into_iter().find(|live| live.run == run)?;
        let mut because: Vec<String> = live.reason.iter().map(ToString::to_string).collect();
        because.push(format!("it was triggered by {}", live.trigger));
        let state = if live.running { format!("running (attempt {})", live.attempt) } else { "waiting".to_owned() };
        let facts = facts.clone();
        Some(Why { agent: slot.name.clone(), run_id: Some(run), state, because, next: None, facts })
    })
}

fn is_about(event: &Event, wanted: RunId) -> bool {
    match event {
        Event::AgentStarted { run, .. }
        | Event::AgentFailed { run, .. }
        | Event::AgentSkipped { run, .. }
        | Event::ExecutionQueued { run, .. }
        | Event::ExecutionStarted { run, .. }
        | Event::ExecutionEnded { run, .. }
        | Event::DeadLetterReplayed { run, .. } => *run == wanted,
        _ => false,
    }
}

/// The last facts that are wanted, those of the time before the start included.
fn facts(house: &House, wanted: impl Fn(&Event) -> bool, wanted_row: impl Fn(&EventRow) -> bool) -> Vec<Fact> {
    let events = house.events.borrow();
    let as_fact = |recorded: &Recorded| Fact {
        at: recorded.time,
        topic: recorded.event.topic().to_owned(),
        text: recorded.event.to_string(),
    };
    let past = |row: &EventRow| {
        let told = Told::from(row.clone());
        Fact { at: told.time, topic: told.topic, text: told.message }
    };
    let last = events.iter().rev().filter(|r| wanted(&r.event)).map(as_fact);
    let mut last: Vec<Fact> =
        last.chain(events.past().rev().filter(|row| wanted_row(row)).map(past)).take(FACTS).collect();
    last.reverse();
    last
}
