//! `Idempotency-Key`: a request that is made again under the same key is done once. What is to happen is decided by
//! [`werkpilot_core::idempotency`]; here it is carried out.
//!
//! Invariant: before a request is done, its key and the id of its execution are on disk. Where nothing is kept on disk, keys
//! live as long as the orchestrator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use werkpilot_core::idempotency::{
    ANSWER, Afterwards, Answer, KEYS, Key, Remembered, Verdict, after, decide, fingerprint,
};
use werkpilot_core::ids::RunId;
use werkpilot_core::time::Timestamp;
use werkpilot_runtime::clock::Clock;
use werkpilot_runtime::state::triggers::new_run;

use crate::api::by;
use crate::audit;
use crate::problem::Problem;
use crate::server::Shared;

/// The header of a key.
pub(crate) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that is given again.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What both listeners know of keys.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    in_progress: BTreeSet<Key>,
    /// Where nothing is kept on disk.
    in_memory: BTreeMap<Key, Remembered>,
}

/// The keys of a server.
pub(crate) type SharedKeys = Arc<Mutex<Keys>>;

/// How a request is to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Attempt {
    /// As this execution; `None`: there is no key.
    pub run: Option<RunId>,
    /// It was begun at this time and cut off: some of it may be done.
    pub since: Option<Timestamp>,
}

/// Does a request; once, if it has a key.
pub(crate) async fn once<F: Future<Output = Result<HttpResponse, Problem>>>(
    shared: &Shared,
    request: &HttpRequest,
    body: &[u8],
    work: impl FnOnce(Attempt) -> F,
) -> Result<HttpResponse, Problem> {
    let Some(key) = key_of(request)? else { return work(Attempt::default()).await };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let digest = fingerprint(request.method().as_str(), path, body);
    // Taken before anything is asked, so that of two at a time one is the first.
    let place = InProgress::take(&shared.keys, key);
    let remembered = look_up(shared, key).await?;
    let now = Clock::wall();
    match decide(remembered.as_ref(), digest, place.is_none(), now) {
        Verdict::Mismatch => Err(mismatch()),
        Verdict::InProgress => Err(in_progress()),
        Verdict::Repeat(answer) => {
            audit::nothing(request);
            Ok(repeated(answer))
        }
        Verdict::Resume { run, since } => {
            let begun = Remembered { at: since, request: digest, run, answer: None };
            finish(shared, key, begun, work(Attempt { run: Some(run), since: Some(since) }).await).await
        }
        Verdict::Begin => {
            let begun = Remembered { at: now, request: digest, run: new_run(now), answer: None };
            shared.handle.remember(key, begun.clone()).await?;
            let attempt = Attempt { run: Some(begun.run), since: None };
            finish(shared, key, begun, work(attempt).await).await
        }
    }
}

/// Remembers the answer, or forgets the key.
async fn finish(
    shared: &Shared,
    key: Key,
    begun: Remembered,
    result: Result<HttpResponse, Problem>,
) -> Result<HttpResponse, Problem> {
    let undone = result.as_ref().is_err_and(Problem::is_refusal);
    let (response, answer) = match result {
        Ok(response) => taken_apart(response),
        Err(problem) => taken_apart(problem.error_response()),
    };
    let then = after(response.status().as_u16(), undone);
    match (then, answer) {
        (Afterwards::Remember, Some(answer)) => {
            let done = Remembered { answer: Some(answer), ..begun };
            if !shared.handle.ledger().is_kept() {
                lock(&shared.keys).keep(key, done);
            } else if shared.handle.remember(key, done.clone()).await.is_err() {
                shared.handle.remember_soon(key, done);
            }
        }
        (Afterwards::Forget, _) => {
            // What is not forgotten goes on with its id, which is as good.
            let _ = shared.handle.forget_key(key).await;
        }
        (Afterwards::Keep | Afterwards::Remember, _) => {}
    }
    Ok(response)
}

/// The answer, and what is remembered of it.
fn taken_apart(response: HttpResponse) -> (HttpResponse, Option<Answer>) {
    let status = response.status().as_u16();
    let (head, body) = response.into_parts();
    match body.try_into_bytes() {
        Ok(bytes) => {
            let body = String::from_utf8(bytes.to_vec()).ok().filter(|body| body.len() <= ANSWER);
            (head.set_body(bytes).map_into_boxed_body(), body.map(|body| Answer { status, body }))
        }
        Err(body) => (head.set_body(body), None),
    }
}

fn repeated(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
    HttpResponse::build(status).insert_header((CONTENT_TYPE, kind)).insert_header((REPLAYED, "true")).body(answer.body)
}

async fn look_up(shared: &Shared, key: Key) -> Result<Option<Remembered>, Problem> {
    if shared.handle.ledger().is_kept() {
        return Ok(shared.handle.remembered(key).await?);
    }
    Ok(lock(&shared.keys).in_memory.get(&key).cloned())
}

fn key_of(request: &HttpRequest) -> Result<Option<Key>, Problem> {
    let Some(text) = single(request.headers())? else { return Ok(None) };
    let key = Key::new(&by(request), text.to_str().unwrap_or_default());
    key.map(Some).map_err(|error| Problem::bad_request(error.to_string()).hint("make one per request: a random UUID"))
}

fn single(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Problem> {
    let mut all = headers.get_all(KEY);
    match (all.next(), all.next()) {
        (first, None) => Ok(first),
        _ => Err(Problem::bad_request("there are several Idempotency-Key headers").hint("send one")),
    }
}

fn mismatch() -> Problem {
    let text = "this Idempotency-Key was used for another request within the last 24 hours";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
        .of_kind("urn:werkpilot:key-reused")
        .hint("make a new key for each request, and send the same one only with the same method, path and body")
}

fn in_progress() -> Problem {
    Problem::new(StatusCode::CONFLICT, "a request with this Idempotency-Key is in progress")
        .of_kind("urn:werkpilot:key-in-progress")
        .hint("ask again in a moment with the same key: the answer will be that of the first request")
}

impl Keys {
    fn keep(&mut self, key: Key, remembered: Remembered) {
        let most = usize::try_from(KEYS).unwrap_or(usize::MAX);
        if self.in_memory.len() >= most
            && let Some(oldest) = self.in_memory.iter().min_by_key(|(_, known)| known.at).map(|(key, _)| *key)
        {
            self.in_memory.remove(&oldest);
        }
        self.in_memory.insert(key, remembered);
    }
}

/// A key whose request is being done, until this is dropped.
struct InProgress {
    keys: SharedKeys,
    key: Key,
}

impl InProgress {
    /// `None`: it is being done already.
    fn take(keys: &SharedKeys, key: Key) -> Option<Self> {
        let first = lock(keys).in_progress.insert(key);
        first.then(|| Self { keys: keys.clone(), key })
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        lock(&self.keys).in_progress.remove(&self.key);
    }
}

fn lock(keys: &Mutex<Keys>) -> MutexGuard<'_, Keys> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}
