//! The dependency graph, drawn.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use werkpilot_core::graph::Graph;

use super::given;
use crate::problem::Problem;
use crate::server::Shared;

/// How it is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    format: Option<String>,
}

/// As text for a terminal, for Graphviz, or for Mermaid.
pub(crate) async fn show(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let render = match given(wish.format.as_ref()) {
        None | Some("text") => Graph::to_text,
        Some("dot") => Graph::to_dot,
        Some("mermaid") => Graph::to_mermaid,
        Some(other) => {
            return Err(Problem::bad_request(format!("there is no format {other}; there are text, dot and mermaid")));
        }
    };
    let drawing = shared.handle.graph(render).await?;
    Ok(HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(drawing))
}
