//! The execution queue.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::ids::AgentName;
use werkpilot_runtime::view::QueueView;

use super::paging;
use crate::openapi::Gone;
use crate::problem::Problem;
use crate::server::Shared;

/// Executions of a page, where nobody says otherwise, and at most: as many as may wait with the usual `[queue] capacity`.
const MOST: usize = 10_000;

/// Which part of the queue is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// Only executions of this agent.
    agent: Option<AgentName>,
    /// At most so many; without: 10,000.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// The queue, page by page.
#[derive(Debug, Serialize, ToSchema)]
struct QueuePage {
    #[serde(flatten)]
    queue: QueueView,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

/// What waits, in its order, and why.
#[utoipa::path(
    get, path = "/api/v1/queue", operation_id = "getQueue", tag = "queue", params(Part),
    responses((status = 200, description = "A page of the queue.", body = QueuePage), Gone)
)]
pub(crate) async fn show(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let limit = paging::limit(part.limit, MOST, MOST)?;
    let mut queue = shared.handle.queue().await?;
    queue.waiting.retain(|waiting| part.agent.as_ref().is_none_or(|agent| waiting.agent == *agent));
    let (waiting, next) = paging::page(queue.waiting, limit, part.cursor.as_ref(), |waiting| waiting.run.to_string())?;
    queue.waiting = waiting;
    Ok(HttpResponse::Ok().json(QueuePage { queue, next }))
}
