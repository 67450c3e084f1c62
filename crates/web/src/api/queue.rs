//! The execution queue.

use actix_web::HttpResponse;
use actix_web::web::Data;

use crate::problem::Problem;
use crate::server::Shared;

/// What waits, in its order, and why.
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.queue().await?))
}
