//! The execution queue.

use actix_web::HttpResponse;
use actix_web::web::Data;
use werkpilot_runtime::view::QueueView;

use crate::problem::Problem;
use crate::server::Shared;

/// What waits, in its order, and why.
#[utoipa::path(
    get, path = "/api/v1/queue", operation_id = "getQueue", tag = "queue",
    responses((status = 200, description = "The queue.", body = QueueView))
)]
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.queue().await?))
}
