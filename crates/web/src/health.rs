//! The health of the orchestrator itself, as Kubernetes and load balancers ask for it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use serde::Serialize;
use werkpilot_core::vitals::PartReport;
use werkpilot_runtime::view::HealthView;

use crate::problem::Problem;
use crate::server::Shared;

/// What is answered: the health, and the parts because of which the answer is no.
#[derive(Serialize)]
struct Answer<'a> {
    failing: Vec<&'a PartReport>,
    #[serde(flatten)]
    view: &'a HealthView,
}

fn answer(view: &HealthView, failing: Vec<&PartReport>) -> HttpResponse {
    let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(Answer { failing, view })
}

/// 200 while the actors answer at all.
pub(crate) async fn livez(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(answer(&shared.handle.health().await?, Vec::new()))
}

/// 200 when the boot is over, until a shutdown begins; also with a disk that does not take the state, as the fleet goes on.
pub(crate) async fn readyz(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.health().await?;
    Ok(answer(&view, view.unready_because()))
}

/// 200 while no system actor is missing, the event loop and the schedule are in time, and the disk takes the state.
pub(crate) async fn healthz(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.health().await?;
    Ok(answer(&view, view.unhealthy_because()))
}
