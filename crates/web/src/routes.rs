//! The table of routes: what there is, and who may use it. Both listeners, and the test of their rights, are made from it.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::middleware::from_fn;
use actix_web::{HttpRequest, HttpResponse, ResponseError, guard, web};

use werkpilot_core::role::Role;

use crate::api::{
    agents, audit, bus, console, control, dead_letters, events, executions, figures, graph, history, logs, memory,
    notifications, optimizer, overview, queue, schedule, session, simulate, stream, tokens, why,
};
use crate::gate::admit;
use crate::problem::Problem;
use crate::routes::Method::{Delete, Get, Post};
use crate::{dashboard, health, metrics, openapi};

/// Over which way a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TCP: whoever is on this machine, browsers included; where TLS or `--insecure` lets it be reached, anybody.
    Tcp,
    /// The control socket: the user of the orchestrator.
    ControlSocket,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches a listener: the page itself, whether we live, and logging in.
    Public,
    /// Without a token over plain TCP on loopback, asked for by a loopback name and not through a proxy; otherwise from
    /// viewers on.
    Overview,
    /// From viewers on: all reading, logs and payloads included.
    Viewer,
    /// From operators on: what acts on agents, executions, dead letters and the bus.
    Operator,
    /// Admins: what concerns the orchestrator itself, its settings, tokens and the audit log.
    Admin,
    /// The control socket only, whatever token comes along.
    Local,
}

impl Access {
    /// The least role that is let in; `None`: no role is needed, or none is enough.
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Public | Self::Local => None,
            Self::Overview | Self::Viewer => Some(Role::Viewer),
            Self::Operator => Some(Role::Operator),
            Self::Admin => Some(Role::Admin),
        }
    }
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
    /// Ends what there is.
    Delete,
}

impl Method {
    /// Its name in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }

    /// Whether it changes nothing.
    pub const fn reads(self) -> bool {
        matches!(self, Self::Get)
    }
}

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its method. What is public or overview can be asked for with HEAD as well.
    pub method: Method,
    /// Its path, with names in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// Whether it waits for the disk, for a long computation or for something to happen.
    waits: bool,
    handler: fn() -> actix_web::Route,
}

impl Route {
    /// What the audit log calls a request for it.
    pub(crate) fn action(&self) -> String {
        format!("{} {}", self.method.as_str(), self.path)
    }

    /// Whether few of it are worked on at a time: what reads, and has all it needs at hand. What waits would keep others
    /// from their turn meanwhile, and what is public is there already.
    pub(crate) const fn takes_turns(&self) -> bool {
        self.method.reads() && !self.waits && !matches!(self.access, Access::Public)
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method.as_str(), self.path, self.access)
    }
}

const fn open(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Public, waits: false, handler }
}

const fn overview(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Overview, waits: false, handler }
}

const fn view(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Viewer, waits: false, handler }
}

const fn operate(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Operator, waits: false, handler }
}

const fn admin(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Admin, waits: false, handler }
}

const fn local(method: Method, path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method, path, access: Access::Local, waits: false, handler }
}

const fn waiting(route: Route) -> Route {
    Route { waits: true, ..route }
}

