//! Why something is as it is.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};

use crate::problem::Problem;
use crate::server::Shared;

/// The cause chain of an agent or of an execution, and the same as text.
pub(crate) async fn show(shared: Data<Shared>, subject: Path<String>) -> Result<HttpResponse, Problem> {
    let why = shared.handle.why(&subject).await?;
    Ok(HttpResponse::Ok().json(why.to_json()))
}
