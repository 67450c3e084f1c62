//! The OpenAPI document: made of the annotations of the handlers, the schemas of what they answer, and the table of routes.
//!
//! Invariant: the document and [`crate::routes::ROUTES`] have the same operations under `/api/v1`; a test compares them,
//! and another one compares the document with `docs/openapi.json`. What a handler's annotation says is only what is its
//! own: problems that every operation may answer, who may use it and how to log in come from here, for all alike.

mod answers;
mod common;
mod query;
mod viewer;

use std::sync::OnceLock;

use actix_web::http::header::{CONTENT_ENCODING, VARY};
use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;
use utoipa::OpenApi;

use crate::api;
use crate::compress::{gzip, takes_gzip};

pub(crate) use answers::{Answered, Changed, Conflict, Contradiction, Gone, Message, Missing};
pub(crate) use query::check_query;
pub(crate) use viewer::{file, page};

/// All operations; each `#[utoipa::path]` has its line here.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Werkpilot",
        description = "Everything that the command line and the dashboard do goes through this API. Over TCP it wants a \
            token (`werkpilot token create`) or a session. Lists have `limit` and `cursor`, and `next` in the answer, null at the \
            end. Problems (RFC 9457) say what to do in `hint`. A trigger or replay with an `Idempotency-Key` is done once \
            within 24 hours. Within v1, members and operations are added, and none is taken away.",
        license(name = "MIT", identifier = "MIT"),
        contact(),
    ),
    paths(
        show,
        api::agents::list,
        api::agents::changes,
        api::agents::show,
        api::agents::health,
        api::agents::config,
        api::agents::start,
        api::agents::stop,
        api::agents::restart,
        api::agents::enable,
        api::agents::disable,
        api::audit::list,
        api::bus::show,
        api::bus::services,
        api::console::request,
        api::console::publish,
        api::control::config,
        api::control::pause,
        api::control::resume,
        api::control::reload,
        api::control::preview,
        api::control::shutdown,
        api::dead_letters::list,
        api::dead_letters::show,
        api::dead_letters::replay,
        api::dead_letters::edit,
        api::dead_letters::discard,
        api::dead_letters::replays,
        api::dead_letters::replay_many,
        api::dead_letters::progress,
        api::dead_letters::cancel,
        api::dead_letters::discard_many,
        api::events::list,
        api::executions::trigger,
        api::executions::wait,
        api::executions::cancel,
        api::figures::show,
        api::graph::show,
        api::graph::impact,
        api::graph::impact_of_agent,
        api::history::list,
        api::history::show,
        api::history::output,
        api::logs::show,
        api::memory::show,
        api::memory::history,
        api::memory::profiles,
        api::memory::profile,
        api::notifications::list,
        api::notifications::test,
        api::optimizer::list,
        api::optimizer::show,
        api::optimizer::run,
        api::optimizer::decisions,
        api::optimizer::undo,
        api::overview::show,
        api::queue::show,
        api::schedule::show,
        api::simulate::show,
        api::stream::follow,
        api::why::show,
        api::session::show,
        api::session::log_in,
        api::session::log_out,
        api::session::create_code,
        api::tokens::list,
        api::tokens::create,
        api::tokens::revoke
    ),
    components(schemas(crate::problem::Problem))
)]
struct Annotations;

/// The document.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Annotations::openapi()).expect("it has nothing that is no JSON");
    common::complete(&mut document);
    document
}

/// The document, for programs.
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "getOpenapi", tag = "api",
    responses((status = 200, description = "An OpenAPI 3.1 document: this one.", body = serde_json::Value))
)]
pub(crate) async fn show(request: HttpRequest) -> HttpResponse {
    static PLAIN: OnceLock<Bytes> = OnceLock::new();
    static COMPRESSED: OnceLock<Option<Bytes>> = OnceLock::new();
    let plain = PLAIN.get_or_init(|| serde_json::to_vec(&document()).expect("a JSON value is JSON").into());
    let wanted = takes_gzip(request.headers());
    let compressed = wanted.then(|| COMPRESSED.get_or_init(|| gzip(plain)).as_ref()).flatten();
    let mut answer = HttpResponse::Ok();
    answer.content_type("application/json").insert_header((VARY, "accept-encoding"));
    if compressed.is_some() {
        answer.insert_header((CONTENT_ENCODING, "gzip"));
    }
    answer.body(compressed.unwrap_or(plain).clone())
}
