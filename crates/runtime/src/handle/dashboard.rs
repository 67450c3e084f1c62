//! What the pages ask for: the first page, the graph with what stopping an agent means, memory over time.

use super::{ControlError, Handle};
use crate::view::{
    Dashboard, GraphView, ImpactView, MemoryHistory, dashboard, graph_view, impact_view, memory_history,
};

impl Handle {
    /// The first page: the orchestrator in figures, and what needs attention.
    pub async fn dashboard(&self) -> Result<Dashboard, ControlError> {
        self.consult(dashboard).await
    }

    /// The dependency graph as data.
    pub async fn graph_data(&self) -> Result<GraphView, ControlError> {
        self.consult(graph_view).await
    }

    /// What stopping an agent means for the others.
    pub async fn impact(&self, name: &str) -> Result<ImpactView, ControlError> {
        let wanted = name.to_owned();
        match self.consult(move |house| impact_view(house, &wanted)).await? {
            Some(impact) => Ok(impact),
            None => Err(self.unknown_agent(name).await),
        }
    }

    /// Memory of an agent over the last two hours, or without a name of all.
    pub async fn memory_history(&self, agent: Option<&str>) -> Result<MemoryHistory, ControlError> {
        let wanted = agent.map(str::to_owned);
        match self.consult(move |house| memory_history(house, wanted.as_deref())).await? {
            Some(history) => Ok(history),
            None => Err(self.unknown_agent(agent.unwrap_or_default()).await),
        }
    }
}
