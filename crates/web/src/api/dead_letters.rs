//! Dead letters, with all that is needed to understand them, and what is done about them.

use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::dead_letters::{LetterFilter, LetterState, Pace};
use werkpilot_core::ids::AgentName;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::view::DeadLetterPage;

use super::executions::{MAX_BODY, payload_of};
use super::{by, given, message};
use crate::body;
use crate::problem::Problem;
use crate::server::Shared;

/// Letters of a page, where nobody says otherwise: all of a desk of the usual capacity.
const PAGE: usize = 100;
/// And at most.
const MOST: usize = 1_000;

/// Which letters are wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Filter {
    agent: Option<String>,
    signature: Option<String>,
    /// One, or several with commas.
    state: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    text: Option<String>,
    limit: Option<usize>,
    before: Option<u64>,
}

impl Filter {
    fn meant(&self) -> Result<LetterFilter, Problem> {
        let agent = given(self.agent.as_ref()).map(AgentName::from_str).transpose();
        let states = given(self.state.as_ref()).unwrap_or_default().split(',').filter(|word| !word.is_empty());
        let state = |word: &str| {
            let known = LetterState::ALL.map(LetterState::as_str).join(", ");
            LetterState::of_word(word)
                .ok_or_else(|| Problem::bad_request(format!("{word} is no state of a dead letter; there are {known}")))
        };
        Ok(LetterFilter {
            agent: agent.map_err(|error| Problem::bad_request(error.to_string()))?,
            signature: given(self.signature.as_ref()).map(ToOwned::to_owned),
            states: states.map(state).collect::<Result<_, _>>()?,
            since: self.since,
            until: self.until,
            text: given(self.text.as_ref()).map(ToOwned::to_owned),
        })
    }
}

/// What is wanted of many letters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Many {
    filter: Filter,
    /// All are meant, if the filter names none.
    all: bool,
    /// Begins a second at most.
    rate: Option<f64>,
    /// So many failures end it; 0: none do.
    stop_after: Option<u32>,
    force: bool,
    /// Only says which.
    dry_run: bool,
    when_healthy: Option<String>,
}

impl Many {
    /// Who means all says so: an empty filter is mostly a mistake.
    fn meant(&self) -> Result<LetterFilter, Problem> {
        let meant = self.filter.meant()?;
        if meant.is_all() && !self.all {
            let text = "say which dead letters are meant: filter.agent, signature, state, since, until or text, or all";
            return Err(Problem::bad_request(text));
        }
        Ok(meant)
    }
}

/// So many failures end the replay of a set, where nobody says otherwise: what was to be mended is not mended.
const STOP_AFTER: u32 = 3;

/// What is wanted of one letter.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct One {
    force: bool,
    when_healthy: Option<String>,
    /// It is not to wait for anybody's health any more.
    stop_waiting: bool,
}

/// Another payload.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Edit {
    payload: Option<String>,
    payload_base64: Option<String>,
}

/// The letters, newest last, and the groups that they are in. A group counts all its letters, whatever is filtered.
pub(crate) async fn list(shared: Data<Shared>, filter: Query<Filter>) -> Result<HttpResponse, Problem> {
    let page = DeadLetterPage { limit: filter.limit.unwrap_or(PAGE).clamp(1, MOST), before: filter.before };
    Ok(HttpResponse::Ok().json(shared.handle.find_dead_letters(filter.meant()?, page).await?))
}

/// One letter.
pub(crate) async fn show(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.dead_letter(*id).await?))
}

