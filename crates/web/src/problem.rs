//! Errors as RFC 9457 problem documents.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Map, Value};
use werkpilot_core::simulate::SimulateError;
use werkpilot_runtime::ControlError;
use werkpilot_runtime::agents::reload::ReloadError;
use werkpilot_runtime::observe::optimizer::OptimizeError;

use crate::gate::secure;

/// What went wrong, for programs and people.
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{title}: {detail}")]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    #[serde(flatten)]
    more: Map<String, Value>,
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
            hint: None,
            more: Map::new(),
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
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// A member of its own.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.more.insert(name.to_owned(), value);
        }
        self
    }

    fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        self
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
        if self.status_code() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        // Here too, as an error that actix renders itself does not come through the gate again.
        secure(headers);
        response
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Self {
        let text = error.to_string();
        let (status, kind) = match &error {
            ControlError::UnknownAgent { .. } => (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-agent"),
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
            ControlError::NotKept { .. } => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:not-kept"),
            ControlError::State(_) => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:state"),
            ControlError::Simulating => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:simulating"),
            ControlError::Simulate(SimulateError::UnknownAgent { .. }) => {
                (StatusCode::NOT_FOUND, "urn:werkpilot:unknown-agent")
            }
            ControlError::Simulate(_) => (StatusCode::BAD_REQUEST, "urn:werkpilot:simulate"),
            ControlError::Log { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "urn:werkpilot:log"),
            ControlError::Reload(ReloadError::Faults(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "urn:werkpilot:faults"),
            ControlError::Reload(ReloadError::ShuttingDown)
            | ControlError::Optimizer(OptimizeError::ShuttingDown)
            | ControlError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "urn:werkpilot:unavailable"),
            ControlError::Optimizer(_) => (StatusCode::CONFLICT, "urn:werkpilot:optimizer"),
        };
        let problem = Self::new(status, text).of_kind(kind);
        match error {
            ControlError::UnknownAgent { .. } => problem.hint("GET /api/v1/agents, `werkpilot agents`, lists them"),
            ControlError::UnknownTarget { .. } => {
                problem.hint("GET /api/v1/notifications, `werkpilot notify`, lists them")
            }
            ControlError::UnknownFigure { .. } => problem
                .hint("there are waiting, and duration:AGENT and request:AGENT of each agent of `werkpilot agents`"),
            ControlError::Refused(reason) => problem.with("reason", reason),
            ControlError::Log { source, .. } => problem.with("cause", source.to_string()),
            ControlError::Reload(ReloadError::Faults(fault)) => problem.with("faults", fault.json),
            _ => problem,
        }
    }
}

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
