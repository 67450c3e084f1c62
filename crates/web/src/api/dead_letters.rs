//! Dead letters, with all that is needed to understand them, and what is done about them.

use std::str::FromStr;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::dead_letters::{DeadLetter, LetterFilter, LetterState, Pace};
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::observe::dead_letters::ReplaySetView;
use werkpilot_runtime::view::{DeadLetterList, DeadLetterPage};
use werkpilot_runtime::{Handle, MadeBefore};

use super::executions::{MAX_BODY, payload_of};
use super::paging::{self, Part};
use super::{by, given, message};
use crate::audit::{self, note};
use crate::body;
use crate::idempotency::{Attempt, REPLAYED, once};
use crate::openapi::{Answered, Conflict, Contradiction, Gone, Message, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Letters of a page, where nobody says otherwise: all of a desk of the usual capacity.
const PAGE: usize = 100;
/// And at most.
const MOST: usize = 1_000;

/// Which letters are wanted, and how many of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Of this agent.
    #[param(value_type = Option<AgentName>)]
    agent: Option<String>,
    /// With this error signature.
    signature: Option<String>,
    /// In one of these states, with commas between: `open`, `waiting`, `replaying`, `replayed`, `parked`.
    #[param(pattern = "^(open|waiting|replaying|replayed|parked)(,(open|waiting|replaying|replayed|parked))*$")]
    state: Option<String>,
    /// Given up then or later.
    since: Option<Timestamp>,
    /// Given up before.
    until: Option<Timestamp>,
    /// With this text in the error, the log or the payload.
    text: Option<String>,
    /// At most so many; without: 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// Only those before this one.
    before: Option<u64>,
    /// `next` of the page before; the same as `before`.
    cursor: Option<u64>,
}

impl Filter {
    fn choice(&self) -> Choice {
        let Self { agent, signature, state, since, until, text, .. } = self;
        let (agent, signature, state) = (agent.clone(), signature.clone(), state.clone());
        Choice { agent, signature, state, since: *since, until: *until, text: text.clone() }
    }
}

/// Which letters are meant.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = DeadLetterFilter)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Choice {
    /// Of this agent.
    #[schema(value_type = Option<AgentName>)]
    agent: Option<String>,
    /// With this error signature.
    signature: Option<String>,
    /// In one of these states, with commas between: `open`, `waiting`, `replaying`, `replayed`, `parked`.
    #[schema(pattern = "^(open|waiting|replaying|replayed|parked)(,(open|waiting|replaying|replayed|parked))*$")]
    state: Option<String>,
    /// Given up then or later.
    since: Option<Timestamp>,
    /// Given up before.
    until: Option<Timestamp>,
    /// With this text in the error, the log or the payload.
    text: Option<String>,
}

impl Choice {
    fn meant(&self) -> Result<LetterFilter, Problem> {
        let agent = given(self.agent.as_ref()).map(AgentName::from_str).transpose();
        let states = given(self.state.as_ref()).into_iter().flat_map(|words| words.split(','));
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
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = ManyDeadLetters)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Many {
    /// Which are meant.
    filter: Choice,
    /// All are meant, if the filter names none.
    all: bool,
    /// Begins a second at most; null: ten.
    #[schema(exclusive_minimum = 0, maximum = 10_000)]
    rate: Option<f64>,
    /// So many failures end it; 0: none do; null: three.
    #[schema(maximum = 4_294_967_295_u32)]
    #[serde(deserialize_with = "body::whole_number")]
    stop_after: Option<u64>,
    /// Whether unhealthy dependencies are overridden.
    force: bool,
    /// Only says which.
    dry_run: bool,
    /// They are replayed once this agent is healthy.
    when_healthy: Option<String>,
}

/// The replay of one letter.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Replayed {
    /// Which letter.
    id: u64,
    /// The new execution.
    run_id: RunId,
    /// What was done, in one sentence.
    message: String,
}

/// Which letters would be meant.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Meant {
    /// True: nothing was done.
    dry_run: bool,
    /// How many.
    total: usize,
    /// Which.
    ids: Vec<u64>,
}

impl Meant {
    fn answer(ids: Vec<u64>) -> HttpResponse {
        HttpResponse::Ok().json(Self { dry_run: true, total: ids.len(), ids })
    }
}

