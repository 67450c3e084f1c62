//! The first page: the orchestrator in figures, and what needs attention.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use werkpilot_runtime::view::Dashboard;

use super::role_of;
use crate::problem::Problem;
use crate::server::Shared;

/// The orchestrator in figures, and what needs attention, the worst first.
///
/// Who has no role does not see what programs said before they failed.
#[utoipa::path(
    get, path = "/api/v1/overview", operation_id = "getOverview", tag = "orchestrator",
    responses((status = 200, description = "How it is.", body = Dashboard))
)]
pub(crate) async fn show(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let mut dashboard = shared.handle.dashboard().await?;
    if role_of(&request).is_none() {
        dashboard.attention.iter_mut().for_each(|item| item.last_words = None);
    }
    Ok(HttpResponse::Ok().json(dashboard))
}
