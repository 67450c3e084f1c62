//! Who depends on whom: depth, boot layers, the path of a cycle, and what stopping an agent means for others.
//!
//! An agent's layer is later than the layer of each of its dependencies. Nothing here recurses, so that a chain may be
//! as long as the registry.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write as _;

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::ids::{AgentIndex, AgentName};

/// The latest layer that can be asked for; later ones are taken as this, so that layers never overflow.
const LATEST_LAYER: u32 = 1_000_000;

/// An agent as [`Graph::new`] takes it: name, dependencies, and the layer asked for.
pub type GraphMember = (AgentName, Vec<AgentName>, Option<u32>);

/// Why agents and their dependencies are no graph to boot by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphFault {
    /// A dependency is not among the agents.
    #[error("agent `{agent}` depends on `{dependency}`, which is not in the registry")]
    UnknownDependency {
        /// Who has the dependency.
        agent: AgentName,
        /// The unknown name.
        dependency: AgentName,
    },
    /// Agents depend on each other in a circle.
    #[error("dependencies form a cycle: {}", path.iter().map(AgentName::as_str).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// A shortest one: each depends on the next, and the first is also the last.
        path: Vec<AgentName>,
    },
    /// Two agents have the same name.
    #[error("agent `{0}` is there twice")]
    DuplicateName(AgentName),
}

/// The dependency graph of a fleet. Positions are [`AgentIndex`]es.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// `None` is the empty slot of a removed agent.
    names: Vec<Option<AgentName>>,
    dependencies: Vec<Box<[AgentIndex]>>,
    dependents: Vec<Box<[AgentIndex]>>,
    depth: Vec<u32>,
    layer: Vec<u32>,
}

impl Graph {
    /// The graph of these agents; the first one is [`AgentIndex`] 0.
    ///
    /// # Errors
    /// The first unknown dependency or doubled name; else a cycle, if there is one.
    pub fn new(agents: &[GraphMember]) -> Result<Self, GraphFault> {
        Self::build(agents.iter().map(Some))
    }

    /// Like [`Graph::new`], with empty slots (`None`) where agents were removed.
    ///
    /// # Errors
    /// As [`Graph::new`].
    pub fn with_gaps(agents: &[Option<GraphMember>]) -> Result<Self, GraphFault> {
        Self::build(agents.iter().map(Option::as_ref))
    }