/// Letters that wait for an agent's health.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct LettersWaiting {
    /// Whose.
    when_healthy: String,
    /// So many wait.
    waiting: u64,
    /// So many can't: they are being replayed, say.
    passed_over: u64,
}

/// What became of a replay of many.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is the schema of either")]
enum ManyReplayed {
    DryRun(Meant),
    Waiting(LettersWaiting),
}

/// Letters that were thrown away.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Discarded {
    /// So many.
    discarded: u64,
    /// So many were not: they are being replayed, say.
    passed_over: u64,
}

/// What became of throwing many away.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is the schema of either")]
enum ManyDiscarded {
    DryRun(Meant),
    Done(Discarded),
}

/// Sets of letters that are replayed.
#[derive(Debug, Serialize, ToSchema)]
struct ReplaySets {
    /// In the order in which they were begun.
    replays: Vec<ReplaySetView>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

impl Many {
    /// Who means all says so: an empty filter is mostly a mistake.
    fn meant(&self) -> Result<LetterFilter, Problem> {
        let meant = self.filter.meant()?;
        if meant.is_all() && !self.all {
            let text = "say which dead letters are meant: filter.agent, signature, state, since, until or text, or all";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        Ok(meant)
    }
}

/// So many failures end the replay of a set, where nobody says otherwise: what was to be mended is not mended.
const STOP_AFTER: u64 = 3;

/// What is wanted of one letter.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = OneDeadLetter)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct One {
    /// Whether unhealthy dependencies are overridden.
    force: bool,
    /// It is replayed once this agent is healthy.
    when_healthy: Option<String>,
    /// It is not to wait for anybody's health any more.
    stop_waiting: bool,
}

/// Another payload.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = PayloadEdit)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Edit {
    /// As text; neither: it has none any more.
    #[schema(max_length = 1_048_576)]
    payload: Option<String>,
    /// As base 64, instead of `payload`.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    payload_base64: Option<String>,
}

/// The dead letters, newest last, and the groups that they are in.
///
/// A group counts all its letters, whatever is filtered.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", operation_id = "listDeadLetters", tag = "dead letters", params(Filter),
    responses((status = 200, description = "A page of them.", body = DeadLetterList))
)]
pub(crate) async fn list(shared: Data<Shared>, filter: Query<Filter>) -> Result<HttpResponse, Problem> {
    let limit = paging::limit(filter.limit, PAGE, MOST)?;
    let page = DeadLetterPage { limit, before: filter.cursor.or(filter.before) };
    Ok(HttpResponse::Ok().json(shared.handle.find_dead_letters(filter.choice().meant()?, page).await?))
}

/// One dead letter, with all that is needed to understand it.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", operation_id = "getDeadLetter", tag = "dead letters",
    params(("id" = u64, Path, description = "Its number.")),
    responses((status = 200, description = "The letter.", body = DeadLetter), Missing)
)]
pub(crate) async fn show(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.dead_letter(*id).await?))
}

/// Replays one dead letter, now or once an agent is healthy.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/replay", operation_id = "replayDeadLetter", tag = "dead letters",
    params(
        ("id" = u64, Path, description = "Its number."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$",
            description = "The same key with the same request gets the same answer for a day, and replays nothing twice.")
    ),
    request_body(content = Option<One>, description = "How."),
    responses(
        (status = 202, description = "Its replay is queued.", body = Replayed),
        (status = 200, description = "It waits, or does not wait any more.", body = Message),
        Missing,
        Conflict
    )
)]
pub(crate) async fn replay(
    shared: Data<Shared>,
    id: Path<u64>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::whole(payload, body::LIMIT).await?;
    let one: One = body::parsed(&body)?;
    let before = shared.handle.standing_of_letter(*id).await;
    let told = |after: Value| note(&request, format!("dead letter {id}"), before.clone(), after);
    told(Value::Null);
    let (handle, id) = (&shared.handle, *id);
    let work = |attempt| async move { replay_one(handle, id, one, attempt).await };
    let answer = once(&shared, &request, &body, work).await?;
    if !answer.headers().contains_key(REPLAYED) {
        told(shared.handle.standing_of_letter(id).await);
    }
    Ok(answer)
}

