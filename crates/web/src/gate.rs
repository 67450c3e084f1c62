//! What every request goes through before it reaches a handler, and every answer on its way back.
//!
//! Invariant: never more than `max_requests` answers of a listener are in the making or on their way, and beside them
//! never more than [`WAITING`] that wait for something to happen, and [`STRANGERS`] for those who have no role: nobody
//! without a token or a login keeps out who has one. Over TCP, [`TURNS`] of those that read what is at hand are being
//! worked on; the others stand in line, so that a flood does not stand before what comes over the control socket to the
//! same thread. Who waits for a disk has no turn. Every request that reaches a route has a [`Principal`] in its extensions, and passed [`admit`] for that route.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::audit::written_down;
use crate::auth::{Auth, Principal, Tenure, check_fetch_site};
use crate::door::{Answering, Connection};
use crate::openapi::check_query;
use crate::problem::Problem;
use crate::routes::{Access, Listener, Route};
use crate::server::Shared;
use crate::snapshot;

/// Followers of logs and waiters for executions at a time, per listener; as many as the runtime lets wait.
const WAITING: usize = 1_024;
/// Requests of those without a role at a time, per listener: enough for the probes and scrapes of a machine.
const STRANGERS: usize = 64;
/// An answer to who has no role is sent within this time: 25 kB/s for the largest file of ours.
const STRANGERS_TIME: Duration = Duration::from_mins(1);
/// Requests over TCP that are worked on at a time: one by the actors, one by our thread. Measured with 512 clients who
/// want the metrics of 1,000 agents: an answer over the control socket takes 25 ms, without turns a second.
const TURNS: usize = 2;

