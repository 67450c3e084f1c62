//! Who may ask for what, over which way: every route × everybody × every method, from the one table.

mod common;

use common::{Plan, Request, Response, Site, job, name, service};
use serde_json::Value;
use werkpilot_web::routes::{Access, Method, ROUTES, Route};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"];

/// Everybody who may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Anonymous,
    AnonymousByProxy,
    Viewer,
    Operator,
    Admin,
    AdminByProxy,
    Revoked,
    Unknown,
    Session,
    SessionWithoutCsrf,
    ControlSocket,
}

const EVERYBODY: [Who; 11] = [
    Who::Anonymous,
    Who::AnonymousByProxy,
    Who::Viewer,
    Who::Operator,
    Who::Admin,
    Who::AdminByProxy,
    Who::Revoked,
    Who::Unknown,
    Who::Session,
    Who::SessionWithoutCsrf,
    Who::ControlSocket,
];

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    LetIn,
    Refused(u16, &'static str),
}

const LOGIN: Verdict = Verdict::Refused(401, "urn:werkpilot:unauthenticated");
const ROLE: Verdict = Verdict::Refused(403, "urn:werkpilot:role");
const LOCAL: Verdict = Verdict::Refused(403, "urn:werkpilot:local");
const CSRF: Verdict = Verdict::Refused(403, "urn:werkpilot:csrf");

/// The rule, said once more and otherwise than in the program.
fn verdict(route: &Route, who: Who) -> Verdict {
    use Access::{Admin, Local, Operator, Overview, Public, Viewer};
    let logs_in = route.access == Public && route.method == Method::Post;
    match (who, route.access) {
        (Who::Revoked | Who::Unknown, _) => Verdict::Refused(401, "urn:werkpilot:login"),
        (who, Local) if who != Who::ControlSocket => LOCAL,
        (Who::SessionWithoutCsrf, _) if route.method != Method::Get && !logs_in => CSRF,
        (Who::AnonymousByProxy, Overview) | (Who::Anonymous | Who::AnonymousByProxy, Viewer | Operator | Admin) => {
            LOGIN
        }
        (Who::Viewer, Operator | Admin) | (Who::Operator, Admin) => ROLE,
        _ => Verdict::LetIn,
    }
}

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
        .replace("{file}", "nothing")
        .replace("{file:.+}", "nothing")
}

/// What everybody shows.
struct Papers {
    tokens: [String; 3],
    revoked: String,
}

impl Papers {
    async fn made(site: &Site) -> Self {
        let mut tokens = [const { String::new() }; 3];
        for (token, role) in tokens.iter_mut().zip(["viewer", "operator", "admin"]) {
            *token = site.token(&format!("a-{role}"), role).await.0;
        }
        let (revoked, id) = site.token("revoked", "admin").await;
        site.revoke(&id).await;
        Self { tokens, revoked }
    }

    async fn ask(&self, site: &Site, who: Who, request: Request) -> Response {
        let bearer = |token: &str| format!("Bearer {token}");
        let request = match who {
            Who::ControlSocket => return site.control_head(&request).await,
            Who::Anonymous => request,
            Who::AnonymousByProxy => request.header("X-Forwarded-For", "192.0.2.7"),
            Who::Viewer => request.header("Authorization", &bearer(&self.tokens[0])),
            Who::Operator => request.header("Authorization", &bearer(&self.tokens[1])),
            Who::Admin => request.header("Authorization", &bearer(&self.tokens[2])),
            Who::AdminByProxy => {
                request.header("Authorization", &bearer(&self.tokens[2])).header("Forwarded", "for=192.0.2.7")
            }
            Who::Revoked => request.header("Authorization", &bearer(&self.revoked)),
            Who::Unknown => request.header("Authorization", &bearer(&format!("wp_{}", "x".repeat(43)))),
            // A new one each time, as one of the routes logs out.
            Who::Session | Who::SessionWithoutCsrf => {
                let (cookie, csrf) = site.log_in().await;
                let request = request.header("Cookie", &cookie);
                if who == Who::Session { request.header("Werkpilot-Csrf", &csrf) } else { request }
            }
        };
        site.tcp_head(&request).await
    }
}

/// Whether a refusal comes from the rights and not from a handler.
fn is_of_rights(answer: &Response) -> bool {
    let kinds = ["unauthenticated", "role", "local", "csrf", "login", "origin"];
    answer.status == 401
        || answer.status == 403 && kinds.iter().any(|kind| answer.text().contains(&format!("urn:werkpilot:{kind}")))
}

#[test]
fn everybody_gets_what_the_table_says_and_no_more() {
    fleet().run(|site| async move {
        let papers = Papers::made(&site).await;
        for route in ROUTES {
            for who in EVERYBODY {
                let expected = verdict(route, who);
                // It would be the last thing that this test does.
                if route.path == "/api/v1/shutdown" && expected == Verdict::LetIn {
                    continue;
                }
                let answer = papers.ask(&site, who, Request::new(route.method.as_str(), &filled(route.path))).await;
                let context = format!("{route:?} by {who:?}: {} {}", answer.status, answer.text());
                match expected {
                    Verdict::LetIn => assert!(!is_of_rights(&answer), "{context}"),
                    // Of those there are many here.
                    Verdict::Refused(401, "urn:werkpilot:login") if answer.status == 429 => {
                        assert_eq!(answer.problem(429)["type"], "urn:werkpilot:too-many-logins");
                    }
                    Verdict::Refused(status, kind) => {
                        let problem = answer.problem(status);
                        assert_eq!(problem["type"], kind, "{context}");
                        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{context}");
                        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401, "{context}");
                    }
                }
            }
        }
        let facts = site.handle.events(0, 1_000).await.unwrap();
        assert!(!facts.iter().any(|fact| fact.event.topic() == "shutdown.started"), "nobody may have done that");
    });
}

