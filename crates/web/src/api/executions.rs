//! Executions: triggered by hand, waited for, cancelled.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_core::dispatcher::Admission;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::reason::Reason;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::state::ExecutionView;
use werkpilot_runtime::{ControlError, MadeBefore, RunRequest};

use super::{by, message};
use crate::audit::{self, note};
use crate::body;
use crate::idempotency::{Attempt, once};
use crate::openapi::{Answered, Conflict, Contradiction, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// Bytes of an execution's payload at most; as much as a message on the bus may have.
const MAX_PAYLOAD: usize = 1 << 20;
/// A body with such a payload: base64 adds a third, and text of many quotes or line ends doubles.
pub(super) const MAX_BODY: usize = 2 * MAX_PAYLOAD + body::LIMIT;
/// Between the end of an execution and its entry in the event book lie a few messages.
const SETTLING: Duration = Duration::from_millis(100);

/// What is wanted of an execution by hand.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = Triggering)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    /// What the program gets on stdin, as text.
    #[schema(max_length = 1_048_576)]
    payload: Option<String>,
    /// The same as base 64, instead of `payload`.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    payload_base64: Option<String>,
    /// Whether unhealthy dependencies are overridden.
    force: bool,
}

/// What became of a trigger.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Triggered {
    /// The new execution.
    run_id: RunId,
    /// `accepted` or `skipped`.
    admission: &'static str,
    /// Why it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<Reason>)]
    reason: Option<Value>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<String>,
}

/// The end of an execution, as its event tells it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of an event of core")]
struct ExecutionEnd {
    /// The number of the event; null where that is not known any more.
    #[schema(required)]
    seq: Option<u64>,
    /// When it ended.
    time: Timestamp,
    /// `execution.` and how it ended.
    r#type: String,
    /// `agent`, `run`, `end`, `trigger`, `attempts`, `duration_ms`, `waited_ms`, `exit` and `reason`.
    #[schema(value_type = Object)]
    data: serde_json::Value,
}

impl Wish {
    fn payload(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        payload_of(self.payload.take(), self.payload_base64.take())
    }
}

/// A payload as text or as base64.
pub(super) fn payload_of(text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, Problem> {
    let payload = match (text, base64) {
        (Some(_), Some(_)) => {
            let text = "give payload or payloadBase64, not both";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
        }
        (text, None) => text.map(String::into_bytes),
        (None, Some(text)) => Some(body::base64(&text)?),
    };
    if payload.as_ref().is_some_and(|payload| payload.len() > MAX_PAYLOAD) {
        return Err(body::too_large(MAX_PAYLOAD));
    }
    Ok(payload)
}

/// Runs a job.
///
/// The trigger is on disk when this answers. A job that is paused, overlapping or full says so.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/trigger", operation_id = "triggerAgent", tag = "executions",
    params(
        ("name" = AgentName, Path, description = "The job."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 128, pattern = "^[!-~]{1,128}$",
            description = "The same key with the same request gets the same answer for a day, and runs nothing twice.")
    ),
    request_body(content = Option<Wish>, description = "What it gets."),
    responses(
        (status = 202, description = "It is queued.", body = Triggered),
        (status = 200, description = "It was skipped, as it is meant to be now.", body = Triggered),
        Missing,
        Conflict,
        Contradiction
    )
)]
pub(crate) async fn trigger(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let body = body::whole(payload, MAX_BODY).await?;
    let mut wish: Wish = body::parsed(&body)?;
    let payload = wish.payload()?;
    let wanted = RunRequest { agent: name.into_inner(), payload, force: wish.force, by: by(&request) };
    once(&shared, &request, &body, |attempt| admit(&shared, &request, wanted, attempt)).await
}