/// For every answer that brings no policy of its own: nothing but our own style sheet and icon, in no frame, no script, no
/// form.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The policy of the dashboard: its own scripts, style sheets, icon and API, and the one import map that stands in the
/// page, known by the base64 of its SHA-256. No other inline script or style, no frame, no form, no other site.
pub(crate) fn page_policy(import_map_sha256: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{import_map_sha256}'; style-src 'self'; img-src 'self'; \
         connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}

/// Sets the headers that every answer has.
pub(crate) fn secure(headers: &mut HeaderMap) {
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    let fixed: [(HeaderName, &'static str); 4] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// The places for requests of one listener.
#[derive(Debug)]
pub(crate) struct Places {
    short: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    max_requests: u32,
}

/// A request's place; free again when this is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A request's turn to be worked on; the next one's when this is dropped.
struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(max_requests: u32) -> Self {
        let short = usize::try_from(max_requests).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let of = |places| Arc::new(Semaphore::new(places));
        let (strangers, waiting) = (of(STRANGERS), of(WAITING));
        Self { short: of(short), strangers, waiting, turns: of(TURNS), max_requests }
    }

    fn take(&self) -> Result<Place, Problem> {
        let permit = self.short.clone().try_acquire_owned().map_err(|_| {
            let text =
                format!("{} requests are in progress, as many as [dashboard] max_requests lets in", self.max_requests);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        })?;
        Ok(Place { _permit: permit })
    }

    /// A place for who has no role.
    fn take_as_stranger(&self) -> Result<Place, Problem> {
        let permit = self.strangers.clone().try_acquire_owned().map_err(|_| {
            let text =
                format!("{STRANGERS} requests without a token or a login are in progress, as many as are let in");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text).hint(
                "try again in a moment, or send a token (`werkpilot token create`): those have places of their own",
            )
        })?;
        Ok(Place { _permit: permit })
    }

    /// Moves a request that is going to wait from the short places to the waiting ones.
    pub fn wait(&self, request: &HttpRequest) -> Result<(), Problem> {
        let permit = self.waiting.clone().try_acquire_owned().map_err(|_| {
            let text = format!("{WAITING} followers and waiters are connected already");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
        })?;
        request.extensions_mut().insert(Place { _permit: permit });
        Ok(())
    }

    /// Waits until it is this request's turn.
    async fn turn(&self) -> Option<Turn> {
        self.turns.clone().acquire_owned().await.ok().map(|permit| Turn { _permit: permit })
    }

    /// Resolves when no request is in progress any more. New ones are not let in.
    pub async fn idle(&self) {
        let _short = self.short.acquire_many(self.max_requests.max(1)).await;
        let _strangers = self.strangers.acquire_many(u32::try_from(STRANGERS).unwrap_or(u32::MAX)).await;
        let _waiting = self.waiting.acquire_many(u32::try_from(WAITING).unwrap_or(u32::MAX)).await;
    }
}

/// The middleware around everything: bounds, who asks, panics, headers.
pub(crate) async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shared = request.app_data::<Data<Shared>>().expect("every app has it").clone();
    let answering = request.conn_data::<Rc<Connection>>().map(Connection::answer);
    let tenure = match enter(&shared, &request).await {
        Ok(tenure) => tenure,
        Err(problem) => {
            shared.counters.answered(problem.status_code());
            return Ok(request.into_response(problem.error_response()));
        }
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind();
    let answer = match tenure.clone().filter(|_| reads) {
        None => answer.await,
        // Who waits for something does so no longer than they may.
        Some(tenure) => tokio::select! {
            biased;
            answer = answer => answer,
            () = tenure.over() => return Err(over().into()),
        },
    };
    if !reads {
        shared.snapshot.stale();
    }
    let Ok(answer) = answer else {
        shared.counters.panicked();
        shared.counters.answered(StatusCode::INTERNAL_SERVER_ERROR);
        // The panic hook has written it to the log. The connection is kept: only this request is lost.
        return Err(Problem::panicked().into());
    };
    let answer = answer.inspect_err(|error| shared.counters.answered(error.as_response_error().status_code()))?;
    shared.counters.answered(answer.status());
    // One that was caught further in.
    if answer.response().error().and_then(|error| error.as_error::<Problem>()).is_some_and(Problem::is_panic) {
        shared.counters.panicked();
    }
    let mut answer = answer.map_into_boxed_body();
    secure(answer.headers_mut());
    let (place, stranger) = {
        let mut extensions = answer.request().extensions_mut();
        extensions.remove::<Turn>();
        (extensions.remove::<Place>(), extensions.get::<Principal>().is_some_and(|who| who.role.is_none()))
    };
    Ok(answer.map_body(|_, body| {
        let streams = body.size() == BodySize::Stream;
        let cut = tenure.filter(|_| streams).map(Tenure::over);
        match &answering {
            Some(connection) if streams => connection.stream(),
            Some(connection) if stranger => connection.sent_by(Instant::now() + STRANGERS_TIME),
            _ => {}
        }
        BoxBody::new(Held { body, cut, rest: Bytes::new(), _place: place, _answering: answering })
    }))
}

/// Gives a request a place, finds out who asks, and until when they may.
async fn enter(shared: &Shared, request: &ServiceRequest) -> Result<Option<Tenure>, Problem> {
    match shared.listener {
        Listener::ControlSocket => Auth::check_url(request)?,
        Listener::Tcp => shared.auth.check_way(request)?,
    }
    let mut place = shared.places.take()?;
    let principal = match shared.listener {
        Listener::ControlSocket => Principal::over_control_socket(said(request.headers())),
        Listener::Tcp => shared.auth.identify(request, &shared.handle).await?,
    };
    if principal.role.is_none() {
        place = shared.places.take_as_stranger()?;
    }
    request.extensions_mut().insert(place);
    let tenure = principal.tenure.clone();
    request.extensions_mut().insert(principal);
    Ok(tenure)
}

/// A requester's name is cut off here: it goes into events and reasons.
const MAX_NAME: usize = 64;

/// Who asks over the control socket, as far as they say so: it lets nobody in but the user of the orchestrator.
fn said(headers: &HeaderMap) -> String {
    let said = headers.get("werkpilot-by").and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let said: String = said.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
    if said.is_empty() { "control socket".to_owned() } else { said }
}

/// The middleware around one route: lets in whom its row lets in.
pub(crate) async fn admit(
    route: &'static Route,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Err(problem) = check(route, &request) {
        return Ok(request.into_response(problem.error_response()));
    }
    if !route.method.reads() {
        return written_down(route, request, next).await;
    }
    let shared = request.app_data::<Data<Shared>>().expect("every app has it").clone();
    // What comes over the control socket stands in no line, nor what is asked for and there already.
    if route.takes_turns() && shared.listener == Listener::Tcp && !snapshot::is_ready(&shared, request.request()) {
        let turn = shared.places.turn().await;
        // Given back by the gate, when the answer is compressed, too.
        turn.map(|turn| request.extensions_mut().insert(turn));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

fn check(route: &Route, request: &ServiceRequest) -> Result<(), Problem> {
    let shared = request.app_data::<Data<Shared>>().expect("every app has it");
    let extensions = request.extensions();
    let principal = extensions.get::<Principal>().expect("the gate put it there");
    if shared.listener == Listener::Tcp {
        check_fetch_site(request.headers(), request.method(), route.access == Access::Public)?;
    }
    principal.may(route)?;
    shared.auth.check_csrf(principal, route, request.headers())?;
    check_query(request.request())
}

/// A token was revoked, or a session is over, while its request waited.
fn over() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "the token was revoked, or the session is over")
        .of_kind("urn:werkpilot:unauthenticated")
}

/// A body that holds its request's place until it is sent, given up, or cut off because whom it is for may have it no
/// longer.
struct Held {
    body: BoxBody,
    cut: Option<LocalBoxFuture<'static, ()>>,
    /// What is left of the piece that comes next.
    rest: Bytes,
    _place: Option<Place>,
    _answering: Option<Answering>,
}

/// A body goes out in pieces of so many bytes: a client that reads slowly makes us keep one of them, not megabytes.
const PIECE: usize = 64 * 1024;

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if self.cut.as_mut().is_some_and(|cut| cut.as_mut().poll(cx).is_ready()) {
            self.cut = None;
            // Not an end: what was sent is not all there is.
            return Poll::Ready(Some(Err("the token was revoked, or the session is over".into())));
        }
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => self.rest = piece,
                other => return other,
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}
