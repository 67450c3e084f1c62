//! What every request goes through before it reaches a handler, and every answer on its way back.
//!
//! Invariant: never more than `max_requests` answers of a listener are in the making or on their way, and beside them
//! never more than [`WAITING`] that wait for something to happen. Over TCP, [`TURNS`] of them are being worked on; the
//! others stand in line, so that a flood does not stand before what comes over the control socket to the same thread.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::uri::Authority;
use actix_web::middleware::Next;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpRequest, ResponseError};
use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::problem::Problem;
use crate::routes::Listener;
use crate::server::Shared;

/// Followers of logs and waiters for executions at a time, per listener; as many as the runtime lets wait.
const WAITING: usize = 1_024;
/// Requests over TCP that are worked on at a time: one by the actors, one by our thread. Measured with 512 clients who
/// want the metrics of 1,000 agents: an answer over the control socket takes 25 ms, without turns a second.
const TURNS: usize = 2;

/// Nothing but our own style sheet and icon, in no frame, no script, no form.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Sets the headers that every answer has.
pub(crate) fn secure(headers: &mut HeaderMap) {
    let fixed: [(HeaderName, &'static str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
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
    waiting: Arc<Semaphore>,
    turns: Semaphore,
    max_requests: u32,
}

/// A request's place; free again when this is dropped.
struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(max_requests: u32) -> Self {
        let short = usize::try_from(max_requests).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        let waiting = Arc::new(Semaphore::new(WAITING));
        Self { short: Arc::new(Semaphore::new(short)), waiting, turns: Semaphore::new(TURNS), max_requests }
    }

    fn take(&self) -> Result<Place, Problem> {
        let permit = self.short.clone().try_acquire_owned().map_err(|_| {
            let text =
                format!("{} requests are in progress, as many as [dashboard] max_requests lets in", self.max_requests);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, text)
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

    /// Waits until it is this request's turn, which ends with what is given back. What is open needs no body and waits for
    /// nothing; what comes over the control socket does, and needs no turn.
    async fn turn(&self, listener: Listener) -> Option<SemaphorePermit<'_>> {
        match listener {
            Listener::Tcp => self.turns.acquire().await.ok(),
            Listener::ControlSocket => None,
        }
    }

    /// Resolves when no request is in progress any more. New ones are not let in.
    pub async fn idle(&self) {
        let _short = self.short.acquire_many(self.max_requests.max(1)).await;
        let _waiting = self.waiting.acquire_many(u32::try_from(WAITING).unwrap_or(u32::MAX)).await;
    }
}

/// The middleware.
pub(crate) async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shared = request.app_data::<Data<Shared>>().expect("every app has it").clone();
    let admitted = check_way(shared.listener, &request).and_then(|()| shared.places.take());
    let place = match admitted {
        Ok(place) => place,
        Err(problem) => return Ok(request.into_response(problem.error_response())),
    };
    request.extensions_mut().insert(place);
    let turn = shared.places.turn(shared.listener).await;
    let answer = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    drop(turn);
    let Ok(answer) = answer else {
        // The panic hook has written it to the log. The connection is kept: only this request is lost.
        return Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a handler panicked; the log says where").into());
    };
    let mut answer = answer?.map_into_boxed_body();
    secure(answer.headers_mut());
    let place = answer.request().extensions_mut().remove::<Place>();
    Ok(answer.map_body(|_, body| BoxBody::new(Held { body, _place: place })))
}

/// TCP is for browsers and scrapers of this machine: not for pages of other sites (DNS rebinding), not through a proxy,
/// which would let the whole world in.
fn check_way(listener: Listener, request: &ServiceRequest) -> Result<(), Problem> {
    if listener == Listener::ControlSocket {
        return Ok(());
    }
    let headers = request.headers();
    let forwarded =
        headers.keys().find(|name| **name == header::FORWARDED || name.as_str().starts_with("x-forwarded-"));
    if let Some(name) = forwarded {
        let text = format!("the request came through a proxy (header {name}), and there is no authentication yet");
        return Err(Problem::new(StatusCode::FORBIDDEN, text).hint("ask on this machine, without a proxy"));
    }
    let mut hosts = headers
        .get_all(header::HOST)
        .map(|host| host.to_str().unwrap_or_default())
        .chain(request.uri().authority().map(Authority::as_str))
        .peekable();
    let all_local = hosts.peek().is_some() && hosts.all(is_loopback);
    if !all_local {
        let text = "the Host header names no loopback address";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, text).hint("ask for localhost, 127.0.0.1 or [::1]"));
    }
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    if origin.is_some_and(|origin| !origin.strip_prefix("http://").is_some_and(is_loopback)) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "pages of other sites may not ask"));
    }
    Ok(())
}

/// Whether a Host is this machine, whatever its port (it may be an SSH tunnel's).
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// A body that holds its request's place until it is sent or given up.
struct Held {
    body: BoxBody,
    _place: Option<Place>,
}

impl MessageBody for Held {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_loopback() {
        for host in ["localhost", "LocalHost:3001", "127.0.0.1:3001", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        let others = [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:3001",
            "127.0.0.1.evil.example",
            "[::2]:1",
            "localhost:",
            "localhost:80x",
            "127.0.0.1@evil.example",
            "localhost:1:2",
            ":3001",
        ];
        for host in others {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
