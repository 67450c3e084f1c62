//! Who may ask for what, over which way: every route × both listeners, from the one table.

mod common;

use common::{Plan, Request, job, name, service};
use werkpilot_web::routes::{Access, Method, ROUTES};

fn fleet() -> Plan {
    let mut sales = job("agent-sales", "true");
    sales.dependencies = vec![werkpilot_core::spec::Dependency {
        agent: name("agent-db"),
        condition: werkpilot_core::spec::Condition::Healthy,
    }];
    Plan::of(vec![service("agent-db", "sleep 60"), sales])
}

/// A path of the table with its names filled in by things that exist, where any do.
fn filled(path: &str) -> String {
    let run = "0199f1c7-7d5e-7000-8000-000000000000";
    path.replace("figures/{name}", "figures/duration:agent-sales")
        .replace("{name}", "agent-sales")
        .replace("{subject}", "agent-sales")
        .replace("{run}", run)
        .replace("{id}", "1")
        .replace("{set}", "1")
}

fn method(method: Method) -> &'static str {
    method.as_str()
}

#[test]
fn over_tcp_only_open_routes_answer_and_everything_else_names_the_cli() {
    fleet().run(|site| async move {
        for route in &ROUTES {
            let answer = site.tcp(&Request::new(method(route.method), &filled(route.path))).await;
            match route.access {
                Access::Open => assert_eq!(answer.status, 200, "{route:?}: {}", answer.text()),
                Access::Control => {
                    let problem = answer.problem(403);
                    assert_eq!(problem["hint"], "use the CLI, which talks over the control socket", "{route:?}");
                }
            }
        }
        let first = site.handle.events(0, 1_000).await.unwrap();
        assert!(!first.iter().any(|fact| fact.event.topic() == "shutdown.started"), "nothing was done");
    });
}

#[test]
fn over_the_control_socket_every_route_answers() {
    fleet().run(|site| async move {
        for route in ROUTES.iter().filter(|route| route.path != "/api/v1/shutdown") {
            let answer = site.control(&Request::new(method(route.method), &filled(route.path))).await;
            let expected: &[u16] = match route.path {
                // There is no such execution, dead letter or set of replays.
                path if ["{run}", "{id}", "{set}"].iter().any(|name| path.contains(name)) => &[404],
                // Which ones is not said.
                "/api/v1/dead-letters/replay" | "/api/v1/dead-letters/discard" if route.method == Method::Post => {
                    &[400]
                }
                // The files that the test's orchestrator would read again have a fault.
                "/api/v1/reload" => &[422],
                // Its dependency is on its way for ever.
                "/api/v1/agents/{name}/trigger" => &[200, 202, 409],
                _ => &[200],
            };
            assert!(expected.contains(&answer.status), "{route:?}: {} {}", answer.status, answer.text());
            assert!(answer.status < 400 || answer.header("content-type") == "application/problem+json", "{route:?}");
        }
    });
}

#[test]
fn changes_and_logs_and_payloads_are_never_open() {
    for route in ROUTES.iter().filter(|route| route.access == Access::Open) {
        assert_eq!(route.method, Method::Get, "{route:?}");
        for word in ["logs", "dead-letters", "events", "config", "executions"] {
            assert!(!route.path.contains(word), "{route:?}");
        }
    }
}

#[test]
fn what_is_not_in_the_table_is_a_problem() {
    fleet().run(|site| async move {
        assert_eq!(site.get("/nothing").await.problem(404)["detail"], "there is nothing at /nothing");
        site.get("/../../etc/passwd").await.problem(404);
        site.ask("/api/v1/nothing").await.problem(404);
        let wrong = site.tcp(&Request::new("DELETE", "/metrics")).await;
        wrong.problem(405);
        assert_eq!(wrong.header("allow"), "GET, HEAD");
        let wrong = site.ask("/api/v1/pause").await;
        wrong.problem(405);
        assert_eq!(wrong.header("allow"), "POST");
        let unknown = site.get("/api/v1/agents/agent-slaes").await.problem(404);
        assert_eq!(unknown["detail"], "there is no agent agent-slaes; did you mean agent-sales?");
        for bad in [
            "/api/v1/agents?status=sleepy",
            "/api/v1/agents?limit=x",
            "/api/v1/graph?format=png",
            "/api/v1/schedule?hours=-1",
        ] {
            site.get(bad).await.problem(400);
        }
        site.ask("/api/v1/executions/42/wait").await.problem(400);
    });
}

#[test]
fn a_head_request_gets_the_head_alone() {
    fleet().run(|site| async move {
        let answer = site.tcp(&Request::new("HEAD", "/metrics")).await;
        assert_eq!((answer.status, answer.body.len()), (200, 0));
        assert!(answer.header("content-length").parse::<usize>().unwrap() > 100);
    });
}

#[test]
fn over_tcp_the_host_has_to_be_this_machine() {
    fleet().run(|site| async move {
        let port = site.address.port();
        for host in
            ["localhost", "localhost:3001", "127.0.0.1", &format!("127.0.0.1:{port}"), "[::1]:3001", "LOCALHOST:80"]
        {
            let answer = site.tcp(&Request::new("GET", "/metrics").header("Host", host)).await;
            assert_eq!(answer.status, 200, "{host}");
        }
        for host in
            ["evil.example", "evil.example:3001", "localhost.evil.example", "192.168.1.2:3001", "", "localhost:x"]
        {
            site.tcp(&Request::new("GET", "/metrics").header("Host", host)).await.problem(421);
        }
        let none = Request { headers: Vec::new(), ..Request::new("GET", "/metrics") };
        assert!([400, 421].contains(&site.tcp(&none).await.status));
        let absolute = Request::new("GET", "http://evil.example/metrics");
        assert!([400, 421].contains(&site.tcp(&absolute).await.status));
        // The socket's mode is the guard there, not a name.
        assert_eq!(site.control(&Request::new("GET", "/metrics").header("Host", "werkpilot")).await.status, 200);
    });
}

#[test]
fn over_tcp_nothing_comes_through_a_proxy_or_from_another_site() {
    fleet().run(|site| async move {
        for name in ["Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-FORWARDED-HOST"] {
            site.tcp(&Request::new("GET", "/metrics").header(name, "1")).await.problem(403);
        }
        for origin in ["http://evil.example", "https://localhost:3001", "null"] {
            site.tcp(&Request::new("GET", "/metrics").header("Origin", origin)).await.problem(403);
        }
        let own = site.tcp(&Request::new("GET", "/metrics").header("Origin", "http://localhost:3001")).await;
        assert_eq!(own.status, 200);
    });
}

#[test]
fn every_answer_has_the_security_headers() {
    fleet().run(|site| async move {
        for path in ["/", "/metrics", "/nothing", "/api/v1/agents/nobody", "/api/v1/events"] {
            let answer = site.get(path).await;
            assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
            assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("cache-control"), "no-store", "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        }
    });
}
