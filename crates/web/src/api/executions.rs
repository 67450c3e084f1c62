//! Executions: triggered by hand, waited for, cancelled.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::dispatcher::Admission;
use werkpilot_core::ids::RunId;
use werkpilot_core::reason::Reason;
use werkpilot_runtime::state::ExecutionView;
use werkpilot_runtime::{ControlError, RunRequest};

use super::{by, message};
use crate::body;
use crate::problem::Problem;
use crate::server::Shared;

/// Bytes of an execution's payload at most; as much as a message on the bus may have.
const MAX_PAYLOAD: usize = 1 << 20;
/// A body with such a payload: base64 adds a third, and text of many quotes or line ends doubles.
pub(super) const MAX_BODY: usize = 2 * MAX_PAYLOAD + body::LIMIT;
/// Between the end of an execution and its entry in the event book lie a few messages.
const SETTLING: Duration = Duration::from_millis(100);

/// What is wanted of an execution by hand.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    payload: Option<String>,
    payload_base64: Option<String>,
    force: bool,
}

impl Wish {
    fn payload(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        payload_of(self.payload.take(), self.payload_base64.take())
    }
}

/// A payload as text or as base64.
pub(super) fn payload_of(text: Option<String>, base64: Option<String>) -> Result<Option<Vec<u8>>, Problem> {
    let payload = match (text, base64) {
        (Some(_), Some(_)) => return Err(Problem::bad_request("give payload or payloadBase64, not both")),
        (text, None) => text.map(String::into_bytes),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text);
            Some(bytes.map_err(|error| Problem::bad_request(format!("payloadBase64 is no base64: {error}")))?)
        }
    };
    if payload.as_ref().is_some_and(|payload| payload.len() > MAX_PAYLOAD) {
        return Err(body::too_large(MAX_PAYLOAD));
    }
    Ok(payload)
}

/// Runs a job by hand.
pub(crate) async fn trigger(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let mut wish: Wish = body::json(payload, MAX_BODY).await?;
    let payload = wish.payload()?;
    let run = RunRequest { agent: name.into_inner(), payload, force: wish.force, by: by(&request) };
    Ok(match shared.handle.run(run).await? {
        Admission::Accepted(run) => HttpResponse::Accepted().json(json!({ "runId": run, "admission": "accepted" })),
        Admission::Skipped(run, reason) => {
            let message = reason.to_string();
            HttpResponse::Ok().json(json!({
                "runId": run, "admission": "skipped", "reason": reason, "message": message,
            }))
        }
        Admission::Refused(run, reason) => return Err(refused(run, &reason)),
    })
}

fn refused(run: RunId, reason: &Reason) -> Problem {
    let status = match reason {
        Reason::QueueFull { .. } => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    };
    let message = reason.to_string();
    let problem = Problem::new(status, message.clone()).with("runId", run).with("admission", "refused");
    problem.with("reason", reason).with("message", message)
}

/// Waits for the end of an execution, until it is there, the client hangs up, or the server stops.
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

/// Ends an execution.
pub(crate) async fn cancel(
    shared: Data<Shared>,
    run: Path<RunId>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    shared.handle.cancel(*run, &by(&request)).await?;
    Ok(message(format!("execution {run} is being cancelled")))
}
