//! The dependency graph as data, and what stopping an agent means for the others.

use serde::Serialize;
use utoipa::ToSchema;
use werkpilot_core::event::Event;
use werkpilot_core::ids::{AgentIndex, AgentName};
use werkpilot_core::impact::{self, Member};
use werkpilot_core::reason::DependencyProblem;
use werkpilot_core::spec::{Condition, OnUnhealthyDependency};
use werkpilot_core::status::Status;

use crate::directory::Slot;
use crate::house::House;

/// The dependency graph.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct GraphView {
    /// Agents by boot layer, first one first.
    pub layers: Vec<Vec<AgentName>>,
    /// All agents, in the order of the registry.
    pub nodes: Vec<GraphNode>,
    /// All dependencies.
    pub edges: Vec<GraphEdge>,
    /// The chain of agents that the boot waited for longest, first one first; empty until it is over.
    pub critical_path: Vec<AgentName>,
}

/// An agent in the graph.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GraphNode {
    /// Its name.
    pub name: AgentName,
    /// Its group.
    pub department: String,
    /// `job` or `service`.
    pub kind: &'static str,
    /// Its status.
    pub status: Status,
    /// Its boot layer.
    pub layer: u32,
    /// The longest path down to an agent without dependencies.
    pub depth: u32,
    /// 1, 2 or 3.
    pub priority: u8,
}

/// That an agent depends on another.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GraphEdge {
    /// Who.
    pub from: AgentName,
    /// On whom.
    pub to: AgentName,
    /// What is asked of it: `healthy`, `started` or `succeeded`.
    #[schema(value_type = String)]
    pub condition: Condition,
}

/// What stopping an agent means.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ImpactView {
    /// Who is stopped.
    pub stops: AgentName,
    /// Who is affected, the nearest first.
    pub affected: Vec<AffectedView>,
}

/// Somebody who is affected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AffectedView {
    /// Who.
    pub name: AgentName,
    /// `job` or `service`.
    pub kind: &'static str,
    /// Steps away; 1 depends on it directly.
    pub distance: u32,
    /// What happens.
    pub effect: String,
    /// Whether it does its work no more; else it is only in danger.
    pub blocked: bool,
}

fn kind(slot: &Slot) -> &'static str {
    if slot.spec.service().is_some() { "service" } else { "job" }
}

/// The graph.
pub fn graph_view(house: &House) -> GraphView {
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    let graph = house.graph.borrow();
    let name = |agent: AgentIndex| directory.get(agent).map(|slot| slot.name.clone());
    let layers = graph.layers().into_iter().map(|layer| layer.into_iter().filter_map(name).collect()).collect();
    let known = directory.iter().filter(|(index, _)| index.slot() < graph.len());
    let nodes = known.map(|(index, slot)| GraphNode {
        name: slot.name.clone(),
        department: slot.spec.department.clone(),
        kind: kind(slot),
        status: dispatcher.status(index),
        layer: graph.layer(index),
        depth: graph.depth(index),
        priority: house.priority_of(&slot.spec).number(),
    });
    let edges = directory.iter().flat_map(|(_, slot)| {
        slot.spec.dependencies.iter().map(|dependency| GraphEdge {
            from: slot.name.clone(),
            to: dependency.agent.clone(),
            condition: dependency.condition,
        })
    });
    let critical_path = match house.boot_report.borrow().as_ref() {
        Some(Event::BootCompleted { critical_path, .. }) => critical_path.clone(),
        _ => Vec::new(),
    };
    GraphView { layers, nodes: nodes.collect(), edges: edges.collect(), critical_path }
}

/// What stopping an agent means; `None`: there is none of this name.
pub fn impact_view(house: &House, name: &str) -> Option<ImpactView> {
    let directory = house.directory.borrow();
    let stopped = directory.find(name)?;
    let mut members: Vec<Option<Member>> = vec![None; directory.slots()];
    for (index, slot) in directory.iter() {
        members[index.slot()] = Some(member(house, index, slot));
    }
    let affected = impact::impact(&members, stopped).into_iter().filter_map(|affected| {
        let slot = directory.get(affected.agent)?;
        Some(AffectedView {
            name: slot.name.clone(),
            kind: kind(slot),
            distance: affected.distance,
            blocked: affected.effect.is_blocked(),
            effect: affected.effect.to_string(),
        })
    });
    Some(ImpactView { stops: directory.get(stopped)?.name.clone(), affected: affected.collect() })
}

fn member(house: &House, index: AgentIndex, slot: &Slot) -> Member {
    let (directory, dispatcher) = (house.directory.borrow(), house.dispatcher.borrow());
    let not_yet = dispatcher.unhealthy_dependencies(index);
    let is_met = |agent: &AgentName| {
        let missing = |problem| matches!(problem, DependencyProblem::NotStarted | DependencyProblem::NotSucceeded);
        !not_yet.iter().any(|unhealthy| unhealthy.dep == *agent && missing(unhealthy.reason))
    };
    let dependencies = slot.spec.dependencies.iter().filter_map(|dependency| {
        let on = directory.find(dependency.agent.as_str())?;
        Some((on, dependency.condition, is_met(&dependency.agent)))
    });
    let job = slot.spec.job();
    let up = matches!(dispatcher.status(index), Status::Running | Status::Starting | Status::Unhealthy);
    Member {
        name: slot.name.clone(),
        service: job.is_none(),
        up: job.is_none() && up,
        on_unhealthy: job.map_or(OnUnhealthyDependency::Wait, |job| job.on_unhealthy_dependency),
        after: job.and_then(|job| directory.find(job.triggers.after.as_ref()?.as_str())),
        dependencies: dependencies.collect(),
    }
}
