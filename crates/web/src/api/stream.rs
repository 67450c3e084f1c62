//! The event stream: what happens, as server-sent events.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Data, Query};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::event::TopicPattern;
use werkpilot_core::ids::{AgentName, RunId};
use werkpilot_core::stream::{NoPlace, Place};
use werkpilot_runtime::observe::stream::{EventFilter, Fact, Item, Subscription};

use super::given;
use crate::openapi::Contradiction;
use crate::problem::Problem;
use crate::server::Shared;
use crate::sse;

/// After so long a silence a comment is sent: proxies close what is silent for half a minute, and a client that has gone is
/// noticed by writing to it.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A client that lost its connection waits so long before it comes again, in milliseconds.
const RETRY: u32 = 1_000;
/// What is there already is sent together up to so many bytes.
const TOGETHER: usize = 32 * 1_024;
/// Agents and types that a filter may name: each is looked at for every event.
const MOST_NAMES: usize = 100;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// What nginx and its like take as the word not to gather an answer before they hand it on.
const NOT_GATHERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// What a client wants to see.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wish {
    /// Types of events or patterns of them (`agent.failed`, `agent.*`, `memory.>`), separated by commas; at most 100.
    #[serde(rename = "type")]
    #[param(
        pattern = "^(([a-z0-9_]+|[*])([.]([a-z0-9_]+|[*]))*([.]>)?|>)(,(([a-z0-9_]+|[*])([.]([a-z0-9_]+|[*]))*([.]>)?|>))*$"
    )]
    kind: Option<String>,
    /// Only events about one of these agents, separated by commas; at most 100.
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,62}(,[a-z0-9][a-z0-9_-]{0,62})*$")]
    agent: Option<String>,
    /// Only events about this execution.
    #[param(value_type = Option<RunId>)]
    run: Option<String>,
    /// The id of the last event that the client has, for those that can't set the header Last-Event-ID, which is asked first.
    #[param(pattern = "^[0-9]{1,19}([.][0-9]{1,18})?$")]
    after: Option<String>,
}

impl Wish {
    fn filter(&self) -> Result<EventFilter, Problem> {
        let topics = names(self.kind.as_ref(), "type", TopicPattern::new)?;
        if let Some((first, near)) = topics.iter().find_map(|pattern| pattern.known().err()) {
            let meant = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
            let text = format!("no type of events begins with {first:?}{meant}");
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text);
            return Err(problem.hint("docs/guarantees.md lists the types; agent.* and > are patterns of them"));
        }
        let agents = names(self.agent.as_ref(), "agent", AgentName::new)?;
        let run = given(self.run.as_ref()).map(str::parse::<RunId>).transpose();
        let run = run.map_err(|error| Problem::bad_request(format!("run is no id of an execution: {error}")))?;
        Ok(EventFilter { topics, agents, run, ..EventFilter::default() })
    }

    /// The last event that the client has. Browsers repeat the address with its `after` when they come again, and say in the
    /// header how far they are by then.
    fn last(&self, headers: &HeaderMap) -> Result<Option<Place>, Problem> {
        let header = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?").trim());
        let read = |text: Option<&str>| text.map(str::parse::<Place>).transpose();
        let told = || Ok((read(header.filter(|value| !value.is_empty()))?, read(given(self.after.as_ref()))?));
        let (header, after) = told().map_err(|error: NoPlace| Problem::bad_request(error.to_string()))?;
        Ok(header.or(after))
    }
}

