//! Who is who: every agent's slot, by index and by name, with its machine and the address of its actor.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;
use werkpilot_core::agent::{Agent, Event, ProcessKey};
use werkpilot_core::ids::{AgentIndex, AgentName, RunId};
use werkpilot_core::spec::AgentSpec;
use werkpilot_core::time::Timestamp;

use crate::agents::agent::{AgentActor, Deliver};
use crate::agents::kept::{Figures, Written};
use crate::observe::health::{LastCheck, OverallCheck};

/// A live process, as far as the router knows.
#[derive(Clone, Debug)]
pub struct LiveProcess {
    /// Its key.
    pub key: ProcessKey,
    /// The execution, or the life of a service.
    pub run: RunId,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Its pid, once it has one.
    pub pid: Option<i32>,
    /// When it was started.
    pub since: Timestamp,
    /// What it last said about itself (`STATUS=`).
    pub said: Option<String>,
}

/// An agent's slot.
pub struct Slot {
    /// Its name.
    pub name: AgentName,
    /// Its definition.
    pub spec: Arc<AgentSpec>,
    /// Its machine: changed by its actor only.
    pub machine: Rc<RefCell<Agent>>,
    /// Its processes.
    pub processes: Vec<LiveProcess>,
    /// What is counted of it.
    pub figures: Figures,
    /// What was written of it last.
    pub written: Written,
    /// Whether one of its processes needed SIGKILL since the shutdown began.
    pub forced: bool,
    /// The last look at its health, by a probe of its own or by the overall check.
    pub last_health_check: Option<LastCheck>,
    /// What the last overall check said; nothing before the first one since the start.
    pub last_overall: Option<Box<OverallCheck>>,
    addr: Option<Addr<AgentActor>>,
    undelivered: Vec<Event>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("name", &self.name).field("processes", &self.processes).finish_non_exhaustive()
    }
}

/// All agents. A removed agent leaves an empty slot.
#[derive(Debug, Default)]
pub struct Directory {
    slots: Vec<Option<Slot>>,
    by_name: HashMap<AgentName, AgentIndex>,
}

impl Directory {
    /// Adds an agent, or puts a new machine into its slot.
    pub fn insert(&mut self, index: AgentIndex, spec: Arc<AgentSpec>, machine: Agent) {
        while self.slots.len() <= index.slot() {
            self.slots.push(None);
        }
        self.by_name.insert(spec.name.clone(), index);
        self.slots[index.slot()] = Some(Slot {
            name: spec.name.clone(),
            spec,
            machine: Rc::new(RefCell::new(machine)),
            processes: Vec::new(),
            figures: Figures::default(),
            written: Written::default(),
            forced: false,
            last_health_check: None,
            last_overall: None,
            addr: None,
            undelivered: Vec::new(),
        });
    }

    /// Takes an agent out.
    pub fn remove(&mut self, index: AgentIndex) {
        if let Some(slot) = self.slots.get_mut(index.slot()).and_then(Option::take)
            && self.by_name.get(&slot.name) == Some(&index)
        {
            self.by_name.remove(&slot.name);
        }
    }

    /// Forgets the name of an agent that is leaving, so that a new one may take it.
    pub fn release_name(&mut self, name: &AgentName) {
        self.by_name.remove(name);
    }

    /// The index that the next new agent gets.
    pub fn next_index(&self) -> AgentIndex {
        AgentIndex::from(self.slots.len())
    }

    /// By name.
    pub fn find(&self, name: &str) -> Option<AgentIndex> {
        self.by_name.get(name).copied()
    }

    /// By index.
    pub fn get(&self, index: AgentIndex) -> Option<&Slot> {
        self.slots.get(index.slot())?.as_ref()
    }

    /// By index, to change it.
    pub fn get_mut(&mut self, index: AgentIndex) -> Option<&mut Slot> {
        self.slots.get_mut(index.slot())?.as_mut()
    }

    /// All agents in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (AgentIndex, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(slot, entry)| Some((AgentIndex::from(slot), entry.as_ref()?)))
    }

    /// How many slots there are, empty ones included.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.iter().flatten().count()
    }

    /// The names of these agents for a line of the log: at most eight, then how many more.
    pub fn listed(&self, agents: &[AgentIndex]) -> String {
        const SHOWN: usize = 8;
        let names = agents.iter().take(SHOWN).filter_map(|agent| Some(self.get(*agent)?.name.as_str()));
        let text = names.collect::<Vec<_>>().join(", ");
        match agents.len().saturating_sub(SHOWN) {
            0 => text,
            more => format!("{text} and {more} more"),
        }
    }

    /// Names for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &AgentName> {
        self.by_name.keys()
    }

    /// Connects the slot with its actor and hands over what came while nobody was there.
    pub fn connect(&mut self, index: AgentIndex, addr: Addr<AgentActor>) {
        if let Some(slot) = self.get_mut(index) {
            for event in slot.undelivered.drain(..) {
                addr.do_send(Deliver(event));
            }
            slot.addr = Some(addr);
        }
    }

    /// The address of an agent's actor, if it is alive.
    pub fn addr(&self, index: AgentIndex) -> Option<Addr<AgentActor>> {
        self.get(index)?.addr.clone().filter(Addr::connected)
    }

    /// Hands an event to an agent's actor; keeps it for the next one if the actor has just died.
    pub fn deliver(&mut self, index: AgentIndex, event: Event) {
        let Some(slot) = self.get_mut(index) else { return };
        match &slot.addr {
            Some(addr) if addr.connected() => addr.do_send(Deliver(event)),
            _ => slot.undelivered.push(event),
        }
    }

    /// Records what the router saw of a process.
    pub fn process_mut(&mut self, key: ProcessKey) -> Option<&mut LiveProcess> {
        self.get_mut(key.agent)?.processes.iter_mut().find(|process| process.key == key)
    }
}
