//! The viewer of the document at `/api/docs`: Swagger UI out of the binary, without inline scripts and without the network.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue, VARY};
use actix_web::web::{Bytes, Path};
use actix_web::{HttpRequest, HttpResponse};
use flate2::read::GzDecoder;
use utoipa_swagger_ui::Config;

use crate::compress::takes_gzip;
use crate::problem::Problem;

/// The viewer draws with inline styles and with images of its own style sheet; scripts are files of ours only.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
/// The files change with the binary only.
const CACHE: &str = "private, max-age=3600";

const PAGE: &str = include_str!("viewer/index.html");
const START: &str = include_str!("viewer/start.js");

/// What is served of Swagger UI, with what is made of it on first use: all who ask share the bytes.
static FILES: [(&str, OnceLock<Packed>); 2] =
    [("swagger-ui.css", OnceLock::new()), ("swagger-ui-bundle.js", OnceLock::new())];

/// A file of Swagger UI in both its forms.
struct Packed {
    kind: String,
    plain: Bytes,
    /// As it is in the binary, if it is compressed there.
    gzip: Option<Bytes>,
}

impl Packed {
    /// The one of that name.
    fn of(name: &str) -> io::Result<Self> {
        let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default()))
            .map_err(|error| io::Error::other(error.to_string()))?;
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        let bytes = Bytes::from(file.bytes.into_owned());
        if !file.gzpipped {
            return Ok(Self { kind: file.content_type, plain: bytes, gzip: None });
        }
        let mut plain = Vec::new();
        GzDecoder::new(&*bytes).read_to_end(&mut plain)?;
        Ok(Self { kind: file.content_type, plain: plain.into(), gzip: Some(bytes) })
    }
}

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
    let file = packed(&name)?;
    answer.content_type(file.kind.as_str());
    match file.gzip.as_ref().filter(|_| takes_gzip(request.headers())) {
        Some(gzip) => Ok(answer.insert_header((CONTENT_ENCODING, "gzip")).body(gzip.clone())),
        None => Ok(answer.body(file.plain.clone())),
    }
}

fn packed(name: &str) -> Result<&'static Packed, Problem> {
    let Some((name, kept)) = FILES.iter().find(|(known, _)| *known == name) else {
        let text = format!("the viewer has no file {name}");
        return Err(Problem::new(StatusCode::NOT_FOUND, text).hint("open /api/docs"));
    };
    if let Some(file) = kept.get() {
        return Ok(file);
    }
    let file = Packed::of(name).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to unpack {name}: {error}"))
    })?;
    Ok(kept.get_or_init(|| file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_file_again_gets_the_same_bytes() {
        for (name, _) in &FILES {
            let (first, again) = (packed(name).unwrap(), packed(name).unwrap());
            assert!(std::ptr::eq(first, again), "{name}");
            assert!(first.plain.len() > 10_000, "{name}");
            let smaller = first.gzip.as_ref().is_some_and(|gzip| gzip.len() < first.plain.len());
            assert!(smaller, "{name}");
        }
        assert!(packed("../secret").is_err());
    }
}
