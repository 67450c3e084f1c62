//! What many ask for again and again, as bytes that are ready: the fleet for `/metrics` and `/api/v1/agents`.
//!
//! A snapshot is made when somebody asks and there is none that is fresh enough; whoever asks meanwhile waits for that one.
//! Invariant: over the control socket nobody is told anything older than their question, and nobody at all anything older
//! than the last change that was made through HTTP.

mod fleet;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, EntityTag, HeaderValue, VARY};
use actix_web::{HttpRequest, HttpResponse};
use tokio::time::Instant;
use werkpilot_runtime::Handle;

use crate::compress::takes_gzip;
use crate::etag;
use crate::problem::Problem;
use crate::routes::Listener;
use crate::server::Shared;
pub(crate) use fleet::{Fleet, Form};

/// Over TCP a snapshot is fresh for so long, whatever happens: forty a second are enough for every eye, and cost a tenth
/// of a core with 1,000 agents that change all the time.
const FRESH: Duration = Duration::from_millis(25);
/// And for so long while no event comes: memory and uptimes go on without any.
const STILL: Duration = Duration::from_millis(250);
/// What is compressed may be so old: compressing takes five times as long as writing.
const COMPRESSED: Duration = Duration::from_millis(250);

/// The snapshot of both listeners.
#[derive(Debug)]
pub(crate) struct Snapshot {
    state: Mutex<State>,
    /// One is made at a time.
    making: tokio::sync::Mutex<()>,
    epoch: u64,
}

#[derive(Debug)]
struct State {
    newest: Option<Arc<Fleet>>,
    /// The newest that is compressed.
    compressed: Option<Arc<Fleet>>,
    /// When something was changed through HTTP.
    changed: Instant,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    listener: Listener,
    asked: Instant,
    compressed: bool,
}

impl Snapshot {
    pub fn new() -> Self {
        // Milliseconds, so that no start has the numbers of another one, and JavaScript can hold them.
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = u64::try_from(since.as_millis()).unwrap_or(0).saturating_mul(1_000);
        let state = State { newest: None, compressed: None, changed: Instant::now() };
        Self { state: Mutex::new(state), making: tokio::sync::Mutex::new(()), epoch }
    }

    /// Something was changed through HTTP: what was made before is not shown any more.
    pub fn stale(&self) {
        self.with(|state| state.changed = Instant::now());
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fresh(&self, need: Need, event: u64) -> Option<Arc<Fleet>> {
        let now = Instant::now();
        self.with(|state| {
            let is_fresh = |fleet: &&Arc<Fleet>| need.takes(fleet.begun, fleet.event == event, state.changed, now);
            if need.compressed
                && let Some(fleet) = state.compressed.as_ref().filter(is_fresh)
            {
                return Some(fleet.clone());
            }
            let fresh = state.newest.as_ref().filter(is_fresh).cloned();
            if need.compressed && fresh.is_some() {
                state.compressed.clone_from(&fresh);
            }
            fresh
        })
    }

    /// A fleet that is fresh enough.
    async fn get(&self, need: Need, handle: &Handle) -> Result<Arc<Fleet>, Problem> {
        if let Some(fleet) = self.fresh(need, handle.newest_event()) {
            return Ok(fleet);
        }
        let _turn = self.making.lock().await;
        if let Some(fleet) = self.fresh(need, handle.newest_event()) {
            return Ok(fleet);
        }
        let (begun, event) = (Instant::now(), handle.newest_event());
        let overview = handle.overview().await?;
        let before = self.with(|state| state.newest.clone());
        let fleet = Fleet::new(overview, begun, event, self.epoch, before.as_deref()).map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the fleet can't be written as JSON: {error}"))
        })?;
        let fleet = Arc::new(fleet);
        self.with(|state| {
            state.newest = Some(fleet.clone());
            if need.compressed {
                state.compressed = Some(fleet.clone());
            }
        });
        Ok(fleet)
    }
}

