//! The table of routes: what there is, and who may use it. Both listeners, and the test of their rights, are made from it.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, ResponseError, guard, web};

use crate::api::{
    agents, bus, control, dead_letters, events, executions, figures, graph, history, logs, memory, notifications,
    optimizer, queue, schedule, simulate, why,
};
use crate::problem::Problem;
use crate::{health, metrics, page};

/// Over which way a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TCP on loopback: whoever is on this machine, browsers included.
    Tcp,
    /// The control socket: the user of the orchestrator.
    ControlSocket,
}

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches a listener: overview, health, metrics. Nothing that changes something, no logs, no payloads.
    Open,
    /// The control socket only.
    Control,
}

/// What a route does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Changes.
    Post,
}

impl Method {
    /// Its name in a request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// One route.
#[derive(Clone, Copy)]
pub struct Route {
    /// Its method. What is open can be asked for with HEAD as well.
    pub method: Method,
    /// Its path, with names in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    handler: fn() -> actix_web::Route,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({:?})", self.method.as_str(), self.path, self.access)
    }
}

const fn open(path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method: Method::Get, path, access: Access::Open, handler }
}

const fn get(path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method: Method::Get, path, access: Access::Control, handler }
}

const fn post(path: &'static str, handler: fn() -> actix_web::Route) -> Route {
    Route { method: Method::Post, path, access: Access::Control, handler }
}

/// All routes.
pub static ROUTES: [Route; 56] = [
    open("/", || web::to(page::show)),
    open("/assets/status.css", || web::to(page::style)),
    open("/assets/icon.svg", || web::to(page::icon)),
    open("/metrics", || web::to(metrics::show)),
    open("/livez", || web::to(health::livez)),
    open("/readyz", || web::to(health::readyz)),
    open("/healthz", || web::to(health::healthz)),
    open("/api/v1/agents", || web::to(agents::list)),
    open("/api/v1/agents/{name}", || web::to(agents::show)),
    open("/api/v1/agents/{name}/health", || web::to(agents::health)),
    open("/api/v1/queue", || web::to(queue::show)),
    open("/api/v1/schedule", || web::to(schedule::show)),
    open("/api/v1/bus", || web::to(bus::show)),
    open("/api/v1/memory", || web::to(memory::show)),
    open("/api/v1/figures/{name}", || web::to(figures::show)),
    open("/api/v1/graph", || web::to(graph::show)),
    open("/api/v1/why/{subject}", || web::to(why::show)),
    post("/api/v1/agents/{name}/start", || web::to(agents::start)),
    post("/api/v1/agents/{name}/stop", || web::to(agents::stop)),
    post("/api/v1/agents/{name}/restart", || web::to(agents::restart)),
    post("/api/v1/agents/{name}/enable", || web::to(agents::enable)),
    post("/api/v1/agents/{name}/disable", || web::to(agents::disable)),
    post("/api/v1/agents/{name}/trigger", || web::to(executions::trigger)),
    get("/api/v1/agents/{name}/logs", || web::to(logs::show)),
    get("/api/v1/executions", || web::to(history::list)),
    get("/api/v1/executions/{run}", || web::to(history::show)),
    get("/api/v1/executions/{run}/logs", || web::to(history::output)),
    get("/api/v1/executions/{run}/wait", || web::to(executions::wait)),
    post("/api/v1/executions/{run}/cancel", || web::to(executions::cancel)),
    get("/api/v1/dead-letters", || web::to(dead_letters::list)),
    get("/api/v1/dead-letters/{id}", || web::to(dead_letters::show)),
    post("/api/v1/dead-letters/{id}/replay", || web::to(dead_letters::replay)),
    post("/api/v1/dead-letters/{id}/edit", || web::to(dead_letters::edit)),
    post("/api/v1/dead-letters/{id}/discard", || web::to(dead_letters::discard)),
    get("/api/v1/dead-letters/replay", || web::to(dead_letters::replays)),
    post("/api/v1/dead-letters/replay", || web::to(dead_letters::replay_many)),
    get("/api/v1/dead-letters/replay/{set}", || web::to(dead_letters::progress)),
    post("/api/v1/dead-letters/replay/{set}/cancel", || web::to(dead_letters::cancel)),
    post("/api/v1/dead-letters/discard", || web::to(dead_letters::discard_many)),
    get("/api/v1/memory/profiles", || web::to(memory::profiles)),
    get("/api/v1/memory/profiles/{id}", || web::to(memory::profile)),
    get("/api/v1/events", || web::to(events::list)),
    get("/api/v1/notifications", || web::to(notifications::list)),
    post("/api/v1/notifications/test", || web::to(notifications::test)),
    get("/api/v1/bus/services", || web::to(bus::services)),
    get("/api/v1/simulate", || web::to(simulate::show)),
    open("/api/v1/reports", || web::to(optimizer::list)),
    get("/api/v1/reports/{id}", || web::to(optimizer::show)),
    post("/api/v1/optimize", || web::to(optimizer::run)),
    get("/api/v1/decisions", || web::to(optimizer::decisions)),
    post("/api/v1/decisions/{id}/undo", || web::to(optimizer::undo)),
    get("/api/v1/config", || web::to(control::config)),
    post("/api/v1/pause", || web::to(control::pause)),
    post("/api/v1/resume", || web::to(control::resume)),
    post("/api/v1/reload", || web::to(control::reload)),
    post("/api/v1/shutdown", || web::to(control::shutdown)),
];

/// Registers the routes as this listener has them. What it may not have is not registered but for the answer that says so.
pub(crate) fn configure(config: &mut web::ServiceConfig, listener: Listener) {
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        let mut resource = web::resource(path);
        let mut allowed = Vec::new();
        for route in ROUTES.iter().filter(|route| route.path == path) {
            let may = route.access == Access::Open || listener == Listener::ControlSocket;
            let handler = if may { (route.handler)() } else { web::to(use_the_cli) };
            allowed.push(route.method.as_str());
            resource = resource.route(match route.method {
                Method::Get if route.access == Access::Open => {
                    allowed.push("HEAD");
                    handler.guard(guard::Any(guard::Get()).or(guard::Head()))
                }
                Method::Get => handler.guard(guard::Get()),
                Method::Post => handler.guard(guard::Post()),
            });
        }
        let allowed = allowed.join(", ");
        config.service(resource.default_service(web::to(move |request: HttpRequest| {
            std::future::ready(wrong_method(&request, &allowed))
        })));
    }
    config.default_service(web::to(unknown_path));
}

async fn use_the_cli() -> HttpResponse {
    let text = "changes, logs and payloads are not served over TCP";
    Problem::new(StatusCode::FORBIDDEN, text).hint("use the CLI, which talks over the control socket").error_response()
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
    use super::*;

    #[test]
    fn no_two_routes_are_the_same() {
        let mut all: Vec<_> = ROUTES.iter().map(|route| (route.path, route.method.as_str())).collect();
        all.sort_unstable();
        let before = all.len();
        all.dedup();
        assert_eq!(all.len(), before);
    }
}
