//! What is due next.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::view::{NextRun, NextRunsQuery};

use super::{given, paging};
use crate::problem::Problem;
use crate::server::Shared;

/// Times, unless the caller says otherwise.
const LIMIT: usize = 200;
const MAX_LIMIT: usize = 10_000;
/// How many of one agent, where they are counted.
const MOST_OF_EACH: usize = 10_000;
/// How far ahead may be asked: a leap year.
const MAX_HOURS: f64 = 366.0 * 24.0;

/// How far ahead is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// How far ahead; without: a day.
    #[param(minimum = 0, maximum = 8784)]
    hours: Option<f64>,
    /// At most so many; without: 200.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}:[a-z0-9][a-z0-9_-]{0,62}$")]
    cursor: Option<String>,
    /// Only of this agent.
    agent: Option<AgentName>,
    /// So many of one agent on a page at most, so that who runs every second does not hide the rest; without: all.
    #[param(minimum = 1, maximum = 10_000)]
    per_agent: Option<usize>,
}

/// Times to come.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NextRunsPage)]
#[serde(rename_all = "camelCase")]
struct NextRuns {
    /// Soonest first.
    runs: Vec<NextRun>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
    /// Agents with more runs than `perAgent`; empty without that.
    left_out: Vec<AgentName>,
}

/// The next runs of schedules and intervals, soonest first.
#[utoipa::path(
    get, path = "/api/v1/schedule", operation_id = "listNextRuns", tag = "schedule", params(Wish),
    responses((status = 200, description = "A page of them.", body = NextRuns))
)]
pub(crate) async fn show(shared: Data<Shared>, wish: Query<Wish>) -> Result<HttpResponse, Problem> {
    let hours = wish.hours.unwrap_or(24.0);
    if !(0.0..=MAX_HOURS).contains(&hours) {
        return Err(Problem::bad_request(format!("hours may be 0 to {MAX_HOURS}")));
    }
    let span = Duration::from_secs_f64(hours * 3_600.0);
    let limit = paging::limit(wish.limit, LIMIT, MAX_LIMIT)?;
    let each = wish.per_agent.unwrap_or(usize::MAX);
    if !(1..=MOST_OF_EACH).contains(&each) && wish.per_agent.is_some() {
        return Err(Problem::bad_request(format!("perAgent may be 1 to {MOST_OF_EACH}")));
    }
    // One more than is shown tells whether there is a next page. A cursor is a place in the order of times and names,
    // whether somebody still stands there or not.
    let after = given(wish.cursor.as_ref()).map(place).transpose()?;
    let query = NextRunsQuery { span, limit: limit + 1, each, agent: wish.agent.clone(), after };
    let upcoming = shared.handle.next_runs(query).await?;
    let (mut runs, left_out) = (upcoming.runs, upcoming.left_out);
    runs.sort_by(|one, other| (one.at, &one.agent).cmp(&(other.at, &other.agent)));
    let more = runs.len() > limit;
    runs.truncate(limit);
    let next = runs.last().filter(|_| more).map(|run| format!("{}:{}", run.at.as_millis(), run.agent));
    Ok(HttpResponse::Ok().json(NextRuns { runs, next, left_out }))
}

/// The time and the agent of a cursor.
fn place(cursor: &str) -> Result<(Timestamp, AgentName), Problem> {
    let parts = cursor.split_once(':').and_then(|(at, agent)| Some((at.parse().ok()?, agent.parse().ok()?)));
    let (at, agent) = parts.ok_or_else(|| {
        Problem::bad_request(format!("{cursor:?} is no cursor")).hint("take `next` of the page before")
    })?;
    Ok((Timestamp::from_millis(at), agent))
}