fn names<T, E: std::fmt::Display>(
    list: Option<&String>,
    what: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Problem> {
    let words = given(list).into_iter().flat_map(|list| list.split(',')).map(str::trim);
    let names: Result<Vec<T>, E> = words.map(read).collect();
    let names = names.map_err(|error| Problem::bad_request(format!("{what}: {error}")))?;
    if names.len() > MOST_NAMES {
        return Err(Problem::bad_request(format!("{what} names {}; at most {MOST_NAMES} are taken", names.len())));
    }
    Ok(names)
}

/// An event of the stream, as `EventSource` has it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of what `write` writes")]
struct StreamedEvent {
    /// Its place in the stream: what Last-Event-ID takes.
    id: Option<String>,
    /// `fact` or `resync`.
    event: String,
    /// A JSON object: of a fact its `seq`, `time`, `type`, `message` and `data`; of a resync `oldest` and `newest`.
    data: String,
}

/// What happens from now on, or after the last event that the client has, until somebody ends it: `fact` with the event as
/// JSON (`seq`, `time`, `type`, `message`, `data`), and `resync` with `oldest` and `newest` where events are missing: what the
/// client knows it has to ask for anew, and the stream goes on.
#[utoipa::path(
    get, path = "/api/v1/events/stream", operation_id = "streamEvents", tag = "events",
    params(
        Wish,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that the client has.",
            pattern = "^[0-9]{1,19}([.][0-9]{1,18})?$")
    ),
    responses(
        (status = 200, description = "Server-sent events.", content_type = "text/event-stream", body = StreamedEvent),
        Contradiction
    )
)]
pub(crate) async fn follow(
    shared: Data<Shared>,
    wish: Query<Wish>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (filter, last) = (wish.filter()?, wish.last(request.headers())?);
    shared.places.wait(&request)?;
    let subscription = shared.handle.stream(filter, last).await?;
    let body = told(subscription).take_until(Box::pin(shared.stopped()));
    Ok(HttpResponse::Ok().content_type("text/event-stream").insert_header(NOT_GATHERED).streaming(body))
}

/// The stream as it is sent.
fn told(subscription: Subscription) -> impl Stream<Item = Result<Bytes, actix_web::Error>> {
    let mut first = Vec::new();
    sse::retry(&mut first, RETRY);
    let first = stream::iter([Ok(first.into())]);
    // Boxed, as the body of an answer has to be movable.
    first.chain(Box::pin(stream::unfold(subscription, |mut subscription| async move {
        let bytes = next(&mut subscription).await?;
        Some((Ok(bytes), subscription))
    })))
}

/// What is there, once something is, or a sign of life.
async fn next(subscription: &mut Subscription) -> Option<Bytes> {
    let mut out = Vec::new();
    match tokio::time::timeout(HEARTBEAT, subscription.next()).await {
        Err(_) => sse::comment(&mut out),
        Ok(item) => {
            write(&mut out, &item?);
            while out.len() < TOGETHER
                && let Some(item) = subscription.try_next()
            {
                write(&mut out, &item);
            }
        }
    }
    Some(out.into())
}

fn write(out: &mut Vec<u8>, item: &Item) {
    match item {
        Item::Fact(fact) => out.extend_from_slice(&fact.rendered(block)),
        Item::Passed(place) => sse::id(out, &place.to_string()),
        Item::Resync { oldest, newest, place } => {
            let data = json!({ "oldest": oldest, "newest": newest }).to_string();
            sse::event(out, place.map(|place| place.to_string()).as_deref(), "resync", &data);
        }
    }
}

fn block(fact: &Fact) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    sse::event(&mut out, Some(&fact.place().to_string()), "fact", &fact.json());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(header: Option<&'static str>, after: Option<&str>) -> Result<Option<u64>, ()> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(LAST_EVENT_ID, HeaderValue::from_static(header));
        }
        let wish = Wish { after: after.map(ToOwned::to_owned), ..Wish::default() };
        wish.last(&headers).map(|place| place.map(|place| place.seq)).map_err(|_| ())
    }

    #[test]
    fn the_header_goes_before_the_parameter() {
        assert_eq!((last(None, None), last(Some(""), Some(""))), (Ok(None), Ok(None)));
        assert_eq!((last(None, Some("4")), last(Some("7.123"), Some("4"))), (Ok(Some(4)), Ok(Some(7))));
        assert_eq!((last(Some("x"), Some("4")), last(None, Some("-1"))), (Err(()), Err(())));
    }

    #[test]
    fn a_filter_that_can_fit_nothing_is_refused_with_what_is_wrong() {
        let refused = |kind: &str, agent: &str, run: &str| {
            let given = |text: &str| Some(text.to_owned());
            let wish = Wish { kind: given(kind), agent: given(agent), run: given(run), after: None };
            wish.filter().unwrap_err().to_string()
        };
        assert!(refused("agnet.failed", "", "").contains("did you mean agent?"));
        assert!(refused("agent..x", "", "").contains("empty word"));
        assert!(refused("", "no name", "").contains("agent: "));
        assert!(refused("", "", "42").contains("run is no id"));
        assert!(refused(&vec!["agent.*"; 101].join(","), "", "").contains("at most 100"));
        let wish = Wish { kind: Some("agent.*, memory.>".to_owned()), ..Wish::default() };
        assert_eq!(wish.filter().unwrap().topics.len(), 2);
    }
}
