//! The bus console: a question or a message of a person, in the operator's name.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use werkpilot_core::audit;
use werkpilot_core::time::as_ms;
use werkpilot_runtime::bus::{ConsoleError, ConsoleNote, Reply, RequestError};

use super::executions::MAX_BODY;
use crate::body;
use crate::openapi::{Answered, Contradiction, Message};
use crate::problem::Problem;
use crate::server::Shared;

/// Nobody waits longer for an answer in front of a page.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// Headers of a message at most.
const MAX_HEADERS: usize = 64;

/// A question.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Question {
    /// Who is asked; or give a `subject`.
    agent: Option<String>,
    /// The agent's endpoint, if it is not the agent itself.
    endpoint: Option<String>,
    /// Where to ask, if not an agent by its name.
    subject: Option<String>,
    /// A text is sent as it is, anything else as JSON.
    payload: Option<Value>,
    /// Bytes instead of a `payload`.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    payload_base64: Option<String>,
    /// Names and values.
    headers: BTreeMap<String, String>,
    /// How long to wait, 1 to 60,000; without it as long as `[bus] request_timeout` says.
    #[schema(minimum = 1, maximum = 60_000)]
    #[serde(deserialize_with = "body::whole_number")]
    timeout_ms: Option<u64>,
}

/// A message.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Publication {
    /// Where.
    #[schema(required = true)]
    subject: String,
    /// A text is sent as it is, anything else as JSON.
    payload: Option<Value>,
    /// Bytes instead of a `payload`.
    #[schema(pattern = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")]
    payload_base64: Option<String>,
    /// Names and values.
    headers: BTreeMap<String, String>,
}

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BusAnswer {
    /// Always true: what went wrong is a problem document.
    ok: bool,
    /// From the question to the answer, in milliseconds.
    duration_ms: f64,
    /// Who answered; `werkpilot`: the bus, from its cache.
    from: String,
    /// The answer as it came, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    /// The answer, if it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    /// Its headers; the values of several of the same name have `, ` between them.
    headers: BTreeMap<String, String>,
}

impl From<Reply> for BusAnswer {
    fn from(reply: Reply) -> Self {
        let (payload, payload_base64) = match String::from_utf8(reply.payload) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in reply.headers {
            let values = headers.entry(name).or_default();
            if !values.is_empty() {
                values.push_str(", ");
            }
            values.push_str(&value);
        }
        Self { ok: true, duration_ms: as_ms(reply.took), from: reply.from, payload, payload_base64, headers }
    }
}

/// Each part can be read, and yet it can't be done.
fn senseless(text: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn payload_of(payload: Option<Value>, base64: Option<String>) -> Result<Vec<u8>, Problem> {
    match (payload, base64) {
        (Some(_), Some(_)) => Err(senseless("give payload or payloadBase64, not both")),
        (Some(Value::String(text)), None) => Ok(text.into_bytes()),
        (Some(value), None) => Ok(value.to_string().into_bytes()),
        (None, Some(text)) => body::base64(&text),
        (None, None) => Ok(Vec::new()),
    }
}

fn headers_of(headers: BTreeMap<String, String>) -> Result<Vec<(String, String)>, Problem> {
    if headers.len() > MAX_HEADERS {
        return Err(senseless(format!("{} headers; at most {MAX_HEADERS} are taken", headers.len())));
    }
    Ok(headers.into_iter().collect())
}

impl Question {
    fn timeout(&self, usual: Duration) -> Result<Duration, Problem> {
        let Some(millis) = self.timeout_ms else { return Ok(usual.min(MAX_WAIT)) };
        let timeout = Duration::from_millis(millis);
        if timeout.is_zero() || timeout > MAX_WAIT {
            return Err(Problem::bad_request(format!(
                "timeoutMs is {millis}; it may be 1 to {}",
                MAX_WAIT.as_millis()
            )));
        }
        Ok(timeout)
    }

    async fn subject(&self, shared: &Shared) -> Result<String, Problem> {
        match (&self.agent, &self.subject, &self.endpoint) {
            (Some(agent), None, endpoint) => Ok(shared.handle.bus_subject(agent, endpoint.as_deref()).await?),
            (None, Some(subject), None) => Ok(subject.clone()),
            (None, Some(_), Some(_)) => Err(senseless("an endpoint goes with an agent, not with a subject")),
            _ => Err(senseless("say whom to ask: give agent or subject, and not both")),
        }
    }
}

/// Asks an agent, or on any subject, in the operator's name; the first answer counts.
#[utoipa::path(
    post, path = "/api/v1/bus/request", operation_id = "askBus", tag = "bus", request_body = Question,
    responses(
        (status = 200, description = "The answer.", body = BusAnswer),
        (status = 404, description = "There is no such agent.", body = Problem, content_type = "application/problem+json"),
        (status = 502, description = "Nobody answers there, or the answer is an error: its number is `busCode`.",
            body = Problem, content_type = "application/problem+json"),
        (status = 504, description = "No answer came in time.",
            body = Problem, content_type = "application/problem+json"),
        Contradiction
    )
)]
pub(crate) async fn request(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let mut question: Question = body::json(payload, MAX_BODY).await?;
    let timeout = question.timeout(shared.handle.bus_patience()?)?;
    let subject = question.subject(&shared).await?;
    let payload = payload_of(question.payload.take(), question.payload_base64.take())?;
    let asked = json!({ "question": audit::payload(Some(&payload)), "timeoutMs": as_ms(timeout) });
    crate::audit::note(&request, &subject, Value::Null, asked);
    let note = ConsoleNote { subject, headers: headers_of(question.headers)?, payload };
    shared.places.wait(&request)?;
    tokio::select! {
        answer = shared.handle.bus_ask(note, timeout) => {
            let reply = answer?.map_err(|error| problem(&error, timeout))?;
            Ok(HttpResponse::Ok().json(BusAnswer::from(reply)))
        }
        () = shared.stopped() => Err(Problem::stopping()),
    }
}

