//! `/api/v1`: one file per subject, named as in every layer.

pub(crate) mod agents;
pub(crate) mod bus;
pub(crate) mod control;
pub(crate) mod dead_letters;
pub(crate) mod events;
pub(crate) mod executions;
pub(crate) mod figures;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod notifications;
pub(crate) mod optimizer;
pub(crate) mod queue;
pub(crate) mod schedule;
pub(crate) mod simulate;
pub(crate) mod why;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

/// A requester's name is cut off here: it goes into events and reasons.
const MAX_NAME: usize = 64;

/// Who asks, as far as they say so: the socket lets nobody in but the user of the orchestrator.
fn by(request: &HttpRequest) -> String {
    let said = request.headers().get("werkpilot-by").and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    if said.is_empty() { "control socket".to_owned() } else { said }
}

fn message(text: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "message": text.into() }))
}

/// An empty query value is as good as none.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}
