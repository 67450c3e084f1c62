//! The orchestrator itself: settings, pause, reload, shutdown.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::{by, message};
use crate::problem::Problem;
use crate::server::Shared;

/// Every setting with its value and where it came from.
pub(crate) async fn config(shared: Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json((shared.config_report)())
}

/// Pauses all triggers but explicit ones.
pub(crate) async fn pause(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    shared.handle.pause(true, &by(&request)).await?;
    Ok(message("triggers are paused; what runs goes on, and manual runs are taken"))
}

/// Ends the pause.
pub(crate) async fn resume(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    shared.handle.pause(false, &by(&request)).await?;
    Ok(message("triggers are resumed"))
}

/// Reads the files again and applies the difference, or nothing.
pub(crate) async fn reload(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.reload(&by(&request), false).await?))
}

/// Begins the shutdown.
pub(crate) async fn shutdown(shared: Data<Shared>, request: HttpRequest) -> HttpResponse {
    shared.handle.shut_down(&format!("werkpilot down by {}", by(&request)));
    HttpResponse::Accepted().json(json!({ "message": "the orchestrator is shutting down" }))
}
