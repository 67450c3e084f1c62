//! The bus: its figures, and the micro-services on it.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use werkpilot_runtime::view::BusDetail;

use super::paging::Part;
use crate::openapi::Gone;
use crate::problem::Problem;
use crate::server::Shared;

/// How long micro-services may take to answer: on one machine they take milliseconds, and nobody knows how many there are.
const WINDOW: Duration = Duration::from_millis(250);

/// The bus: connections, subscriptions, messages; requests per second and per agent, and the last errors.
#[utoipa::path(
    get, path = "/api/v1/bus", operation_id = "getBus", tag = "bus",
    responses((status = 200, description = "Its figures.", body = BusDetail))
)]
pub(crate) async fn show(shared: Data<Shared>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.bus_detail().await?))
}

/// What the micro-services say of themselves.
///
/// As NATS ADR-32 has it, endpoints with their figures; those that answer within a quarter of a second.
#[utoipa::path(
    get, path = "/api/v1/bus/services", operation_id = "listBusServices", tag = "bus", params(Part),
    responses((status = 200, description = "A page of them.", body = Services), Gone)
)]
pub(crate) async fn services(shared: Data<Shared>, part: Query<Part>) -> Result<HttpResponse, Problem> {
    let services = shared.handle.bus_services(WINDOW).await?;
    let (services, next) = part.of(services, |service| {
        let word = |name: &str| service[name].as_str().unwrap_or_default().to_owned();
        format!("{}/{}/{}", word("agent"), word("name"), word("id"))
    })?;
    Ok(HttpResponse::Ok().json(Services { services, next }))
}

/// Micro-services.
#[derive(Debug, Serialize, ToSchema)]
struct Services {
    /// As they tell of themselves.
    #[schema(value_type = Vec<Object>)]
    services: Vec<Value>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}
