//! Compresses answers where it pays: whole ones, of some size, for who takes gzip. Streams go out as they are, since
//! each of their pieces is wanted at once.

use std::io::Write;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::routes::Listener;
use crate::server::Shared;

/// Less fits into a packet anyway.
const LEAST: usize = 1_024;
/// Three quarters of what the best would save, at a third of its time: 1 MB of JSON takes 5 to 10 ms.
const LEVEL: Compression = Compression::fast();

/// What is text, by its type without parameters.
const TEXTS: [&str; 8] = [
    "application/json",
    "application/problem+json",
    "application/openmetrics-text",
    "text/plain",
    "text/html",
    "text/css",
    "text/javascript",
    "image/svg+xml",
];

/// The middleware.
pub(crate) async fn compress(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shared = request.app_data::<Data<Shared>>();
    let wanted = shared.is_some_and(|shared| shared.listener == Listener::Tcp) && takes_gzip(request.headers());
    let answer = next.call(request).await?.map_into_boxed_body();
    let large = matches!(answer.response().body().size(), BodySize::Sized(bytes) if bytes >= LEAST as u64);
    if !wanted || !large || !is_text(answer.headers()) || answer.headers().contains_key(CONTENT_ENCODING) {
        return Ok(answer);
    }
    Ok(answer.map_body(|head, body| match body.try_into_bytes() {
        Ok(bytes) => match gzip(&bytes) {
            Some(smaller) => {
                mark(head.headers_mut());
                BoxBody::new(smaller)
            }
            None => BoxBody::new(bytes),
        },
        Err(body) => body,
    }))
}

/// The same, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8 + 64), LEVEL);
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

/// The headers of a compressed answer. Its `ETag` becomes a weak one: other bytes, the same content.
fn mark(headers: &mut HeaderMap) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    let strong = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(weak) = strong.and_then(|tag| HeaderValue::from_str(&format!("W/{tag}")).ok()) {
        headers.insert(ETAG, weak);
    }
}

/// Whether a client takes gzip: named, or by a star, and not with a weight of 0.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = None;
    for header in headers.get_all(ACCEPT_ENCODING) {
        for part in header.to_str().unwrap_or_default().split(',') {
            let mut pieces = part.split(';').map(str::trim);
            let name = pieces.next().unwrap_or_default();
            let refused = pieces.any(|piece| {
                let weight = piece.strip_prefix("q=").and_then(|weight| weight.trim().parse::<f64>().ok());
                weight.is_some_and(|weight| weight <= 0.0)
            });
            if name.eq_ignore_ascii_case("gzip") {
                return !refused;
            }
            if name == "*" {
                any = Some(!refused);
            }
        }
    }
    any.unwrap_or(false)
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    TEXTS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_takes_gzip_gets_it() {
        for (header, takes) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.5", true),
            ("*", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*;q=0", false),
            ("x-gzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(header).unwrap());
            assert_eq!(takes_gzip(&headers), takes, "{header}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_compressed_answer_has_a_weak_tag() {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static("\"7\""));
        mark(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "W/\"7\"");
        mark(&mut headers);
        assert_eq!(headers.get(ETAG).unwrap(), "W/\"7\"");
    }
}
