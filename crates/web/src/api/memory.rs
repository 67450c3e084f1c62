//! Memory: who uses what and what will happen next, and the profiles that were kept when it was short.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use werkpilot_runtime::observe::memory::{Profile, ProfileSummary};
use werkpilot_runtime::view::{MemoryHistory, MemoryState};

use super::given;
use super::paging::Part;
use crate::openapi::{Gone, Missing};
use crate::problem::Problem;
use crate::server::Shared;

/// How it is about memory: who uses what, and what will happen next.
#[utoipa::path(
    get, path = "/api/v1/memory", operation_id = "getMemory", tag = "memory",
    responses((status = 200, description = "How it is.", body = MemoryState))
)]
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.memory().await?))
}

/// Profiles of memory.
#[derive(Debug, Serialize, ToSchema)]
struct Profiles {
    /// Newest first.
    profiles: Vec<ProfileSummary>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

/// The profiles of memory that are kept, newest first.
#[utoipa::path(
    get, path = "/api/v1/memory/profiles", operation_id = "listMemoryProfiles", tag = "memory", params(Part),
    responses((status = 200, description = "A page of them.", body = Profiles), Gone)
)]
pub(crate) async fn profiles(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let profiles = shared.handle.memory_profiles().await?;
    let (profiles, next) = part.of(profiles, |profile| profile.id.clone())?;
    Ok(HttpResponse::Ok().json(Profiles { profiles, next }))
}

/// One profile of memory: who used what when it was short.
#[utoipa::path(
    get, path = "/api/v1/memory/profiles/{id}", operation_id = "getMemoryProfile", tag = "memory",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The profile.", body = Profile), Missing)
)]
pub(crate) async fn profile(shared: Data<Shared>, id: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.memory_profile(&id).await?))
}

/// Whose memory is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Whose {
    /// Of this agent; without: of the orchestrator and all agents together.
    agent: Option<String>,
}

/// Memory over the last two hours, with what happened meanwhile.
#[utoipa::path(
    get, path = "/api/v1/memory/history", operation_id = "getMemoryHistory", tag = "memory", params(Whose),
    responses((status = 200, description = "At most 120 points.", body = MemoryHistory), Missing)
)]
pub(crate) async fn history(shared: Data<Shared>, whose: Query<Whose>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.memory_history(given(whose.agent.as_ref())).await?))
}
