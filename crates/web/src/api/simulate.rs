//! What will happen: the fleet in virtual time.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use werkpilot_runtime::simulate::SimulateQuery;

use crate::problem::Problem;
use crate::server::Shared;

/// What will happen from `from` to `to`, at most 31 days, with what is known of the agents. One at a time.
pub(crate) async fn show(shared: Data<Shared>, query: Query<SimulateQuery>) -> Result<HttpResponse, Problem> {
    if query.workers == Some(0) {
        return Err(Problem::bad_request("workers may be 1 or more"));
    }
    Ok(HttpResponse::Ok().json(shared.handle.simulate(query.into_inner()).await?))
}
