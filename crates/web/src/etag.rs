//! Entity tags: who has the newest already is told so, and who changes something says from which state.
//!
//! A tag is a hash of all that makes a difference.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, EntityTag, Header, IfMatch, IfNoneMatch};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use werkpilot_core::digest::Digest;

use crate::problem::Problem;

/// Digits of the hash that are used: two states with one tag are not to be expected.
const DIGITS: usize = 32;

/// The tag of these bytes.
pub(crate) fn of(bytes: &[u8]) -> EntityTag {
    EntityTag::new_strong(digits(bytes))
}

/// The digits of the tag of these bytes.
pub(crate) fn digits(bytes: &[u8]) -> String {
    let mut text = Digest::of(bytes).to_string();
    text.truncate(DIGITS);
    text
}

/// Whether the client has it already, in whatever encoding (`If-None-Match`).
pub(crate) fn is_known(request: &HttpRequest, tag: &EntityTag) -> bool {
    IfNoneMatch::parse(request).is_ok_and(|known| match known {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(tag)),
    })
}

/// 200 with the value and its tag; 304 without it for those who have it already.
pub(crate) fn json(request: &HttpRequest, tag: &EntityTag, value: &impl Serialize) -> HttpResponse {
    let known = is_known(request, tag);
    let mut answer = if known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    // Kept by the client, but asked for each time.
    answer.insert_header((ETAG, tag.to_string())).insert_header((CACHE_CONTROL, "no-cache"));
    if known { answer.finish() } else { answer.json(value) }
}

/// Refuses a change that was decided on by another state than there is. Without `If-Match` every state will do.
///
/// # Errors
/// 412, with the tag that there is.
pub(crate) fn require(request: &HttpRequest, tag: &EntityTag) -> Result<(), Problem> {
    let Ok(wanted) = IfMatch::parse(request) else { return Ok(()) };
    let fits = match &wanted {
        IfMatch::Any => true,
        // Without the header there are no tags.
        IfMatch::Items(tags) => tags.is_empty() || tags.iter().any(|wanted| wanted.strong_eq(tag)),
    };
    if fits {
        return Ok(());
    }
    let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "it has changed since it was read (If-Match)");
    Err(problem.with("etag", tag.to_string()))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{IF_MATCH, IF_NONE_MATCH};
    use actix_web::test::TestRequest;

    use super::*;

    fn tag_of(answer: &HttpResponse) -> String {
        answer.headers().get(ETAG).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn who_has_it_already_is_told_so() {
        let bare = TestRequest::default().to_http_request();
        let json = |request: &HttpRequest, value: [u8; 2]| super::json(request, &of(&value), &value);
        let first = json(&bare, [1, 2]);
        assert_eq!(first.status(), StatusCode::OK);
        let again = TestRequest::default().insert_header((IF_NONE_MATCH, tag_of(&first))).to_http_request();
        assert_eq!(json(&again, [1, 2]).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(json(&again, [1, 3]).status(), StatusCode::OK);
    }

    #[test]
    fn a_change_from_another_state_is_refused() {
        let tag = of(b"now");
        assert!(require(&TestRequest::default().to_http_request(), &tag).is_ok());
        let with = |value: String| TestRequest::default().insert_header((IF_MATCH, value)).to_http_request();
        assert!(require(&with(tag.to_string()), &tag).is_ok());
        assert!(require(&with("*".to_owned()), &tag).is_ok());
        assert!(require(&with(of(b"then").to_string()), &tag).is_err());
    }
}
