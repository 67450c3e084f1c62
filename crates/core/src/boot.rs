//! The boot: layer by layer, the next one when the services of this one are ready or its time is over.
//!
//! Every layer is started exactly once, in order, and the boot always completes: at the latest after `layer_timeout` for
//! each layer. Layers that nobody waits for pass in the same call.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ids::AgentIndex;
use crate::time::Moment;

/// An agent in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootMember {
    /// Who.
    pub agent: AgentIndex,
    /// Whether the next layer waits for it: an enabled service, which has to become ready.
    pub waits: bool,
}

/// What the boot is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootEvent {
    /// Start the first layer.
    Begin,
    /// All instances of this service are ready.
    Ready(AgentIndex),
    /// Disabled, missing, stopped, failed for good: nobody waits for it any longer.
    GaveUp(AgentIndex),
    /// The deadline that was asked for.
    DeadlineReached,
}

/// What the boot wants.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BootAction {
    /// Start these, services and startup jobs.
    StartLayer {
        /// Counts from 0.
        layer: u32,
        /// All agents of the layer.
        members: Vec<AgentIndex>,
    },
    /// Nobody waits for this layer any longer.
    LayerReady {
        /// Counts from 0.
        layer: u32,
        /// Since it was started.
        took: Duration,
        /// Services that were not ready in time.
        late: Vec<AgentIndex>,
    },
    /// All layers were started, and the last one is ready or late.
    Completed {
        /// Since the first layer was started.
        took: Duration,
        /// Services of all layers that were not ready in time, in boot order.
        late: Vec<AgentIndex>,
        /// The chain of services that the boot waited for longest, first one first: each the dependency of the next one
        /// that let go last, and the last one the service that let go last of all.
        critical_path: Vec<AgentIndex>,
    },
}

/// The boot of a fleet.
#[derive(Clone, Debug)]
pub struct Boot {
    layers: Vec<Vec<BootMember>>,
    layer_timeout: Duration,
    services: BTreeMap<AgentIndex, Service>,
    /// Services of the current layer that it waits for.
    waiting: usize,
    late: Vec<AgentIndex>,
    state: State,
}

/// A service that the boot waits for.
#[derive(Clone, Debug)]
struct Service {
    layer: u32,
    dependencies: Box<[AgentIndex]>,
    /// When the boot stopped waiting for it: ready, given up or late.
    let_go: Option<Moment>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    NotBegun,
    InLayer { began: Moment, layer: u32, layer_began: Moment },
    Done,
}

