//! `/api/v1`: one file per subject, named as in every layer.

pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod bus;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod dead_letters;
pub(crate) mod events;
pub(crate) mod executions;
pub(crate) mod figures;
pub(crate) mod graph;
pub(crate) mod history;
pub(crate) mod logs;
pub(crate) mod memory;
pub(crate) mod notifications;
pub(crate) mod optimizer;
pub(crate) mod overview;
pub(crate) mod paging;
pub(crate) mod queue;
pub(crate) mod schedule;
pub(crate) mod session;
pub(crate) mod simulate;
pub(crate) mod stream;
pub(crate) mod tokens;
pub(crate) mod why;

use actix_web::{HttpMessage, HttpRequest, HttpResponse};

use werkpilot_core::role::Role;

use crate::auth::Principal;
use crate::openapi::Message;

/// Who asks, as events and the audit log name them.
pub(crate) fn by(request: &HttpRequest) -> String {
    request.extensions().get::<Principal>().map_or_else(|| "nobody".to_owned(), |who| who.name.clone())
}

/// What who asks may do; `None`: only what everybody may.
fn role_of(request: &HttpRequest) -> Option<Role> {
    request.extensions().get::<Principal>().and_then(|who| who.role)
}

fn message(text: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok().json(Message { message: text.into() })
}

/// An empty query value is as good as none.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}
