//! Reads the bodies of requests, within a size and a time.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Bytes of a body at most, but where an execution's payload comes along.
pub(crate) const LIMIT: usize = 256 * 1024;
/// A body may take so long: loopback and Unix sockets only.
const TIME: Duration = Duration::from_secs(10);

/// The body as JSON; the default if there is none.
pub(crate) async fn json<T: DeserializeOwned + Default>(payload: web::Payload, limit: usize) -> Result<T, Problem> {
    let read = tokio::time::timeout(TIME, bytes(payload, limit)).await;
    let bytes = read.map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))??;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|error| Problem::bad_request(format!("the body can't be read: {error}")))
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