impl Need {
    fn of(shared: &Shared, request: &HttpRequest) -> Self {
        let compressed = shared.listener == Listener::Tcp && takes_gzip(request.headers());
        Self { listener: shared.listener, asked: Instant::now(), compressed }
    }

    /// Whether what was begun at that time will do.
    fn takes(self, begun: Instant, no_event_since: bool, changed: Instant, now: Instant) -> bool {
        if begun < changed {
            return false;
        }
        let age = now.saturating_duration_since(begun);
        match self.listener {
            Listener::ControlSocket => begun >= self.asked,
            Listener::Tcp => age <= FRESH || age <= STILL && no_event_since || self.compressed && age <= COMPRESSED,
        }
    }
}

/// Whether this request is answered from bytes that are there: it needs no turn then.
pub(crate) fn is_ready(shared: &Shared, request: &HttpRequest) -> bool {
    let path = request.path();
    let listed = path == "/api/v1/agents" && request.query_string().is_empty() || path == "/metrics";
    listed
        && shared.listener == Listener::Tcp
        && (path != "/metrics" || crate::metrics::wants_json(request))
        && shared.snapshot.fresh(Need::of(shared, request), shared.handle.newest_event()).is_some()
}

/// `GET /metrics` as JSON.
pub(crate) async fn metrics(shared: &Shared, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let need = Need::of(shared, request);
    let fleet = shared.snapshot.get(need, &shared.handle).await?;
    Ok(answer(request, fleet.metrics(), need.compressed, "accept, accept-encoding"))
}

/// The first page of agents.
pub(crate) async fn agents(shared: &Shared, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let need = Need::of(shared, request);
    let fleet = shared.snapshot.get(need, &shared.handle).await?;
    Ok(answer(request, fleet.agents(shared.snapshot.epoch), need.compressed, "accept-encoding"))
}

/// What changed of the agents since a version.
pub(crate) async fn changes(shared: &Shared, request: &HttpRequest, since: Option<u64>) -> Result<Vec<u8>, Problem> {
    let need = Need { compressed: false, ..Need::of(shared, request) };
    Ok(shared.snapshot.get(need, &shared.handle).await?.changes(since))
}

fn answer(request: &HttpRequest, form: &Form, compressed: bool, vary: &'static str) -> HttpResponse {
    let known = form.tag.parse::<EntityTag>().is_ok_and(|tag| etag::is_known(request, &tag));
    let mut answer = match (known, compressed) {
        (true, _) => HttpResponse::NotModified().finish(),
        (false, true) => HttpResponse::Ok().body(form.compressed()),
        (false, false) => HttpResponse::Ok().body(form.plain.clone()),
    };
    // Compressed it is the same, in other bytes: a weak tag.
    let tag =
        if compressed { HeaderValue::from_str(&format!("W/{}", form.tag)) } else { HeaderValue::from_str(&form.tag) };
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static(vary));
    if let Ok(tag) = tag {
        headers.insert(ETAG, tag);
    }
    if compressed && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fresh_depends_on_who_asks_and_what_happened() {
        let long_ago = Instant::now();
        let now = long_ago + Duration::from_mins(1);
        let over = |listener, compressed| Need { listener, asked: now, compressed };
        let aged = |need: Need, age: u64, no_event: bool| {
            need.takes(now.checked_sub(Duration::from_millis(age)).unwrap(), no_event, long_ago, now)
        };
        let (tcp, socket) = (over(Listener::Tcp, false), over(Listener::ControlSocket, false));
        assert!(aged(tcp, 25, false) && !aged(tcp, 26, false));
        assert!(aged(tcp, 250, true) && !aged(tcp, 251, true));
        assert!(aged(socket, 0, true) && !aged(socket, 1, true));
        let compressed = over(Listener::Tcp, true);
        assert!(aged(compressed, 250, false) && !aged(compressed, 251, false));
        for need in [tcp, compressed] {
            assert!(!need.takes(now, true, now + Duration::from_millis(1), now), "something was changed since");
        }
    }
}
