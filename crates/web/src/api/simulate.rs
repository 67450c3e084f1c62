//! What will happen: the fleet in virtual time.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use werkpilot_core::simulate::Simulation;
use werkpilot_runtime::simulate::SimulateQuery;

use crate::openapi::{Contradiction, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Workers, and executions that are told one by one, at most.
const MOST: u32 = 10_000;

/// What will happen.
///
/// The fleet in virtual time from `from` to `to`, at most 31 days, with what is known of the agents. One at a time.
#[utoipa::path(
    get, path = "/api/v1/simulate", operation_id = "simulate", tag = "schedule", params(SimulateQuery),
    responses((status = 200, description = "The simulation.", body = Simulation), Missing, Contradiction)
)]
pub(crate) async fn show(shared: Data<Shared>, query: Query<SimulateQuery>) -> Result<HttpResponse, Problem> {
    if let Some(workers) = query.workers.filter(|workers| !(1..=MOST).contains(workers)) {
        return Err(Problem::bad_request(format!("workers is {workers}; it may be 1 to {MOST}")));
    }
    if let Some(timeline) = query.timeline.filter(|timeline| *timeline > MOST as usize) {
        return Err(Problem::bad_request(format!("timeline is {timeline}; it may be up to {MOST}")));
    }
    Ok(HttpResponse::Ok().json(shared.handle.simulate(query.into_inner()).await?))
}