/// Publishes in the operator's name. Who listens gets it; nobody has to.
#[utoipa::path(
    post, path = "/api/v1/bus/publish", operation_id = "publishOnBus", tag = "bus", request_body = Publication,
    responses(Answered, Contradiction)
)]
pub(crate) async fn publish(
    shared: Data<Shared>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let said: Publication = body::json(payload, MAX_BODY).await?;
    let payload = payload_of(said.payload, said.payload_base64)?;
    crate::audit::note(&request, &said.subject, Value::Null, json!({ "message": audit::payload(Some(&payload)) }));
    let message = format!("{} bytes are published on {}", payload.len(), said.subject);
    let note = ConsoleNote { subject: said.subject, headers: headers_of(said.headers)?, payload };
    shared.handle.bus_publish(note).await?.map_err(|error| problem(&error, MAX_WAIT))?;
    Ok(HttpResponse::Ok().json(Message { message }))
}

fn problem(error: &ConsoleError, timeout: Duration) -> Problem {
    let text = error.to_string();
    let error = match error {
        ConsoleError::Subject(_) | ConsoleError::SystemSubject(_) | ConsoleError::Header(_) => {
            return senseless(text).hint("a subject is words with dots between them, such as orders.new");
        }
        ConsoleError::Request(RequestError::TooLarge { max, .. }) => return body::too_large(*max),
        ConsoleError::Request(error) => error,
    };
    let (status, text, hint) = match error {
        RequestError::Timeout => (
            StatusCode::GATEWAY_TIMEOUT,
            format!("no answer came within {}", werkpilot_core::time::human(timeout)),
            "give it more time, or look what the agent does: GET /api/v1/why/{agent}",
        ),
        RequestError::NoResponder(_) => {
            (StatusCode::BAD_GATEWAY, text, "GET /api/v1/bus/services lists what the agents answer to")
        }
        RequestError::Unavailable { .. } => {
            (StatusCode::BAD_GATEWAY, text, "GET /api/v1/why/{agent}, `werkpilot why`, tells why it does not answer")
        }
        RequestError::Overloaded => (StatusCode::BAD_GATEWAY, text, "ask again when fewer requests wait"),
        RequestError::Agent(_) | RequestError::TooLarge { .. } => {
            (StatusCode::BAD_GATEWAY, text, "that is the agent's own answer; its log may say more")
        }
    };
    Problem::new(status, text).hint(hint).with("busCode", error.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_sent_as_it_is_and_anything_else_as_json() {
        let sent = |payload: Value| String::from_utf8(payload_of(Some(payload), None).unwrap()).unwrap();
        assert_eq!(
            (sent(json!("a \"b\"")), sent(json!({ "a": [1, null] }))),
            ("a \"b\"".into(), r#"{"a":[1,null]}"#.into())
        );
        assert_eq!(payload_of(None, Some("/w==".to_owned())).unwrap(), [0xff]);
        assert_eq!(payload_of(None, None).unwrap(), b"");
        assert!(payload_of(None, Some("%".to_owned())).is_err());
        assert!(payload_of(Some(json!(1)), Some("YQ==".to_owned())).is_err());
    }

    #[test]
    fn an_answer_that_is_no_text_is_told_in_base64() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let headers = vec![pair("Color", "red"), pair("Size", "1"), pair("Color", "blue")];
        let reply = Reply { from: "db".to_owned(), headers, payload: vec![0xff], took: Duration::from_micros(1_500) };
        let answer = serde_json::to_value(BusAnswer::from(reply)).unwrap();
        let headers = json!({ "Color": "red, blue", "Size": "1" });
        assert_eq!(
            answer,
            json!({ "ok": true, "durationMs": 1.5, "from": "db", "payloadBase64": "/w==", "headers": headers })
        );
    }

    #[test]
    fn what_the_bus_says_is_told_with_its_number() {
        let told = |error: RequestError| {
            let problem = serde_json::to_value(problem(&error.into(), Duration::from_secs(5))).unwrap();
            (problem["status"].as_u64().unwrap(), problem["busCode"].as_u64())
        };
        assert_eq!(told(RequestError::Timeout), (504, Some(408)));
        assert_eq!(told(RequestError::NoResponder("rpc.a".to_owned())), (502, Some(503)));
        assert_eq!(told(werkpilot_runtime::bus::AgentError::new(422, "no").into()), (502, Some(422)));
        assert_eq!(told(RequestError::TooLarge { bytes: 2, max: 1 }), (413, None));
    }

    #[test]
    fn patience_has_its_bounds() {
        let timeout = |timeout_ms| {
            let question = Question { timeout_ms, ..Question::default() };
            question.timeout(Duration::from_secs(5)).map(|timeout| timeout.as_millis()).map_err(|_| ())
        };
        assert_eq!((timeout(None), timeout(Some(1)), timeout(Some(60_000))), (Ok(5_000), Ok(1), Ok(60_000)));
        assert_eq!((timeout(Some(0)), timeout(Some(60_001))), (Err(()), Err(())));
    }
}