    fn build<'a>(agents: impl Iterator<Item = Option<&'a GraphMember>> + Clone) -> Result<Self, GraphFault> {
        let names: Vec<Option<AgentName>> = agents.clone().map(|agent| agent.map(|(name, ..)| name.clone())).collect();
        let mut slots: HashMap<&AgentName, usize> = HashMap::with_capacity(names.len());
        for (slot, name) in names.iter().enumerate() {
            let Some(name) = name else { continue };
            if slots.insert(name, slot).is_some() {
                return Err(GraphFault::DuplicateName(name.clone()));
            }
        }
        let mut dependencies: Vec<Box<[AgentIndex]>> = Vec::with_capacity(names.len());
        for agent in agents.clone() {
            dependencies.push(match agent {
                Some((name, wanted, _)) => resolve(name, wanted, &slots)?,
                None => Box::default(),
            });
        }
        let order = boot_order(&dependencies).map_err(|looped| GraphFault::Cycle {
            path: shortest_cycle(looped, &dependencies)
                .iter()
                .filter_map(|agent| names[agent.slot()].clone())
                .collect(),
        })?;
        let mut depth = vec![0; names.len()];
        let mut layer: Vec<u32> = agents.map(|agent| asked(agent)).collect();
        for agent in order {
            for dependency in &dependencies[agent.slot()] {
                depth[agent.slot()] = depth[agent.slot()].max(depth[dependency.slot()] + 1);
                layer[agent.slot()] = layer[agent.slot()].max(layer[dependency.slot()] + 1);
            }
        }
        let dependents = reversed(&dependencies);
        Ok(Self { names, dependencies, dependents, depth, layer })
    }

    /// How many slots there are, empty ones included.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The longest path down to an agent without dependencies. 0 for one that is not in the graph, as it was taken out of
    /// the registry and has a last program still: such an agent has neither dependencies nor dependents.
    pub fn depth(&self, agent: AgentIndex) -> u32 {
        self.depth.get(agent.slot()).copied().unwrap_or(0)
    }

    /// Its boot layer: its depth, the layer asked for, or one later than a dependency's, whichever is latest.
    pub fn layer(&self, agent: AgentIndex) -> u32 {
        self.layer.get(agent.slot()).copied().unwrap_or(0)
    }

    /// All agents by layer, first one first; layers that nobody is in are left out.
    pub fn layers(&self) -> Vec<Vec<AgentIndex>> {
        let mut layers: BTreeMap<u32, Vec<AgentIndex>> = BTreeMap::new();
        for agent in self.agents() {
            layers.entry(self.layer(agent)).or_default().push(agent);
        }
        layers.into_values().collect()
    }

    /// Who depends on it directly.
    pub fn dependents(&self, agent: AgentIndex) -> &[AgentIndex] {
        self.dependents.get(agent.slot()).map_or(&[], |agents| agents)
    }

    /// What it depends on directly.
    pub fn dependencies(&self, agent: AgentIndex) -> &[AgentIndex] {
        self.dependencies.get(agent.slot()).map_or(&[], |agents| agents)
    }

    /// Who depends on it, directly or not: what stopping it means. Nearest first.
    pub fn impact(&self, agent: AgentIndex) -> Vec<AgentIndex> {
        let mut seen = vec![false; self.len()];
        if let Some(seen) = seen.get_mut(agent.slot()) {
            *seen = true;
        }
        let mut found = Vec::new();
        let mut next = 0;
        let mut current = agent;
        loop {
            for dependent in self.dependents(current) {
                if !std::mem::replace(&mut seen[dependent.slot()], true) {
                    found.push(*dependent);
                }
            }
            match found.get(next) {
                Some(agent) => current = *agent,
                None => return found,
            }
            next += 1;
        }
    }

    fn agents(&self) -> impl Iterator<Item = AgentIndex> {
        self.names.iter().enumerate().filter(|(_, name)| name.is_some()).map(|(slot, _)| AgentIndex::from(slot))
    }

    fn name(&self, agent: AgentIndex) -> &str {
        self.names.get(agent.slot()).and_then(Option::as_ref).map_or("", AgentName::as_str)
    }

    /// The layers with their agents, and what each needs, for a terminal.
    pub fn to_text(&self) -> String {
        let width = self.agents().map(|agent| self.name(agent).len()).max().unwrap_or(0);
        let mut text = String::new();
        for layer in self.layers() {
            let _ = writeln!(text, "layer {}", self.layer(layer[0]));
            for agent in layer {
                let needs: Vec<&str> = self.dependencies(agent).iter().map(|needed| self.name(*needed)).collect();
                let _ = match needs.as_slice() {
                    [] => writeln!(text, "  {}", self.name(agent)),
                    _ => writeln!(text, "  {:width$}  needs {}", self.name(agent), needs.join(", ")),
                };
            }
        }
        text
    }

    /// For Graphviz; an arrow goes from an agent to what it depends on.
    pub fn to_dot(&self) -> String {
        let mut text = "digraph werkpilot {\n  rankdir=RL;\n  node [shape=box];\n".to_owned();
        for agent in self.agents() {
            let _ = writeln!(text, "  \"{}\";", self.name(agent));
        }
        for (agent, needed) in self.edges() {
            let _ = writeln!(text, "  \"{}\" -> \"{}\";", self.name(agent), self.name(needed));
        }
        text.push_str("}\n");
        text
    }

    /// For Mermaid; an arrow goes from an agent to what it depends on. Nodes are numbered, because names such as `end`
    /// mean something to Mermaid.
    pub fn to_mermaid(&self) -> String {
        let mut text = "graph RL\n".to_owned();
        for agent in self.agents() {
            let _ = writeln!(text, "  a{}[\"{}\"]", agent.0, self.name(agent));
        }
        for (agent, needed) in self.edges() {
            let _ = writeln!(text, "  a{} --> a{}", agent.0, needed.0);
        }
        text
    }

    fn edges(&self) -> impl Iterator<Item = (AgentIndex, AgentIndex)> {
        self.agents().flat_map(|agent| self.dependencies(agent).iter().map(move |needed| (agent, *needed)))
    }
}

