//! Errors as RFC 9457 problem documents.
//!
//! Invariant: each of them says what to do, in `hint`: what the place that makes it says, else what its status suggests.

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use werkpilot_core::simulate::SimulateError;
use werkpilot_runtime::ControlError;
use werkpilot_runtime::agents::reload::ReloadError;
use werkpilot_runtime::observe::optimizer::OptimizeError;

use crate::audit::Detail;
use crate::gate::secure;

/// The kind of a problem that is a panic of ours.
const PANICKED: &str = "urn:werkpilot:panicked";

/// What went wrong, for programs and people.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    hint: Cow<'static, str>,
    #[serde(flatten)]
    more: Map<String, Value>,
    /// Seconds.
    #[serde(skip)]
    retry_after: Option<u16>,
}

impl Problem {
    /// A problem that its status says enough about.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Problem");
        Self {
            kind: "about:blank",
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: Cow::Borrowed(what_to_do(status)),
            more: Map::new(),
            retry_after: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }
    }

    /// The request can't be understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The orchestrator is going down.
    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// A handler panicked; the log says where.
    pub fn panicked() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "a handler panicked; the log says where").of_kind(PANICKED)
    }

    /// Whether it tells of a panic.
    pub fn is_panic(&self) -> bool {
        self.kind == PANICKED
    }

    /// Whether it says that an execution was refused: decided, and without effect.
    pub fn is_refusal(&self) -> bool {
        self.more.get("admission").is_some_and(|word| word == "refused")
    }

    /// A member of its own.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    /// When it may be tried again; in whole seconds, rounded up.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after = Some(u16::try_from(seconds).unwrap_or(u16::MAX));
        self
    }

    /// Its kind, a URN, for programs.
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
    }
}

/// What helps with most problems of a status.
fn what_to_do(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 | 422 => "compare the request with the operation in /api/docs",
        401 => "log in with `werkpilot login`, or send a token of `werkpilot token create` as a bearer",
        403 => "use a token of a larger role, or the command line, which talks over the control socket",
        404 | 410 => "ask for the list that it belongs to; it may have been removed or forgotten",
        405 => "use one of the methods in the Allow header",
        408 => "send the body faster, or less of it",
        409 => "ask for its state first: GET /api/v1/why/{name}, `werkpilot why`",
        412 => "GET it again, look at what has changed, and send the new ETag",
        413 => "send less",
        421 => "ask for localhost, 127.0.0.1 or [::1]",
        429 => "wait as many seconds as Retry-After says",
        500 => "look into the log of the orchestrator; if it happens again, report it with what is there",
        501..=504 => "try again in a moment; `werkpilot status` tells how the orchestrator is",
        _ => "look for the operation in /api/docs",
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code()).json(self);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status_code() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"werkpilot\""));
        }
        // Here too, as an error that actix renders itself does not come through the gate again.
        secure(headers);
        response.extensions_mut().insert(Detail(self.detail.clone()));
        response
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        let (status, kind) = match &error {
            ControlError::UnknownAgent { .. } => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-agent"),
            ControlError::Leaving(_) => (StatusCode::CONFLICT, "urn:werkpilot:agent-leaving"),
            ControlError::UnknownFigure { .. } => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-figure"),
            ControlError::UnknownSubject { .. } => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-subject"),
            ControlError::ForgottenRun(_) | ControlError::UnknownRun(_) => {
                (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-run")
            }
            ControlError::UnknownTarget { .. } => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-target"),
            ControlError::UnknownProfile(_) => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-profile"),
            ControlError::UnknownDeadLetter(_) => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-dead-letter"),
            ControlError::DeadLetter(_) => (StatusCode::CONFLICT, "urn:werkpilot:dead-letter"),
            ControlError::UnknownReport(_) => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-report"),
            ControlError::UnknownDecision(_) => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-decision"),
            ControlError::NotAJob(_) => (StatusCode::CONFLICT, "urn:werkpilot:not-a-job"),
            ControlError::Refused(_) => (StatusCode::CONFLICT, "urn:werkpilot:refused"),
            ControlError::TooManyWaiters => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:too-many-waiters"),
            ControlError::TooManyStreams => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:too-many-streams"),
            ControlError::NotKept { .. } => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:not-kept"),
            ControlError::State(_) => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:state"),
            ControlError::Simulating => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:simulating"),
            ControlError::Simulate(SimulateError::UnknownAgent { .. }) => {
                (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-agent")
            }
            ControlError::Simulate(_) => (StatusCode::UNPROCESSABLE_ENTITY, "urn:werkpilot:simulate"),
            ControlError::Log { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "urn:werkpilot:log"),
            ControlError::Reload(ReloadError::Faults(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "urn:werkpilot:faults"),
            ControlError::Reload(ReloadError::Stale) => (StatusCode::PRECONDITION_FAILED, "urn:werkpilot:stale"),
            ControlError::Reload(ReloadError::ShuttingDown)
            | ControlError::Optimizer(OptimizeError::ShuttingDown)
            | ControlError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:unavailable"),
            ControlError::Optimizer(_) => (StatusCode::CONFLICT, "urn:werkpilot:optimizer"),
            ControlError::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, PANICKED),
        };
        let problem = Self::new(status, text).of_kind(kind);
        let problem = match hint_of(&error) {
            Some(hint) => problem.hint(hint),
            None => problem,
        };
        match error {
            ControlError::Refused(reason) => problem.with("reason", reason),
            ControlError::Log { source, .. } => problem.with("cause", source.to_string()),
            ControlError::Reload(ReloadError::Faults(fault)) => problem.with("faults", fault.json),
            _ => problem,
        }
    }
}

