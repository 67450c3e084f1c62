//! Notifications: the targets with their counters, and a test of them.

use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_runtime::observe::notifications::{NotificationView, TestResult};

use super::by;
use super::paging::Part;
use crate::audit::note;
use crate::body;
use crate::openapi::{Gone, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Which target is tested; none is all.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = NotificationTest)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    /// Only this target; null: all of them.
    name: Option<String>,
}

/// Who is told of events.
#[derive(Debug, Serialize, ToSchema)]
struct Targets {
    /// In the order of the settings.
    targets: Vec<NotificationView>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

/// What came of a test.
#[derive(Debug, Serialize, ToSchema)]
struct TestResults {
    /// One for each target that was tried.
    results: Vec<TestResult>,
}

/// The targets of notifications, with their counters.
///
/// Nothing of an address is shown but scheme, host and port.
#[utoipa::path(
    get, path = "/api/v1/notifications", operation_id = "listNotifications", tag = "notifications", params(Part),
    responses((status = 200, description = "A page of them.", body = Targets), Gone)
)]
pub(crate) async fn list(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let targets = shared.handle.notifications().await?;
    let (targets, next) = part.of(targets, |target| target.name.clone())?;
    Ok(HttpResponse::Ok().json(Targets { targets, next }))
}

/// Sends a test to one target or to all.
///
/// Tells what came of it: 200 also where a target did not take it.
#[utoipa::path(
    post, path = "/api/v1/notifications/test", operation_id = "testNotifications", tag = "notifications",
    request_body(content = Option<Wish>, description = "Which target."),
    responses((status = 200, description = "What came of it.", body = TestResults), Missing)
)]
pub(crate) async fn test(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let wish: Wish = body::json(payload, body::LIMIT).await?;
    shared.places.wait(&request)?;
    let target = wish.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("all targets");
    note(&request, target, Value::Null, json!({ "tested": true }));
    let by = by(&request);
    let test = shared.handle.test_notifications(wish.name.as_deref().filter(|name| !name.is_empty()), &by);
    let stopping = shared.stopped();
    tokio::select! {
        results = test => Ok(HttpResponse::Ok().json(TestResults { results: results? })),
        () = stopping => Err(Problem::stopping()),
    }
}