/// Asks for the execution; where that was cut off, finds out first whether it had been asked for.
async fn admit(
    shared: &Shared,
    request: &HttpRequest,
    wanted: RunRequest,
    attempt: Attempt,
) -> Result<HttpResponse, Problem> {
    let (agent, force) = (wanted.agent.clone(), wanted.force);
    let payload = audit::payload(wanted.payload.as_deref());
    let tell = |outcome: Value| {
        note(request, agent.as_str(), Value::Null, json!({ "execution": outcome, "payload": payload, "force": force }));
    };
    tell(Value::Null);
    if let Attempt { run: Some(run), since: Some(_) } = attempt {
        let answer = match shared.handle.made_before(run).await? {
            MadeBefore::Not => None,
            MadeBefore::Accepted => Some(accepted(run)),
            MadeBefore::Known(view) => Some(known(&view)?),
        };
        if let Some(answer) = answer {
            tell(json!(run));
            return Ok(answer);
        }
    }
    let admission = match attempt.run {
        Some(run) => shared.handle.run_as(wanted, run).await?,
        None => shared.handle.run(wanted).await?,
    };
    Ok(match admission {
        Admission::Accepted(run) => {
            tell(json!(run));
            accepted(run)
        }
        Admission::Skipped(run, reason) => {
            tell(json!({ "skipped": run }));
            skipped(run, json!(reason), reason.to_string())
        }
        Admission::Refused(run, reason) => return Err(refused(run, json!(reason), reason.to_string())),
    })
}

fn accepted(run_id: RunId) -> HttpResponse {
    HttpResponse::Accepted().json(Triggered { run_id, admission: "accepted", reason: None, message: None })
}

fn skipped(run_id: RunId, reason: Value, message: String) -> HttpResponse {
    let skipped = Triggered { run_id, admission: "skipped", reason: Some(reason), message: Some(message) };
    HttpResponse::Ok().json(skipped)
}

/// What was answered, or would have been, of an execution that is there already.
fn known(view: &ExecutionView) -> Result<HttpResponse, Problem> {
    let cause = || view.cause.clone().unwrap_or_default();
    let text = || view.reason.clone().unwrap_or_default();
    match view.state.as_str() {
        "skipped" => Ok(skipped(view.run_id, cause(), text())),
        "refused" => Err(refused(view.run_id, cause(), text())),
        _ => Ok(accepted(view.run_id)),
    }
}

fn refused(run: RunId, reason: Value, message: String) -> Problem {
    let status = if reason["code"] == "queue_full" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
    let problem = Problem::new(status, message.clone()).with("runId", run).with("admission", "refused");
    problem.with("reason", reason).with("message", message)
}

/// Waits for the end of an execution.
///
/// Until it is there, the client hangs up, or the server stops.
#[utoipa::path(
    get, path = "/api/v1/executions/{run}/wait", operation_id = "awaitExecution", tag = "executions",
    params(("run" = RunId, Path, description = "The id of the execution.")),
    responses((status = 200, description = "Its end.", body = ExecutionEnd), Missing)
)]
pub(crate) async fn wait(
    shared: Data<Shared>,
    run: Path<RunId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    shared.places.wait(&request)?;
    if let Some(ended) = ended_before(&shared, *run).await? {
        return Ok(HttpResponse::Ok().json(ended.as_end()));
    }
    tokio::select! {
        ended = shared.handle.wait(*run) => Ok(HttpResponse::Ok().json(ended?)),
        () = shared.stopped() => Err(Problem::stopping()),
    }
}

/// Nobody waits for ever for what never was, or what ended in the life of an earlier orchestrator.
async fn ended_before(shared: &Shared, run: RunId) -> Result<Option<ExecutionView>, Problem> {
    match shared.handle.ended_before(run).await {
        Err(ControlError::ForgottenRun(_)) => {
            tokio::time::sleep(SETTLING).await;
            Ok(shared.handle.ended_before(run).await?)
        }
        answer => Ok(answer?),
    }
}

/// Cancels an execution that has not ended.
#[utoipa::path(
    post, path = "/api/v1/executions/{run}/cancel", operation_id = "cancelExecution", tag = "executions",
    params(("run" = RunId, Path, description = "The id of the execution.")),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn cancel(
    shared: Data<Shared>,
    run: Path<RunId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let before = shared.handle.execution(*run).await.ok();
    let told = before.map(|view| json!({ "agent": view.agent, "state": view.state }));
    note(&request, run.to_string(), json!(told), json!({ "cancelled": true }));
    shared.handle.cancel(*run, &by(&request)).await?;
    Ok(message(format!("execution {run} is being cancelled")))
}