/// All routes. What is not in here does not exist.
pub static ROUTES: &[Route] = &[
    open(Get, "/", || web::to(dashboard::show)),
    open(Get, "/assets/{file:.+}", || web::to(dashboard::asset)),
    overview(Get, "/metrics", || web::to(metrics::show)),
    open(Get, "/livez", || web::to(health::livez)),
    open(Get, "/readyz", || web::to(health::readyz)),
    open(Get, "/healthz", || web::to(health::healthz)),
    open(Get, "/api/docs", || web::to(openapi::page)),
    open(Get, "/api/docs/{file}", || web::to(openapi::file)),
    open(Get, "/api/v1/openapi.json", || web::to(openapi::show)),
    overview(Get, "/api/v1/overview", || web::to(overview::show)),
    overview(Get, "/api/v1/agents", || web::to(agents::list)),
    overview(Get, "/api/v1/agent-changes", || web::to(agents::changes)),
    overview(Get, "/api/v1/agents/{name}", || web::to(agents::show)),
    waiting(overview(Get, "/api/v1/agents/{name}/health", || web::to(agents::health))),
    overview(Get, "/api/v1/queue", || web::to(queue::show)),
    overview(Get, "/api/v1/schedule", || web::to(schedule::show)),
    overview(Get, "/api/v1/bus", || web::to(bus::show)),
    overview(Get, "/api/v1/memory", || web::to(memory::show)),
    overview(Get, "/api/v1/memory/history", || web::to(memory::history)),
    waiting(overview(Get, "/api/v1/figures/{name}", || web::to(figures::show))),
    overview(Get, "/api/v1/graph", || web::to(graph::show)),
    overview(Get, "/api/v1/graph/{name}/impact", || web::to(graph::impact)),
    overview(Get, "/api/v1/agents/{name}/impact", || web::to(graph::impact_of_agent)),
    view(Get, "/api/v1/agents/{name}/config", || web::to(agents::config)),
    waiting(overview(Get, "/api/v1/why/{subject}", || web::to(why::show))),
    operate(Post, "/api/v1/agents/{name}/start", || web::to(agents::start)),
    operate(Post, "/api/v1/agents/{name}/stop", || web::to(agents::stop)),
    operate(Post, "/api/v1/agents/{name}/restart", || web::to(agents::restart)),
    operate(Post, "/api/v1/agents/{name}/enable", || web::to(agents::enable)),
    operate(Post, "/api/v1/agents/{name}/disable", || web::to(agents::disable)),
    operate(Post, "/api/v1/agents/{name}/trigger", || web::to(executions::trigger)),
    waiting(view(Get, "/api/v1/agents/{name}/logs", || web::to(logs::show))),
    waiting(view(Get, "/api/v1/executions", || web::to(history::list))),
    waiting(view(Get, "/api/v1/executions/{run}", || web::to(history::show))),
    waiting(view(Get, "/api/v1/executions/{run}/logs", || web::to(history::output))),
    waiting(view(Get, "/api/v1/executions/{run}/wait", || web::to(executions::wait))),
    operate(Post, "/api/v1/executions/{run}/cancel", || web::to(executions::cancel)),
    waiting(view(Get, "/api/v1/dead-letters", || web::to(dead_letters::list))),
    waiting(view(Get, "/api/v1/dead-letters/{id}", || web::to(dead_letters::show))),
    operate(Post, "/api/v1/dead-letters/{id}/replay", || web::to(dead_letters::replay)),
    operate(Post, "/api/v1/dead-letters/{id}/edit", || web::to(dead_letters::edit)),
    operate(Post, "/api/v1/dead-letters/{id}/discard", || web::to(dead_letters::discard)),
    view(Get, "/api/v1/dead-letters/replay", || web::to(dead_letters::replays)),
    operate(Post, "/api/v1/dead-letters/replay", || web::to(dead_letters::replay_many)),
    view(Get, "/api/v1/dead-letters/replay/{set}", || web::to(dead_letters::progress)),
    operate(Post, "/api/v1/dead-letters/replay/{set}/cancel", || web::to(dead_letters::cancel)),
    operate(Post, "/api/v1/dead-letters/discard", || web::to(dead_letters::discard_many)),
    waiting(view(Get, "/api/v1/memory/profiles", || web::to(memory::profiles))),
    waiting(view(Get, "/api/v1/memory/profiles/{id}", || web::to(memory::profile))),
    waiting(view(Get, "/api/v1/events", || web::to(events::list))),
    waiting(view(Get, "/api/v1/events/stream", || web::to(stream::follow))),
    view(Get, "/api/v1/notifications", || web::to(notifications::list)),
    operate(Post, "/api/v1/notifications/test", || web::to(notifications::test)),
    view(Get, "/api/v1/bus/services", || web::to(bus::services)),
    operate(Post, "/api/v1/bus/request", || web::to(console::request)),
    operate(Post, "/api/v1/bus/publish", || web::to(console::publish)),
    waiting(view(Get, "/api/v1/simulate", || web::to(simulate::show))),
    waiting(overview(Get, "/api/v1/reports", || web::to(optimizer::list))),
    waiting(view(Get, "/api/v1/reports/{id}", || web::to(optimizer::show))),
    admin(Post, "/api/v1/optimize", || web::to(optimizer::run)),
    view(Get, "/api/v1/decisions", || web::to(optimizer::decisions)),
    admin(Post, "/api/v1/decisions/{id}/undo", || web::to(optimizer::undo)),
    view(Get, "/api/v1/config", || web::to(control::config)),
    operate(Post, "/api/v1/pause", || web::to(control::pause)),
    operate(Post, "/api/v1/resume", || web::to(control::resume)),
    waiting(view(Get, "/api/v1/reload", || web::to(control::preview))),
    admin(Post, "/api/v1/reload", || web::to(control::reload)),
    admin(Post, "/api/v1/shutdown", || web::to(control::shutdown)),
    open(Get, "/api/v1/session", || web::to(session::show)),
    open(Post, "/api/v1/session", || web::to(session::log_in)),
    open(Delete, "/api/v1/session", || web::to(session::log_out)),
    local(Post, "/api/v1/login-codes", || web::to(session::create_code)),
    waiting(admin(Get, "/api/v1/audit", || web::to(audit::list))),
    admin(Get, "/api/v1/tokens", || web::to(tokens::list)),
    admin(Post, "/api/v1/tokens", || web::to(tokens::create)),
    admin(Delete, "/api/v1/tokens/{id}", || web::to(tokens::revoke)),
];