async fn replay_one(handle: &Handle, id: u64, one: One, attempt: Attempt) -> Result<HttpResponse, Problem> {
    let when_healthy = given(one.when_healthy.as_ref());
    if one.stop_waiting || when_healthy.is_some() {
        handle.replay_one_when_healthy(id, when_healthy.filter(|_| !one.stop_waiting)).await?;
        return Ok(message(match when_healthy {
            Some(agent) if !one.stop_waiting => format!("dead letter {id} is replayed once {agent} is healthy"),
            _ => format!("dead letter {id} does not wait any more"),
        }));
    }
    let run = match (attempt.run, attempt.since) {
        // Its replay was accepted before this was cut off.
        (Some(run), Some(_)) if !matches!(handle.made_before(run).await?, MadeBefore::Not) => run,
        (Some(run), _) => handle.replay_dead_letter_as(id, one.force, run).await?,
        (None, _) => handle.replay_dead_letter(id, one.force).await?,
    };
    let text = format!("dead letter {id} is replayed as {run}");
    Ok(HttpResponse::Accepted().json(Replayed { id, run_id: run, message: text }))
}

/// Replays many dead letters, in order, at a rate.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/replay", operation_id = "replayDeadLetters", tag = "dead letters",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$",
            description = "The same key with the same request gets the same answer for a day, and replays nothing twice.")),
    request_body(content = Option<Many>, description = "Which, and how fast."),
    responses(
        (status = 202, description = "The replay of a set has begun.", body = ReplaySetView),
        (status = 200, description = "A dry run, or they wait for an agent's health.", body = ManyReplayed),
        Missing,
        Conflict,
        Contradiction
    )
)]
pub(crate) async fn replay_many(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::whole(payload, body::LIMIT).await?;
    let many: Many = body::parsed(&body)?;
    let meant = many.meant()?;
    if many.dry_run {
        audit::nothing(&request);
        return Ok(Meant::answer(shared.handle.replayable(meant).await?));
    }
    note(&request, "dead letters", Value::Null, json!({ "filter": many.filter }));
    let (shared, request) = (&shared, &request);
    let work = |attempt| async move { replay_set(shared, request, &many, meant, attempt).await };
    once(shared, request, &body, work).await
}

async fn replay_set(
    shared: &Shared,
    request: &HttpRequest,
    many: &Many,
    meant: LetterFilter,
    attempt: Attempt,
) -> Result<HttpResponse, Problem> {
    let told =
        |after: Value| note(request, "dead letters", Value::Null, json!({ "filter": many.filter, "replay": after }));
    if let Some(agent) = given(many.when_healthy.as_ref()) {
        let handled = shared.handle.replay_when_healthy(meant, Some(agent)).await?;
        let (waiting, passed_over) = (handled.done, handled.passed_over);
        told(json!({ "waiting": waiting, "whenHealthy": agent }));
        let when_healthy = agent.to_owned();
        return Ok(HttpResponse::Ok().json(LettersWaiting { when_healthy, waiting, passed_over }));
    }
    let rate = many.rate.unwrap_or(Pace::DEFAULT_PER_SECOND);
    let stop_after = u32::try_from(many.stop_after.unwrap_or(STOP_AFTER))
        .map_err(|_| Problem::bad_request(format!("stopAfter may be up to {}", u32::MAX)))?;
    let pace = Pace::per_second(rate, Some(stop_after)).ok_or_else(|| {
        let most = Pace::MOST_PER_SECOND;
        Problem::bad_request(format!("{rate} is no rate; it is a number of replays a second, up to {most}"))
    })?;
    let (handle, by) = (&shared.handle, by(request));
    let view = match attempt.run {
        Some(key) => handle.replay_dead_letters_once(meant, pace, many.force, &by, key, attempt.since).await?,
        None => handle.replay_dead_letters(meant, pace, many.force, &by).await?,
    };
    told(json!(view));
    Ok(HttpResponse::Accepted().json(view))
}

