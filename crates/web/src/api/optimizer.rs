//! The optimizer: its reports, a run on demand, and its decisions, which can be undone.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::by;
use crate::body;
use crate::problem::Problem;
use crate::server::Shared;

/// Reports of a page, where nobody says otherwise: all that are kept.
const PAGE: usize = 60;

/// Which reports are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wish {
    limit: Option<usize>,
    before: Option<u64>,
}

/// What is wanted of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Run {
    dry_run: bool,
}

/// A page of the reports, newest first.
pub(crate) async fn list(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.reports(wish.before, wish.limit.unwrap_or(PAGE)).await?))
}

/// One report, as it was written.
pub(crate) async fn show(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.report(*id).await?))
}

/// Has the optimizer look back now; answers its report.
pub(crate) async fn run(shared: Data<Shared>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    let run: Run = body::json(payload, body::LIMIT).await?;
    Ok(HttpResponse::Ok().json(shared.handle.optimize(run.dry_run, &by(&request)).await?))
}

/// All decisions that are remembered, newest first.
pub(crate) async fn decisions(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "decisions": shared.handle.decisions().await? })))
}

/// Undoes a decision.
pub(crate) async fn undo(shared: Data<Shared>, request: HttpRequest, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.undo_decision(*id, &by(&request)).await?))
}
