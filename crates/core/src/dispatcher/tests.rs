//! Tables of what goes in and what comes out, as short words: see [`Desk::said`].

mod admission;
mod ending;
mod standing;
mod starting;

use std::collections::BTreeMap;

use super::*;
use crate::event::{End, Event as Fact};
use crate::exit::Exit;
use crate::ids::AgentName;
use crate::spec::{Condition, OnUnhealthyDependency, Overlap, Priority};
use crate::trigger::Trigger;

const A: u32 = 0;
const B: u32 = 1;
const C: u32 = 2;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// A dispatcher at a desk, with a clock and a memory of what it granted last.
struct Desk {
    dispatcher: Dispatcher,
    now: Clocks,
    granted: BTreeMap<u32, RunKey>,
}

fn breaker(max_restarts: u32) -> Breaker {
    Breaker { max_restarts, window: Duration::from_mins(1), ..Breaker::default() }
}

fn limits(capacity: u32) -> QueueSettings {
    QueueSettings { capacity, ..QueueSettings::default() }
}

fn profile(agent: u32) -> AgentProfile {
    AgentProfile {
        name: AgentName::new(NAMES[agent as usize]).unwrap(),
        department: "default".to_owned(),
        service: false,
        priority: Priority::Normal,
        depth: 0,
        overlap: Overlap::Skip,
        on_unhealthy: OnUnhealthyDependency::Skip,
        dependencies: Vec::new(),
        after: None,
        schedule: None,
    }
}

fn manual(force: bool) -> Trigger {
    Trigger::Manual { by: "me".to_owned(), force }
}

fn closed(status: Status) -> Gate {
    Gate::Closed { status, reason: Reason::DisabledInRegistry }
}

impl Desk {
    /// With three jobs, a, b and c.
    fn new(workers: u32) -> Self {
        Self::with(workers, 100, 50)
    }

    fn with(workers: u32, capacity: u32, max_restarts: u32) -> Self {
        let dispatcher = Dispatcher::new(&limits(capacity), &breaker(max_restarts), workers, 1);
        let mut desk = Self { dispatcher, now: Clocks::default(), granted: BTreeMap::new() };
        for agent in [A, B, C] {
            desk.define(agent, |_| {});
        }
        desk
    }

    fn define(&mut self, agent: u32, change: impl FnOnce(&mut AgentProfile)) {
        let mut profile = profile(agent);
        change(&mut profile);
        self.dispatcher.define(AgentIndex(agent), profile);
    }

    /// `agent` depends on `on`.
    fn depend(&mut self, agent: u32, on: u32, condition: Condition, on_unhealthy: OnUnhealthyDependency) {
        self.define(agent, |profile| {
            profile.dependencies = vec![(AgentIndex(on), condition)];
            profile.on_unhealthy = on_unhealthy;
        });
    }

    fn wait(&mut self, duration: Duration) {
        self.now.steady = self.now.steady + duration;
        self.now.wall = self.now.wall + duration;
    }

    fn on(&mut self, event: Event) -> Vec<String> {
        let mut out = Vec::new();
        self.dispatcher.on(event, self.now, &mut out);
        self.said(&out)
    }

    fn admit(&mut self, agent: u32, trigger: Trigger) -> Vec<String> {
        let mut out = Vec::new();
        let request = Request::new(AgentIndex(agent), trigger);
        let _ = self.dispatcher.admit(request, self.now, &mut out);
        self.said(&out)
    }

    fn batch(&mut self, agents: &[u32]) -> Vec<String> {
        let mut out = Vec::new();
        let request = |agent: &u32| Request::new(AgentIndex(*agent), Trigger::Schedule);
        self.dispatcher.admit_batch(agents.iter().map(request), self.now, &mut out);
        self.said(&out)
    }

    fn due(&mut self, agent: u32) -> Vec<String> {
        self.admit(agent, Trigger::Schedule)
    }

    fn key(&self, agent: u32) -> RunKey {
        self.granted[&agent]
    }

    /// The execution of this agent that was started last ends.
    fn ends(&mut self, agent: u32, end: End) -> Vec<String> {
        let ended = report(self.key(agent), end);
        self.on(Event::Ended(Box::new(ended)))
    }

    fn retries(&mut self, agent: u32, delay: Duration, counted: bool) -> Vec<String> {
        let reason = Reason::Exited { exit: Exit::Code(1) };
        self.on(Event::Retry { key: self.key(agent), delay, counted, attempt: Some(attempt()), reason })
    }

    fn gate(&mut self, agent: u32, gate: Gate) -> Vec<String> {
        self.on(Event::SetGate { agent: AgentIndex(agent), gate })
    }

    fn service_is(&mut self, agent: u32, status: Status) -> Vec<String> {
        self.on(Event::ServiceStatus { agent: AgentIndex(agent), status, error: None })
    }

    fn spawned(&mut self, agent: u32) -> Vec<String> {
        self.on(Event::FirstStarted { agent: AgentIndex(agent) })
    }

    fn start_service(&mut self, agent: u32, automatic: bool, force: bool) -> Vec<String> {
        self.on(Event::StartService { agent: AgentIndex(agent), instance: 0, automatic, force })
    }

    fn status(&self, agent: u32) -> Status {
        self.dispatcher.status(AgentIndex(agent))
    }

    fn deadline(&mut self) -> Option<Moment> {
        self.dispatcher.next_deadline(self.now.steady)
    }

    /// Each answer in a few words; what only goes along with another one is left out.
    fn said(&mut self, actions: &[Action]) -> Vec<String> {
        let mut words = Vec::new();
        for action in actions {
            words.extend(match action {
                Action::Start(grant) => {
                    let name = NAMES[grant.agent.slot()];
                    self.granted.insert(grant.agent.0, grant.key);
                    Some(match grant.instance {
                        Some(instance) => format!("start {name}/{instance}"),
                        None => format!("start {name}#{}", grant.attempt),
                    })
                }
                Action::Cancel { agent, .. } => Some(format!("cancel {}", NAMES[agent.slot()])),
                Action::DeadLetter(draft) => Some(format!("letter {} of {}", draft.agent, draft.attempts.len())),
                Action::Sample { agent, .. } => Some(format!("sample {}", NAMES[agent.slot()])),
                Action::Emit(Fact::ExecutionQueued { agent, .. }) => Some(format!("queued {agent}")),
                Action::Emit(Fact::ExecutionEnded { agent, end, .. }) => Some(format!("{agent} {end}")),
                Action::Emit(fact @ Fact::DependenciesUnhealthy { .. }) => Some(fact.to_string()),
                Action::Emit(Fact::BreakerOpened { .. }) => Some("no room".to_owned()),
                Action::Emit(Fact::BreakerClosed { .. }) => Some("room again".to_owned()),
                Action::Keep(_) | Action::Emit(_) => None,
            });
        }
        words
    }
}

fn attempt() -> crate::dead_letters::Attempt {
    let (started_at, duration) = (Timestamp::default(), Duration::from_secs(1));
    crate::dead_letters::Attempt { attempt: 1, started_at, duration, exit: Exit::Code(1) }
}

fn report(key: RunKey, end: End) -> Ended {
    Ended { end, attempt: Some(attempt()), reason: None, dead_letter: false, ..Ended::lost(key) }
}

const NOTHING: [&str; 0] = [];