/// Registers the routes, each behind the middleware that lets in whom its row lets in.
pub(crate) fn configure(config: &mut web::ServiceConfig) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    // Fixed paths are compared, those with names in them matched: what is asked for most does not pay for the others.
    paths.sort_unstable_by_key(|path| (path.contains('{'), *path));
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path);
        let mut allowed = Vec::new();
        for route in ROUTES.iter().filter(|route| route.path == path) {
            allowed.push(route.method.as_str());
            let handler = match route.method {
                Method::Get if matches!(route.access, Access::Public | Access::Overview) => {
                    allowed.push("HEAD");
                    (route.handler)().guard(guard::Any(guard::Get()).or(guard::Head()))
                }
                Method::Get => (route.handler)().guard(guard::Get()),
                Method::Post => (route.handler)().guard(guard::Post()),
                Method::Delete => (route.handler)().guard(guard::Delete()),
            };
            resource = resource.route(handler.wrap(from_fn(move |request, next| admit(route, request, next))));
        }
        let allowed = allowed.join(", ");
        config.service(resource.default_service(web::to(move |request: HttpRequest| {
            std::future::ready(wrong_method(&request, &allowed))
        })));
    }
    config.default_service(web::to(unknown_path));
}

fn wrong_method(request: &HttpRequest, allowed: &str) -> HttpResponse {
    let text = format!("{} does not take {}; it takes {allowed}", request.path(), request.method());
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, text).error_response();
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

async fn unknown_path(request: HttpRequest) -> HttpResponse {
    Problem::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", request.path())).error_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use werkpilot_core::audit::WORDS;

    use super::*;

    #[test]
    fn no_two_routes_are_the_same() {
        let mut all: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
        all.sort_unstable();
        let before = all.len();
        all.dedup();
        assert_eq!(all.len(), before);
    }

    #[test]
    fn every_change_has_words_and_all_words_are_of_a_change() {
        let changes = ROUTES.iter().filter(|route| !route.method.reads()).map(Route::action);
        // Of what no route asks for: a signal, a changed file.
        let changes: BTreeSet<String> = changes.chain(["reload".to_owned()]).collect();
        let told: BTreeSet<String> = WORDS.iter().map(|(action, _)| (*action).to_owned()).collect();
        assert_eq!(told.len(), WORDS.len(), "an action has words twice");
        let untold: Vec<_> = changes.difference(&told).collect();
        assert!(untold.is_empty(), "without a line in core/src/audit/words.rs: {untold:#?}");
        let gone: Vec<_> = told.difference(&changes).collect();
        assert!(gone.is_empty(), "in core/src/audit/words.rs, and no route that changes something: {gone:#?}");
    }
}