impl Boot {
    /// A boot that has not begun. `dependencies` answers an agent's direct dependencies (for the critical path).
    pub fn new<'a>(
        layers: Vec<Vec<BootMember>>,
        layer_timeout: Duration,
        dependencies: impl Fn(AgentIndex) -> &'a [AgentIndex],
    ) -> Self {
        let mut services = BTreeMap::new();
        for (layer, members) in (0..).zip(&layers) {
            for member in members.iter().filter(|member| member.waits) {
                let dependencies = dependencies(member.agent).into();
                services.insert(member.agent, Service { layer, dependencies, let_go: None });
            }
        }
        Self { layers, layer_timeout, services, waiting: 0, late: Vec::new(), state: State::NotBegun }
    }

    /// The one place where the state changes.
    pub fn on(&mut self, event: BootEvent, now: Moment, out: &mut Vec<BootAction>) {
        match (self.state, event) {
            (State::NotBegun, BootEvent::Begin) => self.start_from(0, now, now, out),
            // A service that comes before its layer (adopted, or started by hand) is not waited for later.
            (State::NotBegun, BootEvent::Ready(agent) | BootEvent::GaveUp(agent)) => {
                self.let_go(agent, now);
            }
            (State::InLayer { began, layer, layer_began }, BootEvent::Ready(agent) | BootEvent::GaveUp(agent)) => {
                if self.let_go(agent, now) == Some(layer) {
                    self.waiting -= 1;
                    if self.waiting == 0 {
                        out.push(BootAction::LayerReady { layer, took: now.since(layer_began), late: Vec::new() });
                        self.start_from(layer + 1, began, now, out);
                    }
                }
            }
            (State::InLayer { began, layer, layer_began }, BootEvent::DeadlineReached)
                if now >= layer_began + self.layer_timeout =>
            {
                let late = self.give_up_waiting(layer, now);
                out.push(BootAction::LayerReady { layer, took: now.since(layer_began), late });
                self.start_from(layer + 1, began, now, out);
            }
            // Twice, early, or after the end.
            (State::NotBegun | State::InLayer { .. }, BootEvent::DeadlineReached)
            | (State::InLayer { .. }, BootEvent::Begin)
            | (State::Done, _) => {}
        }
    }

    /// When to say [`BootEvent::DeadlineReached`].
    pub fn next_deadline(&self) -> Option<Moment> {
        match self.state {
            State::InLayer { layer_began, .. } => Some(layer_began + self.layer_timeout),
            State::NotBegun | State::Done => None,
        }
    }

    /// Whether all layers were started and are ready or late.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The layer that is being started, counted from 0; `None` before the begin and after the end.
    pub const fn current_layer(&self) -> Option<u32> {
        match self.state {
            State::InLayer { layer, .. } => Some(layer),
            State::NotBegun | State::Done => None,
        }
    }

    /// Starts this layer and, as long as there is nothing to wait for, those after it.
    fn start_from(&mut self, first: u32, began: Moment, now: Moment, out: &mut Vec<BootAction>) {
        for layer in first.. {
            let Some(members) = self.layers.get(layer as usize) else { break };
            out.push(BootAction::StartLayer { layer, members: members.iter().map(|member| member.agent).collect() });
            self.waiting = members.iter().filter(|member| self.is_waited_for(member.agent)).count();
            self.state = State::InLayer { began, layer, layer_began: now };
            if self.waiting > 0 {
                return;
            }
            out.push(BootAction::LayerReady { layer, took: Duration::ZERO, late: Vec::new() });
        }
        self.state = State::Done;
        let late = std::mem::take(&mut self.late);
        out.push(BootAction::Completed { took: now.since(began), late, critical_path: self.critical_path() });
    }

    fn is_waited_for(&self, agent: AgentIndex) -> bool {
        self.services.get(&agent).is_some_and(|service| service.let_go.is_none())
    }

    /// Stops waiting for a service; answers its layer, if it was waited for.
    fn let_go(&mut self, agent: AgentIndex, now: Moment) -> Option<u32> {
        let service = self.services.get_mut(&agent).filter(|service| service.let_go.is_none())?;
        service.let_go = Some(now);
        Some(service.layer)
    }

    fn give_up_waiting(&mut self, layer: u32, now: Moment) -> Vec<AgentIndex> {
        let members = &self.layers[layer as usize];
        let late: Vec<_> = members.iter().map(|m| m.agent).filter(|agent| self.is_waited_for(*agent)).collect();
        for agent in &late {
            self.let_go(*agent, now);
        }
        self.late.extend_from_slice(&late);
        late
    }

    /// Back from the service that let go last, through the dependency that let go last. Ties go to the later layer, then
    /// to the smaller index.
    fn critical_path(&self) -> Vec<AgentIndex> {
        let by_end = |agent: &AgentIndex| {
            let service = self.services.get(agent)?;
            Some((service.let_go?, service.layer, std::cmp::Reverse(*agent)))
        };
        let mut path = Vec::new();
        let mut last = self.services.keys().filter_map(by_end).max();
        while let Some((_, _, std::cmp::Reverse(agent))) = last {
            path.push(agent);
            last = self.services[&agent].dependencies.iter().filter_map(by_end).max();
        }
        path.reverse();
        path
    }
}

#[cfg(test)]
mod tests;
