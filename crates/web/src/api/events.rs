//! What happened, as far as it is remembered.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::event::Recorded;

use crate::problem::Problem;
use crate::server::Shared;

/// Events, unless the caller says otherwise.
const LIMIT: usize = 200;
const MAX_LIMIT: usize = 1_000;

/// Which events are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wish {
    after: u64,
    limit: Option<usize>,
}

/// Events after a number, oldest first, and the number of the newest.
pub(crate) async fn list(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let (after, limit) = (wish.after, wish.limit.unwrap_or(LIMIT).min(MAX_LIMIT));
    let (events, newest) = shared
        .handle
        .consult(move |house| {
            let book = house.events.borrow();
            let events = book.iter().filter(|recorded| recorded.seq > after).take(limit).cloned();
            (events.collect::<Vec<Recorded>>(), book.newest())
        })
        .await?;
    Ok(HttpResponse::Ok().json(json!({ "events": events, "newest": newest })))
}
