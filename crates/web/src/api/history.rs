//! History: executions that have ended, and one of them whole. No payloads, no output: those are elsewhere.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use werkpilot_core::ids::RunId;
use werkpilot_runtime::state::{ExecutionView, HistoryPage, HistoryQuery};

use super::{logs, paging};
use crate::openapi::Missing;
use crate::problem::Problem;
use crate::server::Shared;

/// Executions of a page, where nobody says otherwise; and at most.
const PAGE: usize = 50;
const MOST: usize = 1_000;

/// How much of an output is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// The last so many lines; without: 100.
    #[param(minimum = 0, maximum = 10_000)]
    lines: Option<usize>,
}

/// The executions that have ended, newest first.
#[utoipa::path(
    get, path = "/api/v1/executions", operation_id = "listExecutions", tag = "executions", params(HistoryQuery),
    responses((status = 200, description = "A page of them; one with few may have a next one.", body = HistoryPage))
)]
pub(crate) async fn list(shared: Data<Shared>, query: Query<HistoryQuery>) -> Result<HttpResponse, Problem> {
    paging::limit(query.limit, PAGE, MOST)?;
    let filter = query.filter().map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(HttpResponse::Ok().json(shared.handle.history(filter).await?))
}

/// One execution, live or ended.
#[utoipa::path(
    get, path = "/api/v1/executions/{run}", operation_id = "getExecution", tag = "executions",
    params(("run" = RunId, Path, description = "The id of the execution.")),
    responses((status = 200, description = "The execution.", body = ExecutionView), Missing)
)]
pub(crate) async fn show(shared: Data<Shared>, run: Path<RunId>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.execution(*run).await?))
}

/// What an execution wrote, as far as its lines are still there.
///
/// A JSON object per line: `time`, `stream`, `run`, `text`, and `goesOn` where the next one goes on with the same line.
#[utoipa::path(
    get, path = "/api/v1/executions/{run}/logs", operation_id = "getExecutionLog", tag = "executions",
    params(("run" = RunId, Path, description = "The id of the execution."), Part),
    responses(
        (status = 200, description = "Its lines.", body = String, content_type = "application/x-ndjson",
            headers(("Werkpilot-Agent" = String, description = "Whose execution it was."))),
        Missing
    )
)]
pub(crate) async fn output(shared: Data<Shared>, run: Path<RunId>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let count = logs::count(part.lines)?;
    let (execution, lines) = shared.handle.log_of_run(*run, count).await?;
    let mut answer = HttpResponse::Ok();
    answer.content_type(logs::CONTENT_TYPE).insert_header(("werkpilot-agent", execution.agent.as_str()));
    Ok(answer.body(logs::render(&lines)))
}
