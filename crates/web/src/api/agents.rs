//! Agents: the list, one, its health, and the commands to it.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use werkpilot_core::agent::Command;
use werkpilot_core::ids::AgentName;
use werkpilot_core::status::Status;
use werkpilot_runtime::AgentConfig;
use werkpilot_runtime::view::{AgentDetail, AgentHealth, AgentView};

use super::{by, given, message, paging, role_of};
use crate::audit::note;
use crate::body;
use crate::openapi::{Answered, Conflict, Gone, Missing};
use crate::problem::Problem;
use crate::server::Shared;
use crate::snapshot;

/// A page of agents, unless the caller says otherwise.
pub(crate) const PAGE: usize = 1_000;
/// The largest page: about 5 MB of JSON.
const MAX_PAGE: usize = 10_000;

/// Which agents are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Only agents in this status.
    #[param(value_type = Option<Status>, inline)]
    status: Option<String>,
    /// Only agents of this department.
    department: Option<String>,
    /// Only jobs, or only services.
    #[param(pattern = "^(job|service)$")]
    kind: Option<String>,
    /// At most so many; without: 1,000.
    #[param(minimum = 1, maximum = 10_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Agents.
#[derive(Debug, Serialize, ToSchema)]
struct AgentList {
    /// In the order of the registry.
    agents: Vec<AgentView>,
    /// `cursor` of the next page; null: this is the last one.
    next: Option<String>,
}

impl Filter {
    fn check(&self) -> Result<(), Problem> {
        if let Some(status) = given(self.status.as_ref())
            && !Status::ALL.iter().any(|known| known.as_str() == status)
        {
            let words = Status::ALL.map(Status::as_str).join(", ");
            return Err(Problem::bad_request(format!("there is no status {status}; there are {words}")));
        }
        match given(self.kind.as_ref()) {
            None | Some("job" | "service") => Ok(()),
            Some(kind) => Err(Problem::bad_request(format!("there is no kind {kind}; there are job and service"))),
        }
    }

    fn takes(&self, agent: &AgentView) -> bool {
        given(self.status.as_ref()).is_none_or(|status| agent.status.as_str() == status)
            && given(self.department.as_ref()).is_none_or(|department| agent.department == department)
            && given(self.kind.as_ref()).is_none_or(|kind| agent.kind == kind)
    }

    /// One page, and the cursor of the next.
    fn page(&self, mut agents: Vec<AgentView>) -> Result<(Vec<AgentView>, Option<String>), Problem> {
        self.check()?;
        let limit = paging::limit(self.limit, PAGE, MAX_PAGE)?;
        // The agent of the cursor counts though it may not fit the filter any more: its status may have changed.
        let on_it = |agent: &AgentView| given(self.cursor.as_ref()).is_some_and(|cursor| agent.name.as_str() == cursor);
        agents.retain(|agent| self.takes(agent) || on_it(agent));
        paging::page(agents, limit, self.cursor.as_ref(), |agent| agent.name.to_string())
    }
}

/// The agents, in the order of the registry.
#[utoipa::path(
    get, path = "/api/v1/agents", operation_id = "listAgents", tag = "agents", params(Filter),
    responses((status = 200, description = "A page of them.", body = AgentList), Gone)
)]
pub(crate) async fn list(
    shared: Data<Shared>,
    request: HttpRequest,
    filter: Query<Filter>,
) -> Result<HttpResponse, Problem> {
    if request.query_string().is_empty() {
        return snapshot::agents(&shared, &request).await;
    }
    let (agents, next) = filter.page(shared.handle.agents().await?)?;
    Ok(HttpResponse::Ok().json(AgentList { agents, next }))
}

/// Since when changes are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Since {
    /// `version` of the answer before; without it, all agents are told.
    since: Option<u64>,
}

