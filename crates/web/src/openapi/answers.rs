//! Answers that many operations have, so that an annotation needs one word for each.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::openapi::{Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// The answer of a change that has no more to say.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// What was done, in one sentence.
    pub message: String,
}

/// 200 with a [`Message`].
pub(crate) struct Answered;
/// 404: what the path names is not there.
pub(crate) struct Missing;
/// 409: it is there, and can't do that now.
pub(crate) struct Conflict;
/// 410: what a cursor stands on is gone.
pub(crate) struct Gone;
/// 412: it is not as it was when it was looked at.
pub(crate) struct Changed;
/// 422: each part can be read, together they make no sense, or what they name is not there.
pub(crate) struct Contradiction;

/// A problem document with this status.
pub(super) fn problem(description: &str) -> Response {
    let schema = utoipa::openapi::ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", schema).build()
}

fn one(status: &str, response: Response) -> BTreeMap<String, RefOr<Response>> {
    BTreeMap::from([(status.to_owned(), RefOr::T(response))])
}

impl IntoResponses for Answered {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let schema = utoipa::openapi::ContentBuilder::new().schema(Some(Ref::from_schema_name("Message"))).build();
        one("200", ResponseBuilder::new().description("Done.").content("application/json", schema).build())
    }
}

impl IntoResponses for Missing {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        one("404", problem("What the path names is not there."))
    }
}

impl IntoResponses for Conflict {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        one("409", problem("It is not in a state in which that can be done."))
    }
}

impl IntoResponses for Gone {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        one("410", problem("What the cursor stands on is gone: begin anew."))
    }
}

impl IntoResponses for Changed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        one("412", problem("It has changed since it was read: `If-Match` names another state."))
    }
}

impl IntoResponses for Contradiction {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        one("422", problem("Each part can be read, but together they can't be done, or they name what is not there."))
    }
}
