//! Memory: who uses what and what will happen next, and the profiles that were kept when it was short.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde_json::json;

use crate::problem::Problem;
use crate::server::Shared;

/// How it is at the moment.
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.memory().await?))
}

/// The profiles that are kept, newest first.
pub(crate) async fn profiles(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({ "profiles": shared.handle.memory_profiles().await? })))
}

/// One of them.
pub(crate) async fn profile(shared: Data<Shared>, id: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.memory_profile(&id).await?))
}
