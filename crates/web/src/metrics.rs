//! `GET /metrics`: one snapshot of the fleet, as JSON or for a scraper.

use actix_web::http::header::{ACCEPT, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::accept::{Form, negotiate};
use crate::openmetrics::{Dialect, render};
use crate::problem::Problem;
use crate::server::Shared;

/// In the form that the Accept header asks for.
pub(crate) async fn show(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let headers = request.headers().get_all(ACCEPT);
    let accept = headers.map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>().join(",");
    let handle = &shared.handle;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((VARY, "accept"));
    let dialect = match negotiate(&accept) {
        Form::Json => return Ok(answer.json(handle.overview().await?)),
        Form::OpenMetrics => Dialect::OpenMetrics,
        Form::Prometheus => Dialect::Prometheus,
    };
    Ok(answer.content_type(dialect.content_type()).body(render(&handle.scrape().await?, dialect)))
}
