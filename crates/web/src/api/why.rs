//! Why something is as it is.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use utoipa::ToSchema;
use werkpilot_core::why::Why;

use super::role_of;
use crate::openapi::Missing;
use crate::problem::Problem;
use crate::server::Shared;

/// Why, with the same as text.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is the schema of `Why::to_json`")]
struct Explanation {
    #[serde(flatten)]
    why: Why,
    /// All of it as `werkpilot why` prints it.
    text: String,
}

/// Why an agent or an execution is as it is.
///
/// The chain of causes down to the root, what will follow by itself, and what a person may do about it.
#[utoipa::path(
    get, path = "/api/v1/why/{subject}", operation_id = "explain", tag = "agents",
    params(("subject" = String, Path, description = "The name of an agent, or the id of an execution.")),
    responses((status = 200, description = "The explanation.", body = Explanation), Missing)
)]
pub(crate) async fn show(
    shared: Data<Shared>,
    subject: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut why = shared.handle.why(&subject).await?;
    why.last_words = why.last_words.filter(|_| role_of(&request).is_some());
    Ok(HttpResponse::Ok().json(why.to_json()))
}
