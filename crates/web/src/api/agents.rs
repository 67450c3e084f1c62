//! Agents: the list, one, its health, and the commands to it.

use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;
use werkpilot_core::agent::Command;
use werkpilot_core::status::Status;
use werkpilot_runtime::view::AgentView;

use super::{by, given, message};
use crate::body;
use crate::problem::Problem;
use crate::server::Shared;

/// A page of agents, unless the caller says otherwise.
const PAGE: usize = 1_000;
/// The largest page: about 5 MB of JSON.
const MAX_PAGE: usize = 10_000;

/// Which agents are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    status: Option<String>,
    department: Option<String>,
    kind: Option<String>,
    limit: Option<usize>,
    /// Name of the last agent of the page before.
    cursor: Option<String>,
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
        if let Some(cursor) = given(self.cursor.as_ref()) {
            let Some(last) = agents.iter().position(|agent| agent.name.as_str() == cursor) else {
                return Err(Problem::bad_request(format!("the agent {cursor} of the cursor is gone; begin anew")));
            };
            agents.drain(..=last);
        }
        agents.retain(|agent| self.takes(agent));
        let limit = self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
        let more = agents.len() > limit;
        agents.truncate(limit);
        let next = agents.last().filter(|_| more).map(|last| last.name.to_string());
        Ok((agents, next))
    }
}

/// Agents in the order of the registry, page by page.
pub(crate) async fn list(shared: Data<Shared>, filter: Query<Filter>) -> Result<HttpResponse, Problem> {
    let (agents, next) = filter.page(shared.handle.agents().await?)?;
    Ok(HttpResponse::Ok().json(json!({ "agents": agents, "next": next })))
}

/// One agent with everything that is known of it.
pub(crate) async fn show(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.agent(&name).await?))
}

/// The health of an agent: as those that depend on it see it, its probes and checks, and what will happen.
pub(crate) async fn health(shared: Data<Shared>, name: Path<String>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(shared.handle.agent_health(&name).await?))
}

/// What may come along with a command.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Orders {
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
    Ok(message(shared.handle.command(name, command(force), &by(request)).await?))
}

/// Takes part again; a service starts.
pub(crate) async fn start(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |force| Command::Start { force }).await
}

/// Ends what runs, and takes no triggers.
pub(crate) async fn stop(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Stop).await
}

/// Ends what runs and starts it again.
pub(crate) async fn restart(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Restart).await
}

/// Takes part again after `disable` or a breaker.
pub(crate) async fn enable(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Enable).await
}

/// Takes part in nothing.
pub(crate) async fn disable(
    shared: Data<Shared>,
    name: Path<String>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    command(&shared, &name, &request, payload, |_| Command::Disable).await
}
