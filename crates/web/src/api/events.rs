//! What happened: from memory as far as that goes back, else from the disk.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use werkpilot_runtime::state::FactQuery;

use crate::problem::Problem;
use crate::server::Shared;

/// A page of events, oldest first, and the number of the newest. With `after` or `since` it is the oldest ones that
/// fit, else the newest ones.
pub(crate) async fn list(shared: Data<Shared>, query: Query<FactQuery>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.facts(&query).await?))
}
