//! Figures over time, for charts: how long executions, answers and waiting took, by minutes, hours or days.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use werkpilot_runtime::observe::percentiles::figures::{FiguresError, FiguresQuery, FiguresView};

use crate::openapi::{Contradiction, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// A figure over time, for charts.
///
/// Percentiles, mean and count for each minute, hour or day.
#[utoipa::path(
    get, path = "/api/v1/figures/{name}", operation_id = "getFigures", tag = "metrics",
    params(
        ("name" = String, Path, description = "`waiting`, `duration:AGENT` or `request:AGENT`."),
        FiguresQuery
    ),
    responses((status = 200, description = "The figure.", body = FiguresView), Missing, Contradiction)
)]
pub(crate) async fn show(
    shared: Data<Shared>,
    name: Path<String>,
    query: Query<FiguresQuery>,
) -> Result<HttpResponse, Problem> {
    let now = shared.handle.clock().now().wall;
    let span = query.span(now).map_err(|error| not_so(&error))?;
    Ok(HttpResponse::Ok().json(shared.handle.figures(&name, span).await?))
}

fn not_so(error: &FiguresError) -> Problem {
    let status = match error {
        FiguresError::UnknownResolution(_) => StatusCode::BAD_REQUEST,
        FiguresError::Backwards { .. } | FiguresError::TooMany { .. } => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, error.to_string()).hint("ask for another time or another resolution")
}
