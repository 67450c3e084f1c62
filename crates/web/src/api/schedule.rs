//! What is due next.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use serde_json::json;

use crate::problem::Problem;
use crate::server::Shared;

/// Times, unless the caller says otherwise.
const LIMIT: usize = 200;
const MAX_LIMIT: usize = 10_000;
/// How far ahead may be asked: a leap year.
const MAX_HOURS: f64 = 366.0 * 24.0;

/// How far ahead is wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    hours: Option<f64>,
    limit: Option<usize>,
}

/// The next runs, soonest first.
pub(crate) async fn show(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let hours = wish.hours.unwrap_or(24.0);
    if !(0.0..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!("hours may be 0 to {MAX_HOURS}")));
    }
    let span = Duration::from_secs_f64(hours * 3_600.0);
    let runs = shared.handle.next_runs(span, wish.limit.unwrap_or(LIMIT).min(MAX_LIMIT)).await?;
    Ok(HttpResponse::Ok().json(json!({ "runs": runs })))
}
