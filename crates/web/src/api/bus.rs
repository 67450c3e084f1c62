//! The bus: its figures, and the micro-services on it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::json;

use crate::problem::Problem;
use crate::server::Shared;

/// How long micro-services may take to answer: on one machine they take milliseconds, and nobody knows how many there are.
const WINDOW: Duration = Duration::from_millis(250);

/// Connections, subscriptions, requests, messages.
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.bus_report().await?))
}

/// What the micro-services say of themselves (ADR-32), endpoints with their figures.
pub(crate) async fn services(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "services": shared.handle.bus_services(WINDOW).await? })))
}