/// What to do, where that is more than the status says.
fn hint_of(error: &ControlError) -> Option<Cow<'static, str>> {
    Some(Cow::Borrowed(match error {
        ControlError::UnknownAgent { .. } | ControlError::Simulate(SimulateError::UnknownAgent { .. }) => {
            "GET /api/v1/agents, `werkpilot agents`, lists them"
        }
        ControlError::Leaving(_) => "put it into the registry again and reload, if it is wanted",
        ControlError::UnknownSubject { .. } => {
            "`werkpilot agents` lists the agents, `werkpilot history` the executions that are remembered"
        }
        ControlError::UnknownTarget { .. } => "GET /api/v1/notifications, `werkpilot notify`, lists them",
        ControlError::UnknownFigure { .. } => {
            "there are waiting, and duration:AGENT and request:AGENT of each agent of `werkpilot agents`"
        }
        ControlError::UnknownRun(_) => "GET /api/v1/executions/{run} tells how it ended",
        ControlError::ForgottenRun(_) => "GET /api/v1/executions, `werkpilot history`, lists those that are kept",
        ControlError::UnknownProfile(_) => "GET /api/v1/memory/profiles lists them",
        ControlError::UnknownDeadLetter(_) => "GET /api/v1/dead-letters, `werkpilot dlq list`, lists them",
        ControlError::DeadLetter(_) => "GET /api/v1/dead-letters/{id}, `werkpilot dlq show`, tells its state",
        ControlError::UnknownReport(_) => "GET /api/v1/reports, `werkpilot report`, lists them",
        ControlError::UnknownDecision(_) => "GET /api/v1/decisions lists them",
        ControlError::NotAJob(_) => "POST /api/v1/agents/{name}/start starts a service",
        ControlError::NotKept { .. } | ControlError::State(_) => {
            "look after the disk of the state folder; /healthz tells when it is well again"
        }
        ControlError::Simulate(_) => "ask for another span",
        ControlError::Log { .. } => "look at the owner and the mode of the files in the state folder",
        ControlError::Reload(ReloadError::Faults(_)) => {
            "mend what `faults` names and reload again; what was there before is still in effect"
        }
        ControlError::Reload(ReloadError::Stale) => "GET /api/v1/reload tells what would change now",
        ControlError::TooManyWaiters => "ask for the execution itself from time to time",
        _ => return None,
    }))
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        let text = |says: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(says));
        let status = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(400)).maximum(Some(599));
        let schema = ObjectBuilder::new()
            .description(Some("What went wrong, and what to do about it (RFC 9457). Some have more members."))
            .property("type", text("Its kind: `urn:werkpilot:…`, or `about:blank`."))
            .property("title", text("The status in words."))
            .property("status", status.description(Some("The status of the answer.")))
            .property("detail", text("What went wrong, in a sentence."))
            .property("hint", text("What to do about it."));
        let members = ["type", "title", "status", "detail", "hint"];
        Schema::Object(members.into_iter().fold(schema, ObjectBuilder::required).build()).into()
    }
}

impl ToSchema for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_the_rfc() {
        let error = ControlError::UnknownAgent { name: "slaes".to_owned(), suggestion: Some("sales".to_owned()) };
        let json = serde_json::to_string_pretty(&Problem::from(error)).unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "type": "urn:werkpilot:unknown-agent",
          "title": "Not Found",
          "status": 404,
          "detail": "there is no agent slaes; did you mean sales?",
          "hint": "GET /api/v1/agents, `werkpilot agents`, lists them"
        }
        "#);
    }
}