/// Replays one letter, now or once an agent is healthy.
pub(crate) async fn replay(shared: Data<Shared>, id: Path<u64>, payload: Payload) -> Result<HttpResponse, Problem> {
    let (id, one): (u64, One) = (*id, body::json(payload, body::LIMIT).await?);
    let when_healthy = given(one.when_healthy.as_ref());
    if one.stop_waiting || when_healthy.is_some() {
        shared.handle.replay_one_when_healthy(id, when_healthy.filter(|_| !one.stop_waiting)).await?;
        return Ok(message(match when_healthy {
            Some(agent) if !one.stop_waiting => format!("dead letter {id} is replayed once {agent} is healthy"),
            _ => format!("dead letter {id} does not wait any more"),
        }));
    }
    let run = shared.handle.replay_dead_letter(id, one.force).await?;
    let text = format!("dead letter {id} is replayed as {run}");
    Ok(HttpResponse::Accepted().json(json!({ "id": id, "runId": run, "message": text })))
}

/// Replays many letters.
pub(crate) async fn replay_many(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let many: Many = body::json(payload, body::LIMIT).await?;
    let meant = many.meant()?;
    if many.dry_run {
        let ids = shared.handle.replayable(meant).await?;
        return Ok(HttpResponse::Ok().json(json!({ "dryRun": true, "total": ids.len(), "ids": ids })));
    }
    if let Some(agent) = given(many.when_healthy.as_ref()) {
        let handled = shared.handle.replay_when_healthy(meant, Some(agent)).await?;
        return Ok(HttpResponse::Ok().json(json!({
            "whenHealthy": agent, "waiting": handled.done, "passedOver": handled.passed_over,
        })));
    }
    let rate = many.rate.unwrap_or(Pace::DEFAULT_PER_SECOND);
    let pace = Pace::per_second(rate, Some(many.stop_after.unwrap_or(STOP_AFTER))).ok_or_else(|| {
        let most = Pace::MOST_PER_SECOND;
        Problem::bad_request(format!("{rate} is no rate; it is a number of replays a second, up to {most}"))
    })?;
    let view = shared.handle.replay_dead_letters(meant, pace, many.force, &by(&request)).await?;
    Ok(HttpResponse::Accepted().json(view))
}

/// The sets that are being replayed, and the last ones that were.
pub(crate) async fn replays(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "replays": shared.handle.replays_of_dead_letters().await? })))
}

/// How far one of them is.
pub(crate) async fn progress(shared: Data<Shared>, set: Path<u64>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.replay_of_dead_letters(*set).await?;
    Ok(HttpResponse::Ok().json(view.ok_or_else(|| unknown(*set))?))
}

/// Begins no more of a set.
pub(crate) async fn cancel(shared: Data<Shared>, set: Path<u64>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.cancel_replay(*set).await?;
    Ok(HttpResponse::Ok().json(view.ok_or_else(|| unknown(*set))?))
}

fn unknown(set: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("no replay of a set has number {set}, or it is forgotten"))
}

/// Gives a letter another payload.
pub(crate) async fn edit(shared: Data<Shared>, id: Path<u64>, payload: Payload) -> Result<HttpResponse, Problem> {
    let edit: Edit = body::json(payload, MAX_BODY).await?;
    let bytes = payload_of(edit.payload, edit.payload_base64)?;
    shared.handle.edit_dead_letter(*id, bytes).await?;
    Ok(message(format!("dead letter {id} has another payload")))
}

/// Throws a letter away.
pub(crate) async fn discard(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    shared.handle.discard_dead_letter(*id).await?;
    Ok(message(format!("dead letter {id} is thrown away")))
}

/// Throws many letters away.
pub(crate) async fn discard_many(shared: Data<Shared>, payload: Payload) -> Result<HttpResponse, Problem> {
    let many: Many = body::json(payload, body::LIMIT).await?;
    let meant = many.meant()?;
    if many.dry_run {
        let ids = shared.handle.dead_letter_ids(meant).await?;
        return Ok(HttpResponse::Ok().json(json!({ "dryRun": true, "total": ids.len(), "ids": ids })));
    }
    let handled = shared.handle.discard_dead_letters(meant).await?;
    Ok(HttpResponse::Ok().json(json!({ "discarded": handled.done, "passedOver": handled.passed_over })))
}
