//! `GET /metrics`: one snapshot of the fleet, as JSON or for a scraper.

use actix_web::http::header::{ACCEPT, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use werkpilot_runtime::view::Scrape;

use crate::accept::{Form, negotiate};
use crate::openmetrics::{Dialect, render};
use crate::problem::Problem;
use crate::server::Shared;
use crate::snapshot;

fn form(request: &HttpRequest) -> Form {
    let headers = request.headers().get_all(ACCEPT);
    let accept = headers.map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>().join(",");
    negotiate(&accept)
}

/// Whether the Accept header asks for JSON.
pub(crate) fn wants_json(request: &HttpRequest) -> bool {
    form(request) == Form::Json
}

/// In the form that the Accept header asks for.
pub(crate) async fn show(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let dialect = match form(&request) {
        Form::Json => return snapshot::metrics(&shared, &request).await,
        Form::OpenMetrics => Dialect::OpenMetrics,
        Form::Prometheus => Dialect::Prometheus,
    };
    let scrape = Scrape { http: Some(shared.counters.told()), ..shared.handle.scrape().await? };
    let text = render(&scrape, dialect);
    Ok(HttpResponse::Ok().insert_header((VARY, "accept")).content_type(dialect.content_type()).body(text))
}
