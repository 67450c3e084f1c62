//! What happened: from memory as far as that goes back, else from the disk; and what is to come.

use std::time::Duration;

use actix_web::web::{Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use utoipa::IntoParams;
use werkpilot_runtime::state::{FactPage, FactQuery};

use super::paging;
use crate::problem::Problem;
use crate::server::Shared;

/// Events of a page, where nobody says otherwise; and at most.
const PAGE: usize = 200;
const MOST: usize = 1_000;
/// Longer than that nobody is kept waiting, so that who has gone is noticed.
const MAX_WAIT: f64 = 60.0;

/// Whether, and how long, a caller waits for what is to come.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Patience {
    /// If nothing fits yet, the answer waits for it so many seconds (`20s`), at most 60.
    #[param(pattern = "^[0-9]{1,4}([.][0-9]{1,3})?s?$")]
    wait: Option<String>,
    /// `next` of the page before: as `after` where `after` or `since` is given, else as `before`.
    cursor: Option<u64>,
}

impl Patience {
    /// `20s` or `20`, in seconds.
    fn get(&self) -> Result<Option<Duration>, Problem> {
        let Some(text) = self.wait.as_deref().map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
        let seconds = text.strip_suffix('s').unwrap_or(text).parse::<f64>().ok().filter(|seconds| *seconds >= 0.0);
        let seconds = seconds.ok_or_else(|| Problem::bad_request("wait is a number of seconds, such as 20s"))?;
        Ok(Some(Duration::from_secs_f64(seconds.min(MAX_WAIT))))
    }
}

/// What happened: a page of events, oldest first.
///
/// With `after` or `since` it is the oldest ones that fit, else the newest ones. With `wait` and nothing that fits after
/// `after`, the answer waits for it. /api/v1/events/stream tells events as they happen.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "listEvents", tag = "events", params(FactQuery, Patience),
    responses((status = 200, description = "A page of them.", body = FactPage))
)]
pub(crate) async fn list(
    shared: Data<Shared>,
    query: Query<FactQuery>,
    patience: Query<Patience>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut query = query.into_inner();
    paging::limit(query.limit, PAGE, MOST)?;
    let place = if query.after.is_some() || query.since.is_some() { &mut query.after } else { &mut query.before };
    *place = patience.cursor.or(*place);
    let Some(patience) = patience.get()? else {
        return Ok(HttpResponse::Ok().json(shared.handle.facts(&query).await?));
    };
    shared.places.wait(&request)?;
    let stopping = shared.stopped();
    tokio::select! {
        page = shared.handle.facts_to_come(&query, patience) => Ok(HttpResponse::Ok().json(page?)),
        () = stopping => Err(Problem::stopping()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_in_seconds_and_has_its_end() {
        let patience = |text: &str| Patience { wait: Some(text.to_owned()), cursor: None }.get().map_err(|_| ());
        let secs = |secs| Ok(Some(Duration::from_secs_f64(secs)));
        assert_eq!((patience("20s"), patience("0.5"), patience("9999")), (secs(20.0), secs(0.5), secs(60.0)));
        assert_eq!(
            (patience(""), patience("-1"), patience("NaN"), patience("soon")),
            (Ok(None), Err(()), Err(()), Err(()))
        );
    }
}
