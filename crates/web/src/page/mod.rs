//! The status page at `/`: plain HTML that refreshes itself, no script.

mod html;
mod text;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::web::Data;
use werkpilot_runtime::clock::Clock;

use crate::problem::Problem;
use crate::server::Shared;

/// The page.
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    let overview = shared.handle.overview().await?;
    Ok(HttpResponse::Ok().content_type("text/html; charset=utf-8").body(html::render(&overview, Clock::wall())))
}

/// Its style sheet.
pub(crate) async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("status.css"))
}

/// Its icon.
pub(crate) async fn icon() -> HttpResponse {
    asset("image/svg+xml", include_str!("icon.svg"))
}

/// The page names its assets with the version, so an hour in the cache is safe.
fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::Ok().content_type(kind).body(text);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    response
}
