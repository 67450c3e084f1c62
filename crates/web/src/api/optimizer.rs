//! The optimizer: its reports, a run on demand, and its decisions, which can be undone.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::ids::AgentName;
use werkpilot_core::optimizer::{Decision, Report};
use werkpilot_runtime::ReportPage;

use super::{by, paging};
use crate::audit;
use crate::body;
use crate::openapi::{Conflict, Gone, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Reports of a page, where nobody says otherwise: all that are kept.
const PAGE: usize = 60;
/// And at most.
const MOST: usize = 100;
/// Decisions of a page, where nobody says otherwise; and at most.
const DECISIONS: (usize, usize) = (200, 1_000);

/// Which reports are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// At most so many; without: all that are kept.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// Only those before this one.
    before: Option<u64>,
    /// `next` of the page before; the same as `before`.
    cursor: Option<u64>,
}

/// What is wanted of a run.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = OptimizerRun)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    /// Nothing is kept, applied or tidied.
    dry_run: bool,
}

/// Which decisions are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// At most so many; without: 200.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Only about this agent.
    agent: Option<AgentName>,
}

/// Decisions of the optimizer.
#[derive(Debug, Serialize, ToSchema)]
struct Decisions {
    /// Newest first.
    decisions: Vec<Decision>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

/// A page of the nightly reports, newest first.
#[utoipa::path(
    get, path = "/api/v1/reports", operation_id = "listReports", tag = "reports", params(Wish),
    responses((status = 200, description = "A page of them.", body = ReportPage))
)]
pub(crate) async fn list(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let limit = paging::limit(wish.limit, PAGE, MOST)?;
    Ok(HttpResponse::Ok().json(shared.handle.reports(wish.cursor.or(wish.before), limit).await?))
}

/// One report, as it was written.
#[utoipa::path(
    get, path = "/api/v1/reports/{id}", operation_id = "getReport", tag = "reports",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The report.", body = Report), Missing)
)]
pub(crate) async fn show(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.report(*id).await?))
}

/// Has the optimizer look back now.
#[utoipa::path(
    post, path = "/api/v1/optimize", operation_id = "optimize", tag = "reports",
    request_body(content = Option<Run>, description = "Whether it only looks."),
    responses((status = 200, description = "Its report.", body = Report), Conflict)
)]
pub(crate) async fn run(shared: Data<Shared>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let run: Run = body::json(payload, body::LIMIT).await?;
    let report = shared.handle.optimize(run.dry_run, &by(&request)).await?;
    if run.dry_run {
        audit::nothing(&request);
    } else {
        let after =
            json!({ "report": report.id, "proposals": report.findings.proposals.len(), "applied": report.applied });
        audit::note(&request, "priorities", Value::Null, after);
    }
    Ok(HttpResponse::Ok().json(report))
}

/// The decisions of the optimizer that are remembered, newest first.
#[utoipa::path(
    get, path = "/api/v1/decisions", operation_id = "listDecisions", tag = "reports", params(Part),
    responses((status = 200, description = "A page of them.", body = Decisions), Gone)
)]
pub(crate) async fn decisions(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let limit = paging::limit(part.limit, DECISIONS.0, DECISIONS.1)?;
    let mut decisions = shared.handle.decisions().await?;
    decisions.retain(|decision| part.agent.as_ref().is_none_or(|agent| decision.agent == *agent));
    let (decisions, next) = paging::page(decisions, limit, part.cursor.as_ref(), |decision| decision.id.to_string())?;
    Ok(HttpResponse::Ok().json(Decisions { decisions, next }))
}

/// Undoes a decision.
#[utoipa::path(
    post, path = "/api/v1/decisions/{id}/undo", operation_id = "undoDecision", tag = "reports",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The decision as it is now.", body = Decision), Missing, Conflict)
)]
pub(crate) async fn undo(shared: Data<Shared>, request: HttpRequest, id: Path<u64>) -> Result<HttpResponse, Problem> {
    let before = shared.handle.decisions().await?.into_iter().find(|decision| decision.id == *id);
    let after = shared.handle.undo_decision(*id, &by(&request)).await?;
    audit::note(&request, format!("decision {id} ({})", after.agent), json!(before), json!(after));
    Ok(HttpResponse::Ok().json(after))
}
