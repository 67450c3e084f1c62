//! `GET /metrics`: one snapshot of the fleet, as JSON or for a scraper.

use actix_web::http::header::{ACCEPT, VARY};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use crate::accept::{Form, negotiate};
use crate::openmetrics;
use crate::problem::Problem;
use crate::server::Shared;

/// In the form that the Accept header asks for.
pub(crate) async fn show(shared: Data<Shared>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let headers = request.headers().get_all(ACCEPT);
    let accept = headers.map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>().join(",");
    let handle = &shared.handle;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((VARY, "accept"));
    Ok(match negotiate(&accept) {
        Form::Json => answer.json(handle.overview().await?),
        Form::OpenMetrics => {
            answer.content_type(openmetrics::CONTENT_TYPE).body(openmetrics::render(handle.scrape().await?))
        }
        Form::Prometheus => {
            let text = openmetrics::render_prometheus(handle.scrape().await?);
            answer.content_type(openmetrics::PROMETHEUS_TYPE).body(text)
        }
    })
}