/// The sets of dead letters that are being replayed, and the last ones that were.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/replay", operation_id = "listReplays", tag = "dead letters", params(Part),
    responses((status = 200, description = "A page of them.", body = ReplaySets), Gone)
)]
pub(crate) async fn replays(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let replays = shared.handle.replays_of_dead_letters().await?;
    let (replays, next) = part.of(replays, |replay| replay.id.to_string())?;
    Ok(HttpResponse::Ok().json(ReplaySets { replays, next }))
}

/// How far the replay of a set is.
#[utoipa::path(
    get, path = "/api/v1/dead-letters/replay/{set}", operation_id = "getReplay", tag = "dead letters",
    params(("set" = u64, Path, description = "The number of the set.")),
    responses((status = 200, description = "The set.", body = ReplaySetView), Missing)
)]
pub(crate) async fn progress(shared: Data<Shared>, set: Path<u64>) -> Result<HttpResponse, Problem> {
    let view = shared.handle.replay_of_dead_letters(*set).await?;
    Ok(HttpResponse::Ok().json(view.ok_or_else(|| unknown(*set))?))
}

/// Begins no more of a set; what is under way goes on.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/replay/{set}/cancel", operation_id = "cancelReplay", tag = "dead letters",
    params(("set" = u64, Path, description = "The number of the set.")),
    responses((status = 200, description = "The set as it is now.", body = ReplaySetView), Missing)
)]
pub(crate) async fn cancel(
    shared: Data<Shared>,
    request: HttpRequest,
    set: Path<u64>,
) -> Result<HttpResponse, Problem> {
    let before = shared.handle.replay_of_dead_letters(*set).await?;
    let view = shared.handle.cancel_replay(*set).await?.ok_or_else(|| unknown(*set))?;
    note(&request, format!("replay {set}"), json!(before), json!(view));
    Ok(HttpResponse::Ok().json(view))
}

fn unknown(set: u64) -> Problem {
    let text = format!("no replay of a set has number {set}, or it is forgotten");
    Problem::new(StatusCode::NOT_FOUND, text).hint("GET /api/v1/dead-letters/replay lists them")
}

/// Gives a dead letter another payload.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/edit", operation_id = "editDeadLetter", tag = "dead letters",
    params(("id" = u64, Path, description = "Its number.")),
    request_body(content = Option<Edit>, description = "The payload."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn edit(
    shared: Data<Shared>,
    request: HttpRequest,
    id: Path<u64>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let edit: Edit = body::json(payload, MAX_BODY).await?;
    let bytes = payload_of(edit.payload, edit.payload_base64)?;
    let before = shared.handle.standing_of_letter(*id).await;
    let after = json!({ "payload": audit::payload(bytes.as_deref()) });
    note(&request, format!("dead letter {id}"), before, after);
    shared.handle.edit_dead_letter(*id, bytes).await?;
    Ok(message(format!("dead letter {id} has another payload")))
}

/// Throws a dead letter away.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/discard", operation_id = "discardDeadLetter", tag = "dead letters",
    params(("id" = u64, Path, description = "Its number.")),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn discard(
    shared: Data<Shared>,
    request: HttpRequest,
    id: Path<u64>,
) -> Result<HttpResponse, Problem> {
    let before = shared.handle.standing_of_letter(*id).await;
    note(&request, format!("dead letter {id}"), before, Value::Null);
    shared.handle.discard_dead_letter(*id).await?;
    Ok(message(format!("dead letter {id} is thrown away")))
}

/// Throws many dead letters away.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/discard", operation_id = "discardDeadLetters", tag = "dead letters",
    request_body(content = Option<Many>, description = "Which."),
    responses((status = 200, description = "What was done.", body = ManyDiscarded), Contradiction)
)]
pub(crate) async fn discard_many(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let many: Many = body::json(payload, body::LIMIT).await?;
    let meant = many.meant()?;
    if many.dry_run {
        audit::nothing(&request);
        return Ok(Meant::answer(shared.handle.dead_letter_ids(meant).await?));
    }
    let handled = shared.handle.discard_dead_letters(meant).await?;
    let after = json!({ "discarded": handled.done, "passedOver": handled.passed_over });
    note(&request, "dead letters", json!({ "filter": many.filter }), after);
    Ok(HttpResponse::Ok().json(Discarded { discarded: handled.done, passed_over: handled.passed_over }))
}