fn asked(agent: Option<&GraphMember>) -> u32 {
    agent.and_then(|(_, _, layer)| *layer).unwrap_or(0).min(LATEST_LAYER)
}

/// Names to slots; a dependency that is named twice counts once.
fn resolve(
    agent: &AgentName,
    wanted: &[AgentName],
    slots: &HashMap<&AgentName, usize>,
) -> Result<Box<[AgentIndex]>, GraphFault> {
    let mut found = Vec::with_capacity(wanted.len());
    for dependency in wanted {
        let slot = slots
            .get(dependency)
            .ok_or_else(|| GraphFault::UnknownDependency { agent: agent.clone(), dependency: dependency.clone() })?;
        found.push(AgentIndex::from(*slot));
    }
    let mut seen = std::collections::HashSet::with_capacity(found.len());
    found.retain(|dependency| seen.insert(*dependency));
    Ok(found.into_boxed_slice())
}

/// All agents, dependencies first; or an agent on a cycle. petgraph's `toposort` does not recurse.
fn boot_order(dependencies: &[Box<[AgentIndex]>]) -> Result<Vec<AgentIndex>, AgentIndex> {
    let edges: usize = dependencies.iter().map(|list| list.len()).sum();
    let mut graph: DiGraph<(), (), u32> = DiGraph::with_capacity(dependencies.len(), edges);
    for _ in dependencies {
        graph.add_node(());
    }
    for (slot, list) in dependencies.iter().enumerate() {
        for dependency in list {
            graph.add_edge(NodeIndex::new(dependency.slot()), NodeIndex::new(slot), ());
        }
    }
    match toposort(&graph, None) {
        Ok(order) => Ok(order.into_iter().map(|node| AgentIndex::from(node.index())).collect()),
        Err(cycle) => Err(AgentIndex::from(cycle.node_id().index())),
    }
}

/// A shortest way from an agent along its dependencies back to itself; the agent is on a cycle.
fn shortest_cycle(start: AgentIndex, dependencies: &[Box<[AgentIndex]>]) -> Vec<AgentIndex> {
    let mut came_from: Vec<Option<AgentIndex>> = vec![None; dependencies.len()];
    let mut waiting = VecDeque::from([start]);
    while let Some(agent) = waiting.pop_front() {
        for dependency in &dependencies[agent.slot()] {
            if came_from[dependency.slot()].is_none() {
                came_from[dependency.slot()] = Some(agent);
                waiting.push_back(*dependency);
            }
        }
        if came_from[start.slot()].is_some() {
            break;
        }
    }
    let mut path = vec![start];
    let mut current = start;
    while let Some(previous) = came_from[current.slot()] {
        path.push(previous);
        current = previous;
        if current == start {
            break;
        }
    }
    path.reverse();
    path
}

fn reversed(dependencies: &[Box<[AgentIndex]>]) -> Vec<Box<[AgentIndex]>> {
    let mut dependents: Vec<Vec<AgentIndex>> = vec![Vec::new(); dependencies.len()];
    for (slot, list) in dependencies.iter().enumerate() {
        for dependency in list {
            dependents[dependency.slot()].push(AgentIndex::from(slot));
        }
    }
    dependents.into_iter().map(Vec::into_boxed_slice).collect()
}

#[cfg(test)]
mod tests;
