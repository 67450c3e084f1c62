//! The first page: the orchestrator in figures, and what needs attention.

use actix_web::HttpResponse;
use actix_web::web::Data;
use werkpilot_runtime::view::Dashboard;

use crate::problem::Problem;
use crate::server::Shared;

/// The orchestrator in figures, and what needs attention, the worst first.
#[utoipa::path(
    get, path = "/api/v1/overview", operation_id = "getOverview", tag = "orchestrator",
    responses((status = 200, description = "How it is.", body = Dashboard))
)]
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.dashboard().await?))
}