/// Agents that changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the answer is made of bytes that are there already; this is how it looks")]
struct AgentChanges {
    /// For `since` the next time.
    version: u64,
    /// Whether these are all agents: nothing that was known before holds on.
    full: bool,
    /// Those that changed, or all. That time goes by (`uptimeSeconds`) is no change.
    agents: Vec<AgentView>,
    /// Names of those that are gone.
    removed: Vec<AgentName>,
}

/// The agents that changed since the last answer.
#[utoipa::path(
    get, path = "/api/v1/agent-changes", operation_id = "listAgentChanges", tag = "agents", params(Since),
    responses((status = 200, description = "What changed.", body = AgentChanges))
)]
pub(crate) async fn changes(
    shared: Data<Shared>,
    request: HttpRequest,
    since: Query<Since>,
) -> Result<HttpResponse, Problem> {
    let bytes = snapshot::changes(&shared, &request, since.since).await?;
    Ok(HttpResponse::Ok().content_type("application/json").body(bytes))
}

/// One agent with everything that is known of it.
///
/// Who has no role sees neither its definition nor its last words.
#[utoipa::path(
    get, path = "/api/v1/agents/{name}", operation_id = "getAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    responses((status = 200, description = "The agent.", body = AgentDetail), Missing)
)]
pub(crate) async fn show(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut agent = shared.handle.agent(&name).await?;
    if role_of(&request).is_none() {
        (agent.spec, agent.last_words) = (None, None);
    }
    Ok(HttpResponse::Ok().json(agent))
}

/// The health of an agent.
///
/// As those that depend on it see it, its probes and checks, and what will happen by itself.
#[utoipa::path(
    get, path = "/api/v1/agents/{name}/health", operation_id = "getAgentHealth", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    responses((status = 200, description = "Its health.", body = AgentHealth), Missing)
)]
pub(crate) async fn health(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.agent_health(&name).await?))
}

/// Every key of an agent with its value in effect, and where it is from: file and line, or a default.
#[utoipa::path(
    get, path = "/api/v1/agents/{name}/config", operation_id = "getAgentConfig", tag = "agents",
    params(("name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "Its keys; of variables and secrets the names only.", body = AgentConfig), Missing)
)]
pub(crate) async fn config(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.agent_config(&name).await?))
}

/// What may come along with a command.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct Orders {
    /// Whether unhealthy dependencies are overridden. Only `start` asks them.
    force: bool,
}

async fn command(
    shared: &Shared,
    name: &str,
    request: &HttpRequest,
    payload: Payload,
    command: impl FnOnce(bool) -> Command,
) -> Result<HttpResponse, Problem> {
    let Orders { force } = body::json(payload, body::LIMIT).await?;
    let before = shared.handle.standing(name).await;
    note(request, name, before.clone(), Value::Null);
    let text = shared.handle.command(name, command(force), &by(request)).await?;
    note(request, name, before, json!({ "now": shared.handle.standing(name).await, "force": force, "answer": text }));
    Ok(message(text))
}

/// Starts an agent: it takes part again, and a service starts.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/start", operation_id = "startAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    request_body(content = Option<Orders>, description = "How."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn start(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |force| Command::Start { force }).await
}

/// Stops an agent: what runs is ended, and no triggers are taken.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/stop", operation_id = "stopAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    request_body(content = Option<Orders>, description = "How."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn stop(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Stop).await
}

/// Restarts an agent: what runs is ended and started again.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/restart", operation_id = "restartAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    request_body(content = Option<Orders>, description = "How."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn restart(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Restart).await
}

/// Enables an agent: it takes part again after `disable` or a breaker.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/enable", operation_id = "enableAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    request_body(content = Option<Orders>, description = "How."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn enable(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Enable).await
}

/// Disables an agent: it takes part in nothing.
#[utoipa::path(
    post, path = "/api/v1/agents/{name}/disable", operation_id = "disableAgent", tag = "agents",
    params(("name" = AgentName, Path, description = "Its name.")),
    request_body(content = Option<Orders>, description = "How."),
    responses(Answered, Missing, Conflict)
)]
pub(crate) async fn disable(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Disable).await
}
