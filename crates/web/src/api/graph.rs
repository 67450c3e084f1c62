//! The dependency graph, drawn or as data, and what stopping an agent means.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use werkpilot_core::graph::Graph;
use werkpilot_runtime::view::{GraphView, ImpactView};

use super::given;
use crate::openapi::Missing;
use crate::problem::Problem;
use crate::server::Shared;

/// How it is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// `text` for a terminal (so without), `dot` for Graphviz, `mermaid`, or `json` for programs.
    #[param(pattern = "^(text|dot|mermaid|json)$")]
    format: Option<String>,
}

/// The dependency graph, drawn or as data.
#[utoipa::path(
    get, path = "/api/v1/graph", operation_id = "getGraph", tag = "graph", params(Wish),
    responses((status = 200, description = "The drawing, or the graph.", content(
        (String = "text/plain"),
        (GraphView = "application/json")
    )))
)]
pub(crate) async fn show(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let render = match given(wish.format.as_ref()) {
        None | Some("text") => Graph::to_text,
        Some("dot") => Graph::to_dot,
        Some("mermaid") => Graph::to_mermaid,
        Some("json") => return Ok(HttpResponse::Ok().json(shared.handle.graph_data().await?)),
        Some(other) => {
            return Err(Problem::bad_request(format!(
                "there is no format {other}; there are text, dot, mermaid and json"
            )));
        }
    };
    let drawing = shared.handle.graph(render).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(drawing))
}

/// What stopping an agent means for the others: who is affected, and how.
#[utoipa::path(
    get, path = "/api/v1/graph/{name}/impact", operation_id = "getImpact", tag = "graph",
    params(("name" = String, Path, description = "The agent.")),
    responses((status = 200, description = "Who is affected, the nearest first.", body = ImpactView), Missing)
)]
pub(crate) async fn impact(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.impact(&name).await?))
}

/// What stopping this agent means for the others; the same as of the graph.
#[utoipa::path(
    get, path = "/api/v1/agents/{name}/impact", operation_id = "getAgentImpact", tag = "agents",
    params(("name" = String, Path, description = "The agent.")),
    responses((status = 200, description = "Who is affected, the nearest first.", body = ImpactView), Missing)
)]
pub(crate) async fn impact_of_agent(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    impact(shared, name).await
}
