//! Notifications: the targets with their counters, and a test of them.

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::by;
use crate::body;
use crate::problem::Problem;
use crate::server::Shared;

/// Which target is tested; none is all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    name: Option<String>,
}

/// All targets. Nothing of an address but scheme, host and port.
pub(crate) async fn list(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "targets": shared.handle.notifications().await? })))
}

/// Sends a test, and tells what came of it: 200 also where a target did not take it.
pub(crate) async fn test(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wish: Wish = body::json(payload, body::LIMIT).await?;
    shared.places.wait(&request)?;
    let by = by(&request);
    let test = shared.handle.test_notifications(wish.name.as_deref().filter(|name| !name.is_empty()), &by);
    let stopping = shared.stopped();
    tokio::select! {
        results = test => Ok(HttpResponse::Ok().json(json!({ "results": results? }))),
        () = stopping => Err(Problem::stopping()),
    }
}