#[test]
fn a_method_that_is_not_in_the_table_does_not_exist_for_anybody() {
    fleet().run(|site| async move {
        let papers = Papers::made(&site).await;
        let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            let rows: Vec<&Route> = ROUTES.iter().filter(|route| route.path == path).collect();
            let head = rows.iter().any(|row| matches!(row.access, Access::Public | Access::Overview));
            let known = |method: &&str| {
                rows.iter().any(|row| row.method.as_str() == *method)
                    || *method == "HEAD" && head && rows.iter().any(|row| row.method == Method::Get)
            };
            for method in METHODS.iter().filter(|method| !known(method)) {
                for who in [Who::Anonymous, Who::AnonymousByProxy, Who::Admin, Who::Session, Who::ControlSocket] {
                    let answer = papers.ask(&site, who, Request::new(method, &filled(path))).await;
                    assert_eq!(answer.status, 405, "{method} {path} by {who:?}: {}", answer.text());
                    for row in &rows {
                        assert!(answer.header("allow").contains(row.method.as_str()), "{method} {path}");
                    }
                    assert_eq!(answer.header("access-control-allow-origin"), "");
                    assert_eq!(answer.header("access-control-allow-methods"), "");
                }
            }
        }
    });
}

#[test]
fn over_the_control_socket_every_route_answers() {
    fleet().run(|site| async move {
        for route in ROUTES.iter().filter(|route| route.path != "/api/v1/shutdown") {
            let answer = site.control_head(&Request::new(route.method.as_str(), &filled(route.path))).await;
            assert!(answer.status < 500, "{route:?}: {} {}", answer.status, answer.text());
            assert!(answer.status < 400 || answer.header("content-type") == "application/problem+json", "{route:?}");
        }
    });
}

#[test]
fn changes_and_logs_and_payloads_are_never_without_a_role() {
    for route in ROUTES {
        let open = matches!(route.access, Access::Public | Access::Overview);
        if open && route.path != "/api/v1/session" {
            assert_eq!(route.method, Method::Get, "{route:?}");
            for word in ["logs", "dead-letters", "events", "config", "executions", "tokens", "audit"] {
                assert!(!route.path.contains(word), "{route:?}");
            }
        }
        if route.method != Method::Get && route.path != "/api/v1/session" {
            assert!(matches!(route.access, Access::Operator | Access::Admin | Access::Local), "{route:?}");
        }
    }
}

#[test]
fn a_definition_is_for_those_who_have_a_role() {
    fleet().run(|site| async move {
        let (token, _) = site.token("eye", "viewer").await;
        let get = || Request::new("GET", "/api/v1/agents/agent-sales");
        let anonymous = site.tcp(&get()).await;
        assert_eq!((anonymous.status, &anonymous.json()["spec"]), (200, &Value::Null));
        let viewer = site.tcp(&get().header("Authorization", &format!("Bearer {token}"))).await;
        assert!(viewer.json()["spec"].is_object() && site.control(&get()).await.json()["spec"].is_object());
    });
}

#[test]
fn what_programs_said_is_for_those_who_may_read_their_logs() {
    let failing = job("failing", "printf 'sold 3\\n'; echo 'no stock: canary-4711' >&2; exit 3");
    Plan::real(vec![failing]).run(|site| async move {
        let run = site.post("/api/v1/agents/failing/trigger", &Value::Null).await.json()["runId"].clone();
        site.ask(&format!("/api/v1/executions/{}/wait", run.as_str().unwrap())).await;
        let paths = ["/api/v1/overview", "/api/v1/agents/failing", "/api/v1/why/failing"];
        for path in paths {
            let anonymous = site.tcp(&Request::new("GET", path)).await;
            assert_eq!(anonymous.status, 200);
            assert!(!anonymous.text().contains("canary-4711"), "{path}: {}", anonymous.text());
            let known = site.control(&Request::new("GET", path)).await;
            assert!(known.text().contains(r#""text":"no stock: canary-4711""#), "{path}: {}", known.text());
        }
    });
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
        site.ask("/api/v1/executions/42/wait").await.problem(404);
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
fn every_answer_has_the_security_headers() {
    fleet().run(|site| async move {
        for path in ["/", "/metrics", "/nothing", "/api/v1/agents/nobody", "/api/v1/events", "/metrics?token=x"] {
            let answer = site.get(path).await;
            let policy = answer.header("content-security-policy");
            for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
                assert!(policy.contains(part), "{path}: {policy}");
            }
            assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
            // What has an ETag may be kept by the browser, and is asked for again each time.
            let kept = !answer.header("etag").is_empty();
            assert_eq!(answer.header("cache-control"), if kept { "no-cache" } else { "no-store" }, "{path}");
        }
    });
}
