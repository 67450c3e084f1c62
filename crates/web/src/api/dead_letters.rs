//! Dead letters, with all that is needed to understand them.

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::Deserialize;

use super::given;
use crate::problem::Problem;
use crate::server::Shared;

/// Which letters are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    agent: Option<String>,
    signature: Option<String>,
}

/// The letters, newest last, and the groups that they are in. A group counts all its letters, whatever is filtered.
pub(crate) async fn list(shared: Data<Shared>, filter: Query<Filter>) -> Result<HttpResponse, Problem> {
    let mut list = shared.handle.dead_letters().await?;
    if let Some(agent) = given(filter.agent.as_ref()) {
        list.dead_letters.retain(|letter| letter.agent.as_str() == agent);
    }
    if let Some(signature) = given(filter.signature.as_ref()) {
        list.dead_letters.retain(|letter| letter.signature == signature);
    }
    let letters = &list.dead_letters;
    list.groups.retain(|group| letters.iter().any(|letter| letter.signature == group.signature));
    Ok(HttpResponse::Ok().json(list))
}

/// One letter.
pub(crate) async fn show(shared: Data<Shared>, id: Path<u64>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.dead_letter(*id).await?))
}
