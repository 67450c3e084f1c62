//! Why something is as it is.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::Value;

use crate::problem::Problem;
use crate::server::Shared;

/// The cause chain of an agent or of an execution, and the same as text.
pub(crate) async fn show(shared: Data<Shared>, subject: Path<String>) -> Result<HttpResponse, Problem> {
    let why = shared.handle.why(&subject).await?;
    let mut json = serde_json::to_value(&why).unwrap_or_default();
    json["text"] = Value::String(why.to_text());
    Ok(HttpResponse::Ok().json(json))
}
