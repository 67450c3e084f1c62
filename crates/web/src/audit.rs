//! What was changed through the API is written down: by whom, over which way, from what to what, and how it was answered.
//!
//! Every route that changes something goes through [`written_down`]. Its handler says with [`note`] what it changed; who,
//! way, action and outcome are known here. Invariant: a change that was begun is carried to its end and written down before
//! it is answered, whoever hangs up meanwhile.

use std::panic::{AssertUnwindSafe, resume_unwind};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest};
use futures_util::FutureExt;
use serde_json::Value;
pub(crate) use werkpilot_core::audit::payload;
use werkpilot_core::audit::{Entry, told};
use werkpilot_runtime::clock::Clock;

use crate::auth::Principal;
use crate::routes::{Access, Listener, Route};
use crate::server::Shared;

/// What a handler says of its change; in the extensions of its request.
#[derive(Debug, Default)]
struct Note {
    /// Who it was, where only the handler finds out.
    who: Option<String>,
    target: Option<String>,
    before: Value,
    after: Value,
    /// It was only asked what would happen, or it was answered before.
    nothing: bool,
}

/// Why a request was answered as it was; in the extensions of the answer.
pub(crate) struct Detail(pub String);

/// Says what is changed: what it is, and how it was before and is since. Call it as soon as something of it is known; the
/// last one counts. Payloads are noted by [`werkpilot_core::audit::payload`].
pub(crate) fn note(request: &HttpRequest, target: impl Into<String>, before: Value, after: Value) {
    let note = Note { target: Some(target.into()), before, after, ..Note::default() };
    request.extensions_mut().insert(note);
}

/// The same for who is found out only by the request: a login.
pub(crate) fn note_as(request: &HttpRequest, who: impl Into<String>, target: impl Into<String>, after: Value) {
    let note = Note { who: Some(who.into()), target: Some(target.into()), after, ..Note::default() };
    request.extensions_mut().insert(note);
}

/// Says that nothing is changed, after all: a dry run, or an answer that is given again.
pub(crate) fn nothing(request: &HttpRequest) {
    request.extensions_mut().insert(Note { nothing: true, ..Note::default() });
}

/// Lets a route change something, and writes it down.
pub(crate) async fn written_down(
    route: &'static Route,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let shared = request.app_data::<Data<Shared>>().expect("every app has it").clone();
    let entry = begun(route, &shared, &request);
    let work = async move {
        let answer = AssertUnwindSafe(next.call(request)).catch_unwind().await;
        let answer = answer.map(|answer| answer.map(ServiceResponse::map_into_boxed_body));
        if let Some(entry) = ended(route, entry, answer.as_ref().ok()) {
            shared.handle.audit(entry).await;
        }
        // Here too, for changes whose client has hung up.
        shared.snapshot.stale();
        answer
    };
    // A task of its own: who hangs up takes nothing back.
    match actix_rt::spawn(work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(panic)) => resume_unwind(panic),
        Err(error) => Err(actix_web::error::ErrorInternalServerError(error)),
    }
}

/// What is known before it is done.
fn begun(route: &Route, shared: &Shared, request: &ServiceRequest) -> Entry {
    let extensions = request.extensions();
    let who = extensions.get::<Principal>();
    Entry {
        time: Clock::wall(),
        who: who.map_or_else(|| "nobody".to_owned(), |who| who.name.clone()),
        way: who.map_or("anonymous", |who| who.way.as_str()).to_owned(),
        peer: match shared.listener {
            Listener::Tcp => request.peer_addr().map(|peer| peer.ip().to_string()),
            Listener::ControlSocket => None,
        },
        action: route.action(),
        target: request.match_info().iter().next().map(|(_, value)| value.to_owned()),
        ..Entry::default()
    }
}

/// The whole entry; `None`: there is nothing to write down.
fn ended(
    route: &Route,
    mut entry: Entry,
    answer: Option<&Result<ServiceResponse<BoxBody>, actix_web::Error>>,
) -> Option<Entry> {
    let (status, detail, note) = match answer {
        None => (500, Some("a handler panicked; the log says where".to_owned()), None),
        Some(Err(error)) => (error.as_response_error().status_code().as_u16(), Some(error.to_string()), None),
        Some(Ok(answer)) => {
            let detail = answer.response().extensions().get::<Detail>().map(|Detail(text)| text.clone());
            (answer.status().as_u16(), detail, answer.request().extensions_mut().remove::<Note>())
        }
    };
    let note = note.unwrap_or_default();
    // What anybody may try, and fails, would push out what was done.
    if note.nothing || (route.access == Access::Public && status >= 400) {
        return None;
    }
    entry.who = note.who.unwrap_or(entry.who);
    entry.target = note.target.or(entry.target);
    // What was refused changed nothing, whatever was about to.
    (entry.before, entry.after) = (told(&note.before), told(&note.after).filter(|_| status < 400));
    (entry.status, entry.detail) = (Some(status), detail);
    Some(entry)
}
