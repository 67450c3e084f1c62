//! Figures over time, for charts: how long executions, answers and waiting took, by minutes, hours or days.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use werkpilot_runtime::observe::percentiles::figures::FiguresQuery;

use crate::problem::Problem;
use crate::server::Shared;

/// One figure: `waiting`, `duration:AGENT` or `request:AGENT`.
pub(crate) async fn show(
    shared: Data<Shared>,
    name: Path<String>,
    query: Query<FiguresQuery>,
) -> Result<HttpResponse, Problem> {
    let now = shared.handle.clock().now().wall;
    let span = query.span(now).map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(HttpResponse::Ok().json(shared.handle.figures(&name, span).await?))
}
