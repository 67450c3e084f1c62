//! The viewer of the document at `/api/docs`: Swagger UI out of the binary, without inline scripts and without the network.

use std::io::Read;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, VARY,
};
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

/// The viewer draws with inline styles and with images of its own style sheet; scripts are files of ours only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The files change with the binary only.
const CACHE: &str = "private, max-age=3600";

const PAGE: &str = include_str!("viewer/index.html");
const START: &str = include_str!("viewer/start.js");

/// What is served of Swagger UI.
const FILES: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// The page.
pub(crate) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .content_type("text/html; charset=utf-8")
        .body(PAGE)
}

/// A file of it.
pub(crate) async fn file(request: HttpRequest, name: Path<String>) -> Result<HttpResponse, Problem> {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, CACHE)).insert_header((VARY, "accept-encoding"));
    if name.as_str() == "start.js" {
        return Ok(answer.content_type("text/javascript; charset=utf-8").body(START));
    }
    let known = FILES.contains(&name.as_str()).then(|| utoipa_swagger_ui::serve(&name, Arc::new(Config::default())));
    let Some(Ok(Some(file))) = known else {
        let text = format!("the viewer has no file {name}");
        return Err(Problem::new(StatusCode::NOT_FOUND, text).hint("open /api/docs"));
    };
    answer.content_type(file.content_type);
    if !file.gzpipped {
        return Ok(answer.body(file.bytes.into_owned()));
    }
    let accepted = request.headers().get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("gzip")) {
        return Ok(answer.insert_header((CONTENT_ENCODING, "gzip")).body(file.bytes.into_owned()));
    }
    let mut plain = Vec::new();
    let read = GzDecoder::new(&*file.bytes).read_to_end(&mut plain);
    read.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to unpack {name}: {error}")))?;
    Ok(answer.body(plain))
}
