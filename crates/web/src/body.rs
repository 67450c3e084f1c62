//! Reads the bodies of requests, within a size and a time.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// Bytes of a body at most, but where an execution's payload comes along.
pub(crate) const LIMIT: usize = 256 * 1024;
/// A body may take so long, from the moment that somebody wants it; that it ends at all is the door's business.
const TIME: Duration = Duration::from_secs(10);

/// The body as JSON; the default if there is none.
pub(crate) async fn json<T: DeserializeOwned + Default>(payload: web::Payload, limit: usize) -> Result<T, Problem> {
    parsed(&whole(payload, limit).await?)
}

/// The body as it came.
pub(crate) async fn whole(payload: web::Payload, limit: usize) -> Result<Vec<u8>, Problem> {
    let read = tokio::time::timeout(TIME, bytes(payload, limit)).await;
    read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))?
}

/// A body that came, as JSON; the default if there is none.
pub(crate) fn parsed<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    // A list would be taken as the members in their order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::bad_request("the body is no JSON object").hint("send { … }, or no body at all"));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| Problem::bad_request(format!("the body can't be read: {}", said(&error))))
}

/// What is wrong with a body, without its values: they may be secrets, and problems are kept in the audit log.
fn said(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let tells_a_value =
        ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|begin| text.contains(begin));
    if !tells_a_value {
        return text;
    }
    let expected = text.split_once(", expected ").map_or("another value", |(_, expected)| expected);
    format!("a value is of the wrong kind; expected {expected}")
}

/// Bytes as base 64, padded; what stands in the last bits beyond them does not matter.
pub(crate) fn base64(text: &str) -> Result<Vec<u8>, Problem> {
    const LENIENT: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
    let bytes = LENIENT.decode(text);
    bytes.map_err(|error| Problem::bad_request(format!("payloadBase64 is no base 64: {error}")))
}

/// A whole number, if there is one; for JSON, `3.0` is one as well.
pub(crate) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    let whole = number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0)?;
        format!("{float:.0}").parse().ok()
    });
    whole.map(Some).ok_or_else(|| serde::de::Error::custom(format!("{number} is no whole number from 0 on")))
}

/// A problem that says how large a body may be.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {limit} bytes are taken")).with("limit", limit)
}

async fn bytes(mut payload: web::Payload, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::bad_request(format!("the body is broken: {error}")))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Orders {
        force: bool,
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_its_values() {
        for body in [r#"{"force":"canary"}"#, r#"{"force":4711}"#] {
            let text = parsed::<Orders>(body.as_bytes()).unwrap_err().to_string();
            assert!(
                !text.contains("canary") && !text.contains("4711") && text.contains("expected a boolean"),
                "{text}"
            );
        }
        let unknown = parsed::<Orders>(br#"{"froce":true}"#).unwrap_err().to_string();
        assert!(unknown.contains("unknown field `froce`, expected `force`"), "{unknown}");
    }
}
