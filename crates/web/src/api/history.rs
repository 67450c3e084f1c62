//! History: executions that have ended, and one of them whole. No payloads, no output: those are elsewhere.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use werkpilot_core::ids::RunId;
use werkpilot_runtime::state::HistoryQuery;

use super::logs;
use crate::problem::Problem;
use crate::server::Shared;

/// A page of the executions that have ended, newest first.
pub(crate) async fn list(shared: Data<Shared>, query: Query<HistoryQuery>) -> Result<HttpResponse, Problem> {
    let filter = query.filter().map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(HttpResponse::Ok().json(shared.handle.history(filter).await?))
}

/// One execution, live or ended.
pub(crate) async fn show(shared: Data<Shared>, run: Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.execution(*run).await?))
}

/// What an execution wrote, as far as its lines are still there.
pub(crate) async fn output(
    shared: Data<Shared>,
    run: Path<RunId>,
    wish: Query<logs::Wish>,
) -> Result<HttpResponse, Problem> {
    let (execution, lines) = shared.handle.log_of_run(*run, wish.lines()).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(logs::CONTENT_TYPE).insert_header(("werkpilot-agent", execution.agent.as_str()));
    Ok(answer.body(logs::render(&lines)))
}
