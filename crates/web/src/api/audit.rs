//! The audit log: who changed what.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use utoipa::IntoParams;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::{AuditFilter, AuditPageView};

use super::{given, paging};
use crate::problem::Problem;
use crate::server::Shared;

/// Entries of a page, where nobody says otherwise; and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Which entries are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// At most so many; without: 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<u64>,
    /// Only by this one: `token:ci`, `cli:ada`, `SIGHUP`.
    who: Option<String>,
    /// Only with this text in action, `what` or target, whatever its case.
    action: Option<String>,
    /// Only from this time on.
    since: Option<Timestamp>,
    /// Only before this time.
    until: Option<Timestamp>,
}

/// The audit log, newest first.
///
/// Each entry links to the one before by its hash; `verified` tells whether what this page looked at is what was written.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "listAudit", tag = "audit", params(Filter),
    responses((status = 200, description = "A page of it.", body = AuditPageView))
)]
pub(crate) async fn list(shared: Data<Shared>, filter: Query<Filter>) -> Result<HttpResponse, Problem> {
    let filter = AuditFilter {
        before: filter.cursor,
        who: given(filter.who.as_ref()).map(str::to_owned),
        action: given(filter.action.as_ref()).map(str::to_owned),
        since: filter.since,
        until: filter.until,
        limit: paging::limit(filter.limit, PAGE.0, PAGE.1)?,
    };
    Ok(HttpResponse::Ok().json(shared.handle.audit_page(filter).await?))
}
