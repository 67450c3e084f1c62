//! The health of the orchestrator itself, as Kubernetes and load balancers ask for it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use werkpilot_runtime::view::HealthView;

use crate::problem::Problem;
use crate::server::Shared;

fn answer(view: &HealthView, well: bool) -> HttpResponse {
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(view)
}

/// 200 while the actors answer at all.
pub(crate) async fn livez(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(answer(&shared.handle.health().await?, true))
}

/// 200 when the boot is over, until a shutdown begins; also with a disk that does not take the state, as the fleet goes on.
pub(crate) async fn readyz(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.health().await?;
    Ok(answer(&view, view.ready))
}

/// 200 while no system actor is missing and the disk takes the state.
pub(crate) async fn healthz(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.health().await?;
    Ok(answer(&view, view.missing_actors.is_empty() && view.store.is_well()))
}
